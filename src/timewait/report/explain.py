"""How judged causes and explained findings are shown."""

import textwrap
from collections.abc import Iterator
from typing import Any

from timewait.host.causes import Cause
from timewait.host.meanings import Meaning

SCHEMA_VERSION = 1
_LABEL = 17


def cause_lines(symptom: str, causes: list[Cause], width: int) -> Iterator[str]:
    """Yield the causes of a symptom with their evidence, the confirmed first."""
    yield symptom
    for cause in causes:
        yield from _wrapped(cause.verdict.value, cause.cause, width)
        yield from _wrapped("", cause.evidence, width, deeper=2)
        if cause.finding and cause.verdict.value == "confirmed":
            yield from _wrapped(
                "", f"what to do: timewait doctor; why: timewait explain {cause.finding}", width, deeper=2
            )


def meaning_lines(name: str, meaning: Meaning, width: int) -> Iterator[str]:
    """Yield what a finding means."""
    yield name
    yield from textwrap.wrap(meaning.text, width, initial_indent="  ", subsequent_indent="  ", break_on_hyphens=False)
    yield from _wrapped("rfc", meaning.rfc, width)
    yield from _wrapped("linux", meaning.kernel, width)


def _wrapped(label: str, text: str, width: int, deeper: int = 0) -> Iterator[str]:
    yield from textwrap.wrap(
        text,
        width,
        initial_indent=f"  {label}".ljust(_LABEL + deeper),
        subsequent_indent=" " * (_LABEL + deeper),
        break_long_words=False,
        break_on_hyphens=False,
    )


def cause_data(symptom: str, causes: list[Cause]) -> dict[str, Any]:
    """Return judged causes as data for JSON."""
    rows = [cause._asdict() | {"finding": cause.finding or None} for cause in causes]
    return {"schema_version": SCHEMA_VERSION, "command": "explain", "symptom": symptom, "causes": rows}


def meaning_data(name: str, meaning: Meaning) -> dict[str, Any]:
    """Return an explained finding as data for JSON."""
    return {"schema_version": SCHEMA_VERSION, "command": "explain", "finding": name, **meaning._asdict()}
