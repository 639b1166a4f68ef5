"""tcp_tw_reuse between two hosts: 2, the default, means loopback alone; 1 means everywhere."""

from timewait.clock import MS
from timewait.lab.scenario import WORLDS, Observation, Parameter, Scenario, Settings, Stage, linux, observed
from timewait.lab.steps import RANGE, REUSE, REUSE_DELAY, closed_between, listen, must, result

_SOURCE = "tcp_twsk_unique(), net/ipv4/tcp_ipv4.c: loopback"
_PORT = 80


def run(stage: Stage, settings: Settings) -> list[Observation]:
    """For each value, let the client's only port wait for the delay and connect again."""
    client, server = stage["client"], stage["server"]
    listener = listen(server, stage.at("server", _PORT))
    client.set_sysctl(REUSE_DELAY, str(settings["delay_ms"]))
    found = []
    for at, (value, told) in enumerate(((0, "EADDRNOTAVAIL"), (2, "EADDRNOTAVAIL"), (1, "ok"))):
        client.set_sysctl(REUSE, str(value))
        port = 40000 + at
        client.set_sysctl(RANGE, f"{port} {port}")
        first = must(client.connect(stage.at("server", _PORT)), "connecting")
        accepted = must(server.accept(listener), "accepting")
        closed_between(stage, "client", first, "server", accepted, port, _PORT)
        stage.wait((settings["delay_ms"] + 50) * MS)
        again = client.connect(stage.at("server", _PORT))
        if again.ok:  # it must not be what the next accept() returns
            server.close(must(server.accept(listener), "accepting"))
        found.append(observed(f"tcp_tw_reuse = {value}", result(again), linux(told, _SOURCE)))
    return found


SCENARIO = Scenario(
    question="Which values of tcp_tw_reuse work towards another host?",
    sources=("Linux: Documentation/networking/ip-sysctl.rst, tcp_tw_reuse", f"Linux: {_SOURCE}"),
    run=run,
    hosts=("client", "server"),
    worlds=WORLDS,
    tags=("reuse", "ports", "sysctl", "network", "advice", "I4"),
    parameters=(Parameter("delay_ms", 200, "net.ipv4.tcp_tw_reuse_delay", 1, 60000),),
    lasts=2_000_000_000,
)
