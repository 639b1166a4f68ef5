"""`timewait rtest`: the founding experiment, and its matrix."""

import contextlib
import json
import shutil
import signal
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

import click

from timewait.clock import Duration, seconds
from timewait.errors import Exit, UsageError
from timewait.lab.catalog.reconnect import Binding, Closer, Parameters, PeerClose, Record, run
from timewait.lab.explanation import explain_run

TYPE_CHECKING = False
if TYPE_CHECKING:
    from timewait.lab.matrix import Cell

_WIDEST = 100
_DEFAULT_PORT = 44400
_MATRIX_TOO = ("matrix", "port", "ipv6", "as_json", "world", "profile", "seed")

_EPILOG = """\b
Examples:
  timewait rtest 44400 s                       reconnects for ever
  timewait rtest 44400 c                       reconnects too; see why
  timewait rtest 44400 c --timestamps off      the second connect() fails
  timewait rtest 44400 c --bind ephemeral --interval 1.1
  timewait rtest 44400 c --peer-close never --payload 100
  timewait rtest --matrix                      36 combinations, in parallel
  timewait rtest 44400 c --world engine --trace    in virtual time, each segment shown
  timewait rtest 44400 c --world engine --profile freebsd
  timewait rtest --matrix --world both         the kernel and our own TCP side by side

\b
Exit status: 0 the run ended as asked, 1 a connect failed or two worlds differ, 64 usage, 69 this machine cannot.
"""


class _Seconds(click.ParamType[Duration]):
    """A duration in seconds, such as 1.1; kept in nanoseconds."""

    name = "seconds"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Duration:
        if isinstance(value, int):
            return value
        try:
            number = float(value)
        except ValueError:
            self.fail(f"{value!r} is not a number of seconds", param, ctx)
        if not 0 <= number <= 3600:
            self.fail(f"{value!r} is not between 0 and 3600 seconds", param, ctx)
        return seconds(number)


