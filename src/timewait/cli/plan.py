"""`timewait plan`: what a design carries before it is built."""

import importlib
import json
import sys
from typing import Any

import click

from timewait.cli.output import show_lines, width
from timewait.errors import Exit, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from timewait.plan.forecast import Forecast, Route
    from timewait.plan.remedies import Result
    from timewait.plan.setting import Setting
    from timewait.plan.simulation import Simulated
    from timewait.plan.validation import Validated
    from timewait.plan.workload import Workload

# Connects that take more than about a second to simulate.
_WORTH_A_BAR = 20_000_000
# What stands behind `timewait plan` and has options of its own: name: (module, attribute).
OTHERS = {
    "import": ("timewait.cli.plan_import", "import_"),
    "preset": ("timewait.cli.plan_preset", "preset"),
    "sweep": ("timewait.cli.plan_sweep", "sweep"),
    "fleet": ("timewait.cli.plan_fleet", "fleet"),
}

_EPILOG = """\b
Examples:
  timewait plan --rate 500/s                     one client to one server, the client closes
  timewait plan --rate 30k/min --closer server
  timewait plan --rate 2000/s --to 4 --hold 200ms --set tcp_tw_reuse=1
  timewait plan preset proxy > mine.toml         a workload file, to be edited
  timewait plan mine.toml --all --growth 5%/month
  timewait plan --preset nat-gateway --json
  timewait plan --from-host                      what this host does, and how much more it carries
  timewait plan --preset farm --html farm.html --plot farm.svg
  timewait plan --rate 460/s --simulate 10000000
  timewait plan --rate 700/s --arrivals constant --validate

\b
Others:
  timewait plan import KIND FILE                 a workload from nginx, haproxy, prometheus, k6
  timewait plan preset [NAME]                    the presets, or one of them as a file
  timewait plan sweep FILE --vary KEY=VALUES     simulated again and again, with other values
  timewait plan fleet FILE                       a day of all its hosts

\b
Exit status: 0 the design carries it, 1 some connect is likely to fail, 64 usage.
"""


def other(name: str) -> click.Command:
    """Return one of the commands that stand behind `timewait plan`."""
    module, attribute = OTHERS[name]
    command: click.Command = getattr(importlib.import_module(module), attribute)
    return command


