"""`timewait script`: packet scripts, run on the engine in virtual time or on the local kernel."""

import json
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import click

from timewait.cli.profiles import ProfileName
from timewait.clock import US
from timewait.errors import Exit, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from timewait.script.job import Job, Result

# Scripts handed to a process at once: one takes milliseconds, a hand-over a part of one.
_CHUNK = 8
_EPILOG = """\b
Examples:
  timewait script handshake.pkt                       on Linux as the engine has it
  timewait script tests/ --profile freebsd --jobs 4   every .pkt below a folder, on FreeBSD's ways
  timewait script tests/ --set net.ipv4.tcp_rfc1337=1 a setting made before each script
  timewait script handshake.pkt --world kernel        on this machine's kernel, in a private namespace
  timewait script tests/ --junit results.xml --pcap captures/

\b
The language is packetdrill's; docs/reference/script-language.md has all of it.
Exit status: 0 every script passed, 1 one failed, 64 usage, 69 this machine cannot.
"""


@click.command(epilog=_EPILOG)
@click.argument("path", nargs=-1, metavar="FILE|FOLDER...", type=click.Path())
@click.option(
    "--profile",
    type=ProfileName(),
    default="linux",
    show_default=True,
    help="What the engine is; see timewait profiles.",
)
@click.option(
    "--world",
    type=click.Choice(["engine", "kernel"]),
    default="engine",
    show_default=True,
    help="Our own TCP in virtual time, or this machine's in a private namespace.",
)
@click.option("--define", "-D", metavar="NAME[=VALUE]", multiple=True, help="Define a name for #ifdef, or a value.")
@click.option(
    "--set",
    "settings",
    metavar="KNOB=VALUE",
    multiple=True,
    help="A setting (sysctl) before each script; a kernel's in its namespace.",
)
@click.option("--jobs", "-j", type=click.IntRange(1, 256), default=1, show_default=True, help="Scripts side by side.")
@click.option(
    "--tolerance-usecs", metavar="N", type=click.IntRange(0, 10**9), help="How far times may be off; else the script's."
)
@click.option("--strict", is_flag=True, help="What the stack sent and no line expected is a failure at the end, too.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document, and nothing else, on stdout.")
@click.option("--junit", metavar="FILE", type=click.Path(dir_okay=False), help="Write the results as JUnit's XML.")
@click.option(
    "--pcap", metavar="FOLDER", type=click.Path(file_okay=False), help="Write each script's packets as pcapng."
)
@click.option("--allow-shell", is_flag=True, help="With --world kernel: run the scripts' commands, in the namespace.")
@click.option("--verbose", "-v", is_flag=True, help="Name the scripts that passed, too.")
def script(
    path: tuple[str, ...],
    profile: str,
    world: str,
    define: tuple[str, ...],
    settings: tuple[str, ...],
    jobs: int,
    tolerance_usecs: int | None,
    strict: bool,
    as_json: bool,
    junit: str | None,
    pcap: str | None,
    allow_shell: bool,
    verbose: bool,
) -> int:
    """Run packet scripts, in the language of packetdrill: packets and calls with their times, checked one by one.

    A FOLDER is every .pkt file below it, in order of names.
    """
    from timewait.report import script as report
    from timewait.script.job import Job, check_settings

    if not path:
        raise UsageError("which scripts? a file or a folder of .pkt files", "try: timewait script --help")
    _belongs(world, allow_shell)
    if world == "engine":
        from timewait.tcp.profiles import get

        profile = get(profile).name
    asked_of_each = _pairs(settings, "--set")
    if asked_of_each and world == "engine":
        check_settings(profile, asked_of_each)
    asked = [
        Job(
            path=file,
            world=world,
            profile=profile,
            defines=_pairs(define, "--define", needs_value=False),
            settings=asked_of_each,
            tolerance=None if tolerance_usecs is None else tolerance_usecs * US,
            strict=strict,
            allow_shell=allow_shell,
        )
        for file in _files(path)
    ]
    began = time.monotonic_ns()

    def tell(result: "Result") -> None:
        if not as_json:
            for line in report.lines(result):
                print(line)
            if verbose and result.passed:
                print(report.passed_line(result))

    results = _run(asked, jobs, tell, None if pcap is None else Path(pcap))
    taken = time.monotonic_ns() - began
    if junit is not None:
        with _writing(junit):
            Path(junit).write_bytes(report.junit(results, taken))
    print(json.dumps(report.data(results, taken), indent=2) if as_json else report.summary(results, taken))
    return Exit.OK if all(result.passed for result in results) else Exit.FAILED


def _belongs(world: str, allow_shell: bool) -> None:
    """Refuse what the other world would ignore."""
    if world == "engine" and allow_shell:
        raise UsageError("--allow-shell is the kernel's: the engine answers commands itself", "add --world kernel")
    if world == "kernel":
        source = click.get_current_context().get_parameter_source("profile")
        if source is click.core.ParameterSource.COMMANDLINE:
            raise UsageError("--profile is the engine's, and this run is the kernel's", "add --world engine")


def _pairs(texts: tuple[str, ...], option: str, *, needs_value: bool = True) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not name.strip() or (needs_value and not equals):
            raise UsageError(
                f"{option} {text} lacks {'its name' if not name.strip() else 'a value'}", f"{option} NAME=VALUE"
            )
        pairs[name.strip()] = value
    return pairs


def _files(paths: Sequence[str]) -> list[str]:
    """Return the files named, and those below the folders named, sorted; each once."""
    found: dict[str, None] = {}
    for name in paths:
        where = Path(name)
        if where.is_dir():
            below = sorted(str(file) for file in where.rglob("*.pkt") if file.is_file())
            if not below:
                raise UsageError(f"{name} has no .pkt file below it", "name a script, or a folder of them")
            found |= dict.fromkeys(below)
        elif where.exists():
            found[name] = None
        else:
            raise UsageError(f"there is no {name}", "name a script, or a folder of .pkt files")
    return list(found)


def _run(jobs: "Sequence[Job]", width: int, tell: "Callable[[Result], None]", captures: Path | None) -> "list[Result]":
    """Run all; tell of each in the order of the files; return what was told."""
    from timewait.script.job import run
    from timewait.system.pool import Pool

    waiting: dict[int, Result] = {}
    told: list[Result] = []
    with Pool(run, jobs, width, "scripts", chunk=_CHUNK) as pool, _progress(len(jobs)) as advance:
        for number, result in pool.results():
            waiting[number] = result
            advance()
            while len(told) in waiting:
                result = waiting.pop(len(told))
                if captures is not None:
                    _capture(result, captures)
                tell(result)
                told.append(result)
    return told


@contextmanager
def _progress(total: int) -> "Iterator[Callable[[], object]]":
    """Show how far it is, where somebody looks."""
    if total < 2 or not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (TextColumn("[progress.description]{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("scripts", total=total)
        yield lambda: progress.advance(task)


def _capture(result: "Result", folder: Path) -> None:
    """Write a script's packets below `folder`, under the script's own name."""
    from timewait.wire.pcapng import Writer

    if result.outcome is None:
        return
    parts = [part for part in Path(result.path).parts if part not in ("..", "/", ".")]
    file = folder.joinpath(*parts).with_suffix(".pcapng")
    with _writing(str(file)):
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("wb") as binary:
            writer = Writer(binary, f"{result.path}, {result.outcome.stack}")
            for moment, _, octets in result.outcome.packets:
                writer.write(max(0, moment), octets)


@contextmanager
def _writing(name: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UsageError(f"{name} cannot be written: {error.strerror}", "name another place") from None
