"""A trial on this kernel beside what was foretold of it, as text and as data."""

import math
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any, Final

from timewait.plan.validation import TOLERANCE, Row, Validated
from timewait.report.columns import table
from timewait.report.values import share_text

_HEAD: Final = ("ON THIS KERNEL", "FORETOLD", "BETWEEN", "MEASURED", "ERROR", "")
_NAMES: Final = {
    "carried": "connects/s that worked",
    "sustained": "the same, second half",
    "failing": "share that failed",
    "first_failure": "first failure",
    "waiting": "TIME-WAIT, second half",
    "beyond_half": "share beyond half",
}
_SHARES: Final = frozenset({"failing", "beyond_half"})


def lines(found: Validated, width: int) -> Iterator[str]:
    """Yield what was run, the table, and whether it says anything."""
    what = found.trial
    scale = "not scaled" if what.scale == 1 else f"scaled to {what.scale:.3g} of the plan"
    yield from textwrap.wrap(
        f"{found.kernel}, private namespace, {scale}: {what.setting.ports} ports, "
        f"{what.setting.rate:.3g} connects/s for {what.seconds:g} s (seed {what.seed}); "
        + ", ".join(f"{name.rpartition('.')[2]} = {value}" for name, value in what.sysctls.items()),
        width,
    )
    for said in what.differs:
        yield from textwrap.wrap(f"unlike the plan: {said}", width, subsequent_indent="  ")
    yield ""
    rows = [
        (
            _NAMES[row.name],
            _shown(row, row.foretold),
            f"{_shown(row, row.low)} .. {_shown(row, row.high)}",
            _shown(row, row.measured),
            _error(row),
            "" if row.holds else "outside",
        )
        for row in found.rows
    ]
    yield from table(_HEAD, rows, right=_HEAD[1:5])
    yield ""
    yield from textwrap.wrap(_verdict(found), width)


def left_out_lines(names: Sequence[str], width: int) -> Iterator[str]:
    """Yield which sets of ports were not run."""
    yield from textwrap.wrap(
        f"Not run, since they open hardly a connection in that time: {', '.join(names)}.", width, break_on_hyphens=False
    )


def _verdict(found: Validated) -> str:
    if not found.kept:
        return (
            f"This machine was too busy to keep the schedule (one connect in a hundred came "
            f"{found.late * 1000:.3g} ms late or more): the numbers say nothing of the plan. Run it again when less "
            "is going on."
        )
    if found.strange and found.trial.nat:
        return (
            f"{found.strange} connects took longer than half a second: the NAT dropped the SYN, or a server in "
            "TIME-WAIT refused it, as it does when another host behind the NAT comes by the same port with an older "
            "timestamp. The simulation knows the first, not the second."
        )
    if found.strange:
        return f"{found.strange} connects took longer than half a second: something other than ports is in the way."
    within = f"within {TOLERANCE:.0%}" if found.trial.steady else "where it is in 95 % of simulated runs, all at once"
    if found.holds:
        return f"Every number is {within}. The schedule was kept to {found.late * 1000:.3g} ms."
    return f"Not every number is {within}. The schedule was kept to {found.late * 1000:.3g} ms."


def _shown(row: Row, value: float) -> str:
    if math.isinf(value):
        return "none"
    if row.name in _SHARES:
        return share_text(value)
    if row.name == "first_failure":
        return f"{value:.3g} s"
    return f"{value:.1f}" if value >= 100 else f"{value:.3g}"


def _error(row: Row) -> str:
    return "" if math.isinf(row.error) or math.isnan(row.error) else f"{row.error:+.1%}"


def data(found: Validated) -> dict[str, Any]:
    """Return the same for JSON; a first failure that never came is null."""
    what = found.trial
    return {
        "kernel": found.kernel,
        "scale": what.scale,
        "ports": what.setting.ports,
        "rate": what.setting.rate,
        "seconds": what.seconds,
        "seed": what.seed,
        "sysctls": what.sysctls,
        "differs": list(what.differs),
        "schedule_kept": found.kept,
        "late_s": found.late,
        "slow_connects": found.strange,
        "holds": found.holds,
        "rows": [
            {
                "name": row.name,
                "foretold": _finite(row.foretold),
                "low": _finite(row.low),
                "high": _finite(row.high),
                "measured": _finite(row.measured),
                "error": _finite(row.error),
                "holds": row.holds,
            }
            for row in found.rows
        ],
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
