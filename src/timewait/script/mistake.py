"""`ScriptError`: a script that cannot be read; where, what was expected instead, and a way on."""

import difflib
from collections.abc import Iterable

from timewait.errors import UsageError
from timewait.script.syntax import Place

_WIDEST = 160  # of a line that is shown; a longer one is cut around the caret


class MistakeError(Exception):
    """What is wrong at a place, before it is known in which file."""

    def __init__(self, place: Place, problem: str, hint: str = "") -> None:
        super().__init__(problem)
        self.place = place
        self.problem = problem
        self.hint = hint


class ScriptError(UsageError):
    """A script that cannot be read.  `what`: FILE:LINE:COLUMN and the problem, then the line, then a caret."""

    def __init__(self, name: str, line: str, mistake: MistakeError) -> None:
        self.name = name
        self.place = mistake.place
        self.problem = mistake.problem
        where = f"{name}:{mistake.place.line}:{mistake.place.column}: {mistake.problem}"
        super().__init__("\n".join((where, *_pointed(line, mistake.place.column))), mistake.hint)


def near(word: str, known: Iterable[str], what: str) -> str:
    """Return a hint: the names nearest to `word`, or all of them."""
    names = sorted(known)
    found = difflib.get_close_matches(word, names, 3, 0.6)
    if not found:
        lowered = {name.lower(): name for name in names}
        found = [lowered[name] for name in difflib.get_close_matches(word.lower(), list(lowered), 3, 0.6)]
    return f"did you mean {' or '.join(found)}?" if found else f"{what}: {', '.join(names)}"


def _pointed(line: str, column: int) -> tuple[str, ...]:
    """Return the line as it can be printed, and a caret under the column; nothing for an empty line."""
    shown = "".join(" " if letter == "\t" else letter if letter.isprintable() else "?" for letter in line)
    start = max(0, column - _WIDEST // 2) if len(shown) > _WIDEST else 0
    shown = shown[start : start + _WIDEST]
    return ("    " + shown, "    " + " " * (column - 1 - start) + "^") if shown.strip() else ()
