"""SO_REUSEPORT in place of SO_REUSEADDR: a server restarts over TIME-WAIT."""

from timewait.lab.scenario import Observation, Scenario, Settings, Stage, linux, observed
from timewait.lab.steps import CLIENT, SERVER, at_port, closed, must, opened, result, settled

_SOURCE = "inet_bind_conflict(), net/ipv4/inet_connection_sock.c; socket(7): SO_REUSEPORT"


def run(stage: Stage, settings: Settings) -> list[Observation]:
    """For each pair of flags: listen, let a connection wait at the server's end, close, listen again."""
    host = stage.host
    found = []
    for at, (old, new) in enumerate(((1, 1), (1, 0), (0, 1))):
        end, source = at_port(SERVER, SERVER.port + at), at_port(CLIENT, CLIENT.port + at)
        listener = must(host.listen(end, reuse_address=False, options={"SO_REUSEPORT": old}), f"listening on {end}")
        client, server = opened(host, listener, end, source)
        closed(host, server, client)
        settled(host, end.port, source.port, ["TIME-WAIT"])
        host.close(listener)
        again = host.listen(end, reuse_address=False, options={"SO_REUSEPORT": new})
        words = ["with" if flag else "without" for flag in (old, new)]
        foretold = linux("ok" if old and new else "EADDRINUSE from bind()", _SOURCE)
        found.append(observed(f"old {words[0]}, new {words[1]}", result(again), foretold))
    return found


SCENARIO = Scenario(
    question="Does SO_REUSEPORT let a server be restarted over TIME-WAIT?",
    sources=(f"Linux: {_SOURCE}",),
    run=run,
    tags=("bind", "restart", "I2"),
)
