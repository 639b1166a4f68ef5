"""Fleets by cohorts: the same shares as Erlang's formula for hosts alike, and hosts that come and go."""

import pytest

from timewait.errors import UsageError
from timewait.plan.draws import Life
from timewait.plan.fleet import Balance, Fleet, play
from timewait.plan.loss import erlang_b

STILL = Life(mean=0.0)


def fleet(each: float, hosts: int, **more: object) -> Fleet:
    """Return hosts with so many connects a second each."""
    values = {"rate": each * hosts, "members": ((1.0, hosts),), "ports": 300, "blocked": 61.3, "hold": STILL} | more
    return Fleet(**values)  # type: ignore[arg-type]


@pytest.mark.parametrize("load", [0.95, 1.0, 1.3])
@pytest.mark.parametrize("ports", [300, 28232])
def test_hosts_alike_fail_as_erlang_says(ports: int, load: float) -> None:
    """Up to what the order within a step is worth: 3 %."""
    rate = load * ports / 61.3
    found = play(fleet(rate, 300, ports=ports), seconds=3000, seed=1)
    expected = erlang_b(load * ports, ports)
    assert found.failing.mean == pytest.approx(expected, rel=0.03, abs=2 * found.failing.half + 1e-9)
    assert found.used == pytest.approx(load * ports * (1 - expected), rel=0.01)


def test_random_holding_times_spread_the_ends() -> None:
    found = play(fleet(4.0, 300, blocked=50.0, hold=Life(mean=20.0, kind="exponential")), seconds=3000, seed=1)
    assert found.used == pytest.approx(4.0 * 70 * (1 - erlang_b(280, 300)), rel=0.01)


def test_shorter_steps_say_the_same() -> None:
    coarse, fine = (play(fleet(4.89, 300), seconds=2000, seed=1, step=step) for step in (1.0, 0.1))
    assert coarse.failing.mean == pytest.approx(fine.failing.mean, rel=0.05)


def test_round_robin_fails_less_than_chance() -> None:
    chance, turns = (play(fleet(4.75, 300, balance=balance), seconds=2000, seed=1) for balance in Balance)
    assert turns.failing.mean < chance.failing.mean / 5


def test_hosts_that_leave_push_their_share_on_the_others() -> None:
    """1,200 connects/s: three a second for each of 400 hosts, six for each of 200; who comes back is empty."""
    members = ((600.0, 400), (600.0, 200))
    found = play(fleet(4.0, 300, members=members), seconds=2400, seed=1, stretches=4)
    full, short, again, _ = found.stretches
    assert [stretch.hosts for stretch in found.stretches] == [400, 200, 400, 200]
    assert full.failed == 0
    # Some 20 s go by until the ports that were free are gone.
    assert short.failed / short.connects == pytest.approx(erlang_b(6 * 61.3, 300), rel=0.08)
    assert again.failed / again.connects < 0.02
    assert short.used > again.used


def test_the_same_seed_gives_the_same_fleet() -> None:
    one, same, other = (play(fleet(4.8, 50), seconds=600, seed=seed) for seed in (1, 1, 2))
    assert one == same
    assert one.connects != other.connects


def test_what_would_take_for_ever_is_refused_with_an_estimate() -> None:
    with pytest.raises(UsageError, match="would take about") as caught:
        play(fleet(4.8, 1_000_000, blocked=0.001), seconds=86400, seed=1)
    assert "longer steps" in caught.value.hint


@pytest.mark.parametrize(
    "more", [{"ports": 0}, {"members": ()}, {"members": ((1.0, 0),)}, {"rate": -1.0}, {"blocked": 0.0}]
)
def test_fleets_that_cannot_be_are_refused(more: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        fleet(1.0, 1, **more)
