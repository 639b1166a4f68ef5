"""What a segment gets after TIME-WAIT has run out."""

from timewait.clock import SECOND
from timewait.lab.hand import SILENCE, Hand, answers, described
from timewait.lab.scenario import Observation, Scenario, Settings, Stage, observed, rfc
from timewait.lab.steps import A_MINUTE, end, listen, state
from timewait.tcp.states import State
from timewait.wire.segment import ACK, FIN

_CLOSED = "RFC 9293 3.10.7.1: CLOSED, <SEQ=SEG.ACK><CTL=RST>"
_PORT, _OWN = 80, 40000


def run(stage: Stage, settings: Settings) -> list[Observation]:
    """Wait until the state has ended, then repeat the FIN."""
    host = stage.host
    hand = Hand(stage, _PORT, _OWN)
    hand.bring(hand.open(listen(host, stage.at("host", _PORT))), State.TIME_WAIT)
    stage.wait(SILENCE)
    row = end(host, _PORT, _OWN)
    before = row.state if row else "nothing"
    stage.wait((row.time_left or 0 if row else 0) + A_MINUTE.more)
    after = state(host, _PORT, _OWN)
    (heard,) = answers([hand], [hand.segment(FIN | ACK, seq=-1)])
    exact = bool(heard) and heard[0].seq == hand.ack
    return [
        observed("the host is in", before, rfc("TIME-WAIT", "RFC 9293 3.10.7.4, FIN-WAIT-2: FIN")),
        observed("after it ran out, there is", after, rfc("nothing", "RFC 9293 3.10.8: TIME-WAIT timeout")),
        observed("the FIN again gets", described(hand, heard), rfc("RST", _CLOSED)),
        observed("the RST has its ACK's number", exact, rfc(True, _CLOSED)),
    ]


SCENARIO = Scenario(
    question="What does a repeated FIN get once TIME-WAIT is over?",
    sources=("RFC 9293 3.10.7.1, 3.10.8",),
    run=run,
    wires=("wire",),
    tags=("time-wait", "reset", "network", "H2", "H3"),
    lasts=66 * SECOND,
)
