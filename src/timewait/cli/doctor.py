"""`timewait doctor` without its help: look at this host once, say what is the matter, and what to do.

Light to import, as `sockets` is; `doctor_command` has the rest.
"""

import sys
from pathlib import Path
from typing import NamedTuple

from timewait.cli.output import WHEN, show_lines, width
from timewait.errors import Exit, TimewaitError, UnavailableError, UsageError
from timewait.host.finding import Severity
from timewait.host.findings import examine
from timewait.host.limits import Limits
from timewait.host.snapshot import Snapshot
from timewait.report.doctor import check_line, data, screen

TYPE_CHECKING = False
if TYPE_CHECKING:
    from timewait.host.reuse import Demand, Reuse


# A snapshot of a full host has some kB, one with 100,000 destinations some MB.
_MOST_BYTES = 64 << 20


class Asked(NamedTuple):
    """What the command line asks for."""

    netns: str = ""
    interval: float = 0.0
    trace: float = 0.0
    save: Path | None = None
    source: Path | None = None
    anonymise: bool = False
    requests: tuple[str, ...] = ()
    limits: tuple[str, ...] = ()
    limits_file: Path | None = None
    everything: bool = False
    check: bool = False
    as_json: bool = False
    colour: str = "auto"


def plain(arguments: list[str]) -> Asked | None:
    """Read arguments that need no parser: the flags, and `--netns VALUE`.  Else None."""
    flags: set[str] = set()
    netns, colour = "", "auto"
    words = iter(arguments)
    for word in words:
        if word in ("--json", "--check", "--all", "--anonymise"):
            flags.add(word)
        elif word.startswith("--color=") and word[8:] in WHEN:
            colour = word[8:]
        elif word == "--netns" and not netns:
            netns = next(words, "")
            if not netns or netns.startswith("-"):
                return None
        else:
            return None
    return Asked(
        netns,
        anonymise="--anonymise" in flags,
        everything="--all" in flags,
        check="--check" in flags,
        as_json="--json" in flags,
        colour=colour,
    )


def show(asked: Asked) -> int:
    """Print what was asked for; return the exit status.  Raises `UsageError` or `UnavailableError`."""
    try:
        limits = _limits(asked.limits_file, asked.limits)
        demands = [_demand(text) for text in asked.requests]
        _refuse(asked)
        if asked.netns == "all":
            return _show_all(asked, limits)
        seen = load(asked.source) if asked.source else look_at(asked.netns, asked.interval, limits, asked.trace)
        if asked.anonymise:
            from timewait.host.snapshot_file import anonymous

            seen = anonymous(seen, _key())
        if asked.save:
            _save(asked.save, seen)
    except TimewaitError as error:
        if not asked.check:
            raise
        print(f"TIMEWAIT UNKNOWN - {error.what}")
        return Exit.UNKNOWN
    found = examine(seen, limits)
    reused = _reused(seen, limits, demands)
    if asked.as_json:
        _print_json(data(seen, found, reused))
    elif asked.check:
        print(check_line(seen, found, limits))
    else:
        show_lines(screen(seen, found, width(), asked.everything, reused), asked.colour)
    return _status(max((finding.severity for finding in found), default=Severity.NOTE))


def _refuse(asked: Asked) -> None:
    """Raise `UsageError` where options do not go together."""
    if asked.source and (asked.netns or asked.interval or asked.trace):
        raise UsageError("--from examines a file: it goes with none of --netns, --interval, --trace", "leave them out")
    if asked.netns == "all" and (asked.save or asked.anonymise or asked.trace or asked.requests):
        raise UsageError(
            "--save, --anonymise, --trace and --requests-per-second are about one namespace, and --netns all are many",
            "name one of them: --netns PID",
        )


def _demand(text: str) -> "Demand":
    """Read `N` or `ADDR:PORT=N`: requests per second."""
    from timewait.endpoint import parse
    from timewait.host.reuse import Demand

    to, _, number = text.rpartition("=")
    try:
        per_s = float(number)
    except ValueError:
        per_s = 0.0
    if not 0 < per_s < float("inf"):
        raise UsageError(
            f"{number!r} is not a number of requests per second above 0",
            "write --requests-per-second 500, or --requests-per-second 10.0.0.9:5432=500 for one destination",
        )
    end = parse(to) if to else None
    if end and not end.port:
        raise UsageError(f"{to!r} names no port", f"write --requests-per-second {to}:PORT={number}")
    return Demand(end, per_s)


