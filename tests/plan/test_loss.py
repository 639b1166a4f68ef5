"""Erlang's formula and counting: published values, and the definitions themselves by brute force."""

import math
from fractions import Fraction
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from timewait.plan import loss


def erlang_by_definition(load: Fraction, servers: int) -> float:
    """(a^c/c!) / sum(a^k/k!), in exact fractions."""
    terms = [load**k / math.factorial(k) for k in range(servers + 1)]
    return float(terms[-1] / sum(terms))


@pytest.mark.parametrize(("load", "servers"), [(1, 1), (1, 2), (10, 10), (10, 20), (45, 50), (200, 150)])
def test_erlang_b_is_its_definition(load: int, servers: int) -> None:
    assert loss.erlang_b(load, servers) == pytest.approx(erlang_by_definition(Fraction(load), servers), rel=1e-12)


def test_erlang_b_of_the_tables() -> None:
    """Printed in traffic tables: 10 servers carry 4.46 erlang at a loss of 1 %, 100 carry 84.1."""
    assert loss.erlang_b(4.46, 10) == pytest.approx(0.01, rel=0.01)
    assert loss.erlang_b(84.1, 100) == pytest.approx(0.01, rel=0.01)


@pytest.mark.parametrize(("load", "servers", "most"), [(5, 10, 3), (9.5, 10, 9), (30, 20, 10), (0.1, 5, 2)])
def test_share_above_is_its_definition(load: float, servers: int, most: int) -> None:
    weights = [load**k / math.factorial(k) for k in range(servers + 1)]
    assert loss.share_above(load, servers, most) == pytest.approx(sum(weights[most + 1 :]) / sum(weights), rel=1e-9)


@given(st.floats(0.01, 50), st.floats(0.01, 20), st.integers(1, 60))
def test_periodic_is_what_counting_gives(rate: float, busy: float, servers: int) -> None:
    """Walk through the ticks: a port is free again at the first tick `busy` after it was taken."""
    ticks = max(1, math.ceil(round(rate * busy, 9)))
    free_at: list[int] = [0] * servers
    cycles = 12 * max(ticks, servers)
    failed = 0
    for tick in range(cycles):
        port = next((at for at, free in enumerate(free_at) if free <= tick), None)
        if port is None:
            failed += 1
        else:
            free_at[port] = tick + ticks
    assert failed / cycles == pytest.approx(loss.periodic(rate, busy, servers), abs=1 / 10)


def test_erlang_b_is_what_a_simulation_gives() -> None:
    """30 ports, waits of 1 s, 25 connects a second at random: the same within four standard errors."""
    random = Random(7)
    now, failed, count = 0.0, 0, 200_000
    free_at = [0.0] * 30
    for _ in range(count):
        now += random.expovariate(25)
        port = min(range(30), key=free_at.__getitem__)
        if free_at[port] > now:
            failed += 1
        else:
            free_at[port] = now + 1.0
    expected = loss.erlang_b(25, 30)
    # Losses come in bursts, so the error is larger than a coin's: by a factor of some 3 here.
    assert failed / count == pytest.approx(expected, abs=12 * math.sqrt(expected / count))


def test_the_sustainable_rate_just_fails() -> None:
    rate = loss.sustainable(60, 1000, 3600)
    expected = rate * 3600 * loss.erlang_b(rate * 60, 1000)
    assert expected == pytest.approx(-math.log(0.95), rel=0.05)
    assert rate < 1000 / 60


@given(st.floats(0, 1e6), st.integers(1, 3000))
def test_shares_are_shares(load: float, servers: int) -> None:
    assert 0 <= loss.erlang_b(load, servers) <= 1
    assert 0 <= loss.share_above(load, servers, servers // 2) <= 1
