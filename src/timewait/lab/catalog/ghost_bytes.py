"""What TIME-WAIT is for: text of an old connection that arrives in a new one between the same ports.

It is taken where its sequence number and its ACK number both lie in the new connection's windows.  Of the latter most
stacks ask that it be no older than the largest window; Linux, since 6.7, that its octets were sent at all.
"""

from timewait.clock import MS
from timewait.lab.hand import SILENCE, Hand
from timewait.lab.scenario import Foretold, Observation, Scenario, Settings, Stage, linux, observed, rfc
from timewait.lab.steps import Counting, listen, must
from timewait.wire.segment import ACK, RST
from timewait.wire.seq import MASK

_HAZARD = "RFC 1337 2, hazard H1"
_PAWS = "RFC 7323 5.3, R1"
_PORT = 80
_ACK = "tcp_ack(), net/ipv4/tcp_input.c, RFC 5961 5: of octets that this connection never sent"
_CLOCK = "RFC 9293 3.4.1: the clock ticks every 4 us; 3.10.7.4, fifth: within the largest window still"
_GHOST, _REAL, _REST = b"GHOST", b"12345", b"abcde"
_WHOLE, _HAUNTED = (_REAL + _REST).decode(), (_REAL + _GHOST).decode()


def run(stage: Stage, settings: Settings) -> list[Observation]:
    """An old connection leaves text on the way and no TIME-WAIT; the next one's numbers include that text's."""
    return [
        *_one(stage, "its ACK number old", False, 40000, False, linux(_WHOLE, _ACK), rfc(_HAUNTED, _CLOCK)),
        *_one(stage, "its ACK number fits", False, 40001, True, rfc(_HAUNTED, _HAZARD)),
        *_one(stage, "it fits, but for its timestamp", True, 40002, True, rfc(_WHOLE, _PAWS)),
    ]


def _one(stage: Stage, words: str, timestamps: bool, own: int, fits: bool, *told: Foretold) -> list[Observation]:
    host = stage.host
    listener = listen(host, stage.at("host", _PORT))
    hand = Hand(stage, _PORT, own, timestamps=timestamps)
    first = hand.open(listener)
    late = hand.segment(ACK, payload=_GHOST)  # it is on its way for long
    hand.put(hand.segment(RST))
    stage.wait(SILENCE)
    host.close(first)

    hand.seq = (late.seq - len(_REAL) - 1) & MASK
    hand.tsval = (hand.tsval + 1000) & MASK
    second = hand.open(listener)
    counting = Counting(host)
    stage.replay(late._replace(ack=hand.ack) if fits else late)
    stage.wait(SILENCE)
    hand.send(ACK, payload=_REAL)
    stage.wait(SILENCE)
    got = must(host.receive(second), "receiving")
    hand.mark()
    hand.send(ACK, payload=_REST)
    stage.wait(SILENCE)
    got += host.receive(second, timeout=50 * MS).value or b""
    host.close(listener)
    rejected = counting.by("TcpExt.PAWSEstab")
    return [
        observed(f"{words}: the application reads", got.decode(), *told),
        observed(f"{words}: refused by PAWS", rejected, linux(int(timestamps), "tcp_validate_incoming(): PAWSEstab")),
    ]


SCENARIO = Scenario(
    question="What becomes of an old connection's text in a new one, where no TIME-WAIT stands between?",
    sources=("RFC 1337 2", "RFC 9293 3.6.1", "RFC 7323 5.3"),
    run=run,
    wires=("wire",),
    tags=("time-wait", "old-duplicates", "timestamps", "network"),
)
