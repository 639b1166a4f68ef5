"""A client's connection waits on a port that a server wants to listen on."""

from timewait.lab.scenario import Observation, Scenario, Settings, Stage, linux, observed
from timewait.lab.steps import (
    CLIENT,
    RANGE,
    SERVER,
    at_port,
    closed,
    end,
    listen,
    one_port,
    opened,
    result,
    settled,
    state,
)

_SOURCE = "inet_bind_conflict(), net/ipv4/inet_connection_sock.c"


def run(stage: Stage, settings: Settings) -> list[Observation]:
    """Leave clients' ports in TIME-WAIT and FIN-WAIT-2, and listen on each; then reserve one beforehand."""
    host = stage.host
    listener = listen(host)
    found = []
    for at, (name, flag, both) in enumerate(
        (
            ("TIME-WAIT", False, True),
            ("TIME-WAIT, the client had SO_REUSEADDR", True, True),
            ("FIN-WAIT-2", False, False),
        )
    ):
        port = CLIENT.port + at
        one_port(host, port)
        client, server = opened(host, listener, source=None, reuse_address=flag)
        host.close(client)
        if both:
            host.close(server)
        settled(host, port, SERVER.port, ["TIME-WAIT" if both else "FIN-WAIT-2"])
        new = host.listen(at_port(SERVER, port), reuse_address=True)
        found.append(
            observed(f"over {name}: listen()", result(new), linux("ok" if flag else "EADDRINUSE from bind()", _SOURCE))
        )
    port = CLIENT.port + 10
    host.set_sysctl("net.ipv4.ip_local_reserved_ports", str(port))
    host.set_sysctl(RANGE, f"{port} {port + 1}")
    closed(host, *opened(host, listener, source=None, reuse_address=False))
    settled(host, port + 1, SERVER.port, ["TIME-WAIT"])
    reserved = "Documentation/networking/ip-sysctl.rst, ip_local_reserved_ports"
    chosen = end(host, port, SERVER.port) is None and state(host, port + 1, SERVER.port) == "TIME-WAIT"
    new = host.listen(at_port(SERVER, port), reuse_address=True)
    return [
        *found,
        observed("a reserved port is left alone", chosen, linux(True, reserved)),
        observed("listen() on it", result(new), linux("ok", reserved)),
    ]


SCENARIO = Scenario(
    question="Can a client's TIME-WAIT keep a server from starting, and how is that prevented?",
    sources=(f"Linux: {_SOURCE}", "Linux: Documentation/networking/ip-sysctl.rst, ip_local_reserved_ports"),
    run=run,
    tags=("bind", "restart", "ports", "I1", "I2", "I6"),
)