class _Plan(click.Command):
    """A command that takes a file or options, or else the name of another command."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        if args and args[0] in OTHERS:
            return other(args[0]).make_context(f"{info_name} {args[0]}", args[1:], parent, **extra)
        return super().make_context(info_name, args, parent, **extra)


def _words(_: click.Context, __: click.Parameter, incomplete: str) -> "list[click.shell_completion.CompletionItem]":
    from click.shell_completion import CompletionItem

    names = [CompletionItem(name) for name in OTHERS if name.startswith(incomplete)]
    return [*names, CompletionItem(incomplete, type="file")]


@click.command(cls=_Plan, epilog=_EPILOG)
@click.argument("file", required=False, shell_complete=_words)
@click.option("--preset", "preset_name", metavar="NAME", help="One of the workloads of the program.")
@click.option(
    "--from-host",
    "host",
    is_flag=False,
    flag_value="",
    metavar="[SNAPSHOT]",
    help="What this host does now, or did when doctor --save wrote SNAPSHOT.",
)
@click.option("--print", "as_file", is_flag=True, help="Print the workload as a file, and plan nothing.")
@click.option("--rate", metavar="N[/s|/min|/h]", help="Requests, of all sources together, instead of FILE.")
@click.option("--from", "sources", default=1, metavar="N", help="Source addresses.  [1]")
@click.option("--to", "destinations", default=1, metavar="N", help="Destinations: pairs of address and port.  [1]")
@click.option("--closer", type=click.Choice(["client", "server"]), default="client", help="Who closes first.  [client]")
@click.option("--hold", default="0", metavar="TIME", help="How long a connection is open: 200ms, 5s, 1h.  [0]")
@click.option("--per-connection", default=1.0, metavar="N", help="Requests that one connection carries.  [1]")
@click.option("--pool", metavar="N", type=click.IntRange(1), help="Connections that each source keeps open.")
@click.option(
    "--arrivals", type=click.Choice(["poisson", "constant"]), default="poisson", help="How they come.  [poisson]"
)
@click.option(
    "--binding",
    type=click.Choice(["late", "bind", "explicit"]),
    default="late",
    help="Who chooses the port: connect(), bind() to port 0, or the program.  [late]",
)
@click.option("--octets", default=0, metavar="N", help="What a client sends over one connection.  [0]")
@click.option("--profile", default="linux", metavar="NAME", help="The stack at both ends.  [linux]")
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUE", help="A setting of the profile; repeatable.")
@click.option("--loopback", is_flag=True, help="Both ends are on one host.")
@click.option("--within", metavar="TIME", help="For how long no connect may fail.  [the file's, or 1h]")
@click.option("--growth", metavar="N%/month", help="How the rates grow: /day, /week, /month or /year.")
@click.option("--route", "route_name", metavar="NAME", help="The route shown whole: 'app -> db'.  [the worst]")
@click.option("--all", "show_all", is_flag=True, help="Show every route whole.")
@click.option(
    "--simulate", type=click.IntRange(1), metavar="CONNECTS", help="Also play so many connects of one budget."
)
@click.option(
    "--lost",
    type=click.FloatRange(0, 0.9),
    default=0.0,
    metavar="SHARE",
    help="In that: last ACKs that are lost, so that the repeated FIN starts the wait anew.  [0]",
)
@click.option("--seed", default=1, metavar="N", help="For what is random in that.  [1]")
@click.option("--validate", "check", is_flag=True, help="Also run it for real, scaled down, on this kernel.")
@click.option("--validate-for", metavar="TIME", help="For how long.  [as long as ports need to come back]")
@click.option("--json", "as_json", is_flag=True, help="One JSON document, and nothing else, on stdout.")
@click.option("--html", "page_file", metavar="FILE", help="Also write a page: every number, pictures, assumptions.")
@click.option("--plot", metavar="FILE.svg|png", help="Also draw the route: ports over time, failures, remedies.")
@click.option("--csv", "as_csv", is_flag=True, help="A row for each route and remedy, for spreadsheets, on stdout.")
def plan(
    file: str | None,
    preset_name: str | None,
    host: str | None,
    as_file: bool,
    rate: str | None,
    within: str | None,
    growth: str | None,
    route_name: str | None,
    show_all: bool,
    simulate: int | None,
    lost: float,
    seed: int,
    check: bool,
    validate_for: str | None,
    page_file: str | None,
    plot: str | None,
    as_json: bool,
    as_csv: bool,
    **short: Any,
) -> int:
    """Say what a design carries: ports, TIME-WAIT, memory, the chance that a connect fails; then the ways out.

    FILE is a workload (TOML; - is stdin); `timewait plan preset` prints some. With --rate options describe one flow.
    The numbers are of the settled state, from a closed form.
    """
    from timewait.plan import workload_file
    from timewait.plan.forecast import forecast
    from timewait.plan.remedies import compare
    from timewait.report import plan_data

    if as_json and as_csv:
        raise UsageError("--json and --csv cannot both be on stdout", "leave one out")
    if plot is not None and not plot.endswith((".svg", ".png")):
        raise UsageError(f"{plot} names no kind of picture", "--plot FILE.svg, or FILE.png with matplotlib")
    load = _changed(_workload(file, preset_name, host, rate, short), within, growth)
    if as_file:
        print(workload_file.write(load), end="")
        return Exit.OK
    found = forecast(load)
    shown = _shown(found, route_name, show_all)
    everything = found.routes if as_json or as_csv or page_file else shown
    remedies = {}
    with click.progressbar(everything, label="remedies", file=sys.stderr, hidden=_few(everything)) as bar:
        for route in bar:
            remedies[route.name] = list(compare(load, route.source, route.destination))
    played = {} if simulate is None else {route.name: _play(route, simulate, lost, seed) for route in shown}
    validated, left_out = _validate(load, route_name, validate_for, seed) if check else ({}, ())
    if page_file is not None:
        from timewait.report.plan_page import plan_page

        _write(page_file, plan_page(found, remedies, ("timewait", *sys.argv[1:])))
    if plot is not None:
        _draw(plot, found, shown[0], remedies[shown[0].name])
    if as_json:
        document = plan_data.data(found, remedies, played)
        if validated:
            from timewait.report import validation as validation_report

            document["validated"] = {name: validation_report.data(each) for name, each in validated.items()}
            document["not_validated"] = list(left_out)
        print(json.dumps(document, indent=2))
    elif as_csv:
        print("\n".join(plan_data.csv_lines(found, remedies)))
    else:
        show_lines(_lines(found, shown, remedies, played, validated, left_out))
    if any(each.kept and not each.holds for each in validated.values()):
        return Exit.FAILED
    return Exit.OK if found.carries else Exit.FAILED


def _few(routes: "tuple[Route, ...]") -> bool:
    """Return whether a bar would only flicker."""
    return len(routes) < 5 or not sys.stderr.isatty()


def _write(path: str, text: str) -> None:
    try:
        with open(path, "w", encoding="utf-8") as opened:
            opened.write(text)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}", "name another file") from None


def _draw(path: str, found: "Forecast", route: "Route", remedies: "list[Result]") -> None:
    if path.endswith(".svg"):
        from timewait.report.plan_page import chart_file

        _write(path, chart_file(found, route, remedies))
        return
    from timewait.report.plan_png import write

    try:
        write(path, found, route, remedies)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}", "name another file") from None


def _lines(
    found: "Forecast",
    shown: "tuple[Route, ...]",
    remedies: "dict[str, list[Result]]",
    played: "dict[str, Simulated]",
    validated: "dict[str, Validated]",
    left_out: "Sequence[str]",
) -> "Iterator[str]":
    from timewait.report import plan as report

    yield from report.head(found, width())
    for route in shown:
        yield from report.lines(found, route, remedies[route.name], played.get(route.name), width())
        if route is not shown[-1]:
            yield ""
    if validated:
        from timewait.report import validation as validation_report
    for name, each in validated.items():
        yield ""
        yield f"{name}, for real"
        yield from validation_report.lines(each, width())
    if left_out:
        yield ""
        yield from validation_report.left_out_lines(left_out, width())


def _workload(
    file: str | None, preset_name: str | None, host: str | None, rate: str | None, short: "dict[str, Any]"
) -> "Workload":
    from timewait.plan import presets, short_form, workload_file

    ways = (("FILE", file), ("--preset", preset_name), ("--from-host", host), ("--rate", rate))
    given = [name for name, value in ways if value is not None]
    if len(given) > 1:
        raise UsageError(f"{' and '.join(given)} both say what is planned", "leave one out")
    if not given:
        raise UsageError(
            "nothing says what is planned",
            "--rate 500/s, --preset proxy, --from-host, or a workload file (timewait plan preset proxy prints one)",
        )
    context = click.get_current_context()
    if rate is not None:
        return short_form.workload(rate=rate, **short)
    for parameter in short:
        source = context.get_parameter_source(parameter)
        if source is not click.core.ParameterSource.DEFAULT:
            option = next(each for each in context.command.params if each.name == parameter).opts[0]
            raise UsageError(f"{option} is for one flow, with --rate", "a workload file says it itself")
    if preset_name is not None:
        return presets.get(preset_name)
    if host is not None:
        return _seen(host)
    assert file is not None
    return workload_file.read(read_text(file), "stdin" if file == "-" else file)


def _seen(snapshot: str) -> "Workload":
    from timewait.host import collector
    from timewait.host.snapshot_file import from_text
    from timewait.plan.from_host import workload

    return workload(from_text(read_text(snapshot, 1 << 28), snapshot) if snapshot else collector.take())


def read_text(file: str, most: int = 1 << 20) -> str:
    """Return a file's text, - is stdin.  Raises `UsageError` where it cannot be read or has more octets than `most`."""
    import difflib

    try:
        with sys.stdin.buffer if file == "-" else open(file, "rb") as opened:
            octets = opened.read(most + 1)
    except OSError as error:
        near = difflib.get_close_matches(file, OTHERS, 1)
        hint = f"did you mean {near[0]!r}? or name a file" if near else "name a file, or - for stdin"
        raise UsageError(f"{file} cannot be read: {error.strerror}", hint) from None
    if len(octets) > most:
        raise UsageError(f"{file} has more than {most >> 20} MiB", "no such file is so large")
    try:
        return octets.decode()
    except UnicodeDecodeError:
        raise UsageError(f"{file} is no text (UTF-8)", "name a text file") from None


