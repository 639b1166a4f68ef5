"""`Pace` and `Life`: when connects come and how long things last, drawn in arrays of whole nanoseconds from one seed.

A pace is a unit process (a clock, a Poisson process, or every k-th of one) seen through a rate that may go up and down
in a fixed period; a life is a distribution of durations.  Nothing here knows ports.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from timewait.clock import SECOND
from timewait.errors import UsageError

Times: TypeAlias = NDArray[np.int64]
# How many connects are drawn at a time.
RUN: Final = 1 << 16
# Seconds until an instant no longer fits its 64 bits; what comes later never comes.
_LATEST: Final = 4e9
LIFE_KINDS: Final = ("constant", "exponential", "uniform", "lognormal", "pareto")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """`rate`: connects a second on average; `random`: a Poisson process, else a clock that ticks.

    `every`: of a random process `every` times as fast, each such connect comes here: what a balancer that goes round
    hands to one of its members.  `shape`: (seconds, factor) in turn, again and again, the mean factor being 1.
    """

    rate: float
    random: bool = True
    every: int = 1
    shape: tuple[tuple[float, float], ...] = ()

    @property
    def period(self) -> float:
        """Seconds after which the shape begins again; 0 without one."""
        return math.fsum(length for length, _ in self.shape)

    def draw(self, random: np.random.Generator, connects: int | None = None) -> Iterator[Times]:
        """Yield when connects come, in order, from 0 on; `connects` of them, or for ever."""
        done, at = 0, 0.0
        while connects is None or done < connects:
            count = RUN if connects is None else min(RUN, connects - done)
            if self.random:
                gaps = (
                    random.standard_gamma(self.every, count) if self.every > 1 else random.standard_exponential(count)
                )
                units = at + np.cumsum(gaps) / self.every
                at = float(units[-1])
            else:
                units = np.arange(done + 1, done + count + 1, dtype=np.float64)
            done += count
            yield self._seen(units)

    def _seen(self, units: NDArray[np.float64]) -> Times:
        """Return when the rate has brought so many units: the inverse of its integral."""
        mean: NDArray[np.float64] = np.minimum(units / self.rate, _LATEST)
        if not self.shape:
            return np.rint(mean * SECOND).astype(np.int64)
        lengths, factors = np.array(self.shape).T
        ends = np.concatenate(([0.0], np.cumsum(lengths)))
        brought = np.concatenate(([0.0], np.cumsum(lengths * factors)))
        turns, rest = np.divmod(mean, self.period)
        # Where nothing comes for a while, the integral is flat; its last point is the one that is meant.
        into = np.interp(rest, brought, ends)
        return np.rint((turns * self.period + into) * SECOND).astype(np.int64)


def shaped(rate: float, shape: Sequence[tuple[float, float]], *, random: bool = True, every: int = 1) -> Pace:
    """Return a pace whose shape's factors are scaled to a mean of 1.  Raises `UsageError` for one that cannot be."""
    total = math.fsum(length for length, _ in shape)
    weight = math.fsum(length * factor for length, factor in shape)
    if total <= 0 or weight <= 0 or any(length <= 0 or factor < 0 for length, factor in shape):
        raise UsageError("a shape of the rate has a length or a factor that cannot be", "lengths > 0, factors >= 0")
    scaled = tuple((length, factor * total / weight) for length, factor in shape)
    return Pace(rate=rate, random=random, every=every, shape=scaled)


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """Durations of mean `mean` seconds.  `spread`: standard deviation over mean, where the kind leaves it open.

    `uniform` is from 0 to twice the mean; `pareto` needs a spread, as `lognormal` does.
    """

    mean: float
    kind: str = "constant"
    spread: float = 1.0

    def __post_init__(self) -> None:
        """Refuse what cannot be.  Raises `UsageError` with the value."""
        if self.kind not in LIFE_KINDS:
            raise UsageError(f"{self.kind!r} is no distribution of durations", f"one of {', '.join(LIFE_KINDS)}")
        if self.mean < 0 or not 0 < self.spread < math.inf:
            raise UsageError(
                f"a duration of {self.mean:g} s, spread {self.spread:g}, cannot be", "mean >= 0, spread > 0"
            )

    def draw(self, random: np.random.Generator, count: int) -> Times:
        """Return so many durations, in nanoseconds."""
        if not self.mean or self.kind == "constant":
            return np.full(count, round(self.mean * SECOND), np.int64)
        return np.rint(self._unit(random, count) * (self.mean * SECOND)).astype(np.int64)

    def _unit(self, random: np.random.Generator, count: int) -> NDArray[np.float64]:
        if self.kind == "exponential":
            return random.standard_exponential(count)
        if self.kind == "uniform":
            return random.random(count) * 2
        if self.kind == "lognormal":
            sigma = math.sqrt(math.log1p(self.spread**2))
            return np.exp(random.standard_normal(count) * sigma - sigma**2 / 2)
        # Pareto with index a: spread^2 = 1 / (a (a - 2)), mean = a / (a - 1) of the least.
        index = 1 + math.sqrt(1 + 1 / self.spread**2)
        return (random.pareto(index, count) + 1) * ((index - 1) / index)

    @property
    def longest(self) -> float:
        """Seconds that only one in a thousand lasts beyond: how long a run has to settle."""
        if self.kind == "constant":
            return self.mean
        if self.kind == "exponential":
            return self.mean * math.log(1000)
        if self.kind == "uniform":
            return self.mean * 1.998
        if self.kind == "lognormal":
            sigma = math.sqrt(math.log1p(self.spread**2))
            return self.mean * math.exp(3.0902 * sigma - sigma**2 / 2)
        index = 1 + math.sqrt(1 + 1 / self.spread**2)
        return float(self.mean * (index - 1) / index * 1000 ** (1 / index))
