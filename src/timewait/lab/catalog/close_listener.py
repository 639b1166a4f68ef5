"""A listener is closed while connections wait to be accepted."""

from timewait.lab.scenario import Observation, Scenario, Settings, Stage, linux, observed, rfc
from timewait.lab.steps import CLIENT, SERVER, at_port, closed, listen, must, opened, read, result, settled


def run(stage: Stage, settings: Settings) -> list[Observation]:
    """Connect twice, accept one of the two, close the listener."""
    host = stage.host
    listener = listen(host)
    accepted = opened(host, listener)
    other = at_port(CLIENT, CLIENT.port + 1)
    waiting = must(host.connect(SERVER, source=other), "connecting")
    host.close(listener)
    left = settled(host, SERVER.port, other.port, ["nothing"])
    reset = host.receive(waiting)
    sent = host.send(accepted.client, b"alive")
    got = host.receive(accepted.server)
    refused = host.connect(SERVER, source=at_port(CLIENT, CLIENT.port + 2))
    closed(host, *accepted)
    again = host.listen(SERVER, reuse_address=True)
    return [
        observed("the one not accepted reads", read(reset), linux("ECONNRESET", "inet_csk_listen_stop()")),
        observed("left at the server's end", left, linux("nothing", "inet_csk_listen_stop()")),
        observed("the accepted one sends", result(sent), rfc("ok", "RFC 9293 3.10.4: CLOSE of one connection")),
        observed("and its peer reads", read(got), rfc("5 octets", "RFC 9293 3.10.4: CLOSE of one connection")),
        observed("a new connect() gives", result(refused), rfc("ECONNREFUSED", "RFC 9293 3.10.7.1: RST")),
        observed("listening again", result(again), linux("ok", "inet_bind_conflict(): both with SO_REUSEADDR")),
    ]


SCENARIO = Scenario(
    question="What becomes of connections when the listener they came through is closed?",
    sources=("RFC 9293 3.10.4, 3.10.7.1", "Linux: inet_csk_listen_stop(), net/ipv4/inet_connection_sock.c"),
    run=run,
    tags=("close", "reset", "restart", "A10"),
)
