"""A fleet's day as a table and as data."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any, Final

from timewait.plan.fleet import Fleet, Played
from timewait.report.columns import grouped, table
from timewait.report.plan import number, time
from timewait.report.values import share_between, share_text

SCHEMA_VERSION: Final = 1
# A set: the ports of one host towards one destination, or of one address of a NAT.
_HEAD: Final = ("FROM", "SETS", "CONNECTS", "FAIL", "PORTS IN USE", "OF THE FULLEST")


def lines(name: str, fleet: Fleet, played: Played) -> Iterator[str]:
    """Yield what was played, a row for each stretch of time, and what it comes to."""
    yield (
        f"{name}: {grouped(played.connects)} connects, {number(fleet.rate)}/s, sets of {grouped(fleet.ports)} ports "
        f"(seed {played.seed}, steps of {time(played.step)})"
    )
    yield ""
    rows = [
        (
            time(each.begins),
            grouped(each.hosts),
            grouped(each.connects),
            share_text(each.failed / each.connects) if each.connects else "",
            grouped(round(each.used)),
            grouped(each.fullest),
        )
        for each in played.stretches
    ]
    yield from table(_HEAD, rows, right=_HEAD)
    yield ""
    failing = played.failing
    after = "once the first stretch is over"
    if not failing.mean:
        yield f"none of the connects fails {after}"
    else:
        yield f"{share_between(failing.mean, failing.half)} of the connects fail {after} (95 %)"


def data(name: str, fleet: Fleet, played: Played) -> dict[str, Any]:
    """Return the same for JSON."""
    return {
        "name": name,
        "rate": fleet.rate,
        "ports": fleet.ports,
        "blocked_s": fleet.blocked,
        "holds": asdict(fleet.hold),
        "balance": fleet.balance,
        "connects": played.connects,
        "seed": played.seed,
        "step_s": played.step,
        "failing": played.failing._asdict(),
        "used": played.used,
        "fullest": played.fullest,
        "stretches": [each._asdict() for each in played.stretches],
    }
