"""An old duplicate of a SYN reopens a connection in TIME-WAIT; its sender knows nothing of it and resets it."""

from timewait.lab.hand import SILENCE, Hand, answers, described
from timewait.lab.scenario import Observation, Scenario, Settings, Stage, linux, observed, rfc
from timewait.lab.steps import listen, result, state
from timewait.tcp.states import State
from timewait.wire.segment import RST, SYN

_MAY2 = "RFC 9293 3.6.1 (MAY-2): return to TIME-WAIT if the SYN is an old duplicate"
_LINUX = "tcp_v4_rcv(), net/ipv4/tcp_ipv4.c: the wait goes before the SYN is taken"
_PORT, _OWN = 80, 40000


def run(stage: Stage, settings: Settings) -> list[Observation]:
    """Send a SYN that is acceptable, then a RST for its answer."""
    host = stage.host
    listener = listen(host, stage.at("host", _PORT))
    hand = Hand(stage, _PORT, _OWN)
    hand.bring(hand.open(listener), State.TIME_WAIT)
    stage.wait(SILENCE)
    syn = hand.segment(SYN, seq=1000)
    (heard,) = answers([hand], [syn])
    between = state(host, _PORT, _OWN)
    hand.seq = syn.end
    (silence,) = answers([hand], [hand.segment(RST)])
    return [
        observed("the SYN gets", described(hand, heard), rfc("SYN,ACK", "RFC 9293 3.6.1 (MAY-2)")),
        observed("the host is then in", between, rfc("SYN-RECEIVED", "RFC 9293 3.6.1 (MAY-2)")),
        observed("the RST gets", described(hand, silence), rfc("nothing", "RFC 9293 3.5.2")),
        observed("and leaves", state(host, _PORT, _OWN), linux("nothing", _LINUX), rfc("TIME-WAIT", _MAY2)),
        observed("nothing to accept", result(host.accept(listener, timeout=0)), rfc("EAGAIN", "RFC 9293 3.10.7.4")),
    ]


SCENARIO = Scenario(
    question="Is TIME-WAIT entered again when the SYN that ended it proves to be an old duplicate?",
    sources=("RFC 9293 3.6.1", "RFC 1122 4.2.2.13", f"Linux: {_LINUX}"),
    run=run,
    wires=("wire",),
    tags=("time-wait", "old-duplicates", "network", "H19"),
)
