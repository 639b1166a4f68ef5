"""`Interval`: how sure a simulated number is; batch means, and what can be said of events that were hardly seen.

Successive connects hang together, so they are no sample: one crowded minute fails them all.  Means of long batches
nearly are.  Whether they are is looked at, not believed.
"""

import math
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

BATCHES: Final = 20
# Student's t, 19 degrees of freedom, 97.5 %.
_STUDENT: Final = 2.093
# The normal distribution's 97.5 %.
NORMAL: Final = 1.959964
# Neighbouring means of independent batches correlate less than this in 99 % of runs: 2.58 / sqrt(20).
_CORRELATED: Final = 0.576


class Interval(NamedTuple):
    """A mean and the half-width of its 95 % confidence interval."""

    mean: float
    half: float

    def holds(self, value: float) -> bool:
        """Return whether a value lies within."""
        return abs(value - self.mean) <= self.half


def ratio(above: NDArray[np.float64], below: NDArray[np.float64]) -> Interval:
    """Return the ratio of two sums over batches, with the interval of the ratio estimator (Cochran, chapter 6)."""
    total = float(below.sum())
    if not total:
        return Interval(0.0, 0.0)
    mean = float(above.sum()) / total
    rest = above - mean * below
    count = len(above)
    return Interval(mean, _STUDENT * float(rest.std(ddof=1)) * math.sqrt(count) / total)


def batch_mean(means: NDArray[np.float64]) -> Interval:
    """Return the mean of batch means."""
    return Interval(float(means.mean()), _STUDENT * float(means.std(ddof=1)) / math.sqrt(len(means)))


def correlated(means: NDArray[np.float64]) -> bool:
    """Return whether neighbouring batches hang together, so that an interval of theirs would be too narrow."""
    rest = means - means.mean()
    power = float(rest @ rest)
    if power <= 1e-18 * max(1.0, float(means @ means)):
        return False
    return float(rest[1:] @ rest[:-1]) / power > _CORRELATED


def counted(number: int) -> tuple[float, float]:
    """Return between which means a Poisson count of `number` is likely, 95 % (Garwood 1936).

    By Wilson and Hilferty's approximation of the chi-square quantiles: the upper end within 0.5 %, the lower one too
    low below 5; 0 has its own.
    """
    low = 0.0
    if number:
        low = number * (1 - 1 / (9 * number) - NORMAL / (3 * math.sqrt(number))) ** 3
    above = number + 1
    high = above * (1 - 1 / (9 * above) + NORMAL / (3 * math.sqrt(above))) ** 3
    return max(0.0, low), high if number else -math.log(0.025)
