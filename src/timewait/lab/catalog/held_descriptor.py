"""A program keeps its descriptor while its connection waits: the wait is no longer for it, and no text is lost."""

from timewait.clock import SECOND
from timewait.lab.scenario import Observation, Scenario, Settings, Stage, linux, observed, rfc
from timewait.lab.steps import A_MINUTE, CLIENT, SERVER, closed, lifetimes, listen, must, opened, read, result, settled

_LENGTHS = (
    rfc(240 * SECOND, "RFC 9293 3.4.2 (MUST-13): two MSL of 2 minutes"),
    linux(60 * SECOND, "TCP_TIMEWAIT_LEN, include/net/tcp.h"),
)


def run(stage: Stage, settings: Settings) -> list[Observation]:
    """Shut the client's sending side, let the server answer and close; wait until TIME-WAIT is over; read."""
    host = stage.host
    listener = listen(host)
    client, server = opened(host, listener)
    host.half_close(client)
    must(host.send(server, b"an answer"), "sending")
    began = host.now()
    host.close(server)
    stands = settled(host, CLIENT.port, SERVER.port, ["TIME-WAIT"])
    host.wait(55 * SECOND)
    lasted = lifetimes(host, {CLIENT.port: began}, 400 * SECOND, SECOND // 20).get(CLIENT.port, 0)
    got, then = host.receive(client), host.receive(client)
    again = host.half_close(client)
    pair = opened(host, listener)
    closed(host, client, pair.client)
    return [
        observed("the client is in", stands, rfc("TIME-WAIT", "RFC 9293 3.10.7.4, FIN-WAIT-2: FIN")),
        observed("for", lasted, *_LENGTHS, within=A_MINUTE, time=True),
        observed("afterwards it reads", read(got), linux("9 octets", "RFC 9293 3.9.1; tcp_recvmsg_locked()")),
        observed("then", read(then), rfc("the end", "RFC 9293 3.10.3: the peer has closed")),
        observed("shutdown() then", result(again), linux("ENOTCONN", "inet_shutdown(), net/ipv4/af_inet.c")),
        observed("another connection takes the four-tuple", pair.client > 0, rfc(True, "RFC 9293 3.10.8")),
    ]


SCENARIO = Scenario(
    question="Does a program that keeps its socket lose what it had not read when TIME-WAIT ends?",
    sources=("RFC 9293 3.9.1, 3.10.8", "Linux: tcp_time_wait(), net/ipv4/tcp_minisocks.c"),
    run=run,
    tags=("time-wait", "time", "close", "D15", "H2", "H32", "H33"),
    lasts=64 * SECOND,
)
