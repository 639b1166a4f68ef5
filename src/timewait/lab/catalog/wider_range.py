"""A wider ip_local_port_range: as many more connects, and a service whose port now lies within it."""

from timewait.lab.scenario import Observation, Parameter, Scenario, Settings, Stage, linux, observed
from timewait.lab.steps import RANGE, REUSE, SERVER, at_port, closed, listen, must, result, set_if_any

_SOURCE = "__inet_hash_connect(), net/ipv4/inet_hashtables.c"
_LOW = 50000


def run(stage: Stage, settings: Settings) -> list[Observation]:
    """Use a range up, widen it, use that up; then start a service on a port of each part."""
    host = stage.host
    ports = settings["ports"]
    set_if_any(host, REUSE, 0)
    listener = listen(host)
    made = []
    for width in (ports, 2 * ports):
        host.set_sysctl(RANGE, f"{_LOW} {_LOW + width - 1}")
        count = 0
        while count <= 2 * ports and (outcome := host.connect(SERVER)).ok:
            closed(host, outcome.value, must(host.accept(listener), "accepting"))
            count += 1
        made.append(count)
    inside = host.listen(at_port(SERVER, _LOW + 2 * ports - 1), reuse_address=True)
    outside = host.listen(at_port(SERVER, _LOW + 2 * ports), reuse_address=True)
    clash = "inet_bind_conflict(): a client's TIME-WAIT without SO_REUSEADDR"
    return [
        observed("connects in the narrow range", made[0], linux(ports, _SOURCE)),
        observed("more in one twice as wide", made[1], linux(ports, _SOURCE)),
        observed("a service on a port within it", result(inside), linux("EADDRINUSE from bind()", clash)),
        observed("on a port outside", result(outside), linux("ok", clash)),
    ]


SCENARIO = Scenario(
    question="What does a wider port range give, and what does it take?",
    sources=("Linux: Documentation/networking/ip-sysctl.rst, ip_local_port_range", f"Linux: {_SOURCE}"),
    run=run,
    tags=("ports", "exhaustion", "bind", "restart", "sysctl", "I1"),
    parameters=(Parameter("ports", 8, "ports in the narrow range", 2, 1000),),
)
