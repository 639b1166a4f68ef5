"""A sweep's rows as a table, as comma-separated values and as data: one row for each cell and set of ports."""

import csv
import io
import math
from collections.abc import Iterator, Sequence
from typing import Any, Final

from timewait.plan.sweep import SCHEMA_VERSION, Sweep, Task
from timewait.report.columns import grouped, table
from timewait.report.values import share_text

Rows = dict[str, list[dict[str, Any]]]
# What a row has, in the order in which it is written.
FIELDS: Final = (
    "from",
    "to",
    "ports",
    "sets",
    "load",
    "foretold_failing",
    "failing",
    "failing_half",
    "used",
    "used_half",
    "beyond_half",
    "beyond_half_half",
    "waiting",
    "waiting_half",
    "first_failure",
    "connects",
    "seed",
    "correlated",
    "error",
)
_HEAD: Final = ("FROM", "TO", "PORTS", "LOAD", "FAIL", "±", "USED", "PAST HALF", "TIME-WAIT", "FIRST FAILURE")


def lines(sweep: Sweep, tasks: Sequence[Task], rows: Rows) -> Iterator[str]:
    """Yield a table: what was varied, then what came of it; below it what the columns are."""
    names = [vary.name for vary in sweep.varies]
    body = []
    notes: dict[str, None] = {}
    hanging = False
    for task in tasks:
        values = [value for _, _, _, value in task.cell.values]
        for row in rows.get(task.cell.key, []):
            if "error" in row:
                notes[row["error"]] = None
                body.append(
                    (*values, row["from"], row["to"], grouped(row["ports"]), share_text(row["load"]), *"------")
                )
                continue
            hanging |= bool(row["correlated"])
            body.append((*values, *_cells(row)))
    yield from table((*(name.upper() for name in names), *_HEAD), body, right=(*_HEAD[2:], *(n.upper() for n in names)))
    yield ""
    yield "LOAD: ports wanted of those there are.  FAIL ±: share of connects, 95 % interval.  USED: ports, mean."
    yield "PAST HALF: connects that found the first half of the ports in use.  TIME-WAIT: mean of one set of ports."
    if hanging:
        yield "Some intervals are too narrow: what is open lasts as long as a batch.  More --connects would mend that."
    for note in notes:
        yield f"-: {note}"


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    first = row["first_failure"]
    return (
        row["from"],
        row["to"],
        grouped(row["ports"]),
        share_text(row["load"]),
        share_text(row["failing"]),
        share_text(row["failing_half"]),
        grouped(round(row["used"])),
        "" if row["beyond_half"] is None else share_text(row["beyond_half"]),
        grouped(round(row["waiting"])),
        "none" if first is None else f"{first:.3g} s",
    )


def comma_separated(sweep: Sweep, tasks: Sequence[Task], rows: Rows) -> str:
    """Return all rows with all fields, and a head."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*(vary.name for vary in sweep.varies), *FIELDS])
    for task in tasks:
        values = [value for _, _, _, value in task.cell.values]
        for row in rows.get(task.cell.key, []):
            writer.writerow([*values, *("" if row.get(field) is None else row[field] for field in FIELDS)])
    return out.getvalue()


def data(sweep: Sweep, tasks: Sequence[Task], rows: Rows) -> dict[str, Any]:
    """Return the same for JSON; a first failure that never came is null."""
    return {
        "schema_version": SCHEMA_VERSION,
        "command": "plan sweep",
        "seed": sweep.seed,
        "varied": {vary.name: list(vary.values) for vary in sweep.varies},
        "cells": [
            {
                "values": {name: value for name, _, _, value in task.cell.values},
                "rows": [{name: _finite(value) for name, value in row.items()} for row in rows.get(task.cell.key, [])],
            }
            for task in tasks
        ],
    }


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
