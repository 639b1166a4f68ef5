"""Requests over one connection that is kept open, and over a connection for each: what is left in TIME-WAIT."""

from timewait.lab.scenario import Observation, Parameter, Scenario, Settings, Stage, observed, rfc
from timewait.lab.steps import CLIENT, SERVER, at_port, closed, exchanged, listen, opened, until

_SOURCE = "RFC 9293 3.6, figure 12: each closed connection waits once"


def run(stage: Stage, settings: Settings) -> list[Observation]:
    """Make the requests one way, then the other, the client closing."""
    host = stage.host
    requests = settings["requests"]
    found = []
    for at, connections in enumerate((1, requests)):
        server_end = at_port(SERVER, SERVER.port + at)
        listener = listen(host, server_end)
        answered = 0
        for number in range(connections):
            pair = opened(host, listener, server_end, at_port(CLIENT, CLIENT.port + 2000 * at + number))
            answered += sum(exchanged(host, pair) for _ in range(requests // connections))
            closed(host, *pair)
        until(host, lambda end=server_end: _waits(stage, end.port)[1] == 0)  # type: ignore[misc]
        name = "one connection" if connections == 1 else "one for each request"
        found.append(observed(f"{name}: answered", answered, rfc(requests, "RFC 9293 3.10.2, 3.10.3")))
        found.append(observed(f"{name}: in TIME-WAIT", _waits(stage, server_end.port)[0], rfc(connections, _SOURCE)))
    return found


def _waits(stage: Stage, port: int) -> tuple[int, int]:
    """Return how many sockets towards a server's port wait, and how many are otherwise there."""
    rows = [row for row in stage.host.sockets(peer_port=port) if row.state != "LISTEN"]
    waits = sum(row.state == "TIME-WAIT" for row in rows)
    return waits, len(rows) - waits


SCENARIO = Scenario(
    question="What does keeping connections open save?",
    sources=(_SOURCE,),
    run=run,
    tags=("time-wait", "ports", "rate", "A1"),
    parameters=(Parameter("requests", 20, "requests", 2, 1000),),
)
