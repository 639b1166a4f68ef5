"""A close while a connection is half open: by the listener, and by a program whose SYN crossed the peer's."""

from timewait.clock import MS
from timewait.lab.hand import SILENCE, Hand
from timewait.lab.scenario import Observation, Scenario, Settings, Stage, observed, rfc
from timewait.lab.steps import listen, result, settled, state
from timewait.trace import flag_names
from timewait.wire.segment import ACK, FIN, PSH, SYN, Segment

_PORT, _OWN, _FROM = 80, 40000, 41000
_LISTEN = "RFC 9293 3.10.4, LISTEN: delete the TCB"
_STRAY = "RFC 9293 3.10.7.1: RST at the ACK's number"
_SYN_RECEIVED = "RFC 9293 3.10.4, SYN-RECEIVED: FIN, then FIN-WAIT-1"
_CROSSED = "RFC 9293 3.10.7.3, fourth: SYN alone, SYN-RECEIVED"


def run(stage: Stage, settings: Settings) -> list[Observation]:
    """Half-open a connection and close the listener; then cross the SYN of a connect() that is given up."""
    host = stage.host
    listener = listen(host, stage.at("host", _PORT))
    hand = Hand(stage, _PORT, _OWN)
    hand.mark()
    hand.send(SYN)
    hand.hears(lambda each: each.flags & (SYN | ACK) == SYN | ACK)
    half = state(host, _PORT, _OWN)
    hand.mark()
    host.close(listener)
    stage.wait(SILENCE)
    silent = _flags(hand.heard())
    left = settled(host, _PORT, _OWN, ["nothing"])
    hand.mark()
    ack = hand.send(ACK)
    stage.wait(SILENCE)
    stray = hand.heard()
    right = [each.seq == ack.ack for each in stray]

    crossed = Hand(stage, _FROM, _PORT)

    def cross(segment: Segment) -> None:
        if (segment.source_port, segment.flags & (SYN | ACK)) == (_FROM, SYN):
            crossed.take(segment)
            crossed.send(SYN)

    stage.wire("wire").answers.append(cross)
    crossed.mark()
    opening = host.connect(stage.at("wire", _PORT), source=stage.at("host", _FROM), timeout=900 * MS)
    stage.until(lambda: any(each.flags & FIN for each in crossed.heard()))
    said = list(dict.fromkeys(_flags([each]) for each in crossed.heard()))
    return [
        observed("half-open, the host is in", half, rfc("SYN-RECEIVED", "RFC 9293 3.10.7.2: SYN")),
        observed("closing the listener sends", silent, rfc("nothing", _LISTEN)),
        observed("and leaves", left, rfc("nothing", _LISTEN)),
        observed("the handshake's ACK then gets", _flags(stray), rfc("RST", _STRAY)),
        observed("at its number", right == [True], rfc(True, _STRAY)),
        observed("a connect() whose SYN is crossed, given up", result(opening), rfc("ETIMEDOUT", _CROSSED)),
        observed("it has sent", ", ".join(said), rfc("SYN, SYN,ACK, FIN,ACK", f"{_CROSSED}; {_SYN_RECEIVED}")),
        observed("and is in", state(host, _FROM, _PORT), rfc("FIN-WAIT-1", _SYN_RECEIVED)),
    ]


def _flags(segments: list[Segment]) -> str:
    return " and ".join(flag_names(each.flags & ~PSH) for each in segments) or "nothing"


SCENARIO = Scenario(
    question="What does a close do to a connection that is half open?",
    sources=("RFC 9293 3.10.4, 3.10.7.1 to 3.10.7.3",),
    run=run,
    wires=("wire",),
    tags=("close", "syn-sent", "half-open", "restart", "network", "A7", "A9", "A11"),
)
