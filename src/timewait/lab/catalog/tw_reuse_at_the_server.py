"""tcp_tw_reuse is about connect(): a server's TIME-WAIT is the same whatever it says."""

from timewait.lab.scenario import Observation, Scenario, Settings, Stage, linux, observed
from timewait.lab.steps import CLIENT, REUSE, SERVER, Counting, at_port, closed, listen, opened, result, settled, tried

_SOURCE = "tcp_twsk_unique(), net/ipv4/tcp_ipv4.c: asked by connect() alone"


def run(stage: Stage, settings: Settings) -> list[Observation]:
    """With the setting off and on: let the server's end wait, reconnect, then restart without SO_REUSEADDR."""
    host = stage.host
    found = []
    for value in (0, 1):
        host.set_sysctl(REUSE, str(value))
        end, source = at_port(SERVER, SERVER.port + value), at_port(CLIENT, CLIENT.port + value)
        listener = listen(host, end, reuse_address=False)
        pair = opened(host, listener, end, source)
        closed(host, pair.server, pair.client)
        stands = settled(host, end.port, source.port, ["TIME-WAIT"])
        counting = Counting(host)
        again = tried(host, listener, end, source)
        counted = counting.by("TcpExt.TWRecycled")
        settled(host, source.port, end.port, ["TIME-WAIT", "nothing"])
        pair = opened(host, listener, end, at_port(source, source.port + 10))
        closed(host, pair.server, pair.client)
        settled(host, end.port, source.port + 10, ["TIME-WAIT"])
        host.close(listener)
        restart = host.listen(end, reuse_address=False)
        name = f"tcp_tw_reuse = {value}"
        found += [
            observed(f"{name}: the server's end is in", stands, linux("TIME-WAIT", _SOURCE)),
            observed(f"{name}: connect() to it", result(again), linux("ok", "RFC 6191 2")),
            observed(f"{name}: counted by TWRecycled", counted, linux(0, "__inet_check_established()")),
            observed(
                f"{name}: restart", result(restart), linux("EADDRINUSE from bind()", "inet_bind_conflict(): no flag")
            ),
        ]
    return found


SCENARIO = Scenario(
    question="Does tcp_tw_reuse do anything for a server?",
    sources=("Linux: Documentation/networking/ip-sysctl.rst, tcp_tw_reuse", f"Linux: {_SOURCE}"),
    run=run,
    tags=("server-closes", "reuse", "restart", "sysctl", "I1"),
)
