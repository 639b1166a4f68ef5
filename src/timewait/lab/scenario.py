"""`Scenario`: one question about closing, put to a host, and what the documents foretell of the answer.

A scenario is a function over `lab.host.Host`, so it runs unchanged in every world.  Knows parameters, observations and
what is foretold of them; leaves running it to `lab.trial` and comparing worlds to `lab.agreement`.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from typing import Final, NamedTuple, TypeAlias

from timewait.clock import MS, SECOND, Duration
from timewait.errors import UsageError
from timewait.lab.stage import Stage as Stage

Value: TypeAlias = str | int | bool
# What the running kernel is, and the profile that is held to it.
LINUX: Final = "linux"
ENGINE: Final = "engine"
KERNEL: Final = "kernel"
# One host is the engine, the other one the kernel's.
BRIDGE: Final = "bridge"
# How long a program may have to wait for its turn on a busy machine: it sees and stamps things so much too late.
STALL: Final = 300 * MS
# Kernels count time in ticks, at the least 100 a second: what lasts a whole number of them may be one short.
TICK: Final = 10 * MS
# Where a scenario of two hosts runs; one with a single host has no bridge.
WORLDS: Final = (ENGINE, KERNEL, BRIDGE)


class Parameter(NamedTuple):
    """What a scenario lets its reader vary: a whole number, its unit at the end of its name."""

    name: str
    default: int
    meaning: str
    least: int
    most: int

    def parse(self, text: str) -> int:
        """Read a value.  Raises `UsageError` for what is no such number or out of bounds."""
        hint = f"{self.name} is {self.meaning}: a whole number from {self.least} to {self.most}"
        if not (text.isascii() and text.isdecimal() and len(text) <= 12):
            raise UsageError(f"{text!r} cannot be {self.name}", hint)
        if not self.least <= int(text) <= self.most:
            raise UsageError(f"{self.name} = {text} is out of bounds", hint)
        return int(text)


class Within(NamedTuple):
    """How far a number may be from the one foretold, and why: by `less` below it, by `more` above."""

    less: int
    more: int
    why: str


def measured(late: Duration, why: str) -> Within:
    """Return how far a duration may be off that a program measured, what it is about being late by up to `late`.

    The program takes the time before what begins the duration and after what ends it: both can only make it longer.
    """
    return Within(TICK, late + 2 * STALL, f"{why}; a tick; a program on a busy machine is up to 300 ms late, twice")


class Foretold(NamedTuple):
    """What a document says an observation will be: for every TCP, or only for the stack named."""

    value: Value
    source: str
    stack: str = ""


def rfc(value: Value, source: str) -> Foretold:
    """Foretold of every TCP, by an RFC."""
    return Foretold(value, source)


def linux(value: Value, source: str) -> Foretold:
    """Foretold of Linux 6.18, by its source or its documentation."""
    return Foretold(value, source, LINUX)


class Observation(NamedTuple):
    """One thing that was seen.  `time`: the value is nanoseconds."""

    name: str
    value: Value
    foretold: tuple[Foretold, ...] = ()
    within: Within | None = None
    time: bool = False

    def foretold_of(self, stack: str) -> Foretold | None:
        """Return what is foretold of a stack: what its own documents say before what is said of all."""
        own = [each for each in self.foretold if each.stack == stack]
        general = [each for each in self.foretold if not each.stack]
        return next(iter(own + general), None)

    def as_foretold(self, stack: str) -> bool | None:
        """Whether it came as foretold of a stack; None where nothing is."""
        foretold = self.foretold_of(stack)
        return None if foretold is None else self.near(foretold.value)

    def agrees(self, other: "Observation") -> bool:
        """Whether two worlds saw the same: numbers that may vary, no further apart than they may be."""
        if self.within is None or other.within is None:
            return self.value == other.value
        return abs(int(self.value) - int(other.value)) <= self.within.less + self.within.more

    def near(self, value: Value) -> bool:
        """Whether it is this value, as near as it has to be."""
        if self.within is None or isinstance(self.value, str) or isinstance(value, str):
            return self.value == value
        return value - self.within.less <= self.value <= value + self.within.more


def observed(
    name: str, value: Value, *foretold: Foretold, within: Within | None = None, time: bool = False
) -> Observation:
    """Return an observation, with what was foretold of it."""
    return Observation(name, value, foretold, within, time)


class Known(NamedTuple):
    """An observation that is known to differ between the engine's profile and kernels of some versions, and why.

    `since`, `before`: versions as (6, 12); `before` is the first in which it does not differ.
    """

    observation: str
    why: str
    source: str
    since: tuple[int, int] = (0, 0)
    before: tuple[int, int] = (1 << 30, 0)

    @property
    def kernels(self) -> str:
        """The versions as people write them."""
        words = [f"{word} {major}.{minor}" for word, (major, minor) in self._bounds() if 0 < major < 1 << 30]
        return f"Linux {' '.join(words)}" if words else "every Linux"

    def _bounds(self) -> tuple[tuple[str, tuple[int, int]], ...]:
        return ("since", self.since), ("before", self.before)


Settings: TypeAlias = Mapping[str, int]
Run: TypeAlias = Callable[[Stage, Settings], list[Observation]]


class Scenario(NamedTuple):
    """A question, what it is put to, and who says what the answer should be.

    `tags`: rows of the list of behaviours that it shows (H19), and subjects.  `lasts`: about how long it takes where
    time is real; `alone`: not beside others, as what it sees hangs on how fast the machine is.  `name` is the file's.
    `hosts`: their names, the one first that the question is about; `wires`: ends without a stack, whose segments the
    scenario writes itself.  Where there are several of both, they have a network.
    """

    question: str
    sources: tuple[str, ...]
    run: Run
    tags: tuple[str, ...]
    parameters: tuple[Parameter, ...] = ()
    worlds: tuple[str, ...] = (ENGINE, KERNEL)
    hosts: tuple[str, ...] = ("host",)
    wires: tuple[str, ...] = ()
    lasts: Duration = SECOND
    alone: bool = False
    known: tuple[Known, ...] = ()
    name: str = ""

    @property
    def networked(self) -> bool:
        """Whether the hosts are on a network."""
        return len(self.hosts) + len(self.wires) > 1

    def settings(self, given: Mapping[str, str]) -> dict[str, int]:
        """Return every parameter's value: as given, else its default.  Raises `UsageError` for others."""
        known = {each.name: each for each in self.parameters}
        for name in given:
            if name not in known:
                has = ", ".join(known) or "none"
                raise UsageError(f"{self.name} has no parameter {name!r}", f"its parameters: {has}")
        return {name: each.parse(given[name]) if name in given else each.default for name, each in known.items()}

    def known_difference(self, observation: str, kernel: str) -> Known | None:
        """Return the entry about an observation on a kernel ("6.18.44-name"), if there is one."""
        numbers = re.match(r"(\d+)\.(\d+)", kernel)
        version = (int(numbers[1]), int(numbers[2])) if numbers else (0, 0)
        for each in self.known:
            if each.observation == observation and each.since <= version < each.before:
                return each
        return None


def tagged(scenarios: Sequence[Scenario], tag: str | None) -> list[Scenario]:
    """Return the scenarios with a tag; all of them for None.  Raises `UsageError`, naming near ones, if none has it."""
    if tag is None:
        return list(scenarios)
    found = [each for each in scenarios if tag.lower() in (word.lower() for word in each.tags)]
    if not found:
        every = sorted({word for each in scenarios for word in each.tags})
        near = get_close_matches(tag, every, n=3, cutoff=0.6)
        subjects = ", ".join(word for word in every if word.islower())
        hint = f"near it: {', '.join(near)}" if near else f"tags: {subjects}, and rows such as H19"
        raise UsageError(f"no scenario is tagged {tag!r}", hint)
    return found
