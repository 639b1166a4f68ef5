"""The published and measured figures come out of the closed form."""

import math
from dataclasses import replace
from functools import partial

import pytest

from designs import design, of_ports, planned
from timewait.plan.demand import Binding
from timewait.plan.forecast import forecast
from timewait.plan.loss import erlang_b
from timewait.plan.occupancy import Course
from timewait.plan.workload import Bursts, Destination, Flow, Holding, Middlebox, Source, Workload

steady = partial(design, steady=True)


def test_the_default_range_carries_470_a_second_by_the_book() -> None:
    """28,232 ports (32768 to 60999) and 60 s: 470.5; and 459 to 461 with what the timer adds (61.3 to 61.5 s)."""
    found = planned(steady(1))
    assert found.own.ports.ports == 28232
    assert found.nominal == pytest.approx(470.5, abs=0.1)
    assert 28232 / 61.6 < found.highest < 28232 / 61.0


def test_three_hundred_ports_carry_what_was_measured() -> None:
    """Measured on Linux 6.18 over 185 s: 4.86 connects/s over 300 ports, the client closing."""
    assert planned(steady(1, of_ports(300))).highest == pytest.approx(4.86, rel=0.01)


@pytest.mark.parametrize(("delay", "measured"), [(1000, 300.0), (100, 3000.0)])
def test_tw_reuse_carries_a_port_a_delay(delay: int, measured: float) -> None:
    """Measured on Linux 6.18: 300 ports and tcp_tw_reuse_delay of 1000 ms carried 300/s (and 3000/s is the ideal)."""
    found = planned(steady(1, of_ports(300), "tcp_tw_reuse=1", f"tcp_tw_reuse_delay={delay}"))
    assert found.highest == pytest.approx(measured, rel=1e-5)


def test_331_connects_a_second_fill_the_default_range_by_bursts_or_by_holding() -> None:
    """A published case: 28,232 sockets of one process to one address and port, 331 connects/s over 41 s.

    Alone that is 20,290 waits, 72 %: beyond half the range, and never full.  Bursts of 520/s on top of it fill it after
    (28,232 - 20,290) / (520 - 331) = 42 s; so do connections that are open for 28,232 / 331 - 61.3 = 24 s.
    """
    alone = planned(steady(331))
    assert alone.full_in is None
    assert alone.own.used == pytest.approx(331 * 61.3, rel=1e-3)
    assert alone.own.beyond_half is not None
    assert alone.own.beyond_half > 0.2
    for lasts, fails in ((40.0, False), (44.0, True)):
        load = steady(331)
        bursting = replace(load.flows[0], bursts=Bursts(rate=520, lasts=lasts, every=600))
        found = planned(replace(load, flows=(bursting,)))
        assert (found.failing > 0, found.full_in is not None) == (fails, fails)
    for hold, full in ((23.9, False), (24.1, True)):
        assert (planned(steady(331, hold=hold)).full_in is not None) == full


def test_reuse_does_nothing_without_timestamps_or_for_bind() -> None:
    for settings, binding in (
        (["tcp_tw_reuse=1", "tcp_timestamps=0"], Binding.LATE),
        (["tcp_tw_reuse=1"], Binding.BIND),
    ):
        found = planned(steady(1, *settings, binding=binding))
        assert found.highest == pytest.approx(planned(steady(1)).highest)


def test_timestamps_need_both_ends() -> None:
    load = steady(1, "tcp_tw_reuse=1")
    silent = replace(load.destinations[0], profile="lwip", sysctls=())
    assert planned(replace(load, destinations=(silent,))).highest == pytest.approx(planned(steady(1)).highest)


def test_a_port_of_the_programs_choice_is_taken_over_at_once() -> None:
    """Measured on Linux 6.18: bind() to a port and connect() over a TIME-WAIT with timestamps works at once."""
    assert planned(steady(1, hold=1.0, binding=Binding.EXPLICIT)).highest == pytest.approx(28232, rel=1e-5)
    waiting = planned(steady(1, "tcp_timestamps=0", hold=1.0, binding=Binding.EXPLICIT))
    assert waiting.highest == pytest.approx(28232 / 62.3, rel=1e-3)


