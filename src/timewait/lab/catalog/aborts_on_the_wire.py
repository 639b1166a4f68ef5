"""What an ABORT, a CLOSE and a listener's end put on the wire, seen from the other end of it."""

from timewait.lab.hand import SILENCE, Hand, answers, described
from timewait.lab.scenario import Observation, Scenario, Settings, Stage, observed, rfc
from timewait.lab.steps import listen, state
from timewait.tcp.states import State
from timewait.wire.segment import ACK, FIN, SYN

_ABORT = "RFC 9293 3.10.5: ABORT"
_CLOSE = "RFC 9293 3.10.4: CLOSE"
_PORT = 80


def run(stage: Stage, settings: Settings) -> list[Observation]:
    """Abort in each closing state, close in CLOSE-WAIT, and close a listener with a connection half open."""
    host = stage.host
    listener = listen(host, stage.at("host", _PORT))
    found = []
    for at, entered in enumerate((State.ESTABLISHED, State.FIN_WAIT_1, State.FIN_WAIT_2, State.CLOSE_WAIT)):
        hand, connection = _brought(stage, listener, 40000 + at, entered)
        hand.mark()
        host.abort(connection)
        stage.wait(SILENCE)
        words = described(hand, [each for each in hand.heard() if not each.flags & FIN])
        found.append(observed(f"ABORT in {entered} sends", words.split(",")[0], rfc("RST", _ABORT)))
        found.append(observed(f"ABORT in {entered} leaves", state(host, _PORT, hand.own), rfc("nothing", _ABORT)))
    for at, entered in enumerate((State.CLOSING, State.TIME_WAIT)):
        hand, connection = _brought(stage, listener, 40010 + at, entered)
        hand.mark()
        host.abort(connection)
        stage.wait(SILENCE)
        words = described(hand, [each for each in hand.heard() if not each.flags & FIN])
        found.append(observed(f"ABORT in {entered} sends", words, rfc("nothing", _ABORT)))

    hand, connection = _brought(stage, listener, 40020, State.CLOSE_WAIT)
    hand.mark()
    host.close(connection)
    fin = hand.hears(lambda each: bool(each.flags & FIN))
    found.append(observed("CLOSE in CLOSE-WAIT sends a FIN", fin is not None, rfc(True, _CLOSE)))
    found.append(observed("and enters", state(host, _PORT, hand.own), rfc("LAST-ACK", _CLOSE)))

    opening = Hand(stage, _PORT, 40030)
    opening.send(SYN)
    opening.hears(lambda each: bool(each.flags & SYN))
    opening.mark()
    host.close(listener)
    stage.wait(SILENCE)
    quiet = described(opening, opening.heard())
    (heard,) = answers([opening], [opening.segment(ACK)])
    found.append(observed("CLOSE of the listener sends to what is half open", quiet, rfc("nothing", _CLOSE)))
    found.append(observed("its ACK then gets", described(opening, heard), rfc("RST", "RFC 9293 3.10.7.1: CLOSED")))
    return found


def _brought(stage: Stage, listener: int, own: int, entered: State) -> tuple[Hand, int]:
    hand = Hand(stage, _PORT, own)
    connection = hand.open(listener)
    if entered is not State.ESTABLISHED:
        hand.bring(connection, entered, orphan=False)
    stage.wait(SILENCE)
    return hand, connection


SCENARIO = Scenario(
    question="What does the other end hear of an ABORT, and of a CLOSE?",
    sources=("RFC 9293 3.10.4, 3.10.5",),
    run=run,
    wires=("wire",),
    tags=("close", "reset", "segments", "network", "A9", "A12", "A16", "A17", "A18"),
)
