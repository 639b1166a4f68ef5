"""`timewait plan fleet`: many hosts alike, by cohorts of connects."""

import json
import sys

import click

from timewait.errors import Exit, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from click._termui_impl import ProgressBar

    from timewait.plan.fleet import Fleet

# CPU seconds of a run that is worth a bar.
_WORTH_A_BAR = 2.0

_EPILOG = """\b
Examples:
  timewait plan fleet farm.toml
  timewait plan fleet --preset farm --for 2d
  timewait plan fleet farm.toml --route "web -> database" --members 16h:50,8h:20
  timewait plan fleet farm.toml --balance round-robin --json

\b
Exit status: 0 done, 64 usage.
"""


@click.command(epilog=_EPILOG)
@click.argument("file", required=False)
@click.option("--preset", "preset_name", metavar="NAME", help="One of the workloads of the program, instead of FILE.")
@click.option("--route", metavar="NAME", help="Only this one: 'web -> database'.  [all]")
@click.option("--for", "lasts", default="1d", metavar="TIME", help="How long.  [1d]")
@click.option(
    "--members", metavar="TIME:HOSTS,...", help="How many hosts there are, in turn, again and again.  [the file's]"
)
@click.option(
    "--balance",
    type=click.Choice(["random", "round-robin"]),
    default="random",
    help="How connects are handed out to hosts.  [random]",
)
@click.option("--step", metavar="TIME", help="How long a step is.  [1/60 of a port's being in use]")
@click.option("--seed", default=1, metavar="N", help="For what is random.  [1]")
@click.option("--json", "as_json", is_flag=True, help="One JSON document, and nothing else, on stdout.")
def fleet(
    file: str | None,
    preset_name: str | None,
    route: str | None,
    lasts: str,
    members: str | None,
    balance: str,
    step: str | None,
    seed: int,
    as_json: bool,
) -> int:
    """Play a day of whole fleets: 10^11 connections and more, in minutes, with hosts that join and leave.

    FILE is a workload (TOML).  Connects are counted by cohorts; see docs/concepts/plan-simulation.md.
    """
    from timewait.plan import fleet as fleets
    from timewait.plan.demand import parse_duration
    from timewait.report import fleet as report

    found = _fleets(file, preset_name, members, balance)
    if route is not None:
        name = " ".join(route.split())
        if name not in found:
            raise UsageError(f"there is no {name!r} that can be played", f"what can: {', '.join(found)}")
        found = {name: found[name]}
    seconds = parse_duration(lasts)
    documents = []
    for number, (name, each) in enumerate(found.items()):
        length = fleets.step_of(each) if step is None else parse_duration(step)
        ahead = fleets.estimate(each, seconds, length)
        hidden = ahead < _WORTH_A_BAR or not sys.stderr.isatty()
        with click.progressbar(length=100, label=f"{name}, about {ahead:.0f} s", file=sys.stderr, hidden=hidden) as bar:

            def tell(done: float, bar: "ProgressBar[int]" = bar) -> None:
                bar.update(int(100 * done / seconds) - bar.pos)

            played = fleets.play(each, seconds=seconds, seed=seed, step=length, tell=tell)
        if as_json:
            documents.append(report.data(name, each, played))
            continue
        if number:
            print()
        for line in report.lines(name, each, played):
            print(line)
    if as_json:
        document = {"schema_version": report.SCHEMA_VERSION, "command": "plan fleet", "fleets": documents}
        print(json.dumps(document, indent=2))
    return Exit.OK


def _fleets(file: str | None, preset_name: str | None, members: str | None, balance: str) -> "dict[str, Fleet]":
    """Return a fleet for each set of ports of a workload, as many hosts as there are sets alike."""
    from timewait.cli.plan_sweep import read_file
    from timewait.plan import presets, workload_file
    from timewait.plan.fleet import Balance, of_ports
    from timewait.plan.simulation import settings_of

    if (file is None) == (preset_name is None):
        raise UsageError("a workload FILE or --preset NAME is to be played", "timewait plan fleet --preset farm")
    if preset_name is not None:
        load = presets.get(preset_name)
    else:
        assert file is not None
        load = workload_file.read(read_file(file), file)
    course = None if members is None else _course(members)
    return {
        f"{ports.whose} -> {ports.towards or 'everywhere'}": of_ports(ports, scene, course, Balance(balance))
        for ports, scene in settings_of(load)
    }


def _course(text: str) -> tuple[tuple[float, int], ...]:
    from timewait.plan.demand import parse_duration

    parts = []
    for part in text.split(","):
        length, colon, hosts = part.partition(":")
        if not colon or not hosts.strip().isdecimal():
            raise UsageError(f"--members {text!r} is no list of times and numbers of hosts", "16h:50,8h:20")
        parts.append((parse_duration(length), int(hosts)))
    return tuple(parts)
