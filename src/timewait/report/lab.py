"""How scenarios, their results and the agreement of worlds are shown: lines of text, or data for JSON."""

import textwrap
from collections.abc import Iterator, Sequence
from typing import Any, Final

from timewait.clock import readable
from timewait.errors import TimewaitError
from timewait.lab.behaviours import BEHAVIOURS, SUBJECTS, Behaviour
from timewait.lab.scenario import BRIDGE, ENGINE, KERNEL, Foretold, Observation, Scenario, Value
from timewait.report.columns import table, wrapped

TYPE_CHECKING = False
if TYPE_CHECKING:
    from timewait.lab.agreement import Agreement, Cell
    from timewait.lab.trial import Result

SCHEMA_VERSION: Final = 1
_LABEL: Final = 11
_NARROWEST: Final = 14
# Worlds have a column each where two of these fit; else they are joined into one, which says where they differ.
_WIDEST: Final = 16
# What `compare` has a column for.  Of a bridge's ends with other names all are clients.
_AT_SERVER: Final = "SERVER"
_AT_CLIENT: Final = "CLIENT"
_COLUMNS: Final = (KERNEL.upper(), ENGINE.upper(), _AT_SERVER, _AT_CLIENT)


def value_text(value: Value, *, time: bool = False) -> str:
    """Return an observed or foretold value as people read it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return readable(value) if time else f"{value:,}"
    return value


def _text(observation: Observation | None) -> str:
    return "-" if observation is None else value_text(observation.value, time=observation.time)


def _labelled(label: str, text: str, width: int) -> Iterator[str]:
    yield from textwrap.wrap(
        text, width, initial_indent=label.ljust(_LABEL), subsequent_indent=" " * _LABEL, break_on_hyphens=False
    )


# -- the catalogue -----------------------------------------------------------------------------------------------------


def catalogue_lines(scenarios: Sequence[Scenario], width: int, tag: str | None = None) -> Iterator[str]:
    """Yield the catalogue, or the part with a tag, as a table; above it what the tag means."""
    if tag is not None:
        yield from textwrap.wrap(f"{tag}: {_meaning(tag)}", width)
        yield ""
    name = max(len(each.name) for each in scenarios)
    rows = ((each.name, each.question) for each in scenarios)
    yield from wrapped(("SCENARIO", "QUESTION"), rows, (name, width - name - 2))


def _meaning(tag: str) -> str:
    """Return what a tag stands for."""
    if tag.lower() in SUBJECTS:
        return SUBJECTS[tag.lower()]
    row = BEHAVIOURS.get(tag.upper())
    return f"{row.says} ({basis_text(row)})" if row else ""


def basis_text(row: Behaviour) -> str:
    """Return which document has a row."""
    if row.basis == "-":
        return "no RFC"
    return row.basis if row.basis.startswith("RFC") else f"RFC 9293 {row.basis}"


def scenario_lines(scenario: Scenario, width: int) -> Iterator[str]:
    """Yield what one scenario asks, by whose word, and what it lets vary."""
    yield from _labelled("asks", scenario.question, width)
    for at, source in enumerate(scenario.sources):
        yield from _labelled("" if at else "sources", source, width)
    yield from _labelled("subjects", ", ".join(tag for tag in scenario.tags if tag in SUBJECTS), width)
    shown = sorted((tag for tag in scenario.tags if tag in BEHAVIOURS), key=list(BEHAVIOURS).index)
    for at, row in enumerate(shown):
        yield from _labelled("" if at else "shows", f"{row}  {_meaning(row)}", width)
    yield from _labelled("worlds", ", ".join(scenario.worlds), width)
    yield from _labelled("lasts", f"{readable(scenario.lasts)} where time is real", width)
    for known in scenario.known:
        text = f"{known.observation}, {known.kernels}: {known.why} ({known.source})"
        yield from _labelled("differs", text, width)
    if scenario.parameters:
        yield ""
        rows = [(each.name, each.default, f"{each.least}-{each.most}", each.meaning) for each in scenario.parameters]
        name = max(len(each.name) for each in scenario.parameters)
        widths = (max(name, 9), 9, 13, width - max(name, 9) - 28)
        yield from wrapped(("PARAMETER", "DEFAULT", "BOUNDS", "MEANING"), rows, widths)


def scenario_data(scenario: Scenario) -> dict[str, Any]:
    """Return a scenario as data for JSON."""
    return {
        "name": scenario.name,
        "question": scenario.question,
        "sources": list(scenario.sources),
        "tags": list(scenario.tags),
        "worlds": list(scenario.worlds),
        "lasts_ns": scenario.lasts,
        "parameters": [each._asdict() for each in scenario.parameters],
        "known_differences": [each._asdict() for each in scenario.known],
    }


def catalogue_data(scenarios: Sequence[Scenario]) -> dict[str, Any]:
    """Return scenarios as data for JSON."""
    return {
        "schema_version": SCHEMA_VERSION,
        "command": "lab",
        "scenarios": [scenario_data(each) for each in scenarios],
    }


# -- results -----------------------------------------------------------------------------------------------------------


def result_lines(results: "Sequence[Result]", width: int) -> Iterator[str]:
    """Yield one scenario's results, the worlds side by side, with what was foretold and by whom."""
    scenario = results[0].trial.scenario
    yield from textwrap.wrap(
        f"{scenario.name}: {scenario.question}", width, subsequent_indent="  ", break_on_hyphens=False
    )
    yield ""
    ran = [result for result in results if result.error is None]
    if ran:
        yield from _observations(ran, width)
        yield ""
    for result in results:
        if result.error is not None:
            yield from _labelled(result.trial.world, f"could not be carried through: {result.trouble}", width)
    for result in ran:
        yield from _labelled(result.trial.world, _circumstances(result), width)


