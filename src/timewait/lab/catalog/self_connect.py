"""A socket connected to itself: one connection, one end, opened and closed simultaneously with itself."""

from timewait.lab.scenario import Observation, Scenario, Settings, Stage, linux, observed, rfc
from timewait.lab.steps import CLIENT, SERVER, read, result, settled

_OPEN = "RFC 9293 3.5, figure 7: simultaneous open"


def run(stage: Stage, settings: Settings) -> list[Observation]:
    """Bind to a port and connect to it with nobody listening; write, read, close; connect again."""
    host = stage.host
    alone = host.connect(CLIENT, source=CLIENT, reuse_address=True)
    refused = host.connect(SERVER)
    rows = host.sockets(local_port=CLIENT.port)
    sent = host.send(alone.value, b"an echo") if alone.ok else alone
    got = host.receive(alone.value) if alone.ok else alone
    if alone.ok:
        host.close(alone.value)
    left = settled(host, CLIENT.port, CLIENT.port, ["TIME-WAIT"])
    again = host.connect(CLIENT, source=CLIENT, reuse_address=True)
    return [
        observed("connect() to its own port", result(alone), rfc("ok", _OPEN)),
        observed("connect() to a port that nobody has", result(refused), rfc("ECONNREFUSED", "RFC 9293 3.10.7.1: RST")),
        observed("sockets", len(rows), rfc(1, "RFC 9293 3.3.1: a connection is its pair of sockets")),
        observed("send()", result(sent), rfc("ok", "RFC 9293 3.10.2")),
        observed("it reads", read(got), rfc("7 octets", "RFC 9293 3.10.3")),
        observed("closed, it is in", left, rfc("TIME-WAIT", "RFC 9293 3.10.7.4, CLOSING: our FIN acked")),
        observed("connect() again", result(again), linux("ok", "tcp_twsk_unique(), net/ipv4/tcp_ipv4.c: twp is NULL")),
    ]


SCENARIO = Scenario(
    question="What if a program connects to the very port that it connects from?",
    sources=(_OPEN, "RFC 9293 3.6, figure 13: simultaneous close"),
    run=run,
    tags=("loopback", "simultaneous", "time-wait", "B6", "D1", "H1"),
)
