"""SO_REUSEADDR on a client: it lets bind() pass over TIME-WAIT, and never connect()."""

from timewait.endpoint import Endpoint
from timewait.lab.scenario import Observation, Scenario, Settings, Stage, linux, observed
from timewait.lab.steps import (
    CLIENT,
    REUSE,
    SERVER,
    TIMESTAMPS,
    at_port,
    closed,
    listen,
    one_port,
    opened,
    result,
    set_if_any,
    settled,
)

_CONNECT = "__inet_check_established(), net/ipv4/inet_hashtables.c: it does not look at the flag"
_BIND = "inet_bind_conflict(), net/ipv4/inet_connection_sock.c; socket(7): SO_REUSEADDR"


def run(stage: Stage, settings: Settings) -> list[Observation]:
    """Without timestamps, reconnect with the flag: from the only port there is, and from one that is bound."""
    host = stage.host
    set_if_any(host, REUSE, 0)
    host.set_sysctl(TIMESTAMPS, "0")
    listener = listen(host)
    one_port(host, CLIENT.port)
    closed(host, *opened(host, listener, source=None, reuse_address=True))
    settled(host, CLIENT.port, SERVER.port, ["TIME-WAIT"])
    chosen = host.connect(SERVER, reuse_address=True)
    found = [observed("with it, connect() from the only port", result(chosen), linux("EADDRNOTAVAIL", _CONNECT))]
    for at, flag in enumerate((True, False), 1):
        source = at_port(CLIENT, CLIENT.port + at)
        closed(host, *opened(host, listener, source=source, reuse_address=flag))
        settled(host, source.port, SERVER.port, ["TIME-WAIT"])
        again = host.connect(SERVER, source=Endpoint(*source), reuse_address=flag)
        told = linux("EADDRNOTAVAIL", _CONNECT) if flag else linux("EADDRINUSE from bind()", _BIND)
        found.append(observed(f"{'with' if flag else 'without'} it, from a bound port", result(again), told))
    return found


SCENARIO = Scenario(
    question='Does SO_REUSEADDR help a client against "Cannot assign requested address"?',
    sources=(f"Linux: {_CONNECT}", f"Linux: {_BIND}"),
    run=run,
    tags=("reconnect", "bind", "ports", "I1", "I2"),
)
