"""`timewait lab`: the catalogue of scenarios; each run in every world, and the worlds compared."""

import json
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from timewait.cli.page_file import html_option, write_page
from timewait.cli.states import width
from timewait.errors import Exit, UsageError
from timewait.lab import catalog
from timewait.lab.behaviours import BEHAVIOURS, SUBJECTS
from timewait.lab.scenario import BRIDGE, ENGINE, KERNEL, LINUX, WORLDS, Scenario, tagged

if TYPE_CHECKING:
    from timewait.lab.trial import Result, Trial, Trials

_LIST_EPILOG = """\b
Examples:
  timewait lab list
  timewait lab list --tag reuse
  timewait lab list --tag H19

\b
Exit status: 0 done, 64 usage.
"""
_SHOW_EPILOG = """\b
Examples:
  timewait lab show half-close

\b
Exit status: 0 done, 64 usage.
"""
_RUN_EPILOG = """\b
Examples:
  timewait lab run half-close                      in the engine and on this kernel
  timewait lab run reconnect --world engine --profile freebsd
  timewait lab run reconnect --set count=5
  timewait lab run lost-last-ack --trace           with a diagram of the exchange
  timewait lab run lost-last-ack --html page.html  the same to look at, print or mail
  timewait lab run unread-data --world engine --pcap unread.pcapng

\b
Exit status: 0 everything came as foretold, 1 something did not, 64 usage, 69 this machine cannot.
"""
_COMPARE_EPILOG = """\b
Examples:
  timewait lab compare                  every scenario, the kernel against profile linux
  timewait lab compare --tag close
  timewait lab compare --world bridge   the engine at one end, the kernel at the other
  timewait lab compare --profile freebsd --tag reuse

\b
Exit status: 0 every cell agrees or is a known difference, and came as foretold; 1 one is not; 64 usage,
69 this machine cannot.
"""


class _Name(click.ParamType[str]):
    """A scenario's name; checked when it is loaded, completed here."""

    name = "name"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        return [CompletionItem(name) for name in catalog.names() if name.startswith(incomplete)]


class _Tag(click.ParamType[str]):
    """A subject or a row of the list of behaviours; checked when scenarios are chosen, completed here."""

    name = "tag"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        known = {**SUBJECTS, **{row: each.says for row, each in BEHAVIOURS.items()}}
        return [CompletionItem(tag, help=says) for tag, says in known.items() if tag.startswith(incomplete)]


_TAG = click.option("--tag", type=_Tag(), metavar="TAG", help="Only those with this tag: reuse, H19 ...")
_JSON = click.option("--json", "as_json", is_flag=True, help="One JSON document, and nothing else, on stdout.")
_PROFILE = click.option("--profile", metavar="NAME", default="linux", show_default=True, help="What the engine is.")
_SEED = click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="The engine's chances.")


@click.group(no_args_is_help=True)
def lab() -> None:
    """Put one scenario to several worlds, and compare what they show.

    The engine is our own TCP in virtual time, the kernel this machine's, in private network namespaces that vanish
    with the run.  Each observation says what a document foretells of it, and which.
    """


@lab.command(name="list", epilog=_LIST_EPILOG)
@_TAG
@_JSON
def list_(tag: str | None, as_json: bool) -> int:
    """List the scenarios: what each of them asks."""
    from timewait.report import lab as report

    found = tagged(catalog.every(), tag)
    return _print(report.catalogue_data(found) if as_json else report.catalogue_lines(found, width(), tag))


@lab.command(epilog=_SHOW_EPILOG)
@click.argument("name", type=_Name())
@_JSON
def show(name: str, as_json: bool) -> int:
    """Show one scenario: its question, its sources, its parameters."""
    from timewait.report import lab as report

    found = catalog.get(name)
    return _print(report.catalogue_data([found]) if as_json else report.scenario_lines(found, width()))


