"""`Finding`: what is the matter, how badly, on what evidence, what it is not, and what to do."""

from enum import IntEnum
from typing import Any, NamedTuple


class Severity(IntEnum):
    """How badly: a note needs nobody now, a warning wants looking after, a critical finding breaks connects."""

    NOTE = 0
    WARNING = 1
    CRITICAL = 2


class Advice(NamedTuple):
    """One thing to do, or not to do.  A command is never run; `undo` takes it back."""

    do: str
    cost: str = ""
    command: str = ""
    scope: str = ""
    undo: str = ""


class Finding(NamedTuple):
    """A rule that holds for a snapshot.  `id` is stable; `subject` says of what, "" for the whole namespace."""

    id: str
    severity: Severity
    subject: str
    headline: str
    evidence: tuple[tuple[str, str], ...]  # (label, sentence)
    ruled_out: tuple[str, ...] = ()
    advice: tuple[Advice, ...] = ()
    numbers: dict[str, Any] = {}  # noqa: RUF012 - never changed; the same evidence for programs
    seconds: tuple[float, ...] = ()  # closes per second of the last minute, the latest first


def figure(value: float) -> str:
    """Write a rate with three figures, or as a whole number with its thousands apart."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
