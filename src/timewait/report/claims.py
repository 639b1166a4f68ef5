"""How claims, their verdicts and their evidence are shown: lines of text, or data for JSON."""

import textwrap
from collections.abc import Iterator, Sequence
from typing import Any, Final

from timewait.clock import readable
from timewait.lab.claim import Claim, Foreseen, Verdict, Weight
from timewait.lab.scenario import BRIDGE, ENGINE, KERNEL
from timewait.report.columns import wrapped
from timewait.report.lab import result_data, value_text, world_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from timewait.lab.hearing import Evidence, Hearing, Seen
    from timewait.lab.trial import Result

SCHEMA_VERSION: Final = 1
_NUMBER: Final = 4
_COLUMN: Final = 13


def claims_lines(hearings: "Sequence[Hearing]", width: int) -> Iterator[str]:
    """Yield every claim with its verdict and conditions."""
    for at, hearing in enumerate(hearings):
        if at:
            yield ""
        yield from _sentence(hearing.claim, width)
        yield from _verdict(hearing, width, " " * _NUMBER)
    yield ""
    yield from _counted(hearings, width)
    yield from _circumstances(results_of(hearings), width)


def claim_lines(hearing: "Hearing", width: int) -> Iterator[str]:
    """Yield one claim with its verdict and all its evidence, its parts likewise; what it rests on."""
    yield from _judged(hearing, width)
    yield ""
    for at, document in enumerate(hearing.claim.documents):
        yield from _labelled("" if at else "documents", document, width)
    yield from _labelled("scenarios", ", ".join(_scenarios(hearing.results)), width)
    yield from _labelled("exchange", _exchange(hearing.claim), width)
    yield from _circumstances(hearing.results, width)


def _judged(hearing: "Hearing", width: int) -> Iterator[str]:
    yield from _sentence(hearing.claim, width)
    yield from _verdict(hearing, width, " " * _NUMBER)
    if hearing.evidence:
        yield ""
        yield from _evidence(hearing, width)
    for part in hearing.parts:
        yield ""
        yield from _judged(part, width)


def _exchange(claim: Claim) -> str:
    """Return the command that draws what the first point that decides rests on."""
    point = next(each for each in claim.every_point() if each.weight is Weight.ESSENTIAL)
    stack = ["--world engine", f"--profile {point.profile}"] if point.profile else []
    settings = [f"--set {name}={value}" for name, value in point.settings.items()]
    return " ".join(["timewait lab run", point.scenario, *settings, *stack, "--trace"])


def list_lines(claims: Sequence[Claim], width: int) -> Iterator[str]:
    """Yield the claims' sentences, and their parts'."""
    for claim in claims:
        yield from _sentence(claim, width)
        for part in claim.parts:
            yield from _labelled("", f"{part.number}  {part.sentence}", width, _NUMBER)


def _labelled(label: str, text: str, width: int, margin: int = 11) -> Iterator[str]:
    yield from textwrap.wrap(
        text, width, initial_indent=label.ljust(margin), subsequent_indent=" " * margin, break_on_hyphens=False
    )


def _sentence(claim: Claim, width: int) -> Iterator[str]:
    margin = max(_NUMBER, len(claim.number) + 2)
    yield from _labelled(claim.number, claim.sentence, width, margin)


def _verdict(hearing: "Hearing", width: int, indent: str) -> Iterator[str]:
    found = hearing.ruling
    head = f"{indent}{found.verdict.upper()}"
    if not found.conditions:
        yield head
        return
    yield head
    for condition in found.conditions:
        yield from textwrap.wrap(
            condition, width, initial_indent=f"{indent}- ", subsequent_indent=f"{indent}  ", break_on_hyphens=False
        )


# -- evidence ----------------------------------------------------------------------------------------------------------


def _evidence(hearing: "Hearing", width: int) -> Iterator[str]:
    worlds = worlds_of(hearing.evidence)
    heads = ("", "IF IT IS TRUE", "", *(world.upper() for world in worlds))
    rows = []
    for each in hearing.evidence:
        rows.append((mark(each), each.point.says, foreseen_text(each), *seen_texts(each, worlds)))
    columns = list(zip(heads, *rows, strict=True))[2:]
    widths = [min(_COLUMN, max(map(len, column))) for column in columns]
    yield from wrapped(heads, rows, (1, width - 3 - sum(widths) - 2 * len(widths), *widths))
    yield ""
    marks = {mark(each) for each in hearing.evidence}
    legend = {"+": "+ so it is", "-": "- it is not", ".": ". decides nothing", "?": "? nobody could look"}
    yield "  ".join(text for sign, text in legend.items() if sign in marks)
    for (world, trouble), names in _troubles(hearing.evidence, worlds).items():
        yield from _labelled(world, f"{', '.join(names)}: {trouble}", width)


def _troubles(evidence: "Sequence[Evidence]", worlds: "Sequence[str]") -> dict[tuple[str, str], list[str]]:
    """Return why scenarios could not be carried through, with their names, in worlds that showed others."""
    found: dict[tuple[str, str], list[str]] = {}
    for result in {id(one.result): one.result for each in evidence for one in each.seen}.values():
        if result.error is not None and world_name(result) in worlds:
            found.setdefault((world_name(result), result.trouble), []).append(result.trial.scenario.name)
    return found


def mark(evidence: "Evidence") -> str:
    """Return the sign of a point: borne out, not, of no weight, or not seen."""
    so = evidence.bears_out
    if so is None:
        return "?"
    if evidence.point.weight is Weight.NOTE:
        return "."
    return "+" if so else "-"


