"""The last minute read from one look, and what it leads to: by arithmetic, and on real sockets with known schedules."""

import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from needs import require_namespaces
from timewait.clock import MS, SECOND
from timewait.endpoint import Endpoint
from timewait.host.budget import Budget, budget, budgets
from timewait.host.history import forecast, history
from timewait.host.limits import timing, wheel_ms
from timewait.host.snapshot_file import from_text
from timewait.lab.host import Outcome
from timewait.lab.kernel import KernelHost
from timewait.lab.scenario import STALL
from timewait.system.census import CELL_MS
from troubles import TROUBLES, ends, look, narrow


def cells_of(ages_ms: list[int]) -> tuple[tuple[int, int], ...]:
    """Count sockets of these ages as a census does."""
    counts: dict[int, int] = {}
    for age in ages_ms:
        cell = (60_000 - age) // CELL_MS
        counts[cell] = counts.get(cell, 0) + 1
    return tuple(sorted(counts.items()))


def waiting(size: int, ages_ms: list[int], live: int = 0, reuse_after_ms: int | None = None) -> Budget:
    cells = cells_of(ages_ms)
    states = {"TIME-WAIT": len(ages_ms), "ESTABLISHED": live}
    return budget(("192.0.2.1", "198.51.100.7", 443), size, states, 0, cells, cells, reuse_after_ms)


