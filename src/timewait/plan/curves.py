"""Curves of a plan, as points: ports in use over time, and how often a connect fails at other rates."""

import math
from typing import Final, NamedTuple

from timewait.errors import UsageError
from timewait.plan import paths
from timewait.plan.forecast import Route
from timewait.plan.headroom import grown, places
from timewait.plan.occupancy import Course
from timewait.plan.paths import PortSet
from timewait.plan.usage import lost
from timewait.plan.workload import Flow, Workload

_POINTS: Final = 240
_RATES: Final = 60


class Point(NamedTuple):
    """`x`: seconds, or a rate; `y`: ports, or a share."""

    x: float
    y: float


def tightest(workload: Workload, route: Route) -> PortSet:
    """Return the set that has the least to spare of all that a route's connects need something of."""
    return max(places(workload, route.source, route.destination), key=lambda ports: ports.load / ports.ports)


def occupancy(ports: PortSet) -> tuple[Point, ...]:
    """Return the ports in use over time, from an empty start, as many as were wanted: (seconds, ports)."""
    course = Course(ports)
    waited = 2.5 * max(course.longest, 1.0)
    last = waited + course.period if course.period else waited
    return tuple(
        Point(last * at / _POINTS, course.at(last * at / _POINTS, since=0.0).load) for at in range(_POINTS + 1)
    )


def failing(workload: Workload, route: Route) -> tuple[Point, ...]:
    """Return the share of connects that fail at other rates, by want of a port or on the way: as points."""
    most = min(max(2.0, 1.5 * route.highest / route.requests), 1e4)
    found = []
    for number in range(1, _RATES + 1):
        by = most * number / _RATES
        try:
            found.append(Point(route.requests * by, _failing(grown(workload, by), route)))
        except UsageError:  # more than can be, or a pool that requests would wait at for ever
            break
    return tuple(found)


def _failing(workload: Workload, route: Route) -> float:
    def mine(flow: Flow) -> bool:
        return (flow.source, flow.destination) == (route.source.name, route.destination.name)

    rate = math.fsum(paths.connects(workload, flow).rate for flow in workload.flows if mine(flow))
    if not rate:
        return 0.0
    return 1 - math.prod(
        1 - lost(ports, mine).mean / rate for ports in places(workload, route.source, route.destination)
    )
