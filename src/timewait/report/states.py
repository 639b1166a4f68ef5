"""The transition table as text: one block a state, what happens on which event, and where that is written."""

from collections.abc import Iterator
from typing import Any, Final

from timewait.report.columns import wrapped
from timewait.tcp.states import State, table_rows

SCHEMA_VERSION: Final = 1
_HEAD: Final = ("STATE", "EVENT", "NEXT", "DOES", "RFC 9293")


def lines(width: int, *, states: tuple[State, ...] = (), everything: bool = False) -> Iterator[str]:
    """Yield the table; `everything`: also the pairs that are ignored and those that cannot happen, with the reason."""
    chosen = states or tuple(State)
    rows: list[tuple[str, ...]] = []
    for state in chosen:
        first = str(state)
        for row in table_rows():
            if row.state != str(state) or (row.kind != "row" and not everything):
                continue
            if rows and first:
                rows.append(("",) * 5)
            event = row.event.replace("timeout ", "timeout: ")
            after = row.next if row.kind == "row" else f"({row.kind})"
            rows.append((first, event, after, row.actions, row.note))
            first = ""
    left = width - 12 - 15 - 12 - 8
    yield from wrapped(_HEAD, rows, (12, 15, 12, left // 2, left - left // 2))


def data() -> dict[str, Any]:
    """Return the whole table as data for JSON."""
    return {
        "schema_version": SCHEMA_VERSION,
        "command": "states",
        "pairs": [row._asdict() for row in table_rows()],
    }
