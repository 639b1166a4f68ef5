"""Stack profiles as tables: all of them at a glance, some side by side, each value with its source."""

import textwrap
from collections.abc import Iterator
from dataclasses import fields
from typing import Any, Final

from timewait.report.columns import table, wrapped
from timewait.report.values import value_text
from timewait.tcp.profile import Profile, Reuse

SCHEMA_VERSION: Final = 1
# What is not a value of the stack.
_NOT_VALUES: Final = ("name", "title", "basis", "sources", "sysctls")
NAMES: Final = tuple(field.name for field in fields(Profile) if field.name not in _NOT_VALUES)
_LABEL: Final = max(map(len, NAMES))
_NARROWEST: Final = 20  # columns for a profile's values
_UNSAID: Final = "the default: RFC 9293 and what it builds on, nothing looked up"


def overview(found: list[Profile], width: int) -> Iterator[str]:
    """Yield one line a profile: what its TIME-WAIT is."""
    rows = [
        (
            profile.name,
            value_text("time_wait", profile.time_wait),
            profile.tw_syn.value,
            profile.tw_rst.value,
            _reuse(profile),
            value_text("ephemeral_range", profile.ephemeral_range),
        )
        for profile in found
    ]
    left = width - 12 - 9 - 12 - 11 - 10
    head = ("PROFILE", "TIME-WAIT", "A SYN REOPENS IT", "A RST ENDS IT", "CONNECT", "PORTS")
    yield from wrapped(head, rows, (12, 9, left * 3 // 5, left * 2 // 5, 12, 11))
    yield ""
    yield from textwrap.wrap(
        "CONNECT: who may take over a four-tuple in TIME-WAIT by connect(): a port chosen by bind(), or by connect(). "
        "All values of two: timewait profiles linux freebsd; only what differs: --diff; where each is from: --why.",
        width,
    )


def _reuse(profile: Profile) -> str:
    ways = ["bind()"] if profile.reuse_bound else []
    if profile.reuse_ephemeral is not Reuse.NEVER:
        ways.append("connect()")
    return ", ".join(ways) or "nobody"


def side_by_side(found: list[Profile], width: int, *, diff: bool = False, why: bool = False) -> Iterator[str]:
    """Yield the values of profiles in columns; `diff`: only those that differ; `why`: the source of each below it."""
    names = [name for name in NAMES if not diff or len({getattr(profile, name) for profile in found}) > 1]
    if not names:
        yield "No value differs."
        return
    at_once = max(1, (width - _LABEL) // (_NARROWEST + 2))
    if why:
        for profile in found:
            yield from textwrap.wrap(f"{profile.name}: {profile.basis}", width, subsequent_indent="  ")
        yield ""
    for start in range(0, len(found), at_once):
        if start:
            yield ""
        yield from _columns(found[start : start + at_once], names, width, why)


def _columns(found: list[Profile], names: list[str], width: int, why: bool) -> Iterator[str]:
    each = (width - _LABEL) // len(found) - 2
    widths = [_LABEL, *(each for _ in found)]
    yield from _row(["", *(profile.name for profile in found)], widths)
    yield from _row(["", *(profile.title for profile in found)], widths)
    for name in names:
        yield from _row([name, *(value_text(name, getattr(profile, name)) for profile in found)], widths)
        if not why:
            continue
        for profile in found:
            said = f"{profile.name}: {profile.sources.get(name, _UNSAID)}"
            yield from textwrap.wrap(said, width, initial_indent="    ", subsequent_indent="      ")


def _row(row: list[str], widths: list[int]) -> Iterator[str]:
    # A table of one row, so that sources can stand between rows; padding keeps the columns equally wide.
    head = [text.ljust(width) for text, width in zip(row, widths, strict=True)]
    return wrapped(head, (), widths)


def settings(found: list[Profile]) -> Iterator[str]:
    """Yield the settings of one profile: names under which values can be changed."""
    for profile in found:
        rows = [
            (name, " ".join(map(str, each.default)) if isinstance(each.default, tuple) else each.default, each.field)
            for name, each in profile.sysctls.items()
        ]
        yield from table((f"SETTING OF {profile.name}", "DEFAULT", "CHANGES"), rows)


def data(found: list[Profile], *, diff: bool = False) -> dict[str, Any]:
    """Return profiles as data for JSON; `value` of a duration is in nanoseconds."""
    names = [name for name in NAMES if not diff or len({getattr(profile, name) for profile in found}) > 1]
    return {
        "schema_version": SCHEMA_VERSION,
        "command": "profiles",
        "profiles": [
            {
                "name": profile.name,
                "title": profile.title,
                "basis": profile.basis,
                "values": {
                    name: {
                        "value": getattr(profile, name),
                        "text": value_text(name, getattr(profile, name)),
                        "source": profile.sources.get(name),
                    }
                    for name in names
                },
                "settings": {
                    name: {"default": each.default, "changes": each.field} for name, each in profile.sysctls.items()
                },
            }
            for profile in found
        ],
    }
