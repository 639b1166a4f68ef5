"""A recorded host as a workload: its rates, its settings, and what was not seen."""

from pathlib import Path

import pytest

from timewait.errors import UsageError
from timewait.host.budget import budgets
from timewait.host.history import history
from timewait.host.snapshot import Snapshot
from timewait.host.snapshot_file import from_text
from timewait.plan import workload_file
from timewait.plan.forecast import forecast
from timewait.plan.from_host import workload

HOSTS = Path(__file__).parent.parent / "hosts"


def seen(name: str) -> Snapshot:
    return from_text((HOSTS / f"{name}.json").read_text(), name)


def test_a_host_short_of_ports_is_short_in_the_plan() -> None:
    """90 closes in the last minute and 5 open connections, towards one port, with a range of 100 ports."""
    host = seen("ports-nearly-gone")
    load = workload(host)
    (budget,) = budgets(host)
    rate = history(budget.waits, host.span_ms, host.hz).mean
    (flow,) = load.flows
    assert flow.rate == pytest.approx(rate, rel=1e-3)
    assert flow.holds.mean == pytest.approx(5 / rate, rel=1e-3)  # Little's law
    assert load.sources[0].port_range == (40000, 40099)
    assert ("net.ipv4.tcp_timestamps", "1") in load.sources[0].sysctls
    (route,) = forecast(load).routes
    assert route.own.ports.ports == 100
    assert not route.carries
    assert workload_file.read(workload_file.write(load), "written") == load


def test_a_quiet_host_has_nothing_to_plan() -> None:
    with pytest.raises(UsageError, match="no rate") as caught:
        workload(seen("quiet")._replace(populations=()))
    assert caught.value.hint


@pytest.mark.parametrize("path", sorted(HOSTS.glob("*.json")), ids=lambda path: path.stem)
def test_every_recorded_host_gives_a_plan_or_says_why_not(path: Path) -> None:
    host = seen(path.stem)
    if not any(history(budget.waits, host.span_ms, host.hz).mean >= 1 / 30 for budget in budgets(host)):
        with pytest.raises(UsageError):
            workload(host)
    else:
        assert forecast(workload(host)).routes
