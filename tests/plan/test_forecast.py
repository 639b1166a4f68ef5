"""The published and measured figures come out of the closed form."""

from dataclasses import replace

import pytest

from timewait.plan.demand import Arrivals, Binding, Closer, Demand
from timewait.plan.forecast import Forecast, forecast
from timewait.plan.limits import limits
from timewait.tcp import profiles, settings

LINUX = profiles.get("linux")


def planned(demand: Demand, *assignments: str, **loopback: bool) -> Forecast:
    profile = settings.change_all(LINUX, assignments)
    return forecast(demand, limits(profile, binding=demand.binding, **loopback))


STEADY = Demand(rate=1, arrivals=Arrivals.CONSTANT)


def test_the_default_range_carries_470_a_second_by_the_book() -> None:
    """28,232 ports (32768 to 60999) and 60 s: 470.5."""
    found = planned(STEADY)
    assert found.ports == 28232
    assert found.nominal == pytest.approx(470.5, abs=0.1)


def test_three_hundred_ports_carry_what_was_measured() -> None:
    """Measured on Linux 6.18 over 185 s: 4.86 connects/s over 300 ports, the client closing."""
    found = planned(STEADY, "ip_local_port_range=40000 40299")
    assert found.highest == pytest.approx(4.86, rel=0.01)


@pytest.mark.parametrize(("delay", "measured"), [(1000, 300.0), (100, 3000.0)])
def test_tw_reuse_carries_a_port_a_delay(delay: int, measured: float) -> None:
    """Measured on Linux 6.18: 300 ports and tcp_tw_reuse_delay of 1000 ms carried 300/s (and 3000/s is the ideal)."""
    found = planned(STEADY, "ip_local_port_range=40000 40299", "tcp_tw_reuse=1", f"tcp_tw_reuse_delay={delay}")
    assert found.highest == pytest.approx(measured)


def test_reuse_does_nothing_without_timestamps_or_for_bind() -> None:
    for demand, assignments in (
        (STEADY, ["tcp_tw_reuse=1", "tcp_timestamps=0"]),
        (replace(STEADY, binding=Binding.BIND), ["tcp_tw_reuse=1"]),
    ):
        assert planned(demand, *assignments).highest == pytest.approx(planned(demand).highest)


def test_on_loopback_the_default_reuses() -> None:
    """tcp_tw_reuse = 2 since 4.19: loopback only."""
    assert planned(STEADY, loopback=True).highest == pytest.approx(28232)


def test_a_port_from_bind_is_taken_for_every_destination() -> None:
    """Measured on Linux 6.18 with a range of 8: 8, then EADDRINUSE to any destination; late, 8 for each."""
    many = replace(STEADY, destinations=4)
    assert planned(many).highest == pytest.approx(4 * planned(replace(many, binding=Binding.BIND)).highest)


def test_where_the_server_closes_ports_are_no_limit_and_half_of_them_wait() -> None:
    """Measured on Linux 6.18: a client with 64 ports, thousands of connects/s, no failure, 32 waits at the server."""
    found = planned(replace(STEADY, rate=19400, closer=Closer.SERVER), "ip_local_port_range=40000 40063")
    assert (found.failing, found.client_waits, found.server_waits) == (0.0, 0.0, 32.0)
    assert found.refused == 0.0


def test_a_server_at_ten_thousand_closes_a_second_overflows_the_default_table() -> None:
    """10,000 closes/s of about a minute: some 613,000 waits at 256 octets, far beyond 131,072."""
    found = planned(replace(STEADY, rate=10_000, closer=Closer.SERVER, sources=1000, hold=0.0))
    # Each of 1,000 clients comes back to some ports within the minute, by chance: 2 % fewer.
    assert found.server_waits == pytest.approx(10_000 * 61.3, rel=0.03)
    assert found.server_waits < 10_000 * 61.3
    assert found.overflow > 0.7
    assert found.server_memory == pytest.approx(157e6, rel=0.03)


def test_without_timestamps_half_of_the_isn_clock_refuses() -> None:
    """The clock of Linux steps every 64 ns and wraps in 274.9 s: a pair reused 137 to 274 s after its first SYN looks
    old.  The port comes back 100 s (14,116 ports at 200/s: 70 s) after it was opened; held for 90 s, with the wait."""
    quick = replace(STEADY, rate=300, closer=Closer.SERVER, hold=1.0)
    assert planned(quick, "tcp_timestamps=0").refused == 0.0  # 47 s old
    held = replace(quick, hold=150.0, rate=90.0)  # 14,116 / 90 = 157 s old, 7 s into the wait
    assert planned(held, "tcp_timestamps=0").refused == 1.0
    assert planned(held).refused == 0.0
    fast = replace(quick, octets=2**31)  # sent more than the clock moved on: 47 s of 15.6 million a second
    assert planned(fast, "tcp_timestamps=0").refused == 1.0


def test_too_much_fills_up_when_it_must() -> None:
    found = planned(replace(STEADY, rate=500))
    assert found.full_in == pytest.approx(28232 / 500)
    assert found.failing == pytest.approx(1 - 28232 / (500 * 61.3), rel=0.01)


@pytest.mark.parametrize(
    ("name", "rate"), [("freebsd", 925.6), ("illumos", 546.1), ("macos", 546.1), ("lwip", 136.5), ("gvisor", 825.6)]
)
def test_other_stacks_carry_their_ports_over_their_wait(name: str, rate: float) -> None:
    """Ports of the stack's documented range divided by its documented TIME-WAIT."""
    found = forecast(STEADY, limits(profiles.get(name)))
    assert found.nominal == pytest.approx(rate, rel=0.02)