def _reused(seen: Snapshot, limits: Limits, demands: "list[Demand]") -> "list[Reuse]":
    if not demands:
        return []
    from timewait.host.look import Look
    from timewait.host.reuse import reuse

    return [reuse(Look(seen, limits), demand) for demand in demands]


def _show_all(asked: Asked, limits: Limits) -> int:
    """Print what was seen in every namespace; return the exit status of the worst."""
    from timewait.host.everywhere import take_all
    from timewait.report import everywhere

    seen, missing = take_all(interval_s=asked.interval, limits=limits)
    examined = [
        everywhere.Examined(each.place, each.snapshot, examine(each.snapshot, limits))
        for each in seen
        if each.snapshot is not None
    ]
    if not examined:
        raise UnavailableError("no network namespace could be examined", "; ".join(missing))
    if asked.as_json:
        _print_json(everywhere.data(examined, missing))
    elif asked.check:
        print(everywhere.check_line(examined, limits))
    else:
        show_lines(everywhere.screen(examined, missing, width(), asked.everything), asked.colour)
    return _status(Severity(max(0, *(each.rank[0] for each in examined))))


def _print_json(document: dict[str, object]) -> None:
    import json

    print(json.dumps(document, indent=2))


def _status(worst: Severity) -> int:
    return {Severity.NOTE: Exit.OK, Severity.WARNING: Exit.WARNING, Severity.CRITICAL: Exit.CRITICAL}[worst]


def look_at(netns: str, interval: float, limits: Limits, trace: float = 0.0) -> Snapshot:
    """Take a snapshot of a network namespace, "" for this one, after tracing closes there for so many seconds."""
    from timewait.host import collector

    if not trace:
        _enter(netns)
        return collector.take(netns, interval_s=interval, limits=limits)
    from timewait.host.trace import Tracer

    with Tracer(netns) as tracer:
        _enter(netns)
        traced = tracer.run(trace)
    return collector.take(netns, interval_s=interval, limits=limits)._replace(trace=traced)


def _enter(netns: str) -> None:
    if netns:
        from timewait.system.netns import enter

        enter(netns)


def load(source: Path) -> Snapshot:
    """Read a saved snapshot.  Raises `UsageError`."""
    hint = "write one with: timewait doctor --save FILE"
    try:
        with source.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
        text = content.decode()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or error
        raise UsageError(f"{source} cannot be read: {why}", hint) from None
    if len(content) > _MOST_BYTES:
        raise UsageError(f"{source} is no snapshot: it has more than {_MOST_BYTES >> 20} MB", hint)
    from timewait.host.snapshot_file import from_text

    return from_text(text, str(source))


def _save(target: Path, seen: Snapshot) -> None:
    from timewait.host.snapshot_file import to_text

    try:
        target.write_text(to_text(seen))
    except OSError as error:
        raise UsageError(f"{target} cannot be written: {error.strerror}", "name a file in a folder of yours") from None


def _key() -> bytes:
    """Return this machine's secret: the same from day to day, and not to be guessed.  machine-id(5)."""
    for path in ("/etc/machine-id", "/var/lib/dbus/machine-id"):
        try:
            if key := Path(path).read_bytes().strip():
                return b"timewait " + key
        except OSError:
            continue
    import secrets

    print("warning: there is no /etc/machine-id; the names change with each run", file=sys.stderr)
    return secrets.token_bytes(16)


def _limits(file: Path | None, given: tuple[str, ...]) -> Limits:
    values: dict[str, object] = {}
    if file:
        import tomllib

        try:
            table = tomllib.loads(file.read_text()).get("doctor", {})
        except (OSError, ValueError) as error:
            raise UsageError(f"{file} cannot be read: {error}", "write TOML with a table [doctor]") from None
        if not isinstance(table, dict):
            raise UsageError(f"{file}: doctor = {table!r} is no table", "write TOML with a table [doctor]")
        values.update(table)
    for text in given:
        name, equals, value = text.partition("=")
        if not equals:
            raise UsageError(f"--limit {text!r} has no value", "write it as --limit ports_step=0.7")
        values[name] = value
    known = {name: _limit(name, value) for name, value in values.items()}
    return Limits(**known)  # type: ignore[arg-type]  # _limit keeps each one's type


def _limit(name: str, value: object) -> float | int:
    default = Limits._field_defaults.get(name)
    if default is None:
        raise UsageError(f"there is no limit {name!r}", f"limits: {', '.join(Limits._fields)}")
    try:
        number = float(str(value))
    except ValueError:
        number = -1.0
    if not 0 <= number < float("inf"):
        raise UsageError(f"limit {name} = {value!r} is not a number from 0 on", f"the default is {default}")
    return round(number) if isinstance(default, int) else number
