"""How much a workload may grow until some connect is likely to fail, and what becomes of it when it grows by itself."""

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from timewait.errors import UsageError
from timewait.plan import paths
from timewait.plan.paths import PortSet
from timewait.plan.usage import lost
from timewait.plan.workload import MOST_RATE, Destination, Flow, Source, Workload

# No failure within the time asked for: with a chance of 95 %, failures taken as independent.
ALLOWED: Final = -math.log1p(-0.05)
_MOST: Final = 1e9
_EXACT: Final = 1e-6


def grown(workload: Workload, factor: float) -> Workload:
    """Return the workload with all rates times a factor."""
    return replace(workload, flows=tuple(_grown(flow, factor) for flow in workload.flows))


def _grown(flow: Flow, factor: float) -> Flow:
    bursts = flow.bursts and replace(flow.bursts, rate=flow.bursts.rate * factor)
    return replace(flow, rate=flow.rate * factor, bursts=bursts)


def places(workload: Workload, source: Source, destination: Destination) -> Iterator[PortSet]:
    """Yield each set of ports, and each table as one, that the connects of a route need something of."""
    yield paths.of_source(workload, source, destination)
    for box in paths.boxes(workload, source, destination):
        ports = paths.of_middlebox(workload, box, destination)
        if ports is not None:
            yield ports
        table = paths.table_of(workload, box)
        if table is not None:
            yield table


def factor(workload: Workload, source: Source, destination: Destination) -> float:
    """Return by which factor all rates may grow, or have to shrink, so that no connect of a route is likely to fail.

    Infinite where nothing limits it.
    """
    most = MOST_RATE / max(max(flow.rate, flow.bursts.rate if flow.bursts else 0.0) for flow in workload.flows)
    once = tuple(places(workload, source, destination))
    # Connects grow as requests do, unless a pool carries some of them.
    pooled = any(stream.flow.pool for ports in once for stream in ports.streams)

    def carries(by: float) -> bool:
        try:
            if pooled:
                found = tuple(places(grown(workload, by), source, destination))
                return _expected(workload, found, source, destination) <= ALLOWED
            return _expected(workload, once, source, destination, by) <= ALLOWED
        except UsageError:  # a pool that requests would wait at for ever
            return False

    low, high = 0.0, 1.0
    if carries(1.0):
        while high < most and carries(high):
            low, high = high, high * 4
        if high >= most:
            return math.inf
    while high - low > _EXACT * high and high > 1e-12:
        middle = (low + high) / 2
        if carries(middle):
            low = middle
        else:
            high = middle
    return low


def _expected(
    workload: Workload, found: tuple[PortSet, ...], source: Source, destination: Destination, by: float = 1.0
) -> float:
    """Return how many connects fail within the time asked for; in the worst such time, where periods are longer."""

    def mine(flow: Flow) -> bool:
        return (flow.source, flow.destination) == (source.name, destination.name)

    failures = [lost(ports, mine, by) for ports in found]
    longest = max((sum(length for length, _ in flow.shape) for flow in workload.flows), default=0.0)
    if longest > workload.within:
        return math.fsum(each.most for each in failures) * workload.within
    return math.fsum(each.mean for each in failures) * workload.within


def lasts(growth: float, factor: float) -> float | None:
    """Return after how many months of growth a factor is used up; None: never, 0: it is already."""
    if factor < 1:
        return 0.0
    if growth <= 0 or math.isinf(factor):
        return None
    return math.log(factor) / math.log1p(growth)
