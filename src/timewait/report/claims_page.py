"""Claims on trial as a page: verdicts, the points each was held to in each world, and an exchange to look at."""

import shlex
from collections.abc import Iterator, Sequence
from typing import Final

from timewait.lab.claim import Verdict, Weight
from timewait.lab.hearing import Evidence, Hearing
from timewait.lab.scenario import ENGINE, KERNEL
from timewait.lab.trial import Result
from timewait.report.claims import foreseen_text, mark, results_of, seen_texts, worlds_of
from timewait.report.conversation import Picture, picture
from timewait.report.html import (
    Content,
    Markup,
    Section,
    anchors,
    badge,
    bullets,
    element,
    folded,
    join,
    page,
    paragraphs,
    table,
)
from timewait.report.lab import world_name
from timewait.report.lab_page import circumstances, whole
from timewait.report.ladder_html import pictures
from timewait.report.ladder_svg import STYLE, patterns
from timewait.report.telling import outcome

_BADGES: Final = {
    Verdict.HOLDS: ("good", "✓"),
    Verdict.ONLY_IF: ("warn", "◐"),
    Verdict.NOT: ("bad", "✗"),
    Verdict.UNDECIDED: ("plain", "?"),
}
# Of one claim, and of several.
_COUNTED: Final = {
    Verdict.HOLDS: ("holds", "hold"),
    Verdict.ONLY_IF: ("holds under conditions", "hold under conditions"),
    Verdict.NOT: ("does not hold", "do not hold"),
    Verdict.UNDECIDED: ("could not be decided here", "could not be decided here"),
}
_SIGNS: Final = {
    "+": ("good", "✓ so it is"),
    "-": ("bad", "✗ it is not"),
    ".": ("soft", "decides nothing"),
    "?": ("warn", "? nobody could look"),
}


def claims_page(hearings: Sequence[Hearing], command: Sequence[str]) -> str:
    """Return the page of one or several claims.  `command`: what puts them on trial again."""
    drawn: dict[str, str] = {}
    sections = [Section(_title(each), _claim(each, drawn, alone=len(hearings) == 1)) for each in hearings]
    sections.append(Section("Where it was seen", circumstances(_typical(hearings))))
    again = element("pre", element("code", shlex.join(command)))
    sections.append(Section("To see it again", join((paragraphs("On this machine or another one:"), again))))
    if len(hearings) == 1:
        (only,) = hearings
        sections[0] = sections[0]._replace(title="What it was held to")
        title, kicker, lead = only.claim.sentence, f"timewait claims: number {only.claim.number}", _verdict(only)
    else:
        title, kicker = "What people say about TIME-WAIT", "timewait claims"
        lead = _overview(hearings, anchors(section.title for section in sections))
    return page(title, sections, lead=lead, kicker=kicker, style=STYLE, end=patterns(), contents=len(hearings) == 1)


def _title(hearing: Hearing) -> str:
    return f"{hearing.claim.number}. {hearing.claim.sentence}"


def _overview(hearings: Sequence[Hearing], names: Sequence[str]) -> Markup:
    counts = [(verdict, sum(each.ruling.verdict is verdict for each in hearings)) for verdict in Verdict]
    words = ", ".join(f"{count} {_COUNTED[verdict][count > 1]}" for verdict, count in counts if count)
    rows = [
        (element("a", _title(each), href=f"#{name}"), _badge(each)) for each, name in zip(hearings, names, strict=False)
    ]
    heads = ("Claim", "Verdict")
    return join((paragraphs(f"{len(hearings)} claims: {words}."), table("Every claim and its verdict", heads, rows)))


def _badge(hearing: Hearing) -> Markup:
    verdict = hearing.ruling.verdict
    kind, sign = _BADGES[verdict]
    return badge(kind, sign, str(verdict))


def _verdict(hearing: Hearing) -> Markup:
    conditions = hearing.ruling.conditions
    return join((element("p", _badge(hearing)), bullets(conditions) if conditions else None))


