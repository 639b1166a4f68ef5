"""A snapshot as a file that can be examined elsewhere, with its addresses and names or without them.

The file is JSON, its fields those of `Snapshot`; docs/reference/snapshot.md describes them.
"""

import hashlib
import hmac
import ipaddress
import json
import math
from collections.abc import Callable, Iterable
from typing import Any, Final

from timewait.errors import UsageError
from timewait.host.snapshot import (
    Bound,
    Closer,
    Crowd,
    Listening,
    Owner,
    OwnRange,
    Population,
    Restart,
    Snapshot,
    Trace,
    Unclear,
)
from timewait.system.census import CELL_MS

SCHEMA_VERSION: Final = 1
FORMAT: Final = "timewait snapshot"
_MOST_HZ: Final = 1200  # kernel/Kconfig.hz has 1000 at most, arch/alpha 1200
# Fields that files of the same version may lack: they were added, with a default, and nothing else changed.
_MAY_LACK: Final = frozenset({"restarts", "recycle_in", "trace", "bound", "unclear", "ranges"})
_MOST_COUNTED: Final = 1 << 64  # what a counter of the kernel can hold
_MOST_CELL: Final = 1 << 20  # three days: far above any time left


def to_text(snapshot: Snapshot) -> str:
    """Write a snapshot as a file's text."""
    data: dict[str, Any] = {"format": FORMAT, "schema_version": SCHEMA_VERSION, "cell_ms": CELL_MS}
    data.update(snapshot._asdict())
    data["populations"] = [
        [*row[:8], [number for cell in row.cells for number in cell], *([True] if row.late else [])]
        for row in snapshot.populations
    ]
    if snapshot.trace is None:
        del data["trace"]  # as files were before there was one
    else:
        data["trace"] = snapshot.trace._asdict()
    return json.dumps(data, separators=(",", ":")) + "\n"


