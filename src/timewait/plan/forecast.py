"""`Forecast`: what a workload makes of the limits of stacks and boxes, once it has settled; a closed form.

`Route` is one pair of source and destination.  Losses at several places are taken as independent, and what is lost at
one still counts at the next: on the safe side.
"""

import math
from dataclasses import dataclass, replace

from timewait.plan import headroom, paths
from timewait.plan.limits import CONNTRACK_WAIT, Limits
from timewait.plan.occupancy import Course
from timewait.plan.paths import PortSet, Stream
from timewait.plan.refusal import free_ports, refused
from timewait.plan.usage import Usage, lost, usage
from timewait.plan.workload import Destination, Flow, Middlebox, Source, Workload


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Rates are per second, times in seconds, memories in octets; waits and memories are those of one host.

    `failing`: the share of connects that fails, by want of the source's ports (`own`) or in a box.  `nominal`: connects
    a second that the ports carry for ever if waits lasted as long as the stack means; `highest`: requests a second that
    are sustained without a failure in the time asked for, all rates grown alike; both of the whole route.
    `full_in`: from an empty start, None if the ports are never all in use.  `client_overflow`: the share of closes that
    find no room in the host's table of waits, whatever route they are of.  `refused`: the chance that a server's
    TIME-WAIT refuses a SYN.
    """

    source: Source
    destination: Destination
    requests: float
    connects: float
    own: Usage
    failing: float
    nominal: float
    highest: float
    full_in: float | None
    client_waits: float
    server_waits: float
    client_memory: float | None
    server_memory: float | None
    client_overflow: float
    server_overflow: float
    conntrack: float
    refused: float

    @property
    def name(self) -> str:
        """Source and destination."""
        return f"{self.source.name} -> {self.destination.name}"

    @property
    def carries(self) -> bool:
        """Whether no connect is likely to fail in the time asked for."""
        return self.requests <= self.highest


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """What becomes of a middlebox: its table (None: it has no end), and its ports towards each destination."""

    box: Middlebox
    table: Usage | None
    ports: tuple[Usage, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What becomes of a workload.  `lasts`: months of growth until a connect is likely to fail, None: no such time."""

    workload: Workload
    routes: tuple[Route, ...]
    boxes: tuple[Box, ...]
    lasts: float | None

    @property
    def carries(self) -> bool:
        """Whether every route does."""
        return all(route.carries for route in self.routes)

    @property
    def worst(self) -> Route:
        """The route with the least to spare."""
        return min(self.routes, key=lambda route: route.highest / route.requests)


def forecast(workload: Workload) -> Forecast:
    """Return what becomes of every route and box.  Raises `UsageError` for settings that a stack does not have."""
    routes = _overflowing([route(workload, *ends) for ends in paths.routes(workload)])
    return Forecast(
        workload=workload,
        routes=routes,
        boxes=tuple(_box(workload, each) for each in workload.middleboxes),
        lasts=_lasts(workload, routes),
    )


def route(workload: Workload, source: Source, destination: Destination) -> Route:
    """Return what becomes of one route; of its hosts' tables it is alone in."""

    def mine(flow: Flow) -> bool:
        return (flow.source, flow.destination) == (source.name, destination.name)

    flows = [flow for flow in workload.flows if mine(flow)]
    made = [paths.connects(workload, flow) for flow in flows]
    requests = math.fsum(flow.mean for flow in flows)
    connects = math.fsum(each.rate for each in made)
    ports, *boxes = headroom.places(workload, source, destination)
    client, server = paths.limits_of(source, destination), paths.limits_of_server(destination)
    carried = 1 - lost(ports, mine).mean / connects if connects else 1.0
    here, there = _waits(ports, [each for each in ports.streams if mine(each.flow)], source, destination, carried)
    client_waits = here * ports.count / source.hosts
    server_waits = there * ports.count / (source.hosts if destination.loopback else destination.hosts)
    tuples = float(source.hosts * source.addresses * paths.pairs(source, destination) * ports.ports)
    tracked = math.fsum(each.rate * (each.holds.mean + CONNTRACK_WAIT) + each.standing for each in made)
    return Route(
        source=source,
        destination=destination,
        requests=requests,
        connects=connects,
        own=usage(ports),
        failing=1 - carried * math.prod(1 - lost(box, mine).mean / connects for box in boxes if connects),
        nominal=_nominal(ports, client) * connects,
        highest=headroom.factor(workload, source, destination) * requests,
        full_in=Course(ports).full_in(ports.ports),
        client_waits=client_waits,
        server_waits=server_waits,
        client_memory=None if client.memory is None else client_waits * client.memory[1],
        server_memory=None if server.memory is None else server_waits * server.memory[0],
        client_overflow=_overflow(client, client_waits),
        server_overflow=_overflow(server, server_waits),
        conntrack=min(tracked * carried, tuples),
        refused=refused(workload, source, ports, client, server),
    )


