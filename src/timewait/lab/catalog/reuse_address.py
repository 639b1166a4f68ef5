"""SO_REUSEADDR: a server restarts while its last connections wait."""

from timewait.endpoint import Endpoint
from timewait.lab.scenario import Observation, Scenario, Settings, Stage, linux, observed
from timewait.lab.steps import CLIENT, SERVER, at_port, listen, opened, result, settled

_SOURCE = "inet_bind_conflict(), net/ipv4/inet_connection_sock.c; socket(7): SO_REUSEADDR"


def run(stage: Stage, settings: Settings) -> list[Observation]:
    """For each pair of flags: listen, let a connection wait at the server's end, close, listen again."""
    host = stage.host
    found = []
    for at, (old, new) in enumerate(((True, True), (True, False), (False, True), (False, False))):
        end = at_port(SERVER, SERVER.port + at)
        again = _restarted(stage, end, at_port(CLIENT, CLIENT.port + at), old, new)
        words = [f"{'with' if flag else 'without'}" for flag in (old, new)]
        foretold = linux("ok" if old and new else "EADDRINUSE from bind()", _SOURCE)
        found.append(observed(f"old {words[0]}, new {words[1]}", again, foretold))
    # The last one waits on 127.0.0.1 without the flag.
    last = SERVER.port + 3
    for address, ends in (("127.0.0.2", "ok"), ("0.0.0.0", "EADDRINUSE from bind()")):
        outcome = host.listen(Endpoint(address, last), reuse_address=True)
        found.append(observed(f"waits on 127.0.0.1, new on {address}", result(outcome), linux(ends, _SOURCE)))
    return found


def _restarted(stage: Stage, end: Endpoint, source: Endpoint, old: bool, new: bool) -> str:
    host = stage.host
    listener = listen(host, end, reuse_address=old)
    client, server = opened(host, listener, end, source)
    host.close(server)
    host.close(client)
    settled(host, end.port, source.port, ["TIME-WAIT"])
    host.close(listener)
    return result(host.listen(end, reuse_address=new))


SCENARIO = Scenario(
    question="Which sockets need SO_REUSEADDR so that a server can be restarted at once?",
    sources=("socket(7): SO_REUSEADDR", f"Linux: {_SOURCE}"),
    run=run,
    tags=("bind", "restart", "I1", "I2", "I3"),
)
