"""`timewait doctor` as click knows it: help, completion, and arguments that are not plain."""

from pathlib import Path

import click

from timewait.cli.doctor import Asked, show
from timewait.cli.output import WHEN
from timewait.host.limits import Limits

_EPILOG = """\b
Examples:
  timewait doctor                            this network namespace
  timewait doctor --netns 4711               that of process 4711
  timewait doctor --netns all                all that this user can enter, the worst first
  timewait doctor --interval 10              counters that rise are told from old ones
  timewait doctor --trace 10                 which process closes first, seen while it does
  timewait doctor --requests-per-second 10.0.0.9:5432=800
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
@click.option("--netns", metavar="NAME|PID|all", default="", help="Look into this network namespace.")
@click.option("--interval", type=click.FloatRange(0, 3600), default=0.0, help="Read the counters again after SECONDS.")
@click.option(
    "--trace",
    type=click.FloatRange(0, 300),
    metavar="SECONDS",
    default=0.0,
    help="Watch for so long who closes first, for certain.  Needs root.",
)
@click.option(
    "--requests-per-second",
    "requests",
    metavar="[ADDR:PORT=]N",
    multiple=True,
    help="Say how many requests are made, to learn how many connections each opens.",
)
@click.option("--save", type=click.Path(dir_okay=False, path_type=Path), help="Write what was seen to FILE.")
@click.option(
    *("--from", "--snapshot", "source"),
    type=click.Path(dir_okay=False, path_type=Path),
    help="Examine a saved FILE instead.",
)
@click.option("--anonymise", is_flag=True, help="Replace addresses and names, always by the same ones.")
@click.option("--limit", "given", metavar="NAME=VALUE", multiple=True, help="Set a threshold; may be given again.")
@click.option("--limits", "file", type=click.Path(dir_okay=False, path_type=Path), help="Read thresholds from TOML.")
@click.option("--all", "everything", is_flag=True, help="All findings, not the worst ten.")
@click.option("--check", is_flag=True, help="One line with performance data, for a monitoring system.")
@click.option("--color", "colour", type=click.Choice(WHEN), default="auto", help="Colour: on a terminal, or as said.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def doctor(
    netns: str,
    interval: float,
    trace: float,
    requests: tuple[str, ...],
    save: Path | None,
    source: Path | None,
    anonymise: bool,
    given: tuple[str, ...],
    file: Path | None,
    everything: bool,
    check: bool,
    colour: str,
    as_json: bool,
) -> int:
    """Say whether this host is short of ports, towards whom, since when, and what to do.  Reads only.

    Every command that it prints is for you to run, with its scope and its undo.
    """
    return show(
        Asked(
            *(netns, interval, trace, save, source, anonymise, requests, given, file, everything, check, as_json),
            colour,
        )
    )
