"""How judged causes and explained findings are shown."""

import shlex
import textwrap
from collections.abc import Iterator
from typing import Any

from timewait.clock import readable
from timewait.host.causes import Cause, Heard, Question
from timewait.host.meanings import Meaning
from timewait.system.attempt import Attempt

SCHEMA_VERSION = 1
_LABEL = 17


def cause_lines(symptom: str, causes: list[Cause], asked: Question, width: int) -> Iterator[str]:
    """Yield what was tried, then the causes of a symptom with their evidence, the confirmed first."""
    yield symptom
    if asked.heard and asked.heard.agrees is not None:
        yield from _wrapped("command", _heard(symptom, asked.heard), width)
    for attempt in asked.tried:
        yield from _wrapped("tried", _attempt(attempt, asked), width)
    for cause in causes:
        yield from _wrapped(cause.verdict.value, cause.cause, width)
        yield from _wrapped("", cause.evidence, width, deeper=2)
        if cause.finding and cause.verdict.value == "confirmed":
            yield from _wrapped(
                "", f"what to do: timewait doctor; why: timewait explain {cause.finding}", width, deeper=2
            )


def _heard(symptom: str, heard: Heard) -> str:
    if heard.agrees:
        return f"agrees: it says {symptom}"
    if heard.symptom:
        way = f"timewait explain {shlex.quote(heard.symptom)}"
        return f"differs: it says {heard.symptom}, not {symptom}; judge that with: {way}"
    if heard.status == 0:
        return f"ended well; it does not show {symptom} now"
    return f"failed, and does not say {symptom}"


def _attempt(attempt: Attempt, asked: Question) -> str:
    how = " with SO_REUSEADDR" if attempt.reuse_address else ""
    if attempt.call == "bind":
        return f"bind() to {asked.source}{how}: {attempt.error or 'works; closed again'}"
    own = f" from {attempt.local}" if attempt.local else ""
    again = f", SYN sent again {attempt.resent} time{'s' * (attempt.resent > 1)}" if attempt.resent else ""
    end = "" if attempt.error else "; closed with RST, which leaves no TIME-WAIT"
    told = f"{attempt.error or 'works'} after {readable(attempt.took)}{again}{end}"
    return f"connect() to {asked.to}{own}{how}: {told}"


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


def cause_data(symptom: str | None, causes: list[Cause], asked: Question) -> dict[str, Any]:
    """Return judged causes as data for JSON; the symptom is None where a command named none."""
    rows = [cause._asdict() | {"finding": cause.finding or None} for cause in causes]
    tried = [
        {
            "call": attempt.call,
            "error": attempt.error or None,
            "took_ns": attempt.took,
            "resent": attempt.resent,
            "timestamps": attempt.timestamps,
            "local": str(attempt.local) if attempt.local else None,
            "reuse_address": attempt.reuse_address,
        }
        for attempt in asked.tried
    ]
    return {
        "schema_version": SCHEMA_VERSION,
        "command": "explain",
        "symptom": symptom,
        "to": str(asked.to) if asked.to else None,
        "from": str(asked.source) if asked.source else None,
        "route": None if asked.route is None else {"source": asked.route[0] or None, "error": asked.route[1] or None},
        "heard": asked.heard
        and {
            "symptom": asked.heard.symptom,
            "status": asked.heard.status,
            "took_ns": asked.heard.took,
            "agrees": asked.heard.agrees,
        },
        "tried": tried,
        "causes": rows,
    }


def meaning_data(name: str, meaning: Meaning) -> dict[str, Any]:
    """Return an explained finding as data for JSON."""
    return {"schema_version": SCHEMA_VERSION, "command": "explain", "finding": name, **meaning._asdict()}
