"""The simulation: equal to a plain loop, and to the closed form wherever both apply."""

from dataclasses import replace

import pytest

from timewait.errors import UsageError
from timewait.plan import simulation
from timewait.plan.demand import Arrivals, Demand
from timewait.plan.forecast import forecast
from timewait.plan.limits import Limits, limits
from timewait.tcp import profiles
from timewait.tcp.settings import change_all


def of_ports(ports: int, *assignments: str) -> Limits:
    profile = change_all(profiles.get("linux"), [f"ip_local_port_range=40000 {39999 + ports}", *assignments])
    return limits(profile)


@pytest.mark.parametrize("load", [0.5, 0.8, 0.95, 1.0, 1.2, 2.0])
@pytest.mark.parametrize("ports", [8, 64, 300, 2000])
def test_it_agrees_with_erlang(load: float, ports: int) -> None:
    """Within twice the 95 % interval: 24 cells, each with its seed fixed, and a run long enough to make it narrow."""
    stack = of_ports(ports)
    demand = Demand(rate=load * ports / stack.blocked)
    expected = forecast(demand, stack)
    found = simulation.simulate(demand, stack, connects=400_000, seed=1)
    assert found.failing.mean == pytest.approx(expected.failing, abs=2 * found.failing.half + 1e-5)
    assert found.used.mean == pytest.approx(expected.used, abs=2 * found.used.half + 1e-3 * ports)
    assert found.beyond_half is not None
    assert expected.beyond_half is not None
    assert found.beyond_half.mean == pytest.approx(expected.beyond_half, abs=2 * found.beyond_half.half + 0.02)


@pytest.mark.parametrize("load", [0.5, 0.99, 1.01, 1.5, 3.0])
def test_it_agrees_with_counting(load: float) -> None:
    stack = of_ports(300)
    demand = Demand(rate=load * 300 / stack.blocked, arrivals=Arrivals.CONSTANT)
    found = simulation.simulate(demand, stack, connects=200_000, seed=1)
    assert found.failing.mean == pytest.approx(forecast(demand, stack).failing, abs=0.002)


def test_the_first_failure_is_when_the_ports_are_gone() -> None:
    stack = of_ports(300)
    demand = Demand(rate=30, arrivals=Arrivals.CONSTANT)
    found = simulation.simulate(demand, stack, connects=20_000, seed=1)
    expected = forecast(demand, stack).full_in
    assert found.first_failure == pytest.approx(expected, abs=1 / 30 + 1e-6)


def test_the_same_seed_gives_the_same_run() -> None:
    stack, demand = of_ports(100), Demand(rate=1.6)
    one, same, other = (simulation.simulate(demand, stack, connects=50_000, seed=seed) for seed in (5, 5, 6))
    assert one == same
    assert one.failing != other.failing


@pytest.mark.parametrize("connects", [0, 100, 10**12])
def test_too_few_and_too_many_are_refused_before_it_starts(connects: int) -> None:
    with pytest.raises(UsageError) as caught:
        simulation.simulate(Demand(rate=100), of_ports(300), connects=connects, seed=1)
    assert f"{connects:,}" in caught.value.what
    assert caught.value.hint


def test_a_pool_makes_fewer_connects() -> None:
    stack = of_ports(300)
    short = Demand(rate=6.0)
    pooled = replace(short, per_connection=10.0)
    found = [simulation.simulate(each, stack, connects=100_000, seed=2).used.mean for each in (short, pooled)]
    assert found[1] < found[0] / 5