def test_on_loopback_the_default_reuses() -> None:
    """tcp_tw_reuse = 2 since 4.19: loopback only."""
    assert planned(steady(1, loopback=True)).highest == pytest.approx(28232, rel=1e-5)


def test_a_port_from_bind_is_taken_for_every_destination() -> None:
    """Measured on Linux 6.18 with a range of 8: 8, then EADDRINUSE to any destination; late, 8 for each."""
    late, bound = (planned(steady(1, destinations=4, binding=each)).highest for each in (Binding.LATE, Binding.BIND))
    assert late == pytest.approx(4 * bound, rel=1e-4)


def test_where_the_server_closes_ports_are_no_limit_and_half_of_them_wait() -> None:
    """Measured on Linux 6.18: a client with 64 ports, thousands of connects/s, no failure, 32 waits at the server."""
    found = planned(steady(19400, of_ports(64), client_closes=0.0))
    assert (found.failing, found.client_waits) == (0.0, 0.0)
    assert found.server_waits == pytest.approx(32.0)
    assert found.refused == 0.0


def test_a_server_at_ten_thousand_closes_a_second_overflows_the_default_table() -> None:
    """10,000 closes/s of about a minute: some 613,000 waits, far beyond 131,072; 2 % end early, by a new SYN."""
    found = planned(steady(10_000, client_closes=0.0, sources=1000))
    assert found.server_waits == pytest.approx(10_000 * 61.3, rel=0.03)
    assert found.server_overflow > 0.7
    assert found.server_memory == pytest.approx(157e6, rel=0.03)


def test_without_timestamps_half_of_the_isn_clock_refuses() -> None:
    """The clock of Linux steps every 64 ns and wraps in 274.9 s: a pair reused 137 to 274 s after its first SYN looks
    old.  Connects come to ports in no order, so a port is used again after an exponential time."""
    quick = partial(steady, client_closes=0.0)
    assert planned(quick(300, "tcp_timestamps=0", hold=1.0)).refused == 0.0  # at most 62 s old
    # From 150 s old on: of 14,116 ports 13,500 are open, and each of the others is used again after 7 s on average.
    assert planned(quick(90, "tcp_timestamps=0", hold=150.0)).refused == pytest.approx(1, abs=1e-3)
    assert planned(quick(90, hold=150.0)).refused == 0.0
    # Sent more than the clock moves on in 137 s: refused whenever the port comes back within the wait.
    again = 1 - math.exp(-300 * 61.3 / (14116 - 300))
    assert planned(quick(300, "tcp_timestamps=0", hold=1.0, octets=2**31)).refused == pytest.approx(again)


def test_hosts_behind_a_nat_meet_each_others_waits() -> None:
    """Two hosts' clocks have nothing to do with each other: half of the SYNs over a wait of the other's look old."""
    load = Workload(
        sources=(Source(name="pods", hosts=2),),
        destinations=(Destination(name="api", client_closes=0.0),),
        middleboxes=(Middlebox(name="nat", addresses=1, port_range=(40000, 40999)),),
        flows=(Flow(source="pods", destination="api", rate=5.0, via=("nat",)),),
    )
    (found,) = forecast(load).routes
    assert found.refused == pytest.approx(5 * 61.3 / 1000 / 2 / 2, rel=0.01)


def test_a_nat_that_takes_nothing_over_is_the_limit() -> None:
    """Before Linux 6.12 a port of the pool is gone for 120 s: 64,512 / 120 = 538 connects/s to one destination."""
    load = Workload(
        sources=(Source(name="pods", hosts=200),),
        destinations=(Destination(name="api"),),
        middleboxes=(Middlebox(name="nat", addresses=1, takes_over=False, most=None),),
        flows=(Flow(source="pods", destination="api", rate=1000.0, via=("nat",)),),
    )
    (found,) = forecast(load).routes
    assert found.own.failing == 0.0
    assert found.failing == pytest.approx(erlang_b(120_000, 64512), rel=1e-6)
    assert 500 < found.highest < 538
    newer = replace(load.middleboxes[0], takes_over=True)
    assert forecast(replace(load, middleboxes=(newer,))).carries


