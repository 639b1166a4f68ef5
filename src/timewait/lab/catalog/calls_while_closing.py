"""The user's calls in closing states: what each of them sends, seen from the other end."""

from collections.abc import Callable
from functools import partial

from timewait.lab.hand import SILENCE, Hand
from timewait.lab.scenario import Observation, Scenario, Settings, Stage, linux, observed, rfc
from timewait.lab.steps import listen, read, settled, state
from timewait.tcp.states import CLOSE_WAIT, CLOSING, LAST_ACK
from timewait.trace import flag_names
from timewait.wire.segment import ACK, FIN, PSH

_PORT, _FIRST = 80, 40000
# Until the ACK of the FIN has gone, which may wait for 40 ms.
_DELAYED = 4 * SILENCE
_CLOSE = "RFC 9293 3.10.4, CLOSE-WAIT: FIN, then LAST-ACK"
_ABORT = "RFC 9293 3.10.5, CLOSING, LAST-ACK: delete the TCB"
_READ = "RFC 2525 2.17; tcp_close(), net/ipv4/tcp.c: only what was not read counts"
_UPDATE = "tcp_cleanup_rbuf(), net/ipv4/tcp.c: not once the peer's FIN was received (RCV_SHUTDOWN)"


def run(stage: Stage, settings: Settings) -> list[Observation]:
    """Close in CLOSE-WAIT; abort in CLOSING and LAST-ACK; close after repeated text; read after the peer's FIN."""
    host = stage.host
    listener = listen(host, stage.at("host", _PORT))
    hands = [Hand(stage, _PORT, _FIRST + at) for at in range(5)]
    closing, *aborting, repeated, reading = hands
    connections = [hand.open(listener) for hand in hands]
    found = []

    closing.bring(connections[0], CLOSE_WAIT)
    said = _says(stage, closing, partial(host.close, connections[0]))
    found.append(observed("close() in CLOSE-WAIT sends", said, rfc("FIN,ACK", _CLOSE)))
    found.append(observed("it is then in", state(host, _PORT, closing.own), rfc("LAST-ACK", _CLOSE)))

    for hand, connection, where in zip(aborting, connections[1:3], (CLOSING, LAST_ACK), strict=True):
        hand.bring(connection, where, orphan=False)
        settled(host, _PORT, hand.own, [str(where)])
        stage.wait(SILENCE)
        said = _says(stage, hand, partial(host.abort, connection))
        found.append(observed(f"an abort in {where} sends", said, rfc("nothing", _ABORT)))
        found.append(observed(f"and leaves, after {where}", state(host, _PORT, hand.own), rfc("nothing", _ABORT)))

    text = repeated.send(ACK | PSH, payload=b"once")
    got = host.receive(connections[3])
    repeated.put(text)
    stage.wait(SILENCE)
    said = _says(stage, repeated, partial(host.close, connections[3]))
    found.append(observed("text that is read comes again; recv() had", read(got), rfc("4 octets", "RFC 9293 3.10.3")))
    found.append(observed("close() then sends", said, rfc("FIN,ACK", _READ)))

    for _ in range(8):
        reading.send(ACK | PSH, payload=bytes(1400))
    reading.send(FIN | ACK)
    settled(host, _PORT, reading.own, [str(CLOSE_WAIT)])
    stage.wait(_DELAYED)
    said = _says(stage, reading, partial(host.receive, connections[4]))
    found.append(observed("reading all after the peer's FIN sends", said, linux("nothing", _UPDATE)))
    return found


def _says(stage: Stage, hand: Hand, call: Callable[[], object]) -> str:
    """Return the flags of what a call makes the host send, each FIN once."""
    hand.mark()
    call()
    stage.wait(SILENCE)
    said = dict.fromkeys((each.seq, flag_names(each.flags & ~PSH)) for each in hand.heard())
    return " and ".join(flags for _, flags in said) or "nothing"


SCENARIO = Scenario(
    question="What do close(), abort and recv() send while a connection closes?",
    sources=("RFC 9293 3.10.4, 3.10.5", f"Linux: {_UPDATE}", "RFC 2525 2.17"),
    run=run,
    wires=("wire",),
    tags=("close", "linger", "network", "A12", "A15", "A17", "D14"),
)
