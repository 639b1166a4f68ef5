"""Results of scenarios as a page: question and verdict, the worlds side by side, the exchange, how to see it again."""

import shlex
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from timewait.clock import readable
from timewait.lab.scenario import ENGINE, Foretold, Observation, Scenario
from timewait.lab.trial import Result
from timewait.report.conversation import picture
from timewait.report.html import (
    Content,
    Markup,
    Section,
    badge,
    element,
    facts,
    folded,
    join,
    page,
    paragraphs,
    table,
)
from timewait.report.lab import foretold_text, tolerances, value_text, world_name
from timewait.report.ladder_html import pictures
from timewait.report.ladder_svg import STYLE, patterns

_LOOKED_UP: Final = element(
    "p", element("small", "A kernel's states are those it was in when it was asked, after each call.")
)
_NOT_RECORDED: Final = "What went over this kernel's loopback was not recorded."


def lab_page(results: Sequence[Result], command: Sequence[str]) -> str:
    """Return the page of one or several scenarios' results.  `command`: what shows them again."""
    scenarios = list({result.trial.scenario.name: result.trial.scenario for result in results}.values())
    sections: list[Section] = []
    for at, scenario in enumerate(scenarios):
        own = [result for result in results if result.trial.scenario.name == scenario.name]
        found = _sections(own, f"exchange-{at + 1}")
        if len(scenarios) > 1:
            parts = [join((element("h3", part.title), part.body)) for part in found]
            sections.append(Section(scenario.name, join((paragraphs(scenario.question), _verdict(own), *parts))))
        else:
            sections += found
    again = element("pre", element("code", shlex.join(command)))
    sections.append(Section("To see it again", join((paragraphs("On this machine or another one:"), again))))
    if len(scenarios) == 1:
        title, kicker, lead = scenarios[0].question, f"timewait lab: {scenarios[0].name}", _verdict(results)
    else:
        title, kicker, lead = f"{len(scenarios)} scenarios", "timewait lab", _overview(scenarios, results)
    return page(title, sections, lead=lead, kicker=kicker, style=STYLE, end=patterns())


def _overview(scenarios: Sequence[Scenario], results: Sequence[Result]) -> Markup:
    rows = [
        (each.name, each.question, _verdict([result for result in results if result.trial.scenario.name == each.name]))
        for each in scenarios
    ]
    return table("What was asked, and what came of it", ("Scenario", "Question", "Result"), rows)


def _verdict(results: Sequence[Result]) -> Markup:
    """Return what came of a scenario in a word, and where it went otherwise."""
    broken = [result for result in results if result.error is not None]
    astray = [(result, each.name) for result in results for each in result.astray]
    said: list[Content] = []
    if astray:
        said.append(badge("bad", "✗", "Not as foretold"))
    elif len(broken) == len(results):
        said.append(badge("warn", "?", "Nobody could look"))
    else:
        said.append(badge("good", "✓", "As foretold"))
    differing = _differing(results)
    ran = len(results) - len(broken)
    if ran > 1:
        kind = ("warn", "≠", "The worlds differ") if differing else ("good", "=", "The worlds agree")
        said.append(badge(*kind))
    words: list[Content] = [join(said, " ")]
    words += [f"{world_name(result)}: {name}." for result, name in astray]
    words += [f"{world_name(result)} could not carry it through: {result.trouble}." for result in broken]
    return paragraphs(*words)


def _differing(results: Sequence[Result]) -> set[str]:
    """Return the names of the observations in which worlds differ."""
    ran = [{each.name: each for each in result.observations} for result in results if result.error is None]
    names = dict.fromkeys(name for seen in ran for name in seen)
    return {name for name in names if not _alike([seen.get(name) for seen in ran])}


def _alike(seen: Sequence[Observation | None]) -> bool:
    first, *others = seen
    return all(first is not None and each is not None and first.agrees(each) for each in others)


def _sections(results: Sequence[Result], name: str) -> list[Section]:
    ran = [result for result in results if result.error is None]
    seen = _observations(ran) if ran else paragraphs("Nothing: no world could carry it through.")
    return [
        Section("What was seen", seen),
        Section("What went back and forth", exchanges(results, name)),
        Section("Where it was seen", circumstances(results)),
    ]


def _observations(results: Sequence[Result]) -> Markup:
    """Return the table of observations: a row each, a column each world, and who foretold what."""
    seen = [{each.name: each for each in result.observations} for result in results]
    differing = _differing(results)
    sources: dict[str, int] = {}
    rows, marked = [], []
    for name in dict.fromkeys(name for one in seen for name in one):
        there = [one[name] for one in seen if name in one]
        cells: list[Content] = [name]
        for result, one in zip(results, seen, strict=True):
            cells.append(_cell(one.get(name), result, name in differing))
        cells.append(join((_foretold(there, each, sources) for each in there[0].foretold), "; "))
        rows.append(cells)
        marked.append(name in differing)
    heads = ("Observation", *map(world_name, results), "Foretold")
    parts = [table("Each observation in each world", heads, rows, marked=marked)]
    if sources:
        parts.append(folded("Who foretold it", element("ol", *(element("li", source) for source in sources))))
    parts += [paragraphs(element("small", f"{', '.join(names)}: {text}.")) for text, names in tolerances(seen).items()]
    return join(parts)


def _cell(observation: Observation | None, result: Result, differs: bool) -> Markup:
    if observation is None:
        return element("span", "not seen", class_="soft")
    value = value_text(observation.value, time=observation.time)
    words: list[Content] = [element("strong" if differs else "span", value, class_=whole(value))]
    if differs:
        words.append(element("span", " ≠", class_="warn", title="the worlds differ"))
    if observation.as_foretold(result.trial.stack) is False:
        words.append(element("span", " ✗ not as foretold", class_="bad"))
    return join(words)


def whole(words: str) -> str | None:
    """Return the class of what is so short that it need not be broken."""
    return "word" if len(words) < 16 else None


def _foretold(there: Sequence[Observation], foretold: Foretold, sources: dict[str, int]) -> Markup:
    words, _, number = foretold_text(there, foretold, sources).rpartition(" ")
    return element("span", f"{words} ", element("small", number), class_=whole(words))


def exchanges(results: Iterable[Result], name: str) -> Markup:
    """Return the diagrams of each world."""
    parts: list[Content] = []
    for at, result in enumerate(results):
        parts.append(element("h3", world_name(result)))
        if result.trace is None:
            parts.append(paragraphs(_NOT_RECORDED if result.error is None else f"None: {result.trouble}."))
        else:
            parts.append(pictures(picture(result.trace), f"{name}-{at + 1}"))
            parts.append(_LOOKED_UP if result.trial.world != ENGINE else None)
    return join(parts)


def circumstances(results: Iterable[Result]) -> Markup:
    """Return what results depend on: kernel or profile, seed, parameters, sysctls."""
    return join(join((element("h3", world_name(result)), facts(_circumstances(result)))) for result in results)


def _circumstances(result: Result) -> Iterator[tuple[str, Content]]:
    for name, value in result.circumstances.items():
        if name != "world":
            yield name, value
    if result.trial.settings:
        yield "parameters", ", ".join(f"{name} = {value}" for name, value in result.trial.settings.items())
    if result.sysctls:
        yield "sysctls", join((element("code", f"{name} = {value}") for name, value in result.sysctls.items()), ", ")
    yield "took", readable(result.took)
    if result.error is not None:
        yield "error", result.trouble