def trace_lines(results: "Sequence[Result]", width: int) -> Iterator[str]:
    """Yield what went back and forth in each world, as diagrams."""
    from timewait.report.conversation import picture
    from timewait.report.ladder_text import picture_lines

    for result in results:
        yield ""
        yield ""
        if result.trace is None:
            yield f"{world_name(result)}: not recorded"
            continue
        yield f"{world_name(result)}, times in seconds"
        yield ""
        yield from picture_lines(picture(result.trace), width)


def _observations(results: "Sequence[Result]", width: int) -> Iterator[str]:
    sources: dict[str, int] = {}
    seen = [{each.name: each for each in result.observations} for result in results]
    names = list(map(world_name, results))
    joined = len(names) > 2 or (len(names) > 1 and max(map(len, names)) > _WIDEST)
    rows = []
    for name in dict.fromkeys(name for one in seen for name in one):
        values = []
        for result, one in zip(results, seen, strict=True):
            astray = name in one and one[name].as_foretold(result.trial.stack) is False
            values.append(_text(one.get(name)) + (" !" if astray else ""))
        there = [one[name] for one in seen if name in one]
        if joined:
            values = [_joined(values, names)]
        rows.append((name, *values, "; ".join(foretold_text(there, each, sources) for each in there[0].foretold)))
    heads = ("OBSERVATION", *(["SEEN"] if joined else [name.upper() for name in names]), "FORETOLD")
    each = max(_NARROWEST, *(len(head) for head in heads[1:]))
    rest = width - 2 * (len(heads) - 1) - each * (len(heads) - 1)
    yield from wrapped(heads, rows, (rest, *([each] * (len(heads) - 1))))
    yield ""
    for source, number in sources.items():
        yield from textwrap.wrap(f"[{number}] {source}", width, subsequent_indent="    ", break_on_hyphens=False)
    for text, names in tolerances(seen).items():
        yield from textwrap.wrap(f"{', '.join(names)}: {text}", width, subsequent_indent="    ", break_on_hyphens=False)
    if any(result.astray for result in results):
        yield "!   not as foretold"


def _joined(values: Sequence[str], worlds: Sequence[str]) -> str:
    """Return what several worlds saw: once where it is the same, else each with those that saw it."""
    who: dict[str, list[str]] = {}
    for value, world in zip(values, worlds, strict=True):
        who.setdefault(value, []).append(world)
    if len(who) == 1:
        return values[0]
    return "; ".join(f"{value} ({', '.join(names)})" for value, names in who.items())


