"""`timewait plan import`: a workload from a configuration that exists already."""

import sys

import click


def _kinds(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
    from timewait.plan.importers import KINDS

    return [name for name in KINDS if name.startswith(incomplete)]


@click.command(
    name="import",
    epilog="""\b
Kinds: nginx, haproxy, prometheus, k6.

\b
Examples:
  timewait plan import nginx /etc/nginx/nginx.conf --rate 800/s > mine.toml
  timewait plan import prometheus prometheus.yml > mine.toml
  timewait plan import k6 test.js --hold 40ms | timewait plan -
""",
)
@click.argument("kind", shell_complete=_kinds)
@click.argument("file")
@click.option("--rate", metavar="N[/s|/min|/h]", help="All requests together, where the file does not say it.")
@click.option("--hold", metavar="TIME", help="How long a request takes.")
def import_(kind: str, file: str, rate: str | None, hold: str | None) -> None:
    """Print the workload that a configuration makes; what of it is not used goes to stderr, line by line.

    FILE may be - for stdin. Included files are not read, and nothing is run.
    """
    from timewait.cli.plan import read_text
    from timewait.plan import importers, workload_file
    from timewait.plan.demand import parse_duration, parse_rate
    from timewait.plan.importers.imported import MOST_UNUSED, Asked
    from timewait.report.columns import grouped

    asked = Asked(None if rate is None else parse_rate(rate), None if hold is None else parse_duration(hold))
    importers.known(kind)
    name = "stdin" if file == "-" else file
    found = importers.load(kind, read_text(file), name, asked)
    print(workload_file.write(found.workload), end="")
    if not found.unused:
        return
    print(f"not used, {grouped(len(found.unused))}:", file=sys.stderr)
    for each in found.unused[:MOST_UNUSED]:
        where = f"line {each.line}" if each.line else ""
        print(f"  {where:<10}{visible(each.text)}", file=sys.stderr)
    if len(found.unused) > MOST_UNUSED:
        print(f"  and {grouped(len(found.unused) - MOST_UNUSED)} more", file=sys.stderr)


def visible(text: str) -> str:
    """Return text without what a terminal would obey."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)