def test_a_connection_tracker_fills_up() -> None:
    """262,144 entries of 120 s each: 2,184 short connections/s."""
    load = Workload(
        sources=(Source(name="pods", hosts=1000),),
        destinations=(Destination(name="api", hosts=10),),
        middleboxes=(Middlebox(name="firewall"),),
        flows=(Flow(source="pods", destination="api", rate=3000.0, via=("firewall",)),),
    )
    (found,) = forecast(load).routes
    assert found.failing == pytest.approx(1 - 2184 / 3000, rel=0.01)
    assert 2100 < found.highest < 2184.6


def test_too_much_fills_up_when_it_must() -> None:
    found = planned(steady(500))
    assert found.full_in == pytest.approx(28232 / 500)
    assert found.failing == pytest.approx(1 - 28232 / (500 * 61.3), rel=0.01)


def test_a_rate_that_changes_fills_ports_by_its_last_minute() -> None:
    """M_t/G/infinity: the mean in use is what came within the time that each stays: here by hand, 100 s in a period."""
    load = steady(1.0, of_ports(300))
    flow = replace(load.flows[0], bursts=Bursts(rate=11.0, lasts=20.0, every=200.0))
    course = Course(planned(replace(load, flows=(flow,))).own.ports)
    # The burst is from 180 s to 200 s of each period.
    for at, expected in ((180.0, 61.3), (190.0, 61.3 + 100), (200.0, 61.3 + 200), (241.3, 61.3 + 200), (261.3, 61.3)):
        assert course.at(at).load == pytest.approx(expected)
    assert course.at(30.0, since=0.0).load == pytest.approx(30.0)


@pytest.mark.parametrize("distribution", ["exponential", "uniform", "lognormal", "pareto"])
def test_no_distribution_of_holding_times_changes_a_steady_loss(distribution: str) -> None:
    """Erlang's formula knows the mean alone."""
    load = design(8.0, of_ports(300), hold=5.0)
    other = replace(load.flows[0], holds=Holding(mean=5.0, distribution=distribution, spread=2.0))
    one, same = planned(load), planned(replace(load, flows=(other,)))
    assert same.failing == pytest.approx(one.failing)
    assert same.failing == pytest.approx(erlang_b(8 * 66.3, 300))


def test_growth_says_when_it_ends() -> None:
    """5 % a month doubles in ln 2 / ln 1.05 = 14.2 months."""
    load = steady(28232 / 61.3 / 2)
    assert forecast(replace(load, growth=0.05)).lasts == pytest.approx(14.2, abs=0.05)
    assert forecast(replace(load, growth=-0.05)).lasts is None
    assert forecast(replace(steady(500), growth=0.05)).lasts == 0.0


def test_flows_to_one_destination_share_its_ports() -> None:
    load = steady(200)
    one = load.flows[0]
    found = planned(replace(load, flows=(one, replace(one, rate=250.0))))
    assert found.own.used == pytest.approx(450 * 61.3, rel=1e-6)
    assert found.requests == 450.0


@pytest.mark.parametrize(
    ("name", "rate"), [("freebsd", 925.6), ("illumos", 546.1), ("macos", 546.1), ("lwip", 136.5), ("gvisor", 825.6)]
)
def test_other_stacks_carry_their_ports_over_their_wait(name: str, rate: float) -> None:
    """Ports of the stack's documented range divided by its documented TIME-WAIT."""
    assert planned(steady(1, profile=name)).nominal == pytest.approx(rate, rel=0.02)


def test_a_slow_day_is_as_good_as_steady_at_each_hour() -> None:
    """Half a day at 1.2 times what the ports carry, with three quarters of all connects: a sixth of these fail."""
    load = steady(1.2 * 300 / 61.3 / 1.5, of_ports(300))
    found = planned(replace(load, flows=(replace(load.flows[0], daily=(0.5, 1.5)),)))
    assert found.failing == pytest.approx(0.75 / 6, rel=0.01)