def _changed(load: "Workload", within: str | None, growth: str | None) -> "Workload":
    from dataclasses import replace

    from timewait.plan import keys
    from timewait.plan.demand import parse_duration

    if within is not None:
        load = replace(load, within=parse_duration(within))
    if growth is not None:
        try:
            load = replace(load, growth=keys.growth(growth))
        except ValueError as error:
            raise UsageError(f"--growth {growth} is not {error}", "as in --growth 5%/month") from None
    return load


def _shown(found: "Forecast", name: str | None, show_all: bool) -> "tuple[Route, ...]":
    if show_all:
        return found.routes
    if name is None:
        return (found.worst,)
    for route in found.routes:
        if " ".join(name.split()) == route.name:
            return (route,)
    raise UsageError(f"there is no route {name!r}", "routes: " + ", ".join(route.name for route in found.routes[:20]))


def _validate(
    load: "Workload", route: str | None, seconds: str | None, seed: int
) -> "tuple[dict[str, Validated], Sequence[str]]":
    """Run every set of ports of the workload, or of one route, side by side; return the names left out, too."""
    from timewait.plan.demand import parse_duration
    from timewait.plan.validation import trials, validate_all

    found, left_out = trials(load, seconds=None if seconds is None else parse_duration(seconds), seed=seed)
    if route is not None:
        name = " ".join(route.split())
        if name in left_out:
            raise UsageError(f"{name} opens hardly a connection in that time", "a longer run: --validate-for 10min")
        if name not in found:
            raise UsageError(f"{name} cannot be run on this kernel by itself", f"what can: {', '.join(found)}")
        found, left_out = {name: found[name]}, ()
    longest = max(each.seconds for each in found.values())
    label, hidden = f"on this kernel, {longest:g} s", not sys.stderr.isatty()
    with click.progressbar(length=round(longest * 4), label=label, file=sys.stderr, hidden=hidden) as bar:
        return dict(validate_all(found, lambda done: bar.update(round(done * 4) - bar.pos))), left_out


def _play(route: "Route", connects: int, lost: float, seed: int) -> "Simulated":
    from timewait.plan.simulation import MOST, play

    what = _scene(route, lost)
    if not _WORTH_A_BAR <= connects <= MOST:
        found = play(what, connects=connects, seed=seed)
    else:
        with click.progressbar(length=connects, label="simulating", file=sys.stderr) as bar:
            found = play(what, connects=connects, seed=seed, tell=lambda done: bar.update(done - bar.pos))
    return found if route.own.ports.first_half is not None else found._replace(beyond_half=None)


def _scene(route: "Route", lost: float) -> "Setting":
    from timewait.plan import paths
    from timewait.plan.simulation import of_ports

    closes = route.destination.client_closes
    client = paths.limits_of(route.source, route.destination)
    stack = client if closes else paths.limits_of_server(route.destination)
    return of_ports(route.own.ports, stack.wait, stack.late, lost=lost)
