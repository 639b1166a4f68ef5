"""Arrivals and durations: their means and spreads, the same from the same seed, and what cannot be."""

import math

import numpy as np
import pytest

from timewait.clock import SECOND
from timewait.errors import UsageError
from timewait.plan.draws import LIFE_KINDS, Life, Pace, Times, shaped

# Standard deviation over mean, where the distribution itself says it.
SPREADS = {"constant": 0.0, "exponential": 1.0, "uniform": 1 / math.sqrt(3)}


def times(pace: Pace, connects: int, seed: int = 1) -> Times:
    return np.concatenate(list(pace.draw(np.random.default_rng(seed), connects)))


@pytest.mark.parametrize("kind", LIFE_KINDS)
def test_durations_have_the_mean_and_spread_that_are_asked_for(kind: str) -> None:
    drawn = Life(mean=4.0, kind=kind, spread=0.5).draw(np.random.default_rng(1), 400_000) / SECOND
    assert drawn.mean() == pytest.approx(4.0, rel=0.01)
    assert drawn.std() == pytest.approx(4.0 * SPREADS.get(kind, 0.5), rel=0.05, abs=1e-9)
    assert (drawn >= 0).all()


@pytest.mark.parametrize("kind", [kind for kind in LIFE_KINDS if kind != "constant"])
def test_one_in_a_thousand_lasts_longer_than_the_longest(kind: str) -> None:
    life = Life(mean=4.0, kind=kind, spread=0.5)
    drawn = life.draw(np.random.default_rng(1), 400_000) / SECOND
    assert (drawn > life.longest).mean() == pytest.approx(0.001, abs=0.00025)


@pytest.mark.parametrize(("random", "every", "spread"), [(False, 1, 0.0), (True, 1, 1.0), (True, 16, 0.25)])
def test_connects_come_as_a_clock_ticks_by_chance_or_in_turn(random: bool, every: int, spread: float) -> None:
    """Every k-th of a Poisson process: gaps of k exponentials, whose spread is 1 / sqrt(k)."""
    drawn = times(Pace(rate=50.0, random=random, every=every), 200_000)
    gaps = np.diff(drawn) / SECOND
    assert (gaps >= 0).all()
    assert gaps.mean() == pytest.approx(1 / 50, rel=0.01)
    assert gaps.std() * 50 == pytest.approx(spread, abs=0.01)


def test_a_shape_puts_connects_where_its_factors_are() -> None:
    pace = shaped(10.0, [(60.0, 1.0), (20.0, 0.0), (20.0, 5.0)])
    drawn = times(pace, 100_000) / SECOND
    at = drawn % 100
    assert drawn[-1] == pytest.approx(10_000, rel=0.02)
    assert (at < 60).mean() == pytest.approx(60 / 160, abs=0.01)
    assert ((at > 60.001) & (at < 79.999)).sum() == 0
    assert pace.period == 100


def test_the_same_seed_gives_the_same_however_much_is_drawn() -> None:
    pace = Pace(rate=1.0)
    assert np.array_equal(times(pace, 1000), times(pace, 70_000)[:1000])


def test_what_never_comes_does_not_overflow() -> None:
    assert (np.diff(times(Pace(rate=1e-12), 100)) >= 0).all()


@pytest.mark.parametrize("shape", [[], [(0.0, 1.0)], [(1.0, 0.0)], [(1.0, -1.0), (1.0, 3.0)]])
def test_shapes_that_cannot_be(shape: list[tuple[float, float]]) -> None:
    with pytest.raises(UsageError):
        shaped(1.0, shape)


@pytest.mark.parametrize(
    ("mean", "kind", "spread"), [(-1.0, "constant", 1.0), (1.0, "normal", 1.0), (1.0, "pareto", 0.0)]
)
def test_durations_that_cannot_be(mean: float, kind: str, spread: float) -> None:
    with pytest.raises(UsageError):
        Life(mean=mean, kind=kind, spread=spread)
