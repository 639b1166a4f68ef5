"""`timewait rtest`: the founding experiment, and its matrix."""

import contextlib
import json
import shutil
import signal
import sys
from collections.abc import Iterator
from types import FrameType
from typing import Any

import click

from timewait.clock import Duration, seconds
from timewait.errors import Exit, UsageError
from timewait.lab.catalog.reconnect import Binding, Closer, Parameters, PeerClose, run
from timewait.lab.explanation import explain_run
from timewait.lab.kernel import KernelHost

_WIDEST = 100
_DEFAULT_PORT = 44400

_EPILOG = """\b
Examples:
  timewait rtest 44400 s                       reconnects for ever
  timewait rtest 44400 c                       reconnects too; see why
  timewait rtest 44400 c --timestamps off      the second connect() fails
  timewait rtest 44400 c --bind ephemeral --interval 1.1
  timewait rtest 44400 c --peer-close never --payload 100
  timewait rtest --matrix                      36 combinations, in parallel

\b
Exit status: 0 the run ended as asked, 1 a connect failed, 64 usage, 69 this machine cannot.
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
    as_json: bool,
) -> int:
    """Connect to itself over one four-tuple again and again, and explain what happens.

    The server listens on PORT, the client has PORT+1, both on 127.0.0.1 in a private network namespace.  After each
    connect one side closes first: s, the server, or c, the client.  It ends after --count connects, at the first
    failure, or at Ctrl-C.
    """
    if matrix:
        _no_others(closer)
        return _matrix(port or _DEFAULT_PORT, ipv6=ipv6, as_json=as_json)
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
    return _one(asked, here=here, as_json=as_json)


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


def _one(asked: Parameters, *, here: bool, as_json: bool) -> int:
    from timewait.report import reconnect as report

    def tell(step: str, data: dict[str, Any]) -> None:
        if not as_json:
            print(report.step_line(step, data), flush=True)

    with KernelHost(private=not here) as host, _ctrl_c(host):
        record = run(host, asked, tell)
    explanation = explain_run(record)
    if as_json:
        print(json.dumps(report.record_data(record, explanation), indent=2))
    else:
        print()
        for line in report.summary(record, explanation, _width()):
            print(line)
    return Exit.OK if record.failure is None else Exit.FAILED


@contextlib.contextmanager
def _ctrl_c(host: KernelHost) -> Iterator[None]:
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
        if source is click.core.ParameterSource.COMMANDLINE and name not in ("matrix", "port", "ipv6", "as_json")
    ]
    if closer is not None or given:
        names = ", ".join("--" + name.replace("_", "-") for name in given if name != "closer") or "s or c"
        raise UsageError(f"--matrix runs every combination itself: it takes no {names}", "only PORT, --ipv6 and --json")


def _matrix(port: int, *, ipv6: bool, as_json: bool) -> int:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    from timewait.lab.matrix import cells, combinations
    from timewait.report import reconnect as report

    console = Console(stderr=True)
    columns = (TextColumn("[progress.description]{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("cells", total=len(combinations(_port(port))))
        found = cells(KernelHost, _port(port), ipv6=ipv6, done=lambda: progress.advance(task))
    if as_json:
        print(json.dumps(report.matrix_data(found), indent=2))
    else:
        for line in report.matrix_lines(found, _width()):
            print(line)
    return Exit.OK


def _width() -> int:
    return min(_WIDEST, shutil.get_terminal_size().columns) if sys.stdout.isatty() else _WIDEST