def tolerances(seen: "Sequence[dict[str, Observation]]") -> dict[str, list[str]]:
    """Return how far numbers may be from those foretold, and why, with the observations that this holds for."""
    found: dict[str, list[str]] = {}
    for each in {name: each for one in seen for name, each in one.items()}.values():
        if each.within is not None:
            limits = (("-", each.within.less), ("+", each.within.more))
            bounds = ", ".join(f"{sign}{value_text(limit, time=each.time)}" for sign, limit in limits if limit)
            found.setdefault(f"within {bounds}: {each.within.why}", []).append(each.name)
    return found


def foretold_text(seen: "Sequence[Observation]", foretold: Foretold, sources: dict[str, int]) -> str:
    """Return what was foretold, or that it came so, and the number of its source."""
    whose = f"{foretold.stack}: " if foretold.stack else ""
    number = sources.setdefault(f"{whose}{foretold.source}", len(sources) + 1)
    same = all(each.near(foretold.value) for each in seen)
    return f"{'the same' if same else value_text(foretold.value, time=seen[0].time)} [{number}]"


def world_name(result: "Result") -> str:
    """Return the world and, for the engine, its profile."""
    trial = result.trial
    if trial.world == ENGINE:
        return f"{ENGINE} {trial.profile}"
    return f"{trial.world}, {trial.profile} at the {trial.engine}" if trial.engine else trial.world


def _circumstances(result: "Result") -> str:
    words = [value if key in ("kernel", "stack") else f"{key} {value}" for key, value in result.circumstances.items()]
    settings = [f"{name} = {value}" for name, value in result.trial.settings.items()]
    shown = words[1:] + settings + [f"took {readable(result.took)}"]
    return ", ".join(shown)


def result_data(result: "Result") -> dict[str, Any]:
    """Return one result as data for JSON."""
    return {
        "scenario": result.trial.scenario.name,
        "world": result.trial.world,
        "stack": result.trial.stack,
        "parameters": dict(result.trial.settings),
        "circumstances": result.circumstances,
        "sysctls": dict(result.sysctls),
        "took_ns": result.took,
        "error": result.trouble or None,
        "observations": [_observation_data(each, result.trial.stack) for each in result.observations],
    }


def _observation_data(observation: Observation, stack: str) -> dict[str, Any]:
    within = observation.within
    return {
        "name": observation.name,
        "value": observation.value,
        "unit": "ns" if observation.time else None,
        "as_foretold": observation.as_foretold(stack),
        "foretold": [each._asdict() for each in observation.foretold],
        "within": None if within is None else within._asdict(),
    }


def results_data(results: "Sequence[Result]") -> dict[str, Any]:
    """Return results as data for JSON."""
    ok = all(result.error is None and not result.astray for result in results)
    return {
        "schema_version": SCHEMA_VERSION,
        "command": "lab run",
        "as_foretold": ok,
        "results": [result_data(result) for result in results],
    }


# -- agreement ---------------------------------------------------------------------------------------------------------


def agreement_lines(found: "Sequence[Agreement]", width: int) -> Iterator[str]:
    """Yield the table of agreement, then each cell that differs with what each world saw."""
    first = [result for each in found for result in each.results]
    columns = [head for head in _COLUMNS if any(_column(result) == head for result in first)]
    rows = []
    for each in found:
        cells = each.cells
        known = sum(cell.known is not None and not cell.agrees for cell in cells)
        rows.append(
            (
                each.results[0].trial.scenario.name,
                sum(cell.agrees for cell in cells),
                sum(cell.unexplained for cell in cells) or "-",
                known or "-",
                *(_foretold_count([one for one in each.results if _column(one) == head]) for head in columns),
            )
        )
    heads = ("SCENARIO", "AGREE", "DIFFER", "KNOWN", *columns)
    yield from table(heads, rows, right=heads[1:])
    yield from textwrap.wrap(_legend(columns, first[0].trial.profile), width)
    for each in found:
        yield from _differences(each, width)
    cells = [cell for each in found for cell in each.cells]
    yield ""
    yield f"{sum(cell.agrees for cell in cells)} of {len(cells)} cells agree"
    circumstances = next((each.circumstances for each in first if "kernel" in each.circumstances), {})
    if circumstances:
        yield from _labelled("machine", f"{circumstances['kernel']}, {circumstances['stack']}", width)


