"""The peer has filled the window and then closes: its FIN is taken, though there is no room for anything."""

from timewait.lab.hand import SILENCE, Hand
from timewait.lab.scenario import Observation, Scenario, Settings, Stage, observed, rfc
from timewait.lab.steps import listen, must, state
from timewait.wire.segment import ACK, FIN

_FIN = "RFC 9293 3.10.7.4, eighth: FIN; 3.10.7.4, first: special allowance"
_PORT, _OWN = 80, 40000
_PIECE = 1460


def run(stage: Stage, settings: Settings) -> list[Observation]:
    """Fill the host's window while its user reads nothing, then send a FIN at the window's edge."""
    host = stage.host
    hand = Hand(stage, _PORT, _OWN)
    connection = hand.open(listen(host, stage.at("host", _PORT)))
    sent = 0
    while room := _window(hand):
        for at in range(0, room, _PIECE):
            hand.send(ACK, payload=bytes(min(room - at, _PIECE)))
        sent += room
        stage.until(lambda: hand.heard()[-1].ack == hand.seq)
    closed = _window(hand)
    hand.mark()
    hand.send(FIN | ACK)
    stage.wait(10 * SILENCE)
    left = state(host, _PORT, _OWN)
    acked = any(each.ack == hand.seq for each in hand.heard())
    got = 0
    while got < sent and (data := must(host.receive(connection), "receiving")):
        got += len(data)
    end = host.receive(connection).value == b""
    return [
        observed("the window before the FIN", closed, rfc(0, "this scenario")),
        observed("after the FIN the host is in", left, rfc("CLOSE-WAIT", _FIN)),
        observed("the FIN is acknowledged", acked, rfc(True, _FIN)),
        observed("all text is read, then the end", got == sent and end, rfc(True, "RFC 9293 3.10.3")),
    ]


def _window(hand: Hand) -> int:
    """Return what the host has room for, by its last word."""
    last = hand.heard()[-1] if hand.heard() else None
    if last is None:
        return hand.window
    hand.window = max(0, last.window - (hand.seq - last.ack))
    return hand.window


SCENARIO = Scenario(
    question="Is a FIN taken when the window is closed?",
    sources=("RFC 9293 3.10.7.4",),
    run=run,
    wires=("wire",),
    tags=("close", "network", "D9"),
)
