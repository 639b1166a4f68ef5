"""A connect that was given up, and the SYN,ACK that comes for it afterwards; and a RST while a connection opens."""

from timewait.clock import MS
from timewait.lab.hand import SILENCE, Hand, answers, described
from timewait.lab.scenario import Observation, Scenario, Settings, Stage, observed, rfc
from timewait.lab.steps import listen, result, state
from timewait.wire.segment import ACK, RST, SYN

_GIVEN_UP = "RFC 9293 3.10.4: CLOSE in SYN-SENT"
_LATE = "RFC 9293 3.10.7.1: CLOSED, <SEQ=SEG.ACK><CTL=RST>"
_PORT, _OWN, _SOURCE = 80, 8080, 40000


def run(stage: Stage, settings: Settings) -> list[Observation]:
    """Connect to nobody and give up, answer then; refuse another connect; reset one that the host is accepting."""
    host = stage.host
    peer = stage.at("wire", _OWN)
    hand = Hand(stage, _SOURCE, _OWN)
    given_up = host.connect(peer, source=stage.at("host", _SOURCE), timeout=100 * MS)
    syn = next(each for each in stage.sent("host") if each.flags & SYN)
    before = len(stage.sent("host"))
    left = state(host, _SOURCE, _OWN)
    stage.wait(SILENCE)
    silent = len(stage.sent("host")) == before
    hand.take(syn)
    (heard,) = answers([hand], [hand.segment(SYN | ACK)])
    reset = heard[0] if heard else None

    other = Hand(stage, _SOURCE + 1, _OWN)

    def refuse(segment: object) -> None:
        if other.heard():
            other.take(other.heard()[-1])
            other.put(other.segment(RST | ACK))

    other.wire.answers.append(refuse)
    refused = host.connect(peer, source=stage.at("host", _SOURCE + 1), timeout=1000 * MS)
    other.wire.answers.clear()

    passive = Hand(stage, _PORT, 40001)
    listener = listen(host, stage.at("host", _PORT))
    passive.send(SYN)
    passive.hears(lambda each: bool(each.flags & SYN))
    opening = state(host, _PORT, passive.own)
    (nothing,) = answers([passive], [passive.segment(RST)])
    gone = state(host, _PORT, passive.own)
    listens = any(row.state == "LISTEN" for row in host.sockets(local_port=_PORT))
    queued = host.accept(listener, timeout=0)
    return [
        observed("connect() to nobody, given up", result(given_up), rfc("ETIMEDOUT", "this scenario")),
        observed("left of it", left, rfc("nothing", _GIVEN_UP)),
        observed("nothing is sent for it", silent, rfc(True, _GIVEN_UP)),
        observed("a SYN,ACK afterwards gets", described(hand, heard), rfc("RST", _LATE)),
        observed(
            "the RST has the number that was acknowledged",
            reset is not None and reset.seq == hand.ack,
            rfc(True, _LATE),
        ),
        observed(
            "a RST,ACK in SYN-SENT: connect() gives",
            result(refused),
            rfc("ECONNREFUSED", "RFC 9293 3.10.7.3, second: connection reset"),
        ),
        observed("a SYN's end is in", opening, rfc("SYN-RECEIVED", "RFC 9293 3.10.7.2, third")),
        observed("a RST in SYN-RECEIVED gets", described(passive, nothing), rfc("nothing", "RFC 9293 3.5.2")),
        observed("left of it then", gone, rfc("nothing", "RFC 9293 3.10.7.4, second: back to LISTEN")),
        observed("the listener listens on", listens, rfc(True, "RFC 9293 3.10.7.4, second: back to LISTEN")),
        observed("and has nothing to accept", result(queued), rfc("EAGAIN", "RFC 9293 3.10.7.4, second")),
    ]


SCENARIO = Scenario(
    question="What does a connection get that was given up while it opened?",
    sources=("RFC 9293 3.10.4, 3.10.7.1, 3.10.7.3, 3.10.7.4",),
    run=run,
    wires=("wire",),
    tags=("open", "reset", "network", "A7", "A8", "E7"),
)
