"""A client's port and its destination are taken: by what, and which of it gives way to a new connect()."""

from timewait.lab.scenario import Foretold, Observation, Scenario, Settings, Stage, linux, observed
from timewait.lab.steps import CLIENT, SERVER, at_port, listen, opened, result, settled, tried

_FULL = "__inet_check_established(), net/ipv4/inet_hashtables.c: only TIME-WAIT records are asked"
_RECORD = "tcp_twsk_unique(), net/ipv4/tcp_ipv4.c: twp is NULL"

# The state that the client's end is left in, and how the next connect() over the same four-tuple ends.
_CASES: tuple[tuple[str, str, Foretold], ...] = (
    ("ESTABLISHED", "ESTABLISHED", linux("EADDRNOTAVAIL", _FULL)),
    ("FIN-WAIT-2, its program still there", "FIN-WAIT-2", linux("EADDRNOTAVAIL", _FULL)),
    ("FIN-WAIT-2, its program gone", "FIN-WAIT-2", linux("ok", _RECORD)),
    ("CLOSE-WAIT", "CLOSE-WAIT", linux("EADDRNOTAVAIL", _FULL)),
    ("TIME-WAIT", "TIME-WAIT", linux("ok", _RECORD)),
)


def run(stage: Stage, settings: Settings) -> list[Observation]:
    """Leave a connection in each state and connect again over its four-tuple."""
    host = stage.host
    listener = listen(host)
    found = []
    for at, (name, state, foretold) in enumerate(_CASES):
        source = at_port(CLIENT, CLIENT.port + at)
        client, server = opened(host, listener, source=source)
        if name == "CLOSE-WAIT":
            host.close(server)
        elif name.endswith("there"):
            host.half_close(client)
        elif name != "ESTABLISHED":
            host.close(client)
            if name == "TIME-WAIT":
                host.close(server)
        stands = settled(host, source.port, SERVER.port, [state])
        again = tried(host, listener, source=source)
        found.append(observed(f"over {name}", result(again) if stands == state else f"({stands})", foretold))
    return found


SCENARIO = Scenario(
    question="Which leftovers on a four-tuple make the next connect() from the same port fail?",
    sources=(
        "RFC 9293 3.10.1: OPEN on a connection that exists is an error",
        "Linux: __inet_check_established(), net/ipv4/inet_hashtables.c; tcp_twsk_unique(), net/ipv4/tcp_ipv4.c",
    ),
    run=run,
    tags=("reconnect", "reuse", "I5"),
)