def foreseen_text(evidence: "Evidence") -> str:
    """Return what the claim foretells of the observation, in the observation's unit."""
    foreseen: Foreseen = evidence.point.foreseen
    time = any(one.observation.time for one in evidence.seen if one.observation is not None)
    text = value_text(foreseen.value, time=time)
    return text if foreseen.how == "is" else f"{foreseen.how.removeprefix('is ')} {text}"


def worlds_of(evidence: "Sequence[Evidence]") -> list[str]:
    """Return the worlds that showed anything: the kernel, the engine as the stack that was asked for, the bridge."""
    names = {_world(one) for each in evidence for one in each.seen if one.observation is not None}
    asked = {_world(one) for each in evidence for one in each.seen if not each.point.profile}
    return sorted(names & (asked | {KERNEL}) or {ENGINE}, key=lambda name: (name != KERNEL, name == BRIDGE))


def _world(seen: "Seen") -> str:
    """Return a world's name; a bridge has one, whichever end is ours."""
    return BRIDGE if seen.result.trial.world == BRIDGE else world_name(seen.result)


def seen_texts(evidence: "Evidence", worlds: "Sequence[str]") -> list[str]:
    """Return what each of these worlds showed; a stack that the point names stands in the engine's column, named.

    Both ends of a bridge stand in one, and where they differ both with their names.
    """
    fixed = evidence.point.profile
    engine = next((world for world in worlds if world.startswith(ENGINE)), worlds[-1])
    found: dict[str, dict[str, str]] = {}
    for one in evidence.seen:
        texts = found.setdefault(engine if fixed else _world(one), {})
        texts.setdefault(_seen_text(one, fixed), one.result.trial.engine)
    return [_joined(found[world]) if world in found else "-" for world in worlds]


def _joined(texts: dict[str, str]) -> str:
    """Return what was seen, once, or each with the host that the engine was then."""
    return next(iter(texts)) if len(texts) == 1 else ", ".join(f"{text} (ours: {at})" for text, at in texts.items())


def _seen_text(seen: "Seen", fixed: str) -> str:
    if seen.observation is None:
        return "(not seen)"
    text = value_text(seen.observation.value, time=seen.observation.time)
    return f"{text} ({fixed})" if fixed else text


# -- circumstances -----------------------------------------------------------------------------------------------------


def results_of(hearings: "Sequence[Hearing]") -> "list[Result]":
    """Return every result that hearings rest on, once."""
    return list({id(result): result for hearing in hearings for result in hearing.results}.values())


def _scenarios(results: "Sequence[Result]") -> list[str]:
    return list(dict.fromkeys(result.trial.scenario.name for result in results))


def _counted(hearings: "Sequence[Hearing]", width: int) -> Iterator[str]:
    counts = [(verdict, sum(each.ruling.verdict is verdict for each in hearings)) for verdict in Verdict]
    text = ", ".join(f"{count} {verdict}" for verdict, count in counts if count)
    yield from textwrap.wrap(f"{text}; timewait claims NUMBER shows the evidence", width)


def _circumstances(results: "Sequence[Result]", width: int) -> Iterator[str]:
    kernel = [result for result in results if result.trial.world == KERNEL]
    ran = next((result for result in kernel if result.error is None), None)
    if ran is not None:
        settings = ", ".join(f"{name.removeprefix('net.ipv4.')} = {value}" for name, value in ran.sysctls.items())
        text = f"{ran.circumstances['kernel']}, private namespaces"
        yield from _labelled("kernel", f"{text}: {settings}" if settings else text, width)
    elif kernel:
        yield from _labelled("kernel", f"none: {kernel[0].trouble}", width)
    engine = list(dict.fromkeys(result.trial.profile for result in results if result.trial.world == ENGINE))
    if engine:
        seed = next(result.trial.seed for result in results if result.trial.world == ENGINE)
        yield from _labelled("engine", f"profile {', '.join(engine)}, seed {seed}, virtual time", width)
    if any(result.trial.world == BRIDGE for result in results):
        yield from _labelled("bridge", "the engine at one end, this kernel at the other, each way round", width)
    if results:
        yield from _labelled("took", readable(max(result.took for result in results)), width)


# -- data --------------------------------------------------------------------------------------------------------------


def claims_data(hearings: "Sequence[Hearing]") -> dict[str, Any]:
    """Return claims with their verdicts and evidence as data for JSON."""
    results = results_of(hearings)
    places = {id(result): at for at, result in enumerate(results)}
    return {
        "schema_version": SCHEMA_VERSION,
        "command": "claims",
        "claims": [_claim_data(hearing, places) for hearing in hearings],
        "results": [result_data(result) for result in results],
    }


def _claim_data(hearing: "Hearing", places: dict[int, int]) -> dict[str, Any]:
    found = hearing.ruling
    return {
        "number": hearing.claim.number,
        "sentence": hearing.claim.sentence,
        "verdict": str(found.verdict),
        "conditions": list(found.conditions),
        "documents": list(hearing.claim.documents),
        "evidence": [_evidence_data(each, places) for each in hearing.evidence],
        "parts": [_claim_data(part, places) for part in hearing.parts],
    }


def _evidence_data(evidence: "Evidence", places: dict[int, int]) -> dict[str, Any]:
    point = evidence.point
    return {
        "weight": str(point.weight),
        "says": point.says,
        "scenario": point.scenario,
        "parameters": dict(point.settings),
        "observation": point.observation,
        "foreseen": point.foreseen._asdict(),
        "only_if": point.only_if or None,
        "borne_out": evidence.bears_out,
        "worlds_agree": not evidence.divided,
        "seen": [
            {
                "result": places[id(one.result)],
                "world": one.result.trial.world,
                "profile": one.result.trial.profile if one.result.trial.world == ENGINE else None,
                "value": None if one.observation is None else one.observation.value,
                "borne_out": one.bears_out(point),
            }
            for one in evidence.seen
        ],
    }
