"""The order in which connect() tries the ports of a range: those of one parity first, the others only then."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from timewait.lab.scenario import Observation, Parameter, Scenario, Settings, Stage, linux, observed
from timewait.lab.steps import RANGE, REUSE, SERVER, closed, listen, must, set_if_any

if TYPE_CHECKING:
    from timewait.lab.host import Host

_LOW = 50000
_SOURCE = "__inet_hash_connect(), net/ipv4/inet_hashtables.c"


def run(stage: Stage, settings: Settings) -> list[Observation]:
    """Fill a range of the host, then one of the socket's own, and note which port came when."""
    host = stage.host
    ports = settings["ports"]
    set_if_any(host, REUSE, 0)
    listener = listen(host)
    own = _chosen(host, listener, {"IP_LOCAL_PORT_RANGE": _LOW | (_LOW + ports - 1) << 16}, ports)
    low = _LOW + 1000
    host.set_sysctl(RANGE, f"{low} {low + ports - 1}")
    common = _chosen(host, listener, {}, ports)
    option = "ip(7): IP_LOCAL_PORT_RANGE, since 6.3; without parity since 6.8"
    return [
        observed("the host's range: connects", len(common), linux(ports, _SOURCE)),
        observed("of one parity before the first other", _run_of_one_parity(common), linux(ports // 2, _SOURCE)),
        observed("the socket's own range: connects", len(own), linux(ports, option)),
        observed("all within it", all(_LOW <= port < _LOW + ports for port in own), linux(True, option)),
        observed("no parity is kept for last", _run_of_one_parity(own) < ports // 2, linux(True, option)),
    ]


def _chosen(host: "Host", listener: int, options: Mapping[str, int], most: int) -> list[int]:
    """Connect and close until it fails; return the ports in the order in which they were chosen."""
    found: list[int] = []
    known: set[int] = set()
    for _ in range(most + 1):
        outcome = host.connect(SERVER, options=options)
        if not outcome.ok:
            break
        ports = {row.local.port for row in host.sockets(peer_port=SERVER.port) if row.state == "ESTABLISHED"}
        found += ports - known
        known |= ports
        closed(host, outcome.value, must(host.accept(listener), "accepting"))
    return found


def _run_of_one_parity(ports: list[int]) -> int:
    """Return how many ports came before the first of the other parity."""
    return next((at for at, port in enumerate(ports) if (port - ports[0]) % 2), len(ports))


SCENARIO = Scenario(
    question="Why does connect() become slow once half of the port range is used?",
    sources=(f"Linux: {_SOURCE}", "ip(7): IP_LOCAL_PORT_RANGE"),
    run=run,
    tags=("ports", "search", "exhaustion"),
    parameters=(Parameter("ports", 64, "ports in each range", 4, 1000),),
)