@click.command(epilog=_EPILOG)
@click.argument("port", type=int, required=False)
@click.argument("closer", metavar="[s|c]", required=False)
@click.option("--matrix", is_flag=True, help="All 36 combinations of the settings people argue about, as one table.")
@click.option("--count", type=click.IntRange(0), default=20, show_default=True, help="Connects; 0: until Ctrl-C.")
@click.option("--interval", type=_Seconds(), default=0, help="Pause between close and connect.  [default: 0]")
@click.option(
    "--bind",
    type=click.Choice([kind.value for kind in Binding]),
    default="explicit",
    show_default=True,
    help="bind() to PORT+1, or let connect() choose from a range of just that port.",
)
@click.option(
    "--timestamps", type=click.Choice(["on", "off"]), help="net.ipv4.tcp_timestamps; unset: as the kernel has it."
)
@click.option("--tw-reuse", type=click.Choice(["0", "1", "2"]), help="net.ipv4.tcp_tw_reuse.")
@click.option("--tw-reuse-delay", metavar="MS", type=click.IntRange(1, 60000), help="net.ipv4.tcp_tw_reuse_delay.")
@click.option("--rfc1337", is_flag=True, help="net.ipv4.tcp_rfc1337 = 1.")
@click.option(
    "--peer-close",
    type=click.Choice([kind.value for kind in PeerClose]),
    default="prompt",
    show_default=True,
    help="The other side closes at once, after the next connect(), or not while the run lasts.",
)
@click.option(
    "--payload",
    metavar="BYTES",
    type=click.IntRange(0, 1 << 30),
    default=0,
    help="Request, response, then close.",
)
@click.option("--linger0", is_flag=True, help="The first closer sets SO_LINGER to zero: it resets.")
@click.option("--ipv6", is_flag=True, help="::1 instead of 127.0.0.1.")
@click.option("--here", is_flag=True, help="The machine's own stack, no private namespace; then no sysctl option.")
@click.option(
    "--world",
    type=click.Choice(["kernel", "engine", "both"]),
    default="kernel",
    show_default=True,
    help="The kernel's TCP; our own in virtual time, which needs no namespace; or both side by side.",
)
@click.option("--profile", metavar="NAME", help="What the engine is; see timewait profiles.  [default: linux]")
@click.option("--seed", type=click.IntRange(0), help="Where the engine's chances come from.  [default: 0]")
@click.option("--trace", is_flag=True, help="Show each segment and state of the engine's run.")
@click.option(
    "--capture", metavar="FILE", type=click.Path(dir_okay=False), help="Write the engine's segments as pcapng."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document, and nothing else, on stdout.")
def rtest(
    port: int | None,
    closer: str | None,
    matrix: bool,
    count: int,
    interval: Duration,
    bind: str,
    timestamps: str | None,
    tw_reuse: str | None,
    tw_reuse_delay: int | None,
    rfc1337: bool,
    peer_close: str,
    payload: int,
    linger0: bool,
    ipv6: bool,
    here: bool,
    world: str,
    profile: str | None,
    seed: int | None,
    trace: bool,
    capture: str | None,
    as_json: bool,
) -> int:
    """Connect to itself over one four-tuple again and again, and explain what happens.

    The server listens on PORT, the client has PORT+1, both on 127.0.0.1 in a private network namespace.  After each
    connect one side closes first: s, the server, or c, the client.  It ends after --count connects, at the first
    failure, or at Ctrl-C.
    """
    where = _where(world, profile, seed, trace, capture, here)
    if matrix:
        _no_others(closer)
        return _matrix(_port(port or _DEFAULT_PORT), where, ipv6=ipv6, as_json=as_json)
    asked = Parameters(
        port=_port(port),
        closer=_closer(closer),
        count=count,
        interval=interval,
        binding=Binding(bind),
        peer_close=PeerClose(peer_close),
        payload=payload,
        linger0=linger0,
        ipv6=ipv6,
        timestamps=None if timestamps is None else timestamps == "on",
        tw_reuse=None if tw_reuse is None else int(tw_reuse),
        tw_reuse_delay=tw_reuse_delay,
        rfc1337=rfc1337,
    )
    if here and asked.sysctls():
        names = ", ".join(name.removeprefix("net.ipv4.") for name in asked.sysctls())
        raise UsageError(
            f"--here is the machine's own stack, whose settings are not touched ({names} asked for)",
            "leave out --here: a private namespace can have any settings",
        )
    if world == "both":
        return _both(asked, where, as_json=as_json)
    return _one(asked, where, as_json=as_json)


class _Where(NamedTuple):
    """Where to run: the world, what stack the engine is, and what is wanted of its trace."""

    world: str
    profile: str
    seed: int
    trace: bool
    capture: str | None
    here: bool

    def host(self, world: str) -> Any:
        """Return a host of that world."""
        if world == "engine":
            from timewait.lab.engine import EngineHost

            return EngineHost.alone(self.profile, self.seed, traced=self.trace or self.capture is not None)
        from timewait.lab.kernel import KernelHost

        return KernelHost(private=not self.here)


def _where(world: str, profile: str | None, seed: int | None, trace: bool, capture: str | None, here: bool) -> _Where:
    """Check which options belong to the engine."""
    if world == "kernel":
        engine_only = {"--profile": profile, "--seed": seed, "--trace": trace or None, "--capture": capture}
        given = [name for name, value in engine_only.items() if value is not None]
        if given:
            raise UsageError(f"{given[0]} is the engine's, and this run is the kernel's", "add --world engine")
    elif here:
        raise UsageError(
            f"--here is the machine's own stack, and --world {world} was asked for", "leave one of them out"
        )
    return _Where(world, profile or "linux", seed or 0, trace, capture, here)


def _port(port: int | None) -> int:
    if port is None:
        raise UsageError("which port? the server listens on PORT, the client has PORT+1", "try: timewait rtest 44400 s")
    if not 1 <= port <= 65535:
        raise UsageError(f"{port} is not a port", "a port is a number from 1 to 65535")
    if port == 65535:
        raise UsageError("the client would have port 65536 (PORT+1), and there is none", "choose a port up to 65534")
    return port


def _closer(closer: str | None) -> Closer:
    named = {"s": Closer.SERVER, "c": Closer.CLIENT, "server": Closer.SERVER, "client": Closer.CLIENT}
    if closer is None:
        raise UsageError("who closes first? s: the server, c: the client", "try: timewait rtest 44400 s")
    if closer not in named:
        raise UsageError(f"{closer!r} does not say who closes first", "s: the server, c: the client")
    return named[closer]


def _one(asked: Parameters, where: _Where, *, as_json: bool) -> int:
    from timewait.report import reconnect as report

    record, trace = _run(asked, where, where.world, quiet=as_json)
    explanation = explain_run(record)
    if as_json:
        print(json.dumps(report.record_data(record, explanation) | ({"trace": trace} if where.trace else {}), indent=2))
    else:
        print("\n".join(["", *trace, ""] if trace else [""]))
        for line in report.summary(record, explanation, _width()):
            print(line)
    return Exit.OK if record.failure is None else Exit.FAILED


def _both(asked: Parameters, where: _Where, *, as_json: bool) -> int:
    from timewait.report import worlds

    kernel, _ = _run(asked, where, "kernel", quiet=True)
    if not asked.count:  # until Ctrl-C: the engine, which would never get tired, makes as many as the kernel did
        asked = replace(asked, count=max(1, kernel.connected + (kernel.failure is not None)))
    engine, trace = _run(asked, where, "engine", quiet=True)
    why = (explain_run(kernel), explain_run(engine))
    data = worlds.record_pair_data(kernel, engine, why)
    if as_json:
        print(json.dumps(data | ({"trace": trace} if where.trace else {}), indent=2))
    else:
        for line in [*trace, *worlds.summary(kernel, engine, why, _width())]:
            print(line)
    return Exit.OK if data["agrees"] else Exit.FAILED


def _run(asked: Parameters, where: _Where, world: str, *, quiet: bool) -> tuple[Record, list[str]]:
    """Run the experiment in one world; return what was seen, and the engine's trace as lines if it was asked for."""
    from timewait.report.reconnect import step_line

    def tell(step: str, data: dict[str, Any]) -> None:
        if not quiet:
            print(step_line(step, data), flush=True)

    with where.host(world) as host, _ctrl_c(host):
        record = run(host, asked, tell)
    if world == "kernel" or host.network.trace is None:
        return record, []
    if where.capture is not None:
        try:
            with Path(where.capture).open("wb") as file:
                host.network.trace.write(file)
        except OSError as error:
            raise UsageError(f"{where.capture} cannot be written: {error.strerror}", "name another file") from None
    return record, list(host.network.trace.lines()) if where.trace else []


@contextlib.contextmanager
def _ctrl_c(host: Any) -> Iterator[None]:
    """Turn Ctrl-C into the end of the run, which then still gets its summary."""

    def interrupt(signum: int, frame: FrameType | None) -> None:
        host.interrupt()

    before = signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _no_others(closer: str | None) -> None:
    """Refuse what the matrix would ignore."""
    given = [
        name
        for name, source in (
            (name, click.get_current_context().get_parameter_source(name))
            for name in click.get_current_context().params
        )
        if source is click.core.ParameterSource.COMMANDLINE and name not in _MATRIX_TOO
    ]
    if closer is not None or given:
        names = ", ".join("--" + name.replace("_", "-") for name in given if name != "closer") or "s or c"
        raise UsageError(
            f"--matrix runs every combination itself: it takes no {names}",
            "only PORT, --ipv6, --world, --profile, --seed and --json",
        )


def _matrix(port: int, where: _Where, *, ipv6: bool, as_json: bool) -> int:
    from timewait.lab.matrix import REUSE
    from timewait.report import reconnect, worlds

    reuse = REUSE
    if where.world != "kernel":
        from timewait.lab.engine import reuse_settings
        from timewait.tcp.profiles import get

        reuse = reuse_settings(get(where.profile))
    if where.world != "both":
        found = _cells(port, where, where.world, ipv6, reuse)
        data, lines = reconnect.matrix_data(found), reconnect.matrix_lines(found, _width())
        status = Exit.OK
    else:
        from timewait.lab.comparison import pairs

        joined = pairs(*(_cells(port, where, world, ipv6, reuse) for world in ("kernel", "engine")))
        data, lines = worlds.matrix_data(joined), worlds.matrix_lines(joined, _width())
        status = Exit.OK if all(pair.agrees for pair in joined) else Exit.FAILED
    if as_json:
        print(json.dumps(data, indent=2))
    else:
        for line in lines:
            print(line)
    return status


def _cells(port: int, where: _Where, world: str, ipv6: bool, reuse: tuple[int | None, ...]) -> "list[Cell]":
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    from timewait.lab.matrix import cells, combinations

    console = Console(stderr=True)
    columns = (TextColumn("[progress.description]{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(world, total=len(combinations(port, ipv6=ipv6, reuse=reuse)))
        make = lambda: where.host(world)  # noqa: E731
        return cells(make, port, ipv6=ipv6, reuse=reuse, done=lambda: progress.advance(task))


def _width() -> int:
    return min(_WIDEST, shutil.get_terminal_size().columns) if sys.stdout.isatty() else _WIDEST