def _claim(hearing: Hearing, drawn: dict[str, str], *, alone: bool) -> Markup:
    """Return all about one claim; `drawn`: exchanges that the page has already."""
    parts: list[Content] = [] if alone else [_verdict(hearing)]
    if hearing.evidence:
        parts.append(_evidence(hearing.evidence))
    for part in hearing.parts:
        parts += [element("h3", _title(part)), _verdict(part)]
        parts += [_evidence(part.evidence)] if part.evidence else []
    if hearing.claim.documents:
        parts.append(folded("What is written about it", bullets(hearing.claim.documents)))
    parts.append(_exchange(hearing, drawn, opened=alone))
    return join(parts)


def _evidence(evidence: Sequence[Evidence]) -> Markup:
    worlds = worlds_of(evidence)
    rows = []
    for each in evidence:
        kind, words = _SIGNS[mark(each)]
        cells = (foreseen_text(each), *seen_texts(each, worlds))
        says: Content = each.point.says
        if each.divided:
            says = join((says, element("span", " ≠ the worlds differ", class_="warn")))
        rows.append((says, *(element("span", cell, class_=whole(cell)) for cell in cells), _sign(kind, words)))
    heads = ("If it is true", "then", *worlds, "")
    marked = [each.divided for each in evidence]
    return join((table("What the claim foretells, and what was seen", heads, rows, marked=marked), _troubles(evidence)))


def _sign(kind: str, words: str) -> Markup:
    return element("span", words, class_=f"{kind} word")


def _troubles(evidence: Sequence[Evidence]) -> Markup | None:
    results = {id(one.result): one.result for each in evidence for one in each.seen}.values()
    said = [f"{world_name(each)}, {each.trial.scenario.name}: {each.trouble}" for each in results if each.error]
    return bullets(said) if said else None


def _exchange(hearing: Hearing, drawn: dict[str, str], *, opened: bool) -> Markup | None:
    """Return the exchange behind the first point that decides; where it is, if it was drawn before."""
    result = next(_recorded(hearing), None)
    if result is None or result.trace is None:
        return None
    name = result.trial.scenario.name
    if name in drawn:
        return paragraphs(
            join((f"Its exchange, {name}, ", element("a", "is drawn above", href=f"#{drawn[name]}"), "."))
        )
    drawn[name] = f"shown-{len(drawn) + 1}"
    found = picture(result.trace)
    fewer = found if opened else _illustration(found)
    summary = f"Its exchange: {name}, {world_name(result)}"
    return element("div", folded(summary, pictures(fewer, drawn[name] + "-drawing"), opened=opened), id=drawn[name])


def _illustration(found: Picture) -> Picture:
    """Return the first conversation, and the first one in which a program was told of an error."""
    every = found.conversations
    shown = [each for each in every if each is every[0] or each is next(filter(outcome, every), None)]
    return found._replace(conversations=shown, left_out=found.left_out + len(every) - len(shown))


def _recorded(hearing: Hearing) -> Iterator[Result]:
    """Yield the results that were recorded, those of points that decide first."""
    every = [*hearing.evidence, *(each for part in hearing.parts for each in part.evidence)]
    every.sort(key=lambda each: each.point.weight is Weight.NOTE)
    yield from (one.result for each in every for one in each.seen if one.result.trace is not None)


def _typical(hearings: Sequence[Hearing]) -> list[Result]:
    """Return one result of each world and profile: their circumstances are alike."""
    found: dict[tuple[str, str], Result] = {}
    for result in results_of(hearings):
        if result.error is None:
            found.setdefault((result.trial.world, result.trial.profile if result.trial.world == ENGINE else ""), result)
    return [each._replace(trial=each.trial._replace(settings={})) for each in sorted(found.values(), key=_kernel_first)]


def _kernel_first(result: Result) -> bool:
    return result.trial.world != KERNEL
