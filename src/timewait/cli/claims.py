"""`timewait claims`: what people say about TIME-WAIT, put on trial on this machine."""

import json
from typing import Any

import click
from click.shell_completion import CompletionItem

from timewait.cli.page_file import html_option, write_page
from timewait.cli.states import width
from timewait.errors import Exit
from timewait.lab import claims as known
from timewait.lab.scenario import LINUX, WORLDS

_EPILOG = """\b
Examples:
  timewait claims                        all of them, on this kernel and in the engine
  timewait claims 15                     one, with its evidence
  timewait claims 16.2 --world engine    a part of one, in virtual time alone
  timewait claims --profile freebsd --world engine
  timewait claims --html claims.html     all of them as a page to read, print or mail
  timewait claims --list

\b
Exit status: 0 heard, whatever came of it; 64 usage, 69 nobody could look.
"""


class _Number(click.ParamType[str]):
    """A claim's number; checked when it is looked for, completed here."""

    name = "number"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        found = [claim for each in known.every() for claim in (each, *each.parts)]
        return [
            CompletionItem(claim.number, help=claim.sentence) for claim in found if claim.number.startswith(incomplete)
        ]


@click.command(epilog=_EPILOG)
@click.argument("number", nargs=-1, type=_Number())
@click.option("--list", "listed", is_flag=True, help="Only list the claims.")
@click.option("--world", type=click.Choice([*WORLDS, "all"]), default="all", show_default=True, help="Where.")
@click.option("--profile", metavar="NAME", default="linux", show_default=True, help="What the engine is.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="The engine's chances.")
@html_option
@click.option("--json", "as_json", is_flag=True, help="One JSON document, and nothing else, on stdout.")
def claims(
    number: tuple[str, ...], listed: bool, world: str, profile: str, seed: int, html: str | None, as_json: bool
) -> int:
    """Put what is said about TIME-WAIT on trial: each claim with a verdict that follows from its evidence.

    A claim holds, holds only under conditions, or does not hold.  The evidence is what scenarios of the catalogue
    show on this machine's kernel, in private namespaces that vanish with the run, in the engine and, for those of two
    hosts, with the one at one end and the other at the other.  Without namespaces the engine is heard alone.
    """
    from timewait.report import claims as report

    asked = [known.get(each) for each in dict.fromkeys(number)] or known.every()
    if listed:
        return _print(report.list_lines(asked, width()))
    hearings = _hear(asked, list(WORLDS) if world == "all" else [world], profile, seed, traced=html is not None)
    if html is not None:
        from timewait.report.claims_page import claims_page

        write_page(html, claims_page(hearings, _again(number, world, profile, seed)))
    if as_json:
        return _print(report.claims_data(hearings))
    if not number:
        return _print(report.claims_lines(hearings, width()))
    for at, hearing in enumerate(hearings):
        _print(["", ""] if at else [])
        _print(report.claim_lines(hearing, width()))
    return Exit.OK


def _again(number: tuple[str, ...], world: str, profile: str, seed: int) -> list[str]:
    """Return the command that shows the same."""
    options = (("--world", world, "all"), ("--profile", profile, LINUX), ("--seed", str(seed), "0"))
    words = [word for name, value, usual in options if value != usual for word in (name, value)]
    return ["timewait", "claims", *number, *words]


def _hear(asked: list[Any], worlds: list[str], profile: str, seed: int, *, traced: bool) -> list[Any]:
    from timewait.cli.progress import bar
    from timewait.lab.hearing import hear, trials
    from timewait.lab.trial import Trials
    from timewait.report.lab import unavailable
    from timewait.tcp.profiles import get

    name = get(profile).name
    with bar("scenarios", len(trials(asked, worlds, name, seed))) as done:
        hearings = hear(asked, worlds, name, seed, running=Trials(traced=traced), done=done)
    results = [result for hearing in hearings for result in hearing.results]
    if all(result.error for result in results) and (cannot := unavailable(results)):
        raise cannot
    return hearings


def _print(shown: Any) -> int:
    """Print data as JSON, anything else line by line."""
    for line in [json.dumps(shown, indent=2)] if isinstance(shown, dict) else shown:
        print(line)
    return Exit.OK
