"""grep's patterns, searched for in time that grows with text and pattern alone, whoever wrote them.

Basic and extended expressions of POSIX (IEEE Std 1003.1, chapter 9), without references back.  A pattern becomes a list
of states, all followed at once; nothing is tried twice.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from timewait.errors import TimewaitError

_MOST_STATES: Final = 2000
_MOST_COPIES: Final = 255
_DEEPEST: Final = 32
_CLASS: Final = re.compile(r"\[\^?\]?(?:\[:\w+:\]|[^\]])*\]")
_BOUNDS: Final = re.compile(r"(\d*)(,?)(\d*)\\?\}")
_NAMED: Final = {
    "digit": "0-9",
    "alpha": "a-zA-Z",
    "alnum": "a-zA-Z0-9",
    "space": r"\s",
    "upper": "A-Z",
    "lower": "a-z",
}
_REPEATS: Final = {"*": (0, None), "+": (1, None), "?": (0, 1)}


class PatternError(TimewaitError):
    """An expression that cannot be read, or is too large."""


@dataclass(slots=True)
class _State:
    """One state: the character or the place (`^`, `$`, `b`: a word's edge) that it wants, or nothing; what follows."""

    wants: re.Pattern[str] | None = None
    place: str = ""
    next: tuple[int, ...] = ()


# Given the state that follows, builds states and returns the first of them.
_Part = Callable[[int], int]


class Pattern:
    """A pattern, ready to be searched for.  Raises `PatternError`."""

    def __init__(self, text: str, *, extended: bool = False, ignore_case: bool = False, word: bool = False) -> None:
        self.states: list[_State] = [_State()]
        self._text, self._at, self._depth = text, 0, 0
        self._extended = extended
        self._case = re.IGNORECASE if ignore_case else re.NOFLAG
        part = self._alternatives()
        if self._at < len(text):
            raise PatternError(f"{text}: a bracket too many at its character {self._at + 1}")
        if word:
            part = _row([self._edge("b"), part, self._edge("b")])
        self.first = part(0)

    def search(self, line: str) -> bool:
        """Whether the pattern is anywhere in a line."""
        now: set[int] = set()
        for at in range(len(line) + 1):
            reached = self._closed(now | {self.first}, line, at)
            if 0 in reached:
                return True
            char = line[at : at + 1]
            now = {
                after
                for number in reached
                if (wants := self.states[number].wants) is not None and char and wants.match(char)
                for after in self.states[number].next
            }
        return False

    def _closed(self, states: set[int], line: str, at: int) -> set[int]:
        """Return the states with all that is reached from them without a character."""
        reached, open_ = set(states), list(states)
        while open_:
            state = self.states[open_.pop()]
            if state.wants is None and (not state.place or _is_at(state.place, line, at)):
                new = set(state.next) - reached
                reached |= new
                open_ += new
        return reached

    # --- Reading: alternatives of rows of repeated atoms

    def _state(self, **what: object) -> int:
        if len(self.states) > _MOST_STATES:
            raise PatternError(f"the pattern {self._text[:40]} is too large")
        self.states.append(_State(**what))  # type: ignore[arg-type]
        return len(self.states) - 1

    def _operator(self, char: str) -> bool:
        """Take an operator: as it stands in an extended expression, behind a backslash in a basic one."""
        token = char if self._extended else "\\" + char
        if not self._text.startswith(token, self._at):
            return False
        self._at += len(token)
        return True

    def _alternatives(self) -> _Part:
        parts = [self._row()]
        while self._operator("|"):
            parts.append(self._row())
        return parts[0] if len(parts) == 1 else self._either(parts)

    def _either(self, parts: list[_Part]) -> _Part:
        return lambda after: self._state(next=tuple(part(after) for part in parts))

    def _row(self) -> _Part:
        parts: list[_Part] = []
        ends = ("|", ")") if self._extended else ("\\|", "\\)")
        while self._at < len(self._text) and not self._text.startswith(ends, self._at):
            parts.append(self._repeated(self._atom(first=not parts)))
        return _row(parts)

    def _atom(self, first: bool) -> _Part:
        if self._operator("("):
            self._depth += 1
            if self._depth > _DEEPEST:
                raise PatternError(f"{self._text[:40]}: more than {_DEEPEST} brackets inside each other")
            part = self._alternatives()
            if not self._operator(")"):
                raise PatternError(f"{self._text}: a bracket has no end")
            self._depth -= 1
            return part
        char = self._text[self._at]
        if char == "[" and (found := _CLASS.match(self._text, self._at)):
            self._at = found.end()
            named = re.sub(r"\[:(\w+):\]", lambda name: _NAMED.get(name[1], ""), found[0][1:-1].replace("\\", "\\\\"))
            return self._char(f"[{named}]")
        self._at += 1
        if char == "\\" and self._at < len(self._text):
            char = self._text[self._at]
            self._at += 1
            return self._edge("b") if char in "b<>" else self._char(f"\\{char}" if char in "wWsS" else re.escape(char))
        if (char == "^" and (first or self._extended)) or (char == "$" and (self._extended or self._ends())):
            return self._edge(char)
        return self._char("." if char == "." else re.escape(char))

    def _ends(self) -> bool:
        return self._at == len(self._text) or self._text.startswith(("\\|", "\\)"), self._at)

    def _repeated(self, part: _Part) -> _Part:
        while True:
            if self._text.startswith("*", self._at):
                self._at += 1
                low, high = _REPEATS["*"]
            elif mark := next((each for each in "+?" if self._operator(each)), ""):
                low, high = _REPEATS[mark]
            elif self._operator("{") and (found := _BOUNDS.match(self._text, self._at)):
                self._at = found.end()
                low = int(found[1] or 0)
                high = int(found[3]) if found[3] else None if found[2] else low
            else:
                return part
            if max(low, high or 0) > _MOST_COPIES or (high is not None and high < low):
                raise PatternError(f"{self._text}: at most {_MOST_COPIES} repetitions, and in order")
            part = self._copies(part, low, high)

    def _copies(self, part: _Part, low: int, high: int | None) -> _Part:
        def build(after: int) -> int:
            if high is None:
                start = self._state()
                self.states[start].next = (part(start), after)
            else:
                start = after
                for _ in range(high - low):
                    start = self._state(next=(part(start), after))
            for _ in range(low):
                start = part(start)
            return start

        return build

    def _char(self, pattern: str) -> _Part:
        try:
            wants = re.compile(pattern, self._case | re.DOTALL)
        except re.error as error:
            raise PatternError(f"{self._text}: {error}") from None
        return lambda after: self._state(wants=wants, next=(after,))

    def _edge(self, place: str) -> _Part:
        return lambda after: self._state(place=place, next=(after,))


def _row(parts: list[_Part]) -> _Part:
    def build(after: int) -> int:
        for part in reversed(parts):
            after = part(after)
        return after

    return build


def _is_at(place: str, line: str, at: int) -> bool:
    if place == "^":
        return at == 0
    if place == "$":
        return at == len(line)
    before, behind = line[at - 1 : at] if at else "", line[at : at + 1]
    return (before == "_" or before.isalnum()) != (behind == "_" or behind.isalnum())
