"""The server closes: a client with few ports connects again and again, and nothing holds it up."""

from timewait.lab.scenario import Observation, Parameter, Scenario, Settings, Stage, linux, observed, rfc
from timewait.lab.steps import RANGE, SERVER, Counting, listen, must, until


def run(stage: Stage, settings: Settings) -> list[Observation]:
    """Connect far more often than there are ports; the server closes each connection first."""
    host = stage.host
    ports, connects = settings["ports"], settings["connects"]
    host.set_sysctl(RANGE, f"50000 {50000 + ports - 1}")
    listener = listen(host)
    counting = Counting(host)
    refused = 0
    for _ in range(connects):
        outcome = host.connect(SERVER)
        if not outcome.ok:
            refused += 1
            continue
        host.close(must(host.accept(listener), "accepting"))
        host.close(outcome.value)
    waits = [row for row in host.sockets(local_port=SERVER.port) if row.state == "TIME-WAIT"]
    until(host, lambda: all(row.state == "LISTEN" for row in host.sockets(peer_port=SERVER.port)))
    at_client = [row for row in host.sockets(peer_port=SERVER.port) if row.state != "LISTEN"]
    reopened = rfc(0, "RFC 9293 3.6.1 (MAY-2), RFC 6191 2: TIME-WAIT gives way to a newer SYN")
    return [
        observed("connects refused", refused, reopened),
        observed("SYNs sent again", counting.by("TcpExt.TCPSynRetrans"), reopened),
        observed("left at the client's end", len(at_client), rfc(0, "RFC 9293 3.10.7.4, LAST-ACK: deleted")),
        observed(
            "in TIME-WAIT at the server's",
            len(waits),
            linux(min(connects, ports // 2), "__inet_hash_connect(): ports of the low end's parity first"),
        ),
    ]


SCENARIO = Scenario(
    question="How often can a client with few ports reconnect where the server closes first?",
    sources=("RFC 9293 3.6.1 (MAY-2)", "RFC 6191 2"),
    run=run,
    tags=("server-closes", "reconnect", "ports", "H19", "D10", "D13"),
    parameters=(
        Parameter("ports", 64, "ports that the client may use", 2, 1000),
        Parameter("connects", 1000, "connects, one after the other", 1, 100_000),
    ),
    lasts=2_000_000_000,
)
