"""Intervals: against tables, and against samples whose truth is known."""

import math

import numpy as np
import pytest

from timewait.plan.statistics import BATCHES, batch_mean, correlated, counted, ratio


@pytest.mark.parametrize(
    ("number", "low", "high"),
    [(0, 0.0, 3.689), (1, 0.0253, 5.572), (5, 1.623, 11.668), (10, 4.795, 18.390), (100, 81.36, 121.63)],
)
def test_counts_have_garwood_s_intervals(number: int, low: float, high: float) -> None:
    """Garwood 1936, the exact ones: half a chi-square quantile of 2n and of 2n + 2 degrees of freedom."""
    ours = counted(number)
    assert ours[1] == pytest.approx(high, rel=0.005)
    assert ours[0] <= low * 1.001
    if number >= 5:
        assert ours[0] == pytest.approx(low, rel=0.01)


def test_a_mean_is_held_by_its_interval_in_95_of_100_samples() -> None:
    """Of 2,000 samples 1,900 are expected, with a standard deviation of 10."""
    random = np.random.default_rng(1)
    means = sum(batch_mean(random.normal(3.0, 2.0, BATCHES)).holds(3.0) for _ in range(2000))
    assert 1900 - 40 < means < 1900 + 40
    shares = 0
    for _ in range(2000):
        number = random.integers(500, 1500, BATCHES).astype(np.float64)
        shares += ratio(random.binomial(number.astype(np.int64), 0.1).astype(np.float64), number).holds(0.1)
    assert 1900 - 40 < shares < 1900 + 40


def test_batches_that_follow_each_other_are_seen() -> None:
    random = np.random.default_rng(1)
    walks = sum(correlated(np.cumsum(random.normal(size=BATCHES))) for _ in range(200))
    alone = sum(correlated(random.normal(size=BATCHES)) for _ in range(200))
    assert walks > 120
    assert alone < 8
    assert not correlated(np.full(BATCHES, 7.0))


def test_nothing_below_is_nothing() -> None:
    nothing = np.zeros(BATCHES)
    assert ratio(nothing, nothing) == (0.0, 0.0)
    assert not math.isnan(batch_mean(nothing).half)
