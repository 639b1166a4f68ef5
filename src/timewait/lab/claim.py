"""`Claim`: a sentence people say about TIME-WAIT, and what would have to be seen if it were true.

A claim is put to scenarios of the catalogue point by point; `ruling` makes a verdict of what came of each point, and of
nothing else.  Running the scenarios is left to `lab.hearing`.
"""

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple

from timewait.lab.scenario import WORLDS, Value


class Verdict(StrEnum):
    """What came of a claim."""

    HOLDS = "holds"
    ONLY_IF = "holds only if"
    NOT = "does not hold"
    UNDECIDED = "not decided here"


class Weight(StrEnum):
    """What it means for a claim when a point turns out otherwise."""

    ESSENTIAL = "essential"
    """It does not hold."""
    BOUND = "bound"
    """It holds only under the point's condition."""
    NOTE = "note"
    """Nothing: said for completeness."""


class Foreseen(NamedTuple):
    """What the claim lets one expect of an observation.  `how`: "is", "is not", "at least", "at most"."""

    how: str
    value: Value

    def __call__(self, seen: Value) -> bool:
        """Whether it came so."""
        match self.how:
            case "is":
                return seen == self.value
            case "is not":
                return seen != self.value
        assert not isinstance(seen, str), f"{seen!r} is no number"
        assert not isinstance(self.value, str), f"{self.value!r} is no number"
        return seen >= self.value if self.how == "at least" else seen <= self.value


def equals(value: Value) -> Foreseen:
    """Expect this value."""
    return Foreseen("is", value)


def differs(value: Value) -> Foreseen:
    """Expect any other value."""
    return Foreseen("is not", value)


def at_least(value: int) -> Foreseen:
    """Expect this number or more."""
    return Foreseen("at least", value)


def at_most(value: int) -> Foreseen:
    """Expect this number or less."""
    return Foreseen("at most", value)


class Point(NamedTuple):
    """One thing that the claim foretells, and the observation that shows whether it is so.

    `says`: the thing, as a sentence.  `only_if`: under which condition the claim holds when it is not so.  `profile`:
    the engine alone shows it, as this stack; empty: every world does, the engine as the stack that was asked for.
    """

    weight: Weight
    says: str
    scenario: str
    observation: str
    foreseen: Foreseen
    only_if: str = ""
    settings: Mapping[str, str] = MappingProxyType({})
    profile: str = ""
    worlds: tuple[str, ...] = WORLDS


def essential(says: str, scenario: str, observation: str, foreseen: Foreseen, **how: str) -> Point:
    """Return a point without which the claim does not hold; `how` are settings of the scenario."""
    return Point(Weight.ESSENTIAL, says, scenario, observation, foreseen, settings=how)


def bound(says: str, scenario: str, observation: str, foreseen: Foreseen, only_if: str, **how: str) -> Point:
    """Return a point without which the claim holds under a condition only."""
    return Point(Weight.BOUND, says, scenario, observation, foreseen, only_if, settings=how)


def note(says: str, scenario: str, observation: str, foreseen: Foreseen, **how: str) -> Point:
    """Return a point that belongs to the matter and decides nothing."""
    return Point(Weight.NOTE, says, scenario, observation, foreseen, settings=how)


class Claim(NamedTuple):
    """A sentence and what it is held to.  `number`: "15", or "16.3" for a part of another.

    `documents`: what is written about it, and where.  A claim with parts holds as far as they do; `about`: what a part
    is called in the verdict of the whole.
    """

    number: str
    sentence: str
    documents: tuple[str, ...]
    points: tuple[Point, ...] = ()
    parts: "tuple[Claim, ...]" = ()
    about: str = ""

    def every_point(self) -> list[Point]:
        """Return its points and its parts'."""
        return [*self.points, *(point for part in self.parts for point in part.every_point())]


class Ruling(NamedTuple):
    """A verdict and, where it holds only if, the conditions."""

    verdict: Verdict
    conditions: tuple[str, ...] = ()


def ruling(found: Iterable[tuple[Point, bool | None]]) -> Ruling:
    """Return the verdict that follows from what came of each point; None: nobody could look.

    One essential point against it decides; so does one that nobody could look at, as long as none is against it.
    """
    came = list(found)
    essentials = [so for point, so in came if point.weight is Weight.ESSENTIAL]
    if False in essentials:
        return Ruling(Verdict.NOT)
    if None in essentials or not essentials:
        return Ruling(Verdict.UNDECIDED)
    conditions = tuple(
        dict.fromkeys(point.only_if for point, so in came if point.weight is Weight.BOUND and so is False)
    )
    return Ruling(Verdict.ONLY_IF, conditions) if conditions else Ruling(Verdict.HOLDS)


def joined(parts: Sequence[tuple[str, Ruling]]) -> Ruling:
    """Return the ruling of a claim with parts: a name of each, and what came of it."""
    verdicts = {each.verdict for _, each in parts}
    if verdicts == {Verdict.UNDECIDED}:
        return Ruling(Verdict.UNDECIDED)
    verdicts.discard(Verdict.UNDECIDED)
    if len(verdicts) == 1 and Verdict.ONLY_IF not in verdicts:
        return Ruling(verdicts.pop())
    holding = [name for name, each in parts if each.verdict in (Verdict.HOLDS, Verdict.ONLY_IF)]
    return Ruling(Verdict.ONLY_IF, (f"it is about {', '.join(holding)}",))
