"""Closing the reading side only: nothing is sent, and what the peer sends is still acknowledged."""

from timewait.lab.scenario import Observation, Scenario, Settings, Stage, linux, observed, rfc
from timewait.lab.steps import CLIENT, SERVER, Counting, closed, listen, opened, read, result, settled, state, until

_SOURCE = "tcp_shutdown(), net/ipv4/tcp.c: without SEND_SHUTDOWN nothing happens; POSIX: shutdown()"


def run(stage: Stage, settings: Settings) -> list[Observation]:
    """Shut the client's reading side; read at the end of the stream; let the server send; close both."""
    host = stage.host
    client, server = opened(host, listen(host))
    counting = Counting(host)
    shut = host.stop_reading(client)
    sent_segments = counting.by("Tcp.OutSegs")
    at_end = host.receive(client)
    states = state(host, CLIENT.port, SERVER.port), state(host, SERVER.port, CLIENT.port)
    sent = host.send(server, b"still here")

    def acknowledged() -> bool:
        return all(not row.send_queue for row in host.sockets(local_port=SERVER.port, peer_port=CLIENT.port))

    until(host, acknowledged)
    taken = acknowledged()
    got = host.receive(client)
    back = host.send(client, b"an answer")
    heard = host.receive(server)
    closed(host, client, server)
    left = settled(host, CLIENT.port, SERVER.port, ["TIME-WAIT", "nothing"])
    return [
        observed("shutdown() of the reading side", result(shut), linux("ok", _SOURCE)),
        observed("segments sent for it", sent_segments, linux(0, _SOURCE)),
        observed("recv() then", read(at_end), linux("the end", "POSIX: shutdown(), SHUT_RD")),
        observed("the client is in", states[0], rfc("ESTABLISHED", "RFC 9293 knows no such call")),
        observed("the server is in", states[1], rfc("ESTABLISHED", "RFC 9293 knows no such call")),
        observed("the server's send()", result(sent), rfc("ok", "RFC 9293 3.10.2")),
        observed("it is acknowledged", taken, linux(True, _SOURCE)),
        observed(
            "and can be read all the same", read(got), linux("10 octets", "tcp_recvmsg_locked(): the queue first")
        ),
        observed("the client's send()", result(back), rfc("ok", "RFC 9293 3.10.2")),
        observed("the server reads", read(heard), rfc("9 octets", "RFC 9293 3.10.3")),
        observed("both closed, the client is in", left, rfc("TIME-WAIT", "RFC 9293 3.10.7.4, FIN-WAIT-2: FIN")),
    ]


SCENARIO = Scenario(
    question="What does shutting the reading side alone do?",
    sources=(f"Linux: {_SOURCE}",),
    run=run,
    tags=("close", "half-close", "A6"),
)