@given(st.lists(st.integers(0, 60_000), max_size=200))
def test_the_truth_lies_in_the_band_of_every_second(ages_ms: list[int]) -> None:
    past = history(cells_of(ages_ms))
    for number, second in enumerate(past.seconds):
        truth = sum(age // 1000 == number for age in ages_ms)
        assert second.least <= truth <= second.most
        assert second.least <= second.estimate <= second.most


@pytest.mark.parametrize(("hz", "step_ms"), [(100, 5120), (250, 2048), (300, 1707), (1000, 4096)])
def test_the_wheel_keeps_a_minute_in_steps_that_depend_on_hz(hz: int, step_ms: int) -> None:
    """The tables above calc_index in kernel/time/timer.c: the row whose range holds 60 s (HZ=300: 1706 ms, cut)."""
    assert wheel_ms(hz) == step_ms
    assert timing(hz).late_most_ms - timing(250).late_most_ms == step_ms - 2048
    assert timing(0).late_most_ms >= timing(hz).late_most_ms
    assert timing(0).tick_ms >= timing(hz).tick_ms


def test_what_a_destination_carries_depends_on_hz() -> None:
    slow, usual = (waiting(6000, [1000])._replace(hz=hz) for hz in (1000, 250))
    assert slow.sustains == pytest.approx(6000 / 62.524)
    assert usual.sustains == pytest.approx(6000 / 61.5)
    assert slow.next_free_ms is not None
    assert usual.next_free_ms is not None
    assert slow.next_free_ms[1] - usual.next_free_ms[1] == 2048


def test_a_finer_tick_narrows_the_band() -> None:
    """A cell of 256 ms that ends 5 ms before a second does: a tick of 10 ms reaches over, one of 1 ms does not."""
    cell = next(number for number in range(235) if _ends_near(number))
    coarse, fine = history(((cell, 7),), hz=100), history(((cell, 7),), hz=1000)
    assert sum(second.most for second in coarse.seconds) == 14
    assert sum(second.most for second in fine.seconds) == 7


def _ends_near(cell: int) -> bool:
    """Whether the oldest age of a cell is 2 to 9 ms short of a whole second, and the cell within one."""
    youngest, oldest = 60_000 - (cell + 1) * CELL_MS, 60_000 - cell * CELL_MS
    return 2 <= -oldest % 1000 <= 9 and youngest // 1000 == oldest // 1000


def test_a_steady_rate_is_told_as_such() -> None:
    past = history(cells_of(list(range(0, 60_000, 20))))
    assert past.now == pytest.approx(50, rel=0.02)
    assert past.mean == pytest.approx(50, rel=0.02)
    assert past.worst == pytest.approx(50, rel=0.02)


def test_a_burst_long_ago_is_the_worst_and_not_now() -> None:
    past = history(cells_of(list(range(30_000, 40_000, 10))))
    assert past.now == 0
    assert past.worst == pytest.approx(100, rel=0.05)


def test_a_young_flood_fills_the_rest_at_its_rate() -> None:
    """100 a second since ten seconds: nothing comes back before the 500 left are used."""
    ahead = forecast(waiting(1500, list(range(0, 10_000, 10))), 100)
    assert ahead.full_in_s == pytest.approx(5.0)


def test_what_comes_back_meanwhile_is_counted() -> None:
    """Half of what waits is 50 s old: it comes back some 11.5 s from now, which is in time."""
    ahead = forecast(waiting(2000, [50_000] * 500 + [1000] * 500), 60)
    assert ahead.full_in_s == pytest.approx((1000 + 500) / 60)
    assert forecast(waiting(2000, [50_000] * 500 + [1000] * 500), 20).full_in_s is None


def test_below_what_it_sustains_a_destination_settles() -> None:
    """Little: 4 a second for 61.5 s each, and 10 that stay."""
    ahead = forecast(waiting(300, list(range(0, 60_000, 250)), live=10), 4)
    assert (ahead.full_in_s, ahead.settles_at) == (None, 256)


def test_a_full_budget_is_over_already_and_a_reusable_one_is_not() -> None:
    ages = [5000] * 300
    assert forecast(waiting(300, ages), 10).already
    assert not forecast(waiting(300, ages, reuse_after_ms=1000), 10).already


def closes_due(service: int, tick: int) -> int:
    """Return how often a service closes in one tick: steady, sawtooth, rising, falling, rare, bursts, late, heavy."""
    schedules = (1, tick % 4, tick // 4, 10 - tick // 4, tick % 20 == 0, 20 * (tick == 7), tick > 20, 4)
    return int(schedules[service])


def test_eight_services_with_known_schedules_are_reconstructed_within_the_band(tmp_path: Path) -> None:
    """Closes on real sockets, each schedule its own; the truth is the clock read at each close."""
    require_namespaces()
    truth: list[list[Outcome]] = [[] for _ in range(8)]
    with KernelHost() as host:
        host.set_sysctl("net.ipv4.tcp_tw_reuse", "0")
        services = [Endpoint("127.0.0.1", 9000 + number) for number in range(8)]
        listeners = [host.listen(at).value for at in services]
        for tick in range(40):
            for number, (at, listener, closed) in enumerate(zip(services, listeners, truth, strict=True)):
                for _ in range(closes_due(number, tick)):
                    client, server = ends(host, listener, at)
                    host.close(client)  # its TIME-WAIT stays; a server's goes where its client's port comes round again
                    closed.append(host.close(server))
            host.wait(100 * MS if tick % 4 != 3 else 4_300 * MS)  # over most of the minute
        seen = look(host, tmp_path, TROUBLES["quiet"])
    now = seen.taken_ns - (time.time_ns() - time.monotonic_ns())
    rows = {row.port: row for row in seen.populations if row.state == "TIME-WAIT"}
    for at, closed in zip(services, truth, strict=True):
        past = history(rows[at.port].cells if closed else (), seen.span_ms)
        for number, second in enumerate(past.seconds):
            # On a busy machine the clock and the look may lie so far apart.
            within = [
                {(now - close.began + STALL) // SECOND, (now - close.ended - STALL) // SECOND} for close in closed
            ]
            surely, perhaps = within.count({number}), sum(number in each for each in within)
            assert second.least <= perhaps, (at, number)
            assert surely <= second.most, (at, number)
        assert sum(second.estimate for second in past.seconds) == pytest.approx(len(closed))


def test_the_forecast_of_a_real_exhaustion_is_right_within_a_tenth(tmp_path: Path) -> None:
    """40 connections a second over 400 ports; looked at after 5.5 s, while it goes on, and exhausted 4.5 s later."""
    require_namespaces()
    file = tmp_path / "snapshot.json"
    with KernelHost() as host:
        listener = narrow(host, 400)
        began, look_at, doctor = host.now(), host.now() + 5_500 * MS, None
        for number in range(1000):
            host.wait(max(0, began + number * 25 * MS - host.now()))
            client = host.connect(Endpoint("127.0.0.1", 5432))
            if not client.ok:
                break
            host.close(client.value)
            host.close(host.accept(listener).value)
            if doctor is None and host.now() >= look_at:
                command = [sys.executable, "-m", "timewait", "doctor", "--netns", str(host.pid), "--save", str(file)]
                doctor = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        assert client.error == "EADDRNOTAVAIL"
        exhausted = client.ended
        assert doctor is not None
        doctor.wait(20)
    seen = from_text(file.read_text(), file.name)
    (used,) = budgets(seen)
    ahead = forecast(used, history(used.waits, seen.span_ms).now)
    real = exhausted - (seen.taken_ns - (time.time_ns() - time.monotonic_ns()))
    assert ahead.full_in_s is not None
    busy = 2 * STALL / SECOND  # the look, or the last connect, may have had to wait for its turn
    assert abs(ahead.full_in_s - real / SECOND) < real / SECOND / 10 + busy


def test_where_a_steady_rate_settles_is_foretold_and_held_to_a_real_minute(tmp_path: Path) -> None:
    """10 closes a second: foretold from the first 20 seconds, counted when the first have come back for a while.

    Of three forecasts the middle one, for a machine that stumbles within the five seconds that a rate is taken from.
    """
    require_namespaces()
    looks = {at: tmp_path / f"{at}.json" for at in (10, 15, 20, 65)}
    running = []
    with KernelHost() as host:
        listener = narrow(host, 800)
        began = host.now()
        for number in range(660):
            host.wait(max(0, began + number * 100 * MS - host.now()))
            client = host.connect(Endpoint("127.0.0.1", 5432))
            assert client.ok, client
            host.close(client.value)
            host.close(host.accept(listener).value)
            if number % 10 == 0 and (file := looks.get(number // 10)):
                command = [sys.executable, "-m", "timewait", "doctor", "--netns", str(host.pid), "--save", str(file)]
                running.append(subprocess.Popen(command, stdout=subprocess.DEVNULL))
        for doctor in running:
            doctor.wait(60)
    foretold = []
    for at, file in looks.items():
        seen = from_text(file.read_text(), file.name)
        (used,) = budgets(seen)
        ahead = forecast(used, history(used.waits, seen.span_ms, seen.hz).now)
        if at < 60:
            assert ahead.full_in_s is None
            foretold.append(ahead.settles_at)
    assert sorted(foretold)[1] == pytest.approx(used.used, rel=0.1)
    assert used.used < 660 - 20, "some have come back"
