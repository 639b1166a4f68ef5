"""Where TIME-WAIT is kept when several clients use one server: with them, or all of it there."""

from timewait.endpoint import Endpoint
from timewait.lab.scenario import Observation, Parameter, Scenario, Settings, Stage, observed, rfc
from timewait.lab.steps import SERVER, at_port, closed, listen, opened, until

_SOURCE = "RFC 9293 3.6, figure 12: who sends the first FIN waits"


def run(stage: Stage, settings: Settings) -> list[Observation]:
    """Let each client open some connections; they close them all, then the same with the server closing."""
    host = stage.host
    clients, each = settings["clients"], settings["each"]
    found = []
    for at, closer in enumerate(("clients", "server")):
        end = at_port(SERVER, SERVER.port + at)
        listener = listen(host, end)
        for client in range(clients):
            for number in range(each):
                source = Endpoint(f"127.0.1.{client + 1}", 20000 + 1000 * at + number)
                pair = opened(host, listener, end, source)
                closed(host, *(pair if closer == "clients" else (pair.server, pair.client)))
        until(host, lambda end=end: _count(stage, end) == (clients * each, clients * each))  # type: ignore[misc]
        rows = [row for row in host.sockets() if row.state == "TIME-WAIT"]
        most = max(
            (
                sum(row.local.address == f"127.0.1.{client + 1}" and row.peer == end for row in rows)
                for client in range(clients)
            ),
            default=0,
        )
        at_server = sum(row.local == end for row in rows)
        theirs = closer == "clients"
        found += [
            observed(
                f"the {closer} close{'' if theirs else 's'}: at the server",
                at_server,
                rfc(0 if theirs else clients * each, _SOURCE),
            ),
            observed(
                f"the {closer} close{'' if theirs else 's'}: at each client, at most",
                most,
                rfc(each if theirs else 0, _SOURCE),
            ),
        ]
    return found


def _count(stage: Stage, end: Endpoint) -> tuple[int, int]:
    """Return how many sockets of connections there are with a server's end, and how many of them wait."""
    rows = [row for row in stage.host.sockets() if end in (row.local, row.peer) and row.state != "LISTEN"]
    return len(rows), sum(row.state == "TIME-WAIT" for row in rows)


SCENARIO = Scenario(
    question="Which host keeps TIME-WAIT when many clients use one server?",
    sources=(_SOURCE,),
    run=run,
    tags=("time-wait", "server-closes", "spread", "D13", "H1"),
    parameters=(
        Parameter("clients", 5, "clients, each with an address of its own", 1, 200),
        Parameter("each", 8, "connections of each", 1, 500),
    ),
)
