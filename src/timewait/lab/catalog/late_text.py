"""Text that arrives after the program has closed: the half-duplex close, and what becomes of FIN-WAIT-2."""

from timewait.lab.scenario import Observation, Scenario, Settings, Stage, linux, observed, rfc
from timewait.lab.steps import CLIENT, SERVER, Counting, listen, opened, read, result, settled, state

_SHLD_3 = "RFC 9293 3.6.1 (SHLD-3); RFC 1122 4.2.2.13"
_RESET = "RFC 9293 3.10.7.4, second: RST"


def run(stage: Stage, settings: Settings) -> list[Observation]:
    """Close the client, send to it from the server, send again."""
    host = stage.host
    client, server = opened(host, listen(host))
    host.close(client)
    waiting = settled(host, CLIENT.port, SERVER.port, ["FIN-WAIT-2"])
    counting = Counting(host)
    first = host.send(server, b"late")
    gone = settled(host, CLIENT.port, SERVER.port, ["nothing"])
    reset = settled(host, SERVER.port, CLIENT.port, ["nothing"])
    resets = counting.by("Tcp.OutRsts")
    second = host.send(server, b"later")
    got = host.receive(server)
    host.close(server)
    left = state(host, SERVER.port, CLIENT.port)
    return [
        observed("the closer waits in", waiting, rfc("FIN-WAIT-2", "RFC 9293 3.10.7.4, FIN-WAIT-1: our FIN acked")),
        observed("the peer's send()", result(first), rfc("ok", "RFC 9293 3.10.2: SEND in CLOSE-WAIT")),
        observed("segments with RST in answer", resets, rfc(1, _SHLD_3)),
        observed("left at the closer", gone, rfc("nothing", _SHLD_3)),
        observed("left at the peer", reset, rfc("nothing", _RESET)),
        observed("its next send()", result(second), linux("EPIPE", "tcp_reset(), net/ipv4/tcp_input.c, CLOSE-WAIT")),
        observed("its recv()", read(got), linux("the end", "tcp_recvmsg_locked(), net/ipv4/tcp.c: SOCK_DONE")),
        observed("after its close(), left", left, rfc("nothing", _RESET)),
    ]


SCENARIO = Scenario(
    question="What happens to text that reaches a host whose program has already closed?",
    sources=("RFC 9293 3.6.1 (SHLD-3)", "RFC 1122 4.2.2.13"),
    run=run,
    tags=("close", "reset", "fin-wait-2", "B9", "E1"),
)