def from_text(text: str, name: str) -> Snapshot:
    """Read a snapshot; `name` is the file's, for the words of an error.  Raises `UsageError`."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{name} is not a snapshot: {error}", "write one with: timewait doctor --save FILE") from None
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise UsageError(f"{name} is not a snapshot of timewait", "write one with: timewait doctor --save FILE")
    if data.get("schema_version") != SCHEMA_VERSION or data.get("cell_ms") != CELL_MS:
        raise UsageError(
            f"{name} has schema_version {data.get('schema_version')!r}; this program reads {SCHEMA_VERSION}",
            "read it with the version of timewait that wrote it",
        )
    try:
        return _read(data)
    except (AttributeError, LookupError, TypeError, ValueError, OverflowError) as error:
        raise UsageError(f"{name} is damaged: {type(error).__name__} {error}", "save the snapshot again") from None


def _read(data: dict[str, Any]) -> Snapshot:
    fields = {name: data[name] for name in Snapshot._fields if name in data or name not in _MAY_LACK}
    fields["populations"] = tuple(_population(row) for row in data["populations"])
    fields["listeners"] = tuple(Listening(_address(at), _port(port), bool(v6)) for at, port, v6 in data["listeners"])
    fields["owners"] = tuple(_owner(row) for row in data["owners"])
    fields["crowds"] = tuple(Crowd(_address(at), _count(many), _count(ports)) for at, many, ports in data["crowds"])
    fields["restarts"] = tuple(_restart(row) for row in data.get("restarts", ()))
    fields["trace"] = _trace(data["trace"]) if data.get("trace") else None
    fields["bound"] = tuple(map(_bound, data.get("bound", ())))
    fields["unclear"] = None if data.get("unclear") is None else tuple(map(_unclear, data["unclear"]))
    fields["ranges"] = tuple(map(_own_range, data.get("ranges", ())))
    fields["counters"] = _numbers(data["counters"])
    fields["moved"] = _numbers(data["moved"])
    fields["sysctls"] = {str(name): str(value) for name, value in data["sysctls"].items()}
    fields["absent"] = tuple(map(_address, data["absent"]))
    fields["recycle_in"] = tuple(map(str, data.get("recycle_in", ())))
    fields["missing"] = tuple(map(str, data["missing"]))
    for name in ("taken_ns", "span_ms", "hz"):
        fields[name] = _count(data[name])
    for name in ("uptime_s", "interval_s"):
        fields[name] = _seconds(data[name])
    if fields["hz"] > _MOST_HZ:
        raise ValueError(f"{fields['hz']} is not a kernel's HZ")
    for name in ("kernel", "namespace"):
        fields[name] = str(data[name])
    return Snapshot(**fields)


def _population(row: list[Any]) -> Population:
    state, role, local, address, port, in_pool, count, not_held, flat, *late = row
    cells = tuple(zip(map(_cell, flat[::2]), map(_count, flat[1::2]), strict=True))
    ends = (_address(local), _address(address), _port(port))
    return Population(str(state), str(role), *ends, bool(in_pool), _count(count), _count(not_held), cells, any(late))


def _trace(data: dict[str, Any]) -> Trace:
    closers = tuple(
        Closer(
            str(role),
            _address(local),
            _address(address),
            _port(port),
            _count(pid),
            str(command),
            str(cgroup),
            _count(one),
            _count(two),
        )
        for role, local, address, port, pid, command, cgroup, one, two in data["closers"]
    )
    counts = (_count(data[name]) for name in ("elsewhere", "unplaced", "lost"))
    seconds = _seconds(data["seconds"])
    if not seconds:
        raise ValueError("a trace of 0 seconds")
    return Trace(seconds, closers, *counts)


def _restart(row: list[Any]) -> Restart:
    address, port, running, reuse, count, left = row
    flag = None if reuse is None else bool(reuse)
    return Restart(_address(address), _port(port), bool(running), flag, _count(count), _count(left))


def _bound(row: list[Any]) -> Bound:
    local, address, port, ports = row
    return Bound(_address(local), _address(address), _port(port), tuple(map(_port, ports)))


def _unclear(row: list[Any]) -> Unclear:
    local, address, port, ports = row
    return Unclear(_address(local), _address(address), _port(port), _count(ports))


def _own_range(row: list[Any]) -> OwnRange:
    address, port, low, high, used = row
    if _port(low) > _port(high):
        raise ValueError(f"{low} to {high} is not a range of ports")
    return OwnRange(_address(address), _port(port), low, high, _count(used))


def _numbers(data: dict[str, Any]) -> dict[str, int]:
    """Read counters and how they moved; Tcp.MaxConn is -1, and a gauge may fall."""
    return {
        str(name): -_count(-value) if isinstance(value, int) and value < 0 else _count(value)
        for name, value in data.items()
    }


def _owner(row: list[Any]) -> Owner:
    local, address, port, pid, command, cgroup, *counts = row
    return Owner(
        _address(local), _address(address), _port(port), _count(pid), str(command), str(cgroup), *map(_count, counts)
    )


def _address(value: Any) -> str:
    """Return an address as it is written, or "" for none."""
    if value == "":
        return ""
    return str(ipaddress.ip_address(value if isinstance(value, str) else repr(value)))


def _port(value: Any) -> int:
    if not isinstance(value, int) or not 0 <= value <= 65535:
        raise ValueError(f"{value!r} is not a port")
    return value


def _count(value: Any) -> int:
    """Return a whole number from 0 on, as the kernel counts."""
    if not isinstance(value, int) or not 0 <= value < _MOST_COUNTED:
        raise ValueError(f"{value!r} is not a count")
    return value


def _cell(value: Any) -> int:
    if (cell := _count(value)) > _MOST_CELL:
        raise ValueError(f"{cell} is not a time left")
    return cell


def _seconds(value: Any) -> float:
    if not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise ValueError(f"{value!r} is not a length of time")
    return float(value)


# -- without addresses ------------------------------------------------------------------------------------------------


def anonymous(snapshot: Snapshot, key: bytes) -> Snapshot:
    """Return the snapshot with addresses, commands, control groups and the namespace's name made anonymous.

    The same key gives the same names: 240.0.0.0/4 (reserved, RFC 1112 section 4) and 2001:db8::/32 (RFC 3849), so that
    nobody takes them for real ones.  Loopback and "any address" stay, for they say nothing about anybody.
    """
    hide = _hider(key)

    def word(text: str) -> str:
        return f"p-{hmac.new(key, text.encode(), hashlib.sha256).hexdigest()[:8]}" if text else ""

    def rows(found: Iterable[Any], *names: str) -> tuple[Any, ...]:
        return tuple(row._replace(**{name: hide(getattr(row, name)) for name in names}) for row in found)

    def processes(found: Iterable[Any]) -> tuple[Any, ...]:
        named = rows(found, "local", "address")
        return tuple(row._replace(command=word(row.command), cgroup=word(row.cgroup)) for row in named)

    trace = snapshot.trace and snapshot.trace._replace(closers=processes(snapshot.trace.closers))
    return snapshot._replace(
        populations=rows(snapshot.populations, "local", "address"),
        listeners=rows(snapshot.listeners, "address"),
        owners=processes(snapshot.owners),
        trace=trace,
        crowds=rows(snapshot.crowds, "local"),
        ranges=rows(snapshot.ranges, "address"),
        bound=rows(snapshot.bound, "local", "address"),
        unclear=snapshot.unclear and rows(snapshot.unclear, "local", "address"),
        restarts=rows(snapshot.restarts, "address"),
        absent=tuple(map(hide, snapshot.absent)),
        recycle_in=tuple(map(word, snapshot.recycle_in)),
        namespace=word(snapshot.namespace),
    )


def _hider(key: bytes) -> Callable[[str], str]:
    def hide(text: str) -> str:
        if not text:
            return text
        address = ipaddress.ip_address(text)
        if address.is_loopback or address.is_unspecified:
            return text
        digest = hmac.new(key, address.packed, hashlib.sha256).digest()
        if address.version == 4:
            return str(ipaddress.IPv4Address(0xF0000000 | int.from_bytes(digest[:4], "big") >> 4))
        return str(ipaddress.IPv6Address(0x20010DB8 << 96 | int.from_bytes(digest[:12], "big")))

    return hide
