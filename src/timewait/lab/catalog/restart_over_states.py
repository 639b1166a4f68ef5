"""A server restarts while connections of its old listener are in one state or another."""

from timewait.lab.scenario import Observation, Scenario, Settings, Stage, linux, observed
from timewait.lab.steps import CLIENT, SERVER, at_port, listen, opened, result, settled

_SOURCE = "inet_bind_conflict(), net/ipv4/inet_connection_sock.c"
# The state of the server's end, whether the server has closed, whether the client has.
_CASES = (("ESTABLISHED", False, False), ("FIN-WAIT-2", True, False), ("CLOSE-WAIT", False, True))


def run(stage: Stage, settings: Settings) -> list[Observation]:
    """For each state, with the flag on both listeners and on none: close the listener, listen again."""
    host = stage.host
    found = []
    port = SERVER.port
    for flag in (True, False):
        for name, server_closes, client_closes in _CASES:
            end = at_port(SERVER, port)
            listener = listen(host, end, reuse_address=flag)
            client, server = opened(host, listener, end, at_port(CLIENT, CLIENT.port + port - SERVER.port))
            if server_closes:
                host.close(server)
            if client_closes:
                host.close(client)
            stands = settled(host, end.port, CLIENT.port + port - SERVER.port, [name])
            host.close(listener)
            again = host.listen(end, reuse_address=flag)
            words = f"{'with' if flag else 'without'} SO_REUSEADDR, over {stands}"
            found.append(observed(words, result(again), linux("ok" if flag else "EADDRINUSE from bind()", _SOURCE)))
            port += 1
    return found


SCENARIO = Scenario(
    question="Is it TIME-WAIT alone that keeps a server from being restarted?",
    sources=("socket(7): SO_REUSEADDR", f"Linux: {_SOURCE}"),
    run=run,
    tags=("bind", "restart", "I2", "I6"),
)
