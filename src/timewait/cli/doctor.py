"""`timewait doctor`: look at this host once, say what is the matter with its TIME-WAITs, and what to do."""

import json
import shutil
import sys
from pathlib import Path

import click

from timewait.errors import Exit, TimewaitError, UsageError
from timewait.host.finding import Severity
from timewait.host.findings import examine
from timewait.host.limits import Limits
from timewait.host.snapshot import Snapshot, anonymous, from_text, to_text
from timewait.report.doctor import check_line, data, screen

_EPILOG = """\b
Examples:
  timewait doctor                            this network namespace
  timewait doctor --netns 4711               that of process 4711
  timewait doctor --interval 10              counters that rise are told from old ones
  timewait doctor --save host.json --anonymise
  timewait doctor --from host.json           what was saved elsewhere
  timewait doctor --check --limit ports_step=0.7

\b
Limits, with --limit NAME=VALUE or in a TOML file under [doctor]:
  {limits}

\b
Exit status: 0 nothing or notes, 1 a warning, 2 a critical finding, 64 usage, 69 this machine cannot;
with --check 3 in place of 64 and 69.
""".format(limits="\n  ".join(f"{name} = {value}" for name, value in Limits._field_defaults.items()))


@click.command(epilog=_EPILOG)
@click.option("--netns", metavar="NAME|PID", default="", help="Look into this network namespace.")
@click.option("--interval", type=click.FloatRange(0, 3600), default=0.0, help="Read the counters again after SECONDS.")
@click.option("--save", type=click.Path(dir_okay=False, path_type=Path), help="Write what was seen to FILE.")
@click.option("--from", "source", type=click.Path(dir_okay=False, path_type=Path), help="Examine a saved FILE instead.")
@click.option("--anonymise", is_flag=True, help="Replace addresses and names, always by the same ones.")
@click.option("--limit", "given", metavar="NAME=VALUE", multiple=True, help="Set a threshold; may be given again.")
@click.option("--limits", "file", type=click.Path(dir_okay=False, path_type=Path), help="Read thresholds from TOML.")
@click.option("--all", "everything", is_flag=True, help="All findings, not the worst ten.")
@click.option("--check", is_flag=True, help="One line with performance data, for a monitoring system.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def doctor(
    netns: str,
    interval: float,
    save: Path | None,
    source: Path | None,
    anonymise: bool,
    given: tuple[str, ...],
    file: Path | None,
    everything: bool,
    check: bool,
    as_json: bool,
) -> int:
    """Say whether this host is short of ports, towards whom, since when, and what to do.  Reads only.

    Every command that it prints is for you to run, with its scope and its undo.
    """
    try:
        limits = _limits(file, given)
        if source and (netns or interval):
            raise UsageError("--from examines a file: it goes with neither --netns nor --interval", "leave them out")
        seen = _load(source) if source else _look(netns, interval, limits)
        if anonymise:
            seen = anonymous(seen, _key())
        if save:
            _write(save, to_text(seen))
    except TimewaitError as error:
        if not check:
            raise
        print(f"TIMEWAIT UNKNOWN - {error.what}")
        return Exit.UNKNOWN
    found = examine(seen, limits)
    if as_json:
        print(json.dumps(data(seen, found), indent=2))
    elif check:
        print(check_line(seen, found, limits))
    else:
        width = min(100, shutil.get_terminal_size((80, 24)).columns)
        print("\n".join(screen(seen, found, width, everything)))
    worst = max((finding.severity for finding in found), default=Severity.NOTE)
    return {Severity.NOTE: Exit.OK, Severity.WARNING: Exit.WARNING, Severity.CRITICAL: Exit.CRITICAL}[worst]


def _look(netns: str, interval: float, limits: Limits) -> Snapshot:
    from timewait.host import collector

    if netns:
        from timewait.system.netns import enter

        enter(netns)
    return collector.take(netns, interval_s=interval, limits=limits)


def _load(source: Path) -> Snapshot:
    try:
        text = source.read_text()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or error
        raise UsageError(f"{source} cannot be read: {why}", "write one with: timewait doctor --save FILE") from None
    return from_text(text, str(source))


def _write(target: Path, text: str) -> None:
    try:
        target.write_text(text)
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
