"""When the port is chosen: by bind() for every destination at once, or by connect() for each destination anew."""

from typing import TYPE_CHECKING

from timewait.endpoint import Endpoint
from timewait.lab.scenario import Observation, Parameter, Scenario, Settings, Stage, linux, observed
from timewait.lab.steps import RANGE, REUSE, SERVER, at_port, closed, listen, must, result, set_if_any

if TYPE_CHECKING:
    from timewait.lab.host import Host

_EARLY = "inet_csk_get_port(), net/ipv4/inet_connection_sock.c: bind() knows no destination"
_LATE = "IP_BIND_ADDRESS_NO_PORT, ip(7); __inet_hash_connect()"


def run(stage: Stage, settings: Settings) -> list[Observation]:
    """Use a small range up towards two destinations, with each way of choosing."""
    host = stage.host
    set_if_any(host, REUSE, 0)
    ends = [SERVER, at_port(SERVER, SERVER.port + 1)]
    listeners = [listen(host, end) for end in ends]
    ports = settings["ports"]
    any_port = Endpoint(SERVER.address, 0)
    found = []
    for at, (name, source, late) in enumerate(
        (("bind() to port 0", any_port, False), ("IP_BIND_ADDRESS_NO_PORT", any_port, True), ("no bind()", None, False))
    ):
        low = 50000 + at * 2000
        host.set_sysctl(RANGE, f"{low} {low + ports - 1}")
        counts, last = [], ""
        for listener, to in zip(listeners, ends, strict=True):
            count, last = _used_up(host, listener, to, source, late, 2 * ports)
            counts.append(count)
        early = source is not None and not late
        why = _EARLY if early else _LATE
        found += [
            observed(f"{name}: connects to the first", counts[0], linux(ports, why)),
            observed(f"{name}: then to the second", counts[1], linux(0 if early else ports, why)),
            observed(f"{name}: then", last, linux("EADDRINUSE from bind()" if early else "EADDRNOTAVAIL", why)),
        ]
    return found


def _used_up(
    host: "Host", listener: int, to: Endpoint, source: Endpoint | None, late: bool, most: int
) -> tuple[int, str]:
    """Connect and close until it fails; return how often it did not, and how it failed."""
    for count in range(most):
        outcome = host.connect(to, source=source, late=late)
        if not outcome.ok:
            return count, result(outcome)
        closed(host, outcome.value, must(host.accept(listener), "accepting"))
    return most, "ok"


SCENARIO = Scenario(
    question="Why does binding to an address first make a client run out of ports sooner?",
    sources=("ip(7): IP_BIND_ADDRESS_NO_PORT, since Linux 4.2", f"Linux: {_EARLY}"),
    run=run,
    tags=("ports", "bind", "exhaustion", "I3"),
    parameters=(Parameter("ports", 8, "ports in the range", 2, 1000),),
)
