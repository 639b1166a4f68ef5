"""`Usage`: what becomes of one set of ports: how many are in use, how often none is found, how often that is hard.

Means over one period of what comes, or over the one moment that there is where the rate is steady.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NamedTuple

from timewait.plan import loss
from timewait.plan.occupancy import Course
from timewait.plan.paths import PortSet
from timewait.plan.workload import Flow

# Moments whose loads differ by less than this share of the most are looked at once.
_GRAIN: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """`used`, `failing`, `beyond_half`: means; `most`: ports in use at the busiest moment, on average.

    `beyond_half`: the share of time in which all ports that are found at once are in use; None where no port is harder
    to find than others.
    """

    ports: PortSet
    used: float
    most: float
    failing: float
    beyond_half: float | None

    @property
    def share(self) -> float:
        """The share of the ports that is in use."""
        return self.used / self.ports.ports


class Lost(NamedTuple):
    """Connects that fail a second, of all sets that are alike: in the mean, and at the worst moment."""

    mean: float
    most: float


class _Level(NamedTuple):
    """Moments alike: ports in use, were there enough; what part of the time; connects a second of each stream."""

    load: float
    weight: float
    rates: tuple[float, ...]


def usage(ports: PortSet) -> Usage:
    """Return what becomes of a set of ports."""
    used = beyond = failed = coming = most = 0.0
    standing = Course(ports).standing
    for level in levels(ports):
        share = failing(ports, level.load, ports.ports)
        now = min(float(ports.ports), standing + (level.load - standing) * (1 - share))
        rate = math.fsum(level.rates)
        used += now * level.weight
        most = max(most, now)
        failed += share * rate * level.weight
        coming += rate * level.weight
        if ports.first_half is not None:
            beyond += failing(ports, level.load, ports.first_half) * level.weight
    return Usage(
        ports=ports,
        used=used,
        most=most,
        failing=failed / coming if coming else 0.0,
        beyond_half=None if ports.first_half is None else beyond,
    )


@lru_cache(maxsize=64)
def levels(ports: PortSet) -> tuple[_Level, ...]:
    """Return the moments of a period, those alike taken together; their weights are 1 in sum."""
    moments = list(Course(ports).moments())
    grain = max(moment.load for moment in moments) / _GRAIN or 1.0
    alike: dict[int, list[int]] = {}
    for at, moment in enumerate(moments):
        alike.setdefault(round(moment.load / grain), []).append(at)
    found = []
    for group in alike.values():
        rows = [moments[at] for at in group]
        load = math.fsum(row.load for row in rows) / len(rows)
        rates = tuple(math.fsum(column) / len(rows) for column in zip(*(row.rates for row in rows), strict=True))
        found.append(_Level(load, len(rows) / len(moments), rates))
    return tuple(found)


def failing(ports: PortSet, load: float, most: int, by: float = 1.0) -> float:
    """Return the share of connects that find none of the first `most` ports free, at a load, times `by`.

    One stream at a steady pace is counted exactly; of several, what is above the ports fails; random ones, and all that
    are mixed with these, by Erlang's formula, which for steady ones is on the safe side.
    """
    standing = math.fsum(stream.standing for stream in ports.streams)
    left, load = math.floor(most - standing), (load - standing) * by
    if load <= 0:
        return 0.0
    if left < 1:
        return 1.0
    if any(stream.random for stream in ports.streams):
        return loss.erlang_b(load, left)
    only = ports.streams[0]
    if len(ports.streams) == 1 and not only.shape and only.holds.distribution == "constant":
        return loss.periodic(only.rate * by, only.busy, left)
    return max(0.0, 1 - left / load)


def lost(ports: PortSet, counts: Callable[[Flow], bool], by: float = 1.0) -> Lost:
    """Return the connects that fail, of the flows that count, with all rates times `by`."""
    mean = most = 0.0
    for level in levels(ports):
        rate = math.fsum(rate for stream, rate in zip(ports.streams, level.rates, strict=True) if counts(stream.flow))
        now = rate * by * failing(ports, level.load, ports.ports, by) * ports.count
        mean += now * level.weight
        most = max(most, now)
    return Lost(mean, most)
