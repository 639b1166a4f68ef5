"""Sequence diagrams as text: two lifelines, arrows between them, 80 columns, no colour."""

import textwrap
from collections.abc import Iterator
from typing import Final

from timewait.report.conversation import (
    LEFT,
    RIGHT,
    Arrow,
    Conversation,
    Fold,
    Gap,
    Item,
    Part,
    Picture,
    Row,
)
from timewait.report.telling import alike_text, call_text, gap_text, moment_text, numbers_text
from timewait.tcp.states import State
from timewait.trace import Fate, flag_names

# The longest state, SYN-RECEIVED.
_STATE: Final = 12
_OPEN, _WAITS, _NONE = "|", "#", ":"
_LEGEND: Final = {
    _WAITS: "# in TIME-WAIT",
    _NONE: ": no connection",
    "x": "x lost",
    "=": "= held back",
    "*": "* put there by the network",
    "(": "(CLOSED) due when the trace had ended",
    "/": "(a) arrives further below",
}
# How arrows end that arrive nowhere.
_SHORT: Final = {Fate.LOST: "x", Fate.HELD: "="}
_MIRRORED: Final = str.maketrans("()", ")(")


def picture_lines(picture: Picture, width: int) -> Iterator[str]:
    """Yield the diagrams of all conversations, one below the other."""
    for at, conversation in enumerate(picture.conversations):
        if at:
            yield ""
        yield from ladder_lines(conversation, width)
    if not picture.conversations:
        yield "no segment was sent"
    if picture.left_out:
        yield ""
        yield f"and {picture.left_out:,} conversations more"


def ladder_lines(conversation: Conversation, width: int) -> Iterator[str]:
    """Yield one conversation's diagram, from heads to legend."""
    ladder = _Ladder(conversation, width)
    yield from ladder.heads()
    lines = [line for item in conversation.items() for line in ladder.item(item)]
    lines += ladder.ends()
    yield from lines
    if alike := alike_text(conversation):
        yield from textwrap.wrap(alike, width)
    legend = "   ".join(words for sign, words in _LEGEND.items() if sign in ladder.signs)
    yield from textwrap.wrap(legend, width)


class _Ladder:
    """Draws rows, and remembers what state each end is in and which signs were used."""

    def __init__(self, conversation: Conversation, width: int) -> None:
        self.conversation = conversation
        self.width = width
        last = max((row.time for row in conversation.rows), default=conversation.zero)
        last = max([last, *(until for _, until in conversation.due())])
        self.clock = len(moment_text(last, conversation.zero)) + 2
        self.middle = width - self.clock - 2 * _STATE - 5
        self.lines = [_NONE, _NONE]
        self.signs: set[str] = set()
        self.letters: dict[int, str] = {}

    def heads(self) -> Iterator[str]:
        """Yield the names and addresses of the ends, above their lifelines."""
        places = self.clock + 1 + _STATE + 1, self.clock + 1 + _STATE + 2 + self.middle
        for words in (self.conversation.names, [self.conversation.address(side) for side in (LEFT, RIGHT)]):
            line = ""
            for place, word in zip(places, words, strict=True):
                begin = min(max(place - len(word) // 2, len(line) + 2 if line else 0), self.width - len(word))
                line = line.ljust(begin) + word
            yield line.rstrip()

    def _line(self, time: str = "", states: tuple[str, str] = ("", ""), middle: str = "", life: str = "") -> str:
        left, right = life or self.lines[LEFT], life or self.lines[RIGHT]
        self.signs |= {left, right}
        text = f"{time:>{self.clock}} {states[LEFT]:>{_STATE}} {left}{middle:{self.middle}}{right} {states[RIGHT]}"
        return text.rstrip()

    def item(self, item: Item) -> Iterator[str]:
        """Yield the lines of one item."""
        match item:
            case Row():
                yield from self._row(item)
            case Gap():
                yield self._line(middle=f"~ {gap_text(item)} ~".center(self.middle), life="~")
            case Fold(rows, words):
                yield self._line(middle=f"... {words} ...".center(self.middle))
                for row in rows:
                    self._enter(row)

    def _enter(self, row: Row) -> None:
        for side, change in enumerate(row.states):
            if change is not None:
                signs = {State.TIME_WAIT: _WAITS, State.CLOSED: _NONE}
                self.lines[side] = signs.get(change.state, _OPEN)
                if self.conversation.itself:
                    self.lines = [self.lines[side]] * 2

    def _row(self, row: Row) -> Iterator[str]:
        self._enter(row)
        time = moment_text(row.time, self.conversation.zero)
        states = tuple("" if change is None else str(change.state) for change in row.states)
        says: list[tuple[int, str]] = []
        middle = ""
        if row.arrow is not None:
            middle = self._arrow(row, row.arrow)
            if row.arrow.words and row.part is not Part.ARRIVES:
                says.append((row.side, row.arrow.words))
            if row.reason is not None:
                says.append((1 - row.side, f"not taken: {row.reason.meaning}"))
        elif row.called is not None or row.failed:
            middle = f" {call_text(row)} "
            middle = middle if row.side == LEFT else middle.rjust(self.middle)
        yield self._line(time, (states[LEFT], states[RIGHT]), middle)
        for side, words in says:
            lines = textwrap.wrap(words, self.middle - 8)
            margin = 3 if side == LEFT else self.middle - 3 - max(map(len, lines))
            yield from (self._line(middle=" " * margin + line) for line in lines)

    def _arrow(self, row: Row, arrow: Arrow) -> str:
        """Return an arrow with its label: pieces from its tail to its head, the other way round from the right."""
        there = arrow.side == LEFT
        tail, head = "--", ">" if there else "<"
        flags = flag_names(arrow.segment.flags)
        labels = f" {flags} {numbers_text(arrow)} ", f" {flags} {numbers_text(arrow, acked=False)} ", f" {flags} "
        room = self.middle
        if row.part is Part.ARRIVES:
            tail, labels = f" ({self._letter(arrow.number)}) --", ("", "", "")
        elif not arrow.sent:
            tail = "        * --"
            self.signs.add("*")
        if row.part is Part.DEPARTS and arrow.fate in _SHORT:
            head, room = _SHORT[arrow.fate], room * 3 // 4
            self.signs.add(head)
        elif row.part is Part.DEPARTS:
            letter = f"({self._letter(arrow.number)})"
            head = f"> {letter} " if there else f" {letter} <"
            self.signs.add("/")
        fits = room - len(tail) - len(head) - 1
        label = next((each for each in labels if len(each) <= fits), labels[-1][:fits])
        dashes = "-" * (room - len(tail) - len(label) - len(head))
        if there:
            return tail + label + dashes + head
        return (head + dashes + label + tail[::-1].translate(_MIRRORED)).rjust(self.middle)

    def _letter(self, number: int) -> str:
        at = len(self.letters)
        return self.letters.setdefault(number, chr(ord("a") + at) if at < 26 else str(at))

    def ends(self) -> Iterator[str]:
        """Yield how the states end that the trace did not live to see."""
        last = max([self.conversation.end, *(row.time for row in self.conversation.rows)])
        for side, until in sorted(self.conversation.due(), key=lambda each: each[1]):
            if until - last > 0:
                gap = Gap(until - last)
                yield self._line(middle=f"~ {gap_text(gap)} ~".center(self.middle), life="~")
            last = until
            self.lines[side] = _NONE
            states = ("(CLOSED)", "") if side == LEFT else ("", "(CLOSED)")
            self.signs.add("(")
            yield self._line(moment_text(until, self.conversation.zero), states)
