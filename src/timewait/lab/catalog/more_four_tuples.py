"""Ports multiply: each further destination port, destination address or source address brings the range anew."""

from timewait.endpoint import Endpoint
from timewait.lab.scenario import Observation, Parameter, Scenario, Settings, Stage, linux, observed
from timewait.lab.steps import RANGE, REUSE, SERVER, at_port, closed, listen, must, set_if_any

_SOURCE = "__inet_check_established(), net/ipv4/inet_hashtables.c: the whole four-tuple counts"


def run(stage: Stage, settings: Settings) -> list[Observation]:
    """Use up a small range, then with another destination port, destination address and source address."""
    host = stage.host
    ports = settings["ports"]
    set_if_any(host, REUSE, 0)
    host.set_sysctl(RANGE, f"50000 {50000 + ports - 1}")
    next_port, next_address = at_port(SERVER, SERVER.port + 1), Endpoint("127.0.0.2", SERVER.port)
    listeners = {end: listen(host, end) for end in (SERVER, next_port, next_address)}
    found = []
    for name, to, source, each in (
        ("the first destination", SERVER, None, ports),
        ("the same once more", SERVER, None, 0),
        ("another port there", next_port, None, ports),
        ("another address there", next_address, None, ports),
        ("the first, from another address here", SERVER, Endpoint("127.0.0.3", 0), ports),
    ):
        count = 0
        while count <= ports and (outcome := host.connect(to, source=source, late=source is not None)).ok:
            closed(host, outcome.value, must(host.accept(listeners[to]), "accepting"))
            count += 1
        found.append(observed(f"connects to {name}", count, linux(each, _SOURCE)))
    return found


SCENARIO = Scenario(
    question="What multiplies the connections that a client may have?",
    sources=(
        "RFC 9293 3.4.1: a connection is its pair of sockets",
        "ip(7): IP_BIND_ADDRESS_NO_PORT",
        f"Linux: {_SOURCE}",
    ),
    run=run,
    tags=("ports", "exhaustion", "rate", "I3"),
    parameters=(Parameter("ports", 8, "ports in the range", 2, 1000),),
)
