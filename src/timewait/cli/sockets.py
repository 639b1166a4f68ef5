"""`timewait sockets` without its help: what is asked, and the answer.

Light to import: most of what a short command costs is starting up.  `sockets_command` has the rest.
"""

import sys

from timewait.errors import Exit, UsageError
from timewait.system.sock_diag import ALL_STATES, LISTEN, STATES, TIME_WAIT, state_mask

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from timewait.system.census import Group
    from timewait.system.socket_table import Socket

SCHEMA_VERSION = 1
ROLES = ("server", "client")
GROUPS = ("destination", "role", "state")
_CHUNK = 1000  # rows whose widths are judged together; a full host's table is printed while it is read
_LIFE_MS = 60_000  # TCP_TIMEWAIT_LEN, include/net/tcp.h


class Asked:
    """What the command line asks for: text as given, "" where it is not."""

    __slots__ = ("as_json", "group", "netns", "role", "source", "state", "to")

    def __init__(
        self,
        state: str = "",
        role: str = "",
        to: str = "",
        group: str = "",
        netns: str = "",
        as_json: bool = False,
        source: "Path | None" = None,
    ) -> None:
        self.state = state
        self.role = role
        self.to = to
        self.group = group
        self.netns = netns
        self.as_json = as_json
        self.source = source


def plain(arguments: list[str]) -> Asked | None:
    """Read arguments that need no parser: full names, `--name value` or `--name=value`, known values.  Else None."""
    asked = Asked()
    words = iter(arguments)
    for word in words:
        name, given, value = word.partition("=")
        if word == "--json":
            asked.as_json = True
            continue
        if name not in ("--state", "--role", "--to", "--group", "--netns"):
            return None
        value = value if given else next(words, "")
        if not value or value.startswith("-") or getattr(asked, name[2:]):
            return None
        if (name == "--role" and value not in ROLES) or (name == "--group" and value not in GROUPS):
            return None
        setattr(asked, name[2:], value)
    return asked


def show(asked: Asked) -> int:
    """Print what was asked for; return the exit status.  Raises `UsageError` or `UnavailableError`."""
    mask = read_states(asked.state)
    address, port = "", 0
    if asked.to:
        from timewait.endpoint import parse

        address, port = parse(asked.to)
    if asked.source:
        return _show_saved(asked, asked.source, mask, address, port)
    if asked.netns:
        from timewait.system.netns import enter

        enter(asked.netns)
    if asked.group:
        return _show_groups(asked, mask, address, port)
    return _show_rows(asked, mask, address, port)


def read_states(text: str) -> int:
    """Return the mask for state names, separated by commas; TIME-WAIT when there are none."""
    if not text:
        return state_mask(TIME_WAIT)
    if text.lower() == "all":
        return ALL_STATES & ~state_mask(LISTEN)
    known = {name: number for number, name in enumerate(STATES) if name}
    mask = 0
    for given in text.split(","):
        name = given.strip().upper().replace("_", "-")
        if name not in known:
            import difflib

            near = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean {near[0]}? " if near else ""
            raise UsageError(f"there is no TCP state {given!r}", f"{hint}states: {', '.join(known)}, or all")
        mask |= state_mask(known[name])
    return mask


# -- groups -----------------------------------------------------------------------------------------------------------


def _show_groups(asked: Asked, mask: int, address: str, port: int) -> int:
    from timewait.system import census
    from timewait.system.counters import sockstat

    waiting = sockstat().get("sockstat.TCP.tw", 0) if mask == state_mask(TIME_WAIT) else 0
    counted = census.take(mask, peer=address, peer_port=port, many=waiting >= census.NUMPY_PAYS_FROM)
    return _print_groups(asked, census.groups(counted.finish(), asked.group, role=asked.role))


def _show_saved(asked: Asked, source: "Path", mask: int, address: str, port: int) -> int:
    """Show a saved snapshot's groups: it does not keep single sockets."""
    from timewait.cli.doctor import load
    from timewait.endpoint import Endpoint
    from timewait.host.groups import groups

    if asked.netns:
        raise UsageError("--from shows a file, and --netns is about this machine", "leave one of them out")
    asked.group = asked.group or "destination"
    states = {name for number, name in enumerate(STATES) if name and mask & 1 << number}
    to = Endpoint(address, port) if address else None
    return _print_groups(asked, groups(load(source), states, asked.group, role=asked.role, to=to))


def _print_groups(asked: Asked, found: "list[Group]") -> int:
    if asked.as_json:
        import json

        print(json.dumps({**_about(asked), "groups": [_group_data(group, asked.group) for group in found]}, indent=2))
        return Exit.OK
    if not found:
        _nothing(asked)
        return Exit.OK
    from timewait.report.columns import grouped, table

    head = {"destination": ("ROLE", "DESTINATION"), "role": ("ROLE",), "state": ()}[asked.group]
    rows = []
    for group in found:
        about = (group.role, _written(group.address, group.port))[: len(head)]
        rows.append((grouped(group.count), group.state, *about, _span(_ages(group)), _span((group.least, group.most))))
    for line in table(("COUNT", "STATE", *head, "AGE", "TIME LEFT"), rows, right=("COUNT", "AGE", "TIME LEFT")):
        print(line)
    return Exit.OK


