"""`timewait profiles`: how real stacks differ."""

import json

import click
from click.shell_completion import CompletionItem

from timewait.cli.states import width
from timewait.errors import Exit, UsageError

_EPILOG = """\b
Examples:
  timewait profiles                         every stack's TIME-WAIT at a glance
  timewait profiles linux freebsd --diff    what differs between two
  timewait profiles linux-4.0 --why         all values, each with its source

\b
Exit status: 0 done, 64 usage.
"""


class ProfileName(click.ParamType[str]):
    """A profile's name; checked when it is loaded, completed here."""

    name = "name"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Return the profiles whose names begin so."""
        from timewait.tcp.profiles import names

        return [CompletionItem(name) for name in names() if name.startswith(incomplete)]


@click.command(epilog=_EPILOG)
@click.argument("name", nargs=-1, type=ProfileName())
@click.option("--diff", is_flag=True, help="Only the values that differ.")
@click.option("--why", is_flag=True, help="Below each value, where it is from.")
@click.option("--settings", is_flag=True, help="The settings that a profile has instead of its values.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document, and nothing else, on stdout.")
def profiles(name: tuple[str, ...], diff: bool, why: bool, settings: bool, as_json: bool) -> int:
    """Show what TCP stacks do their own way, side by side.

    A profile is what the engine can be: rtest --world engine --profile NAME.
    """
    from timewait.report import profiles as report
    from timewait.tcp.profiles import get, names

    if diff and len(name) < 2:
        raise UsageError("--diff is between two profiles or more", "try: timewait profiles linux freebsd --diff")
    if why and not name:
        raise UsageError("--why is about the values of the profiles you name", "try: timewait profiles linux --why")
    found = [get(each) for each in name or names()]
    if as_json:
        print(json.dumps(report.data(found, diff=diff), indent=2))
        return Exit.OK
    if settings:
        lines = report.settings(found)
    elif name:
        lines = report.side_by_side(found, width(), diff=diff, why=why)
    else:
        lines = report.overview(found, width())
    for line in lines:
        print(line)
    return Exit.OK
