"""Two worlds' answers to the same questions, side by side: where they differ, the engine or a rule is wrong.

Compared is what a program sees, each connect's result, exactly; what it rests on, the rule, is shown.  Durations are
not compared: the kernel's take real time.
"""

from collections.abc import Iterator
from typing import NamedTuple

from timewait.lab.catalog.reconnect import Attempt, Record
from timewait.lab.matrix import Cell


class Pair(NamedTuple):
    """One cell of the matrix in both worlds."""

    kernel: Cell
    engine: Cell

    @property
    def agrees(self) -> bool:
        """Whether the reconnect came to the same in both."""
        return same(self.kernel.decided, self.engine.decided)


class Span(NamedTuple):
    """Consecutive connects, by number, that came to the same; None: that world's run was over before."""

    first: int
    last: int
    kernel: Attempt | None
    engine: Attempt | None

    @property
    def agrees(self) -> bool:
        """Whether they came to the same in both worlds."""
        return same(self.kernel, self.engine)


def same(one: Attempt | None, other: Attempt | None) -> bool:
    """Return whether two connects came to the same: success, or the same error from the same call."""
    if one is None or other is None:
        return one is other
    return (one.call, one.error) == (other.call, other.error)


def pairs(kernel: list[Cell], engine: list[Cell]) -> list[Pair]:
    """Return the cells of two matrices of the same combinations, joined."""
    return [Pair(*cells) for cells in zip(kernel, engine, strict=True)]


def spans(kernel: Record, engine: Record) -> Iterator[Span]:
    """Yield the connects of two runs, joined by number, equal neighbours taken together."""
    known = [{attempt.number: attempt for attempt in record.attempts} for record in (kernel, engine)]
    span: Span | None = None
    for number in sorted({*known[0], *known[1]}):
        one, other = (attempts.get(number) for attempts in known)
        if span is not None and _like(span.kernel, one) and _like(span.engine, other):
            span = span._replace(last=number)
            continue
        if span is not None:
            yield span
        span = Span(number, number, one, other)
    if span is not None:
        yield span


def _like(one: Attempt | None, other: Attempt | None) -> bool:
    return same(one, other) and (one and one.rule) == (other and other.rule)
