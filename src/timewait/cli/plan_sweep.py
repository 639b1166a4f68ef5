"""`timewait plan sweep`: a workload simulated again and again, with other values in it."""

import json
import os
import sys
from functools import partial
from pathlib import Path

import click

from timewait.errors import Exit, UsageError

_EPILOG = """\b
Examples:
  timewait plan sweep app.toml --vary rate=100..2000
  timewait plan sweep app.toml --vary rate=100..2000:100 --vary pool=0,8,64
  timewait plan sweep app.toml --vary tcp_tw_reuse=0,1 --vary holds=10ms,1s --csv
  timewait plan sweep app.toml --vary rate=100..900#100 --results rates.jsonl
  timewait plan sweep app.toml --vary rate=100..900#100 --cluster tcp://scheduler:8786

\b
Exit status: 0 done, 64 usage, 69 this machine or the cluster cannot.
"""
# What one file of a workload has, at most.
_MOST_OCTETS = 1 << 20


@click.command(epilog=_EPILOG)
@click.argument("file", type=click.Path(dir_okay=False))
@click.option(
    "--vary",
    "varies",
    multiple=True,
    required=True,
    metavar="KEY=VALUES",
    help="A key of the file, or a setting: LOW..HIGH (ten values), LOW..HIGH:STEP, LOW..HIGH#COUNT, or A,B,C; "
    "repeatable.",
)
@click.option(
    "--connects",
    type=click.IntRange(1),
    metavar="N",
    help="Simulate so many of each set of ports.  [500,000, or what it takes to settle]",
)
@click.option("--seed", default=1, metavar="N", help="For what is random; the same in every cell.  [1]")
@click.option("--results", metavar="PATH", help="Keep rows here as they come; run again, it goes on where it was.")
@click.option("--jobs", type=click.IntRange(1, 1024), metavar="N", help="Processes.  [as many as there are CPUs]")
@click.option("--cluster", metavar="ADDRESS", help="A Dask scheduler to run on: tcp://host:8786.")
@click.option("--csv", "as_csv", is_flag=True, help="Comma-separated values, every field, on stdout.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document, and nothing else, on stdout.")
def sweep(
    file: str,
    varies: tuple[str, ...],
    connects: int | None,
    seed: int,
    results: str | None,
    jobs: int | None,
    cluster: str | None,
    as_csv: bool,
    as_json: bool,
) -> int:
    """Simulate a workload FILE with every combination of other values in it, and show what each comes to."""
    from timewait.plan import sweep as sweeps
    from timewait.report import sweep as report
    from timewait.report.plan import time as duration

    if as_csv and as_json:
        raise UsageError("--csv and --json cannot both be on stdout", "choose one")
    parsed = tuple(sweeps.parse(each) for each in varies)
    names = [vary.name for vary in parsed]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"{name} is varied twice", "give all its values in one --vary")
    wanted = sweeps.Sweep(read_file(file), file, parsed, connects, seed)
    tasks = wanted.tasks()
    ahead = sweeps.estimate(tasks)

    runner = partial(sweeps.here, width=jobs or len(os.sched_getaffinity(0)))
    if cluster is not None:
        from timewait.plan.cluster import results as on_cluster

        runner = partial(on_cluster, address=cluster)
    with sweeps.Results(None if results is None else Path(results), wanted.fingerprint) as kept:
        with click.progressbar(
            length=len(tasks),
            label=f"{len(tasks)} cells, about {duration(ahead)} of CPU time",
            file=sys.stderr,
            hidden=not sys.stderr.isatty(),
        ) as bar:
            sweeps.play(wanted, kept, runner, lambda done: bar.update(done - bar.pos))
        if as_json:
            print(json.dumps(report.data(wanted, tasks, kept.rows), indent=2))
        elif as_csv:
            print(report.comma_separated(wanted, tasks, kept.rows), end="")
        else:
            for line in report.lines(wanted, tasks, kept.rows):
                print(line)
    return Exit.OK


def read_file(file: str) -> str:
    """Return a workload file's text.  Raises `UsageError` for what is none."""
    try:
        with open(file, "rb") as opened:
            octets = opened.read(_MOST_OCTETS + 1)
        return octets.decode()
    except OSError as error:
        raise UsageError(f"{file}: {error.strerror}", "name a workload file") from None
    except UnicodeDecodeError:
        raise UsageError(f"{file} is no text", "name a workload file, in UTF-8") from None
