"""`Usage`: what becomes of one set of ports: how many are in use, how often none is found, how often that is hard.

Means over one period of what comes, or over the one moment that there is where the rate is steady.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NamedTuple

from timewait.plan import loss
from timewait.plan.occupancy import Course, Moment
from timewait.plan.paths import PortSet
from timewait.plan.workload import Flow

# Moments whose loads differ by less than this share of the most are looked at once.
_GRAIN: Final = 500
_ENOUGH: Final = 1 << 62


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
    """Moments alike: ports in use; what part of the time; connects a second of each stream.

    `turned`: the share of connects that the ports cannot take even if nothing comes at random; None where the rate is
    steady, or as good as steady, and formulas know all of it.
    """

    load: float
    weight: float
    rates: tuple[float, ...]
    turned: float | None


def usage(ports: PortSet) -> Usage:
    """Return what becomes of a set of ports."""
    used = failed = coming = most = 0.0
    standing = Course(ports).standing
    for level in levels(ports, ports.ports):
        share = failing(ports, level, ports.ports)
        now = min(float(ports.ports), level.load)
        if level.turned is None:
            now = min(float(ports.ports), standing + (level.load - standing) * (1 - share))
        rate = math.fsum(level.rates)
        used += now * level.weight
        most = max(most, now)
        failed += share * rate * level.weight
        coming += rate * level.weight
    half = ports.first_half
    beyond = None if half is None else sum(failing(ports, each, half) * each.weight for each in levels(ports, half))
    share = failed / coming if coming else 0.0
    return Usage(ports=ports, used=used, most=most, failing=share, beyond_half=beyond)


def peak(ports: PortSet) -> float:
    """Return the most ports in use at any moment, were there enough."""
    return max(moment.load for moment in _moments(ports))


@lru_cache(maxsize=64)
def _moments(ports: PortSet) -> tuple[Moment, ...]:
    return tuple(Course(ports).moments())


@lru_cache(maxsize=64)
def levels(ports: PortSet, most: int) -> tuple[_Level, ...]:
    """Return the moments of a period, those alike taken together, if there are `most` ports; their weights sum to 1."""
    course = Course(ports)
    if not course.period:
        only = course.at(0.0)
        return (_Level(only.load, 1.0, only.rates, None),)
    beyond = peak(ports) > most
    moments: list[tuple[Moment, float | None]] = [(moment, None if beyond else 0.0) for moment in _moments(ports)]
    if beyond and not course.slow:
        moments = list(course.limited(most))
    grain = max(moment.load for moment, _ in moments) / _GRAIN or 1.0
    alike: dict[tuple[int, int], list[tuple[Moment, float | None]]] = {}
    for moment, turned in moments:
        alike.setdefault((round(moment.load / grain), round((turned or 0.0) * _GRAIN)), []).append((moment, turned))
    found = []
    for rows in alike.values():
        load = math.fsum(moment.load for moment, _ in rows) / len(rows)
        columns = zip(*(moment.rates for moment, _ in rows), strict=True)
        rates = tuple(math.fsum(column) / len(rows) for column in columns)
        known = [turned for _, turned in rows if turned is not None]
        share = math.fsum(known) / len(known) if known else None
        found.append(_Level(load, len(rows) / len(moments), rates, share))
    return tuple(found)


def failing(ports: PortSet, level: _Level, most: int, by: float = 1.0) -> float:
    """Return the share of connects that find none of the first `most` ports free, with all rates times `by`.

    One stream at a steady pace is counted exactly; of several, what is above the ports fails; random ones, and all that
    are mixed with these, by Erlang's formula, which for steady ones is on the safe side.  Where the rate changes, what
    the ports cannot take is turned away, and chance comes on top.
    """
    standing = math.fsum(stream.standing for stream in ports.streams)
    left, load = math.floor(most - standing), (level.load - standing) * by
    if load <= 0:
        return level.turned or 0.0
    if left < 1:
        return 1.0
    random = any(stream.random for stream in ports.streams)
    if level.turned is not None:
        return max(level.turned, loss.erlang_b(min(load, left), left) if random else 0.0)
    if random:
        return loss.erlang_b(load, left)
    only = ports.streams[0]
    if len(ports.streams) == 1 and not only.shape and only.holds.distribution == "constant":
        return loss.periodic(only.rate * by, only.busy, left)
    return max(0.0, 1 - left / load)


def lost(ports: PortSet, counts: Callable[[Flow], bool], by: float = 1.0) -> Lost:
    """Return the connects that fail, of the flows that count, with all rates times `by`.

    Where the rate changes, and the ports cannot take all of it at some moment, that is without end unless `by` is 1.
    """
    if by != 1.0 and Course(ports).period and peak(ports) * by > ports.ports:
        return Lost(math.inf, math.inf)
    mean = most = 0.0
    for level in levels(ports, ports.ports if by == 1.0 else _ENOUGH):
        rate = math.fsum(rate for stream, rate in zip(ports.streams, level.rates, strict=True) if counts(stream.flow))
        now = rate * by * failing(ports, level, ports.ports, by) * ports.count
        mean += now * level.weight
        most = max(most, now)
    return Lost(mean, most)
