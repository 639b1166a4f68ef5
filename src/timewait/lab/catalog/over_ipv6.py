"""The founding experiment over ::1, and one port for both address families."""

from timewait.endpoint import Endpoint
from timewait.lab.scenario import Observation, Scenario, Settings, Stage, linux, observed, rfc
from timewait.lab.steps import TIMESTAMPS, closed, listen, must, opened, result, settled, tried

_SERVER = Endpoint("::1", 44400)
_SOURCE = "__inet6_check_established(), net/ipv6/inet6_hashtables.c; tcp_twsk_unique()"
_REOPENS = "RFC 9293 3.6.1 (MAY-2); RFC 6191 2"


def run(stage: Stage, settings: Settings) -> list[Observation]:
    """Reconnect from a bound port, either side closing, with timestamps and without."""
    host = stage.host
    listener = listen(host, _SERVER)
    found = []
    port = 44500
    for closer in ("server", "client"):
        for timestamps in (1, 0):
            host.set_sysctl(TIMESTAMPS, str(timestamps))
            source = Endpoint("::1", port)
            pair = opened(host, listener, _SERVER, source)
            closed(host, *(pair if closer == "client" else (pair.server, pair.client)))
            ports = (port, _SERVER.port) if closer == "client" else (_SERVER.port, port)
            settled(host, *ports, ["TIME-WAIT"])
            again = tried(host, listener, _SERVER, source)
            refused = closer == "client" and not timestamps
            told = linux("EADDRNOTAVAIL" if refused else "ok", _SOURCE) if closer == "client" else rfc("ok", _REOPENS)
            words = f"the {closer} closed, {'with' if timestamps else 'without'} timestamps"
            found.append(observed(f"{words}: connect()", result(again), told))
            port += 1
    # A wait on ::1 does not stand on the same port of 127.0.0.1.
    old, new = Endpoint("::1", 44600), Endpoint("127.0.0.1", 44600)
    other = must(host.listen(old, reuse_address=False), "listening on ::1")
    pair = opened(host, other, old, Endpoint("::1", 44601))
    closed(host, pair.server, pair.client)
    settled(host, old.port, 44601, ["TIME-WAIT"])
    host.close(other)
    four = host.listen(new, reuse_address=False)
    found.append(observed("waits on ::1, listen() on 127.0.0.1", result(four), linux("ok", "inet_bind_conflict()")))
    return found


SCENARIO = Scenario(
    question="Is anything different over IPv6?",
    sources=(_REOPENS, f"Linux: {_SOURCE}"),
    run=run,
    tags=("reconnect", "ipv6", "bind", "H19", "I3", "I5"),
)
