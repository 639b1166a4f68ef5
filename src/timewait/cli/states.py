"""`timewait states`: the engine's transition table."""

import json
import shutil
import sys

import click

from timewait.errors import Exit, UsageError

_WIDEST = 100
_DEFAULT = 80

_EPILOG = """\b
Examples:
  timewait states                    every transition
  timewait states TIME-WAIT --all    one state; also what is ignored there, and what cannot happen
  timewait states --dot | dot -Tsvg > states.svg

\b
Exit status: 0 done, 64 usage.
"""


@click.command(epilog=_EPILOG)
@click.argument("state", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Also the pairs that are ignored or impossible.")
@click.option("--dot", is_flag=True, help="The diagram, in Graphviz's language.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document, and nothing else, on stdout.")
def states(state: tuple[str, ...], everything: bool, dot: bool, as_json: bool) -> int:
    """Print the TCP state machine that the engine runs on: RFC 9293's, as a table.

    Each row is a transition that the engine can make, with the section that asks for it.
    """
    if sum((bool(state), dot, as_json)) > 1 or (everything and (dot or as_json)):
        raise UsageError("STATE and --all are for the table, not for --dot or --json", "ask for one of them")
    from timewait.report import states as report

    if as_json:
        print(json.dumps(report.data(), indent=2))
    elif dot:
        from timewait.tcp.states import dot as diagram

        print(diagram(), end="")
    else:
        from timewait.tcp.states import State

        known = {str(each): each for each in State}
        wanted = [name.upper().replace("_", "-") for name in state]
        for name in wanted:
            if name not in known:
                raise UsageError(f"there is no state {name}", f"states: {', '.join(known)}")
        for line in report.lines(width(), states=tuple(known[name] for name in wanted), everything=everything):
            print(line)
    return Exit.OK


def width() -> int:
    """Return for how many columns to print."""
    return min(_WIDEST, shutil.get_terminal_size().columns) if sys.stdout.isatty() else _DEFAULT
