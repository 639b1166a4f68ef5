"""The peer aborts: what a program is told, by the state that its end was in."""

from timewait.lab.scenario import Foretold, Observation, Scenario, Settings, Stage, linux, observed, rfc
from timewait.lab.steps import CLIENT, SERVER, at_port, listen, opened, read, result, settled

_RESET = "RFC 9293 3.10.7.4, second: connection reset"
_CLOSE_WAIT = "tcp_reset(), net/ipv4/tcp_input.c: EPIPE in CLOSE-WAIT; the end of the stream first"
# State of the end that is reset, what it reads, what it is told by send() if it has not shut that side.
_CASES: tuple[tuple[str, Foretold, Foretold | None], ...] = (
    ("ESTABLISHED", rfc("ECONNRESET", _RESET), linux("EPIPE", "tcp_sendmsg_locked(): after the error was told")),
    ("FIN-WAIT-2", rfc("ECONNRESET", _RESET), None),
    ("CLOSE-WAIT", linux("the end", _CLOSE_WAIT), linux("EPIPE", _CLOSE_WAIT)),
)


def run(stage: Stage, settings: Settings) -> list[Observation]:
    """Bring the server's end into each state, abort from the client, and ask the server."""
    host = stage.host
    listener = listen(host)
    found = []
    for at, (wanted, reads, sends) in enumerate(_CASES):
        source = at_port(CLIENT, CLIENT.port + at)
        client, server = opened(host, listener, source=source)
        if wanted == "FIN-WAIT-2":
            host.half_close(server)
        if wanted == "CLOSE-WAIT":
            host.half_close(client)
        stands = settled(host, SERVER.port, source.port, [wanted])
        host.abort(client)
        left = settled(host, SERVER.port, source.port, ["nothing"])
        got = host.receive(server)
        found.append(observed(f"{stands}: left", left, rfc("nothing", _RESET)))
        found.append(observed(f"{stands}: recv()", read(got), reads))
        if sends is not None:
            found.append(observed(f"{stands}: send()", result(host.send(server, b"?")), sends))
        host.close(server)
    return found


SCENARIO = Scenario(
    question="What does a program learn when its peer aborts?",
    sources=(_RESET, f"Linux: {_CLOSE_WAIT}"),
    run=run,
    tags=("reset", "close", "E1", "E6"),
)
