"""`timewait plan`: what a design carries before it is built."""

import json
import sys

import click

from timewait.cli.states import width
from timewait.errors import Exit, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from timewait.plan.remedies import Design
    from timewait.plan.simulation import Simulated
    from timewait.plan.validation import Validated

# Connects that take more than about a second to simulate.
_WORTH_A_BAR = 20_000_000

_EPILOG = """\b
Examples:
  timewait plan --rate 500/s                     one client to one server, the client closes
  timewait plan --rate 30k/min --closer server
  timewait plan --rate 2000/s --to 4 --hold 200ms --set tcp_tw_reuse=1
  timewait plan --rate 460/s --simulate 10000000
  timewait plan --rate 700/s --arrivals constant --validate
  timewait plan --rate 100/s --profile freebsd --arrivals constant --json

\b
Exit status: 0 the design carries it, 1 some connect is likely to fail, 64 usage.
"""


class _Plan(click.Group):
    """Imports what stands below `plan` when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return ["sweep"]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name != "sweep":
            return None
        from timewait.cli.plan_sweep import sweep

        return sweep


@click.group(cls=_Plan, invoke_without_command=True, epilog=_EPILOG)
@click.option("--rate", metavar="N[/s|/min|/h]", help="Requests, of all sources together.")
@click.option("--from", "sources", default=1, metavar="N", help="Source addresses.  [1]")
@click.option("--to", "destinations", default=1, metavar="N", help="Destinations: pairs of address and port.  [1]")
@click.option("--closer", type=click.Choice(["client", "server"]), default="client", help="Who closes first.  [client]")
@click.option("--hold", default="0", metavar="TIME", help="How long a connection is open: 200ms, 5s, 1h.  [0]")
@click.option("--per-connection", default=1.0, metavar="N", help="Requests that one connection carries.  [1]")
@click.option(
    "--arrivals", type=click.Choice(["poisson", "constant"]), default="poisson", help="How they come.  [poisson]"
)
@click.option(
    "--binding",
    type=click.Choice(["late", "bind"]),
    default="late",
    help="Who chooses the port: connect(), or bind() to port 0.  [late]",
)
@click.option("--octets", default=0, metavar="N", help="What a client sends over one connection.  [0]")
@click.option("--profile", default="linux", metavar="NAME", help="The stack at both ends.  [linux]")
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUE", help="A setting of the profile; repeatable.")
@click.option("--loopback", is_flag=True, help="Both ends are on one host.")
@click.option("--within", default="1h", metavar="TIME", help="For how long no connect may fail.  [1h]")
@click.option(
    "--simulate", type=click.IntRange(1), metavar="CONNECTS", help="Also play so many connects of one budget."
)
@click.option("--seed", default=1, metavar="N", help="For what is random in that.  [1]")
@click.option("--validate", "check", is_flag=True, help="Also run it for real, scaled down, on this kernel.")
@click.option("--validate-for", metavar="TIME", help="For how long.  [as long as ports need to come back]")
@click.option("--json", "as_json", is_flag=True, help="One JSON document, and nothing else, on stdout.")
@click.pass_context
def plan(
    context: click.Context,
    rate: str | None,
    sources: int,
    destinations: int,
    closer: str,
    hold: str,
    per_connection: float,
    arrivals: str,
    binding: str,
    octets: int,
    profile: str,
    settings: tuple[str, ...],
    loopback: bool,
    within: str,
    simulate: int | None,
    seed: int,
    check: bool,
    validate_for: str | None,
    as_json: bool,
) -> int:
    """Say what a design carries: ports, TIME-WAIT, memory, the chance that a connect fails; then the ways out.

    The numbers are of the settled state, from a closed form: Erlang's formula for random arrivals.
    """
    if context.invoked_subcommand is not None:
        return Exit.OK
    if rate is None:
        raise UsageError("--rate is missing", "timewait plan --rate 500/s")
    from timewait.plan import demand as demands
    from timewait.plan.remedies import Design, compare
    from timewait.report import plan as report
    from timewait.tcp import settings as stack_settings
    from timewait.tcp.profiles import get

    demand = demands.Demand(
        rate=demands.parse_rate(rate),
        sources=sources,
        destinations=destinations,
        closer=demands.Closer(closer),
        hold=demands.parse_duration(hold),
        per_connection=per_connection,
        arrivals=demands.Arrivals(arrivals),
        binding=demands.Binding(binding),
        octets=octets,
    )
    design = Design(demand, stack_settings.change_all(get(profile), settings), loopback)
    seconds = demands.parse_duration(within)
    found = design.forecast(seconds)
    remedies = list(compare(design, seconds))
    played = None if simulate is None else _play(design, simulate, seed)
    validated = _validate(design, validate_for, seed) if check else None
    if as_json:
        document = report.data(design, found, remedies, seconds, played)
        if validated is not None:
            from timewait.report import validation as validation_report

            document["validated"] = validation_report.data(validated)
        print(json.dumps(document, indent=2))
    else:
        for line in report.lines(design, found, remedies, seconds, played, width()):
            print(line)
        if validated is not None:
            from timewait.report import validation as validation_report

            print()
            for line in validation_report.lines(validated, width()):
                print(line)
    if validated is not None and validated.kept and not validated.holds:
        return Exit.FAILED
    return Exit.FAILED if demand.rate > found.highest else Exit.OK


def _validate(design: "Design", seconds: str | None, seed: int) -> "Validated":
    from timewait.plan import demand as demands
    from timewait.plan.simulation import setting
    from timewait.plan.validation import trial, validate

    if design.profile.name != "linux":
        raise UsageError(
            f"this kernel is Linux, and cannot show what {design.profile.name} does",
            "leave --validate or --profile out",
        )
    scene = setting(design.demand, design.limits(), wheel=True)
    what = trial(
        scene,
        client_closes=design.demand.closer is demands.Closer.CLIENT,
        by_bind=design.demand.binding is demands.Binding.BIND,
        timestamps=design.profile.timestamps,
        seconds=None if seconds is None else demands.parse_duration(seconds),
        seed=seed,
    )
    with click.progressbar(length=round(what.seconds * 4), label="on this kernel", file=sys.stderr) as bar:
        return validate(what, lambda done: bar.update(round(done * 4) - bar.pos))


def _play(design: "Design", connects: int, seed: int) -> "Simulated":
    from timewait.plan.simulation import simulate

    if connects < _WORTH_A_BAR:
        return simulate(design.demand, design.limits(), connects=connects, seed=seed)
    with click.progressbar(length=connects, label="simulating", file=sys.stderr) as bar:
        return simulate(
            design.demand, design.limits(), connects=connects, seed=seed, tell=lambda done: bar.update(done - bar.pos)
        )
