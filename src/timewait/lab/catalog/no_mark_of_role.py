"""On loopback both ends of a connection are on one host: what tells them apart, and what does not.

A TIME-WAIT record is found by its four-tuple alone.  To a SYN that arrives it is a server's, to a connect() from its
port a client's.
"""

from timewait.lab.scenario import Observation, Scenario, Settings, Stage, linux, observed, rfc
from timewait.lab.steps import CLIENT, SERVER, TIMESTAMPS, closed, listen, must, opened, result, settled

_TUPLE = "RFC 9293 3.3.1: a connection is its pair of sockets"
_SOURCE = "__inet_check_established(), net/ipv4/inet_hashtables.c"


def run(stage: Stage, settings: Settings) -> list[Observation]:
    """Let the server's end wait; connect to it, then from it."""
    host = stage.host
    host.set_sysctl(TIMESTAMPS, "0")
    listener = listen(host)
    client, server = opened(host, listener)
    rows = [row for row in host.sockets() if row.state != "LISTEN"]
    mirrored = len(rows) == 2 and (rows[0].local, rows[0].peer) == (rows[1].peer, rows[1].local)
    closed(host, server, client)
    waits = settled(host, SERVER.port, CLIENT.port, ["TIME-WAIT"])
    other = settled(host, CLIENT.port, SERVER.port, ["nothing"])
    swapped = must(host.listen(CLIENT), "listening on the client's port")
    host.close(listener)
    backwards = host.connect(CLIENT, source=SERVER, reuse_address=True)
    host.close(swapped)
    listen(host)
    forwards = host.connect(SERVER, source=CLIENT, reuse_address=True)
    return [
        observed("a connection on loopback is: sockets", len(rows), rfc(2, _TUPLE)),
        observed("each the mirror of the other", mirrored, rfc(True, _TUPLE)),
        observed("the server has closed; its end is in", waits, rfc("TIME-WAIT", "RFC 9293 3.10.7.4, FIN-WAIT-2: FIN")),
        observed("at the client's end is", other, rfc("nothing", "RFC 9293 3.10.7.4, LAST-ACK: deleted")),
        observed(
            "connect() from the server's port to the client's", result(backwards), linux("EADDRNOTAVAIL", _SOURCE)
        ),
        observed("connect() from the client's port to the server's", result(forwards), rfc("ok", "RFC 6191 2")),
    ]


SCENARIO = Scenario(
    question="How does a host know which end of a loopback connection is the server's?",
    sources=(_TUPLE, f"Linux: {_SOURCE}"),
    run=run,
    tags=("reconnect", "loopback", "founding", "I5", "H19", "D13"),
)