def _column(result: "Result") -> str:
    """Return the heading that a result is counted under: its world, or of a bridge which end is the engine."""
    trial = result.trial
    if trial.world != BRIDGE:
        return trial.world.upper()
    return _AT_SERVER if trial.engine == "server" else _AT_CLIENT


def _legend(columns: Sequence[str], profile: str) -> str:
    """Return what the numbers below the worlds' headings are."""
    text = "below each world: observations that came as foretold, of those of which a document foretells something"
    if ENGINE.upper() in columns:
        text += f"; engine: {profile}"
    if _AT_SERVER in columns or _AT_CLIENT in columns:
        text += f"; server, client: across a bridge, the engine ({profile}) at that end and the kernel elsewhere"
    return text


def _foretold_count(results: "Sequence[Result]") -> str:
    if any(result.error is not None for result in results):
        return "broken"
    judged = [each.as_foretold(result.trial.stack) for result in results for each in result.observations]
    told = [each for each in judged if each is not None]
    return f"{sum(told)}/{len(told)}" if results else "-"


def _differences(agreement: "Agreement", width: int) -> Iterator[str]:
    name = agreement.results[0].trial.scenario.name
    broken = [result for result in agreement.results if result.error is not None]
    if broken:
        yield ""
        yield f"{name}:"
    for result in broken:
        end = f", engine at the {result.trial.engine}" if result.trial.engine else ""
        yield from _labelled(f"  {result.trial.world}", f"could not be carried through{end}: {result.trouble}", width)
    for cell in agreement.cells:
        seen = list(zip(agreement.ran, cell.seen, strict=True))
        astray = any(each is not None and each.as_foretold(result.trial.stack) is False for result, each in seen)
        if cell.agrees and not astray:
            continue
        yield ""
        yield from textwrap.wrap(f"{name}: {cell.name}", width, subsequent_indent="  ", break_on_hyphens=False)
        for world in dict.fromkeys(result.trial.world for result in agreement.ran):
            there = [(_text(each), result.trial.engine) for result, each in seen if result.trial.world == world]
            yield from _labelled(f"  {world}", _joined(*zip(*there, strict=True)), width)
        made = next(each for each in cell.seen if each is not None)
        for foretold in made.foretold:
            yield from _labelled("  foretold", _foretold_text_plain(made, foretold), width)
        if cell.known is not None:
            yield from _labelled("  known", f"{cell.known.why} ({cell.known.source})", width)


def _foretold_text_plain(observation: Observation, foretold: Foretold) -> str:
    whose = f"{foretold.stack}: " if foretold.stack else ""
    return f"{whose}{value_text(foretold.value, time=observation.time)} ({foretold.source})"


def agreement_data(found: "Sequence[Agreement]") -> dict[str, Any]:
    """Return the agreement of worlds as data for JSON."""
    return {
        "schema_version": SCHEMA_VERSION,
        "command": "lab compare",
        "explained": all(each.explained for each in found),
        "scenarios": [
            {
                "scenario": each.results[0].trial.scenario.name,
                "cells": [_cell_data(cell, each) for cell in each.cells],
                **_by_world([(result, result_data(result)) for result in each.results]),
            }
            for each in found
        ],
    }


def _cell_data(cell: "Cell", agreement: "Agreement") -> dict[str, Any]:
    values = [None if each is None else each.value for each in cell.seen]
    return {
        "observation": cell.name,
        "agrees": cell.agrees,
        "known": None if cell.known is None else cell.known._asdict(),
        **_by_world(list(zip(agreement.ran, values, strict=True))),
    }


def _by_world(pairs: "Sequence[tuple[Result, Any]]") -> dict[str, Any]:
    """Return what belongs to each result: the kernel's, the engine's, and the bridge's by the engine's end."""
    of = {result.trial.world: value for result, value in pairs if not result.trial.engine}
    bridge = {result.trial.engine: value for result, value in pairs if result.trial.engine}
    return {KERNEL: of.get(KERNEL), ENGINE: of.get(ENGINE), BRIDGE: bridge}


def unavailable(results: "Sequence[Result]") -> TimewaitError | None:
    """Return the error of the first trial that this machine, or the profile, could not run."""
    return next((result.error for result in results if isinstance(result.error, TimewaitError)), None)