def _ages(group: "Group") -> "tuple[int | None, int | None]":
    """Return the least and the most age in ms; only a true TIME-WAIT tells when it began."""
    if group.state != "TIME-WAIT" or group.least is None or group.most is None:
        return None, None
    return max(0, _LIFE_MS - group.most), max(0, _LIFE_MS - group.least)


def _span(pair: "tuple[int | None, int | None]") -> str:
    """Return two durations in ms as whole seconds, as a span where they differ."""
    low, high = pair
    if low is None or high is None:
        return "-"
    first, last = round(low / 1000), round(high / 1000)
    return f"{first} s" if first == last else f"{first}-{last} s"


def _group_data(group: "Group", by: str) -> "dict[str, object]":
    newest, oldest = _ages(group)
    data: dict[str, object] = {"count": group.count, "state": group.state}
    if by != "state":
        data["role"] = group.role
    if by == "destination":
        data["destination"] = _written(group.address, group.port)
    return data | {
        "newest_age_ms": newest,
        "oldest_age_ms": oldest,
        "least_time_left_ms": group.least,
        "most_time_left_ms": group.most,
    }


def _written(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


# -- rows -------------------------------------------------------------------------------------------------------------


def _show_rows(asked: Asked, mask: int, address: str, port: int) -> int:
    from timewait.system.netlink import DumpState
    from timewait.system.socket_table import Listeners, listeners, stream

    listening = Listeners(listeners())
    state = DumpState()
    rows = (
        (row, role)
        for row in stream(mask, state, peer_port=port, peer=address)
        if (role := listening.role(row.local)) and (not asked.role or role == asked.role)
    )
    printed = _print_json(asked, rows) if asked.as_json else _print_rows(rows)
    if not printed and not asked.as_json:
        _nothing(asked)
    if state.interrupted:
        print("warning: the table changed while it was read; rows may be missing or stand twice", file=sys.stderr)
    return Exit.OK


def _print_rows(rows: "Iterator[tuple[Socket, str]]") -> int:
    from itertools import islice

    head = ("STATE", "LOCAL", "PEER", "ROLE", "AGE", "TIME LEFT")
    widths = [len(name) for name in head]
    printed = 0
    while chunk := [_cells(row, role) for row, role in islice(rows, _CHUNK)]:
        widths = [max(width, *(len(cells[at]) for cells in chunk)) for at, width in enumerate(widths)]
        if not printed:
            print(_line(head, widths))
        print("\n".join(_line(cells, widths) for cells in chunk))
        printed += len(chunk)
    return printed


def _line(cells: "tuple[str, ...]", widths: list[int]) -> str:
    left = [cell.ljust(width) for cell, width in zip(cells[:4], widths[:4], strict=True)]
    right = [cell.rjust(width) for cell, width in zip(cells[4:], widths[4:], strict=True)]
    return "  ".join(left + right)


def _age_ms(row: "Socket") -> int | None:
    if row.state != "TIME-WAIT" or row.time_left is None:
        return None
    return max(0, _LIFE_MS - row.time_left // 1_000_000)


def _cells(row: "Socket", role: str) -> "tuple[str, ...]":
    age = _age_ms(row)
    left = "-" if row.time_left is None else f"{row.time_left / 1e9:.1f} s"
    return row.state, str(row.local), str(row.peer), role, "-" if age is None else f"{age / 1000:.1f} s", left


def _print_json(asked: Asked, rows: "Iterator[tuple[Socket, str]]") -> int:
    """Print one document, row by row: a full host's table does not fit in memory twice."""
    import json

    about = json.dumps(_about(asked))
    print(about[:-1] + ', "sockets": [', end="")
    printed = 0
    for row, role in rows:
        data = {
            "state": row.state,
            "local": str(row.local),
            "peer": str(row.peer),
            "role": role,
            "mini": row.mini,
            "age_ms": _age_ms(row),
            "time_left_ms": None if row.time_left is None else row.time_left // 1_000_000,
        }
        print("," if printed else "", "\n  ", json.dumps(data), sep="", end="")
        printed += 1
    print("\n]}")
    return printed


def _about(asked: Asked) -> "dict[str, object]":
    return {
        "schema_version": SCHEMA_VERSION,
        "command": "sockets",
        "state": asked.state or "TIME-WAIT",
        "role": asked.role or None,
        "to": asked.to or None,
        "group": asked.group or None,
        "netns": asked.netns or None,
    }


def _nothing(asked: Asked) -> None:
    """Say that there is nothing, on stderr: stdout stays empty for whoever counts lines."""
    narrowed = "".join(f", {name} {value}" for name, value in (("role", asked.role), ("to", asked.to)) if value)
    where = f" in {asked.source}" if asked.source else f" in namespace {asked.netns}" if asked.netns else ""
    print(f"no sockets in {asked.state or 'TIME-WAIT'}{narrowed}{where}", file=sys.stderr)
