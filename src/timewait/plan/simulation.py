"""The same model played event by event: random or periodic connects, each port busy for a constant time.

Exact, and vectorised: the connects are decided in runs no longer than there are ports.  Everything random is from one
seed.  numpy is imported with this module; who only wants the closed form does not pay for it.
"""

import math
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from timewait.errors import UsageError
from timewait.plan.demand import Arrivals, Closer, Demand
from timewait.plan.limits import Limits

_Times: TypeAlias = NDArray[np.float64]

# Means of so many batches give the interval; Student's t for 19 degrees of freedom, 97.5 %.
_BATCHES: Final = 20
_STUDENT: Final = 2.093
# So many times a port's busy time is left out at the start, for the design to settle.
_SETTLING: Final = 3
MOST: Final = 10**10
# How many connects are decided between two calls of `tell`.
_RUN: Final = 1 << 20


class Interval(NamedTuple):
    """A mean and the half-width of its 95 % confidence interval."""

    mean: float
    half: float

    def holds(self, value: float) -> bool:
        """Return whether a value lies within."""
        return abs(value - self.mean) <= self.half


class Simulated(NamedTuple):
    """What a run showed, of one budget.  `used`: ports in use as each connect found them."""

    connects: int
    seed: int
    failing: Interval
    used: Interval
    beyond_half: Interval | None
    first_failure: float | None


class _Run(NamedTuple):
    """Connects in a row: when, whether each found a port, and how many ports were in use before it."""

    times: _Times
    accepted: NDArray[np.bool_]
    used: NDArray[np.int64]


def simulate(
    demand: Demand, limits: Limits, *, connects: int, seed: int, tell: Callable[[int], None] = lambda _: None
) -> Simulated:
    """Play `connects` connects of one budget from an empty start; `tell` hears how many are done.

    Raises `UsageError` where that is too few to say anything, or too many.
    """
    busy = demand.hold + (limits.blocked if demand.closer is Closer.CLIENT else 0.0)
    settling = math.ceil(_SETTLING * busy * demand.per_budget)
    if connects < settling + _BATCHES * 10:
        raise UsageError(
            f"{connects:,} connects are too few: the first {settling:,} are needed to settle",
            f"try {10 ** math.ceil(math.log10(10 * (settling + 200))):,}",
        )
    if connects > MOST:
        raise UsageError(f"{connects:,} connects would take about {connects / 2e7 / 3600:.0f} h", f"at most {MOST:,}")
    batch = (connects - settling) // _BATCHES
    sums = np.zeros((3, _BATCHES))
    first_failure: float | None = None
    done = 0
    half = limits.first_half
    for run in _runs(demand, limits.ports, busy, connects, seed):
        failed = ~run.accepted
        if first_failure is None and failed.any():
            first_failure = float(run.times[np.argmax(failed)])
        into = np.arange(done, done + len(failed)) - settling
        kept = (into >= 0) & (into < batch * _BATCHES)
        at = into[kept] // batch
        for row, values in enumerate((failed, run.used, run.used >= half if half is not None else None)):
            if values is not None:
                sums[row] += np.bincount(at, weights=values[kept], minlength=_BATCHES)
        done += len(failed)
        tell(done)
    failing, used, beyond = (_interval(row / batch) for row in sums)
    return Simulated(connects, seed, failing, used, None if half is None else beyond, first_failure)


def _interval(means: _Times) -> Interval:
    return Interval(float(means.mean()), _STUDENT * float(means.std(ddof=1)) / math.sqrt(_BATCHES))


def _runs(demand: Demand, ports: int, busy: float, connects: int, seed: int) -> Iterator[_Run]:
    """Yield the connects in order, in runs of at most as many as there are ports."""
    free_at: _Times = np.full(ports, -np.inf)
    for times in _arrivals(demand, connects, seed):
        for start in range(0, len(times), ports):
            run, free_at = _decide(times[start : start + ports], free_at, busy)
            yield run


def _arrivals(demand: Demand, connects: int, seed: int) -> Iterator[_Times]:
    random = np.random.default_rng(seed)
    rate = demand.per_budget
    last, done = 0.0, 0
    while done < connects:
        count = min(_RUN, connects - done)
        if demand.arrivals is Arrivals.POISSON:
            times = last + np.cumsum(random.exponential(1 / rate, count))
        else:
            times = np.arange(done + 1, done + count + 1) / rate
        last = float(times[-1])
        done += count
        yield times


def _decide(times: _Times, free_at: _Times, busy: float) -> tuple[_Run, _Times]:
    """Decide connects of which there are no more than ports; return them, and when the ports are free from then on.

    `free_at` is in order, and the k-th connect that finds a port takes the k-th of them.  With N(i) the ports free by
    the i-th connect, were none taken in this run, the number taken before it is k(i+1) = min(k(i) + 1, N(i)); written
    out, a running minimum.
    """
    order = np.arange(len(times))
    # A port taken at one tick of a clock is free again at another, whatever a float makes of the sum.
    free = np.searchsorted(free_at, times + 1e-9, side="right")
    taken = np.minimum(np.minimum.accumulate(free - order) + order, order + 1)
    before = np.concatenate(([0], taken[:-1]))
    accepted = taken > before
    returned = times[accepted] + busy
    again = np.minimum(np.searchsorted(returned, times + 1e-9, side="right"), before)
    used = len(free_at) - free + before - again
    return _Run(times, accepted, used), np.concatenate((free_at[taken[-1] :], returned))
