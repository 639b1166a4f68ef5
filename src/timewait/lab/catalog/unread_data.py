"""A close with unread data: a reset instead of a FIN, and no TIME-WAIT anywhere."""

from timewait.lab.scenario import Observation, Scenario, Settings, Stage, linux, observed, rfc
from timewait.lab.steps import CLIENT, SERVER, Counting, at_port, listen, must, opened, read, result, settled, state

_SHLD_3 = "RFC 9293 3.6.1 (SHLD-3); RFC 2525 2.17"


def run(stage: Stage, settings: Settings) -> list[Observation]:
    """Close the server while text waits to be read: at first plainly, then after its FIN was sent."""
    host = stage.host
    listener = listen(host)
    counting = Counting(host)
    client, server = opened(host, listener)
    must(host.send(client, b"never read"), "sending")
    host.close(server)
    peer = host.receive(client)
    left = state(host, SERVER.port, CLIENT.port), state(host, CLIENT.port, SERVER.port)
    host.close(client)

    other = at_port(CLIENT, CLIENT.port + 1)
    client, server = opened(host, listener, source=other)
    host.half_close(server)
    settled(host, SERVER.port, other.port, ["FIN-WAIT-2"])
    must(host.send(client, b"never read"), "sending")
    host.close(server)
    gone = settled(host, SERVER.port, other.port, ["nothing"])
    ended = host.receive(client), host.send(client, b"more")
    return [
        observed("the peer reads", result(peer), rfc("ECONNRESET", _SHLD_3)),
        observed("left at the closer", left[0], rfc("nothing", _SHLD_3)),
        observed("left at the peer", left[1], rfc("nothing", "RFC 9293 3.10.7.4, second: RST")),
        observed("left at the closer, its FIN already sent", gone, rfc("nothing", _SHLD_3)),
        observed(
            "the peer then reads", read(ended[0]), linux("the end", "tcp_recvmsg_locked(), net/ipv4/tcp.c: SOCK_DONE")
        ),
        observed("the peer then sends", result(ended[1]), linux("EPIPE", "tcp_reset(), net/ipv4/tcp_input.c")),
        observed(
            "closes counted as aborts", counting.by("TcpExt.TCPAbortOnClose"), linux(2, "__tcp_close(), net/ipv4/tcp.c")
        ),
    ]


SCENARIO = Scenario(
    question="What does close() do while data is waiting that nobody read?",
    sources=("RFC 9293 3.6.1 (SHLD-3)", "RFC 2525 2.17", "Linux: __tcp_close(), net/ipv4/tcp.c"),
    run=run,
    tags=("close", "reset", "A13", "A14"),
)
