"""SO_LINGER with zero: a reset in place of a FIN, no TIME-WAIT, and whatever was not yet delivered is lost."""

from timewait.clock import MS
from timewait.lab.scenario import Observation, Parameter, Scenario, Settings, Stage, observed, rfc
from timewait.lab.steps import CLIENT, SERVER, Counting, at_port, closed, listen, opened, read, settled, state

_ABORT = "RFC 9293 3.10.5: ABORT"


def run(stage: Stage, settings: Settings) -> list[Observation]:
    """Write until nothing more is taken, abort, and count what the other side can still read."""
    host = stage.host
    listener = listen(host)
    client, server = opened(host, listener)
    written = 0
    piece = bytes(settings["piece"])
    while written < settings["most"] and (sent := host.send(client, piece, timeout=50 * MS)).ok:
        written += sent.value
    host.abort(client)
    left = state(host, CLIENT.port, SERVER.port), settled(host, SERVER.port, CLIENT.port, ["nothing"])
    got = 0
    while (last := host.receive(server)).ok and last.value:
        got += len(last.value)
    host.close(server)

    # The side that would not have had TIME-WAIT aborts: the other one's FIN-WAIT-2 goes too.
    other = at_port(CLIENT, CLIENT.port + 1)
    client, server = opened(host, listener, source=other)
    host.close(client)
    settled(host, other.port, SERVER.port, ["FIN-WAIT-2"])
    counting = Counting(host)
    host.abort(server)
    gone = settled(host, other.port, SERVER.port, ["nothing"])
    resets = counting.by("Tcp.OutRsts")
    third = at_port(CLIENT, CLIENT.port + 2)
    closed(host, *opened(host, listener, source=third))
    usual = settled(host, third.port, SERVER.port, ["TIME-WAIT"])
    return [
        observed("after close() without it, the closer is in", usual, rfc("TIME-WAIT", "RFC 9293 3.10.4: CLOSE")),
        observed("after the abort, left at the closer", left[0], rfc("nothing", _ABORT)),
        observed("left at the peer", left[1], rfc("nothing", "RFC 9293 3.10.7.4, second: RST")),
        observed("octets written are lost", got < written, rfc(True, f"{_ABORT}: queued SENDs are flushed")),
        observed("the peer's last read", read(last), rfc("ECONNRESET", "RFC 9293 3.10.7.4, second: connection reset")),
        observed("the passive closer aborts: left at the other", gone, rfc("nothing", _ABORT)),
        observed("segments with RST it took", resets, rfc(1, _ABORT)),
    ]


SCENARIO = Scenario(
    question="What does SO_LINGER with zero spare, and what does it cost?",
    sources=("RFC 9293 3.10.5", "RFC 1122 4.2.2.13", "POSIX: SO_LINGER"),
    run=run,
    tags=("close", "reset", "linger", "A16", "A19"),
    parameters=(
        Parameter("piece", 65536, "octets a send()", 1, 1 << 20),
        Parameter("most", 8 << 20, "octets to write at most, until nothing more is taken", 1, 1 << 26),
    ),
)