def _waits(
    ports: PortSet, mine: list[Stream], source: Source, destination: Destination, carried: float
) -> tuple[float, float]:
    """Return how many four-tuples of one set of ports wait (at the client, at the server).

    One four-tuple waits at most once, so ports bound it.  Where a wait can end early, because its port is taken over or
    its client comes back to the server by the same port, it lasts until then: connects come to ports in no order, so
    a share exp(-connects x wait / ports) of them is not waiting.
    """
    client, server = paths.limits_of(source, destination), paths.limits_of_server(destination)
    here = math.fsum(stream.rate for stream in mine if stream.by_client) * carried
    there = math.fsum(stream.rate for stream in mine if not stream.by_client) * carried
    around = free_ports(ports, carried)
    own = min(here * client.real_wait, around)
    if client.reuse is not None:
        own = around * -math.expm1(-here * client.real_wait / around) if around else 0.0
    pairs = 1 if ports.towards else paths.pairs(source, destination)
    tuples = around * pairs
    return own, tuples * -math.expm1(-there * server.real_wait / tuples) if tuples else 0.0


def _nominal(ports: PortSet, client: Limits) -> float:
    """Return by which factor the rate may grow if waits lasted exactly as long as the stack means."""
    standing = math.fsum(stream.standing for stream in ports.streams)
    late = client.late if client.reuse is None else 0.0
    load = math.fsum(stream.rate * (stream.busy - (late if stream.by_client else 0.0)) for stream in ports.streams)
    return max(0.0, ports.ports - standing) / load if load > 0 else math.inf


def _overflow(limits: Limits, waits: float) -> float:
    return 0.0 if limits.table is None or not waits else max(0.0, 1 - limits.table / waits)


def _overflowing(routes: list[Route]) -> tuple[Route, ...]:
    """Return the routes with what the tables of their hosts refuse, all routes of a host together."""
    here: dict[str, float] = {}
    there: dict[str, float] = {}
    for each in routes:
        here[each.source.name] = here.get(each.source.name, 0.0) + each.client_waits
        there[each.destination.name] = there.get(each.destination.name, 0.0) + each.server_waits
    return tuple(
        replace(
            each,
            client_overflow=_overflow(paths.limits_of(each.source, each.destination), here[each.source.name]),
            server_overflow=_overflow(paths.limits_of_server(each.destination), there[each.destination.name]),
        )
        for each in routes
    )


def _box(workload: Workload, box: Middlebox) -> Box:
    table = paths.table_of(workload, box)
    found = []
    for destination in workload.destinations:
        ports = paths.of_middlebox(workload, box, destination)
        if ports is not None and ports.streams:
            found.append(usage(ports))
    return Box(box=box, table=None if table is None else usage(table), ports=tuple(found))


def _lasts(workload: Workload, routes: tuple[Route, ...]) -> float | None:
    least = min(route.highest / route.requests for route in routes)
    return headroom.lasts(workload.growth, least) if workload.growth else None