@lab.command(epilog=_RUN_EPILOG)
@click.argument("name", nargs=-1, required=True, type=_Name())
@click.option("--world", type=click.Choice([*WORLDS, "all"]), default="all", show_default=True, help="Where.")
@_PROFILE
@click.option("--set", "given", multiple=True, metavar="KEY=VALUE", help="A parameter of the scenario; see lab show.")
@_SEED
@click.option("--trace", is_flag=True, help="Draw the exchange: segments, states and calls between two lifelines.")
@click.option("--pcap", metavar="FILE", type=click.Path(dir_okay=False), help="Write the segments as pcapng.")
@html_option
@_JSON
def run(
    name: tuple[str, ...],
    world: str,
    profile: str,
    given: tuple[str, ...],
    seed: int,
    trace: bool,
    pcap: str | None,
    html: str | None,
    as_json: bool,
) -> int:
    """Run scenarios; show what was seen and foretold."""
    from timewait.lab.trial import Trials
    from timewait.report import lab as report

    asked = [catalog.get(each) for each in dict.fromkeys(name)]
    if given and len(asked) > 1:
        raise UsageError("--set is about one scenario's parameters", "run that one alone")
    if trace and as_json:
        raise UsageError(
            "--trace draws for people, --json is for programs", "leave one out; --pcap FILE has all segments"
        )
    trials = []
    for scenario in asked:
        worlds = [each for each in scenario.worlds if world in (each, "all")]
        if not worlds:
            has = " or ".join(scenario.worlds)
            raise UsageError(f"{scenario.name} cannot be shown by the {world}", f"try: --world {has}")
        for each in worlds:
            trials += _trials(scenario, each, profile, seed, _pairs(given))
    if pcap is None:
        results = _perform(Trials(traced=trace or html is not None), trials)
    else:
        try:
            with Path(pcap).open("wb") as file:
                results = _perform(Trials(file), trials)
        except OSError as error:
            raise UsageError(f"{pcap} cannot be written: {error.strerror}", "name another file") from None
    if html is not None:
        from timewait.report.lab_page import lab_page

        write_page(html, lab_page(results, _again(asked, world, profile, given, seed)))
    if as_json:
        _print(report.results_data(results))
    else:
        for at, scenario in enumerate(asked):
            _print(["", ""] if at else [])
            found = [each for each in results if each.trial.scenario == scenario]
            _print(report.result_lines(found, width()))
            _print(report.trace_lines(found, width()) if trace else [])
    if cannot := report.unavailable(results):
        raise cannot
    return Exit.FAILED if any(result.error or result.astray for result in results) else Exit.OK


@lab.command(epilog=_COMPARE_EPILOG)
@_TAG
@click.option(
    "--world",
    type=click.Choice([ENGINE, BRIDGE, "all"]),
    default="all",
    show_default=True,
    help="What is held to the kernel: the engine alone, or across a bridge as each end in turn.",
)
@_PROFILE
@_SEED
@_JSON
def compare(tag: str | None, world: str, profile: str, seed: int, as_json: bool) -> int:
    """Run all in every world; show where they differ."""
    from timewait.lab.agreement import Agreement
    from timewait.lab.trial import Trials
    from timewait.report import lab as report

    others = [each for each in (ENGINE, BRIDGE) if world in (each, "all")]
    asked = [each for each in tagged(catalog.every(), tag) if KERNEL in each.worlds and {*others} & {*each.worlds}]
    if not asked:
        those = f"scenario tagged {tag!r}" if tag else "scenario"
        raise UsageError(f"no {those} can be shown by the kernel and the {' or the '.join(others)}", "see lab list")
    trials = [
        [
            trial
            for each in (KERNEL, *others)
            if each in scenario.worlds
            for trial in _trials(scenario, each, profile, seed, {})
        ]
        for scenario in asked
    ]
    results = iter(_perform(Trials(), [trial for those in trials for trial in those]))
    found = [Agreement(tuple(islice(results, len(those)))) for those in trials]
    kernels = [each.results[0] for each in found]
    if all(result.error for result in kernels) and (cannot := report.unavailable(kernels)):
        raise cannot
    _print(report.agreement_data(found) if as_json else report.agreement_lines(found, width()))
    fine = all(each.explained and not any(result.astray for result in each.results) for each in found)
    return Exit.OK if fine else Exit.FAILED


def _trials(scenario: Scenario, world: str, profile: str, seed: int, given: dict[str, str]) -> "list[Trial]":
    from timewait.lab.trial import trials
    from timewait.tcp.profiles import get

    return trials(scenario, world, scenario.settings(given), get(profile).name, seed)


def _again(asked: list[Scenario], world: str, profile: str, given: tuple[str, ...], seed: int) -> list[str]:
    """Return the command that shows the same."""
    options = (("--world", world, "all"), ("--profile", profile, LINUX), ("--seed", str(seed), "0"))
    words = [word for name, value, usual in options if value != usual for word in (name, value)]
    words += [word for each in given for word in ("--set", each)]
    return ["timewait", "lab", "run", *(each.name for each in asked), *words]


def _pairs(given: tuple[str, ...]) -> dict[str, str]:
    """Read KEY=VALUE, each key once."""
    found: dict[str, str] = {}
    for each in given:
        name, equals, value = each.partition("=")
        if not (name and equals and value) or name in found:
            why = "is given twice" if name in found else "is not KEY=VALUE"
            raise UsageError(f"--set {each!r} {why}", "write it as --set count=5")
        found[name] = value
    return found


def _perform(trials: "Trials", asked: "list[Trial]") -> "list[Result]":
    from timewait.cli.progress import bar

    with bar("scenarios", len(asked)) as done:
        return trials.perform_all(asked, done)


def _print(shown: Any) -> int:
    """Print data as JSON, anything else line by line."""
    for line in [json.dumps(shown, indent=2)] if isinstance(shown, dict) else shown:
        print(line)
    return Exit.OK
