"""`Conversation`: what two ends had to do with each other, taken from a trace: the rows of a sequence diagram.

Knows who is left and right, what belongs to which arrow, what repeats and can be folded.  Drawing is left to
`ladder_text` and `ladder_svg`.
"""

import re
from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from ipaddress import ip_address
from typing import Final, NamedTuple, TypeAlias

from timewait.clock import MS, Duration, Instant
from timewait.endpoint import written
from timewait.tcp.events import Dropped, Entered, Failed, FourTuple, Reason
from timewait.tcp.states import State
from timewait.trace import Called, Fate, Happened, Moved, Relative, Trace
from timewait.wire.segment import ACK, SYN, Segment

LEFT: Final = 0
RIGHT: Final = 1
# Between two rows so far apart in time a diagram says how much went by.
GAP: Final = 100 * MS
# Rows of a conversation that are drawn; of more, the first and the last.
MOST_ROWS: Final = 60
_FIRST: Final = 30
_LAST: Final = 20
# Conversations that are drawn; of more, the first of each shape.
MOST: Final = 8
# So many that look the same, one after the other, are drawn once.
_ALIKE: Final = 3
# A state that was looked up so soon after a segment came belongs to it.
_AT_ONCE: Final = MS

_UNSENT: Final = (Fate.RELEASED, Fate.REPLAYED, Fate.INJECTED)
_NEVER_ARRIVES: Final = (Fate.LOST, Fate.HELD)

End: TypeAlias = tuple[bytes, int]


class Part(Enum):
    """What a row has of an arrow: all of it, or, where something else happens in between, one of its ends."""

    WHOLE = "whole"
    DEPARTS = "departs"
    ARRIVES = "arrives"


class Change(NamedTuple):
    """A state entered; `until`: when it ends by itself, where it does."""

    time: Instant
    state: State
    until: Instant | None = None


@dataclass(slots=True, eq=False)
class Arrow:
    """A segment on its way from the end on one `side`.  `seq`, `ack`: relative to the incarnation's first."""

    segment: Segment
    side: int
    fate: Fate
    note: str
    seq: int
    ack: int
    time: Instant
    number: int

    @property
    def sent(self) -> bool:
        """Whether a stack sent it; else the network put it there."""
        return self.fate not in _UNSENT

    @property
    def words(self) -> str:
        """What befell it."""
        return "; ".join(word for word in (self.fate.value, self.note) if word)


@dataclass(slots=True)
class Row:
    """One line of a diagram: an arrow or a part of it, a call, or only states entered.

    `states`: those entered with it, left and right; `reason`: why the arrow was not taken where it arrived; `called`,
    `failed`: what a program was told, on `side`.
    """

    time: Instant
    arrow: Arrow | None = None
    part: Part = Part.WHOLE
    arrived: Instant | None = None
    reason: Reason | None = None
    called: Called | None = None
    failed: str = ""
    side: int = LEFT
    states: list[Change | None] = field(default_factory=lambda: [None, None])

    @property
    def shape(self) -> tuple[object, ...]:
        """What it looks like, whatever its numbers and times."""
        arrow = self.arrow
        look = arrow and (arrow.side, arrow.segment.flags, arrow.fate, bool(arrow.segment.payload))
        told = self.called and re.sub(r"\d+", "", f"{self.called.call} = {self.called.result}")
        states = tuple(change and change.state for change in self.states)
        return look, self.part, self.reason, told, self.failed, self.side, states


class Fold(NamedTuple):
    """Rows that are not drawn, and what they are."""

    rows: tuple[Row, ...]
    words: str


class Gap(NamedTuple):
    """Time in which nothing happened."""

    duration: Duration


Item: TypeAlias = Row | Fold | Gap


class Span(NamedTuple):
    """How long an end was in a state; `seen` is False where the trace ended before the state did."""

    state: State
    begin: Instant
    end: Instant
    seen: bool


@dataclass(slots=True)
class Conversation:
    """Two ends, the one that spoke first on the left, and all that passed between them.

    `alike`: ends of others that look the same; `zero`: what times are counted from; `end`: when the trace ended.
    """

    ends: tuple[End, End]
    names: tuple[str, str]
    zero: Instant
    end: Instant = 0
    rows: list[Row] = field(default_factory=list)
    alike: list[str] = field(default_factory=list)

    @property
    def itself(self) -> bool:
        """Whether the two ends are one: a connection to itself."""
        return self.ends[LEFT] == self.ends[RIGHT]

    @property
    def title(self) -> str:
        """Both ends, for a heading."""
        return f"{self.label(LEFT)} and {self.label(RIGHT)}"

    def label(self, side: int) -> str:
        """Return an end's name and address."""
        return f"{self.names[side]} {self.address(side)}".strip()

    def address(self, side: int) -> str:
        """Return an end's address and port."""
        address, port = self.ends[side]
        return written(str(ip_address(address)), port)

    def segments(self) -> int:
        """Return how many segments were sent or put on the network."""
        return len({arrow.number for row in self.rows if (arrow := row.arrow)})

    def items(self) -> list[Item]:
        """Return what is to be drawn, repetitions folded, gaps in time marked."""
        return list(_with_gaps(_shortened(_unrepeated(self.rows))))

    def spans(self, side: int) -> list[Span]:
        """Return the states of one end, in order; CLOSED is none."""
        changes = [change for row in self.rows if (change := row.states[side])]
        found = []
        for at, (time, state, until) in enumerate(changes):
            if state is State.CLOSED:
                continue
            if at + 1 < len(changes):
                found.append(Span(state, time, changes[at + 1].time, True))
            else:
                found.append(Span(state, time, max(self.end, time) if until is None else until, False))
        return found

    def due(self) -> list[tuple[int, Instant]]:
        """Return which ends are still waiting when the trace ends, and until when."""
        last = [self.spans(side)[-1:] for side in (LEFT, RIGHT)]
        return [
            (side, one[0].end) for side, one in enumerate(last) if one and not one[0].seen and one[0].end > self.end
        ]


class Picture(NamedTuple):
    """All conversations of a trace that are worth drawing, how many are not, and calls that belong to none."""

    conversations: list[Conversation]
    left_out: int
    calls: list[Called]


def picture(trace: Trace) -> Picture:
    """Sort a trace into conversations; those that look the same are one."""
    reader = _Reader(trace)
    for entry in trace.entries:
        reader.take(entry)
    shapes: dict[tuple[object, ...], Conversation] = {}
    for each in reader.finished():
        shape = tuple(row.shape for row in each.rows), each.names
        if shape in shapes:
            shapes[shape].alike.append(f"{each.address(LEFT)} > {each.address(RIGHT)}")
        else:
            shapes[shape] = each
    different = list(shapes.values())
    return Picture(different[:MOST], len(different[MOST:]), reader.calls)


class _Open(NamedTuple):
    """A conversation under way."""

    conversation: Conversation
    moments: list["_Moment"]


class _Moment(NamedTuple):
    """One thing that happened in a conversation, before it is known which row it is part of."""

    time: Instant
    arrow: Arrow | None = None
    arrives: bool = False
    reason: Reason | None = None
    side: int = LEFT
    change: Change | None = None
    called: Called | None = None
    failed: str = ""


class _Reader:
    """Reads a trace entry by entry."""

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self.relative = Relative()
        self.open: dict[frozenset[End], _Open] = {}
        self.under_way: dict[str, deque[Arrow]] = defaultdict(deque)
        self.handles: dict[tuple[str, str], FourTuple] = {}
        self.calls: list[Called] = []
        self.number = 0

    def take(self, entry: object) -> None:
        """Read one entry."""
        match entry:
            case Moved(fate=Fate.DELIVERED):
                self._arrival(entry)
            case Moved():
                self._departure(entry)
            case Happened(time, _, Entered(connection, state, until)):
                side, known = self._found((connection[:2], connection[2:]))
                known.moments.append(_Moment(time, side=side, change=Change(time, state, until)))
            case Happened(time, _, Dropped(segment, reason)):
                self._refusal(time, segment, reason)
            case Happened(time, host, Failed(handle, error)):
                if ended := self.handles.get((host, str(handle))):
                    side, known = self._found((ended[:2], ended[2:]))
                    known.moments.append(_Moment(time, side=side, failed=str(error)))
            case Called():
                self._call(entry)

    def _found(self, ends: tuple[End, End]) -> tuple[int, _Open]:
        """Return the side that the first end is on, and the conversation; a new one has the first end on the left."""
        key = frozenset(ends)
        if key not in self.open:
            known = Conversation(ends, ("", ""), self.trace.zero)
            self.open[key] = _Open(known, [])
        found = self.open[key]
        return (LEFT if found.conversation.ends[LEFT] == ends[0] else RIGHT), found

    def _of(self, segment: Segment) -> tuple[int, _Open]:
        return self._found((segment[:2], segment[2:4]))

    def _departure(self, entry: Moved) -> None:
        time, fate, link, _, segment, note = entry
        side, known = self._of(segment)
        seq, ack = self.relative.numbers(segment)
        self.number += 1
        arrow = Arrow(segment, side, fate, note, seq, ack, time, self.number)
        known.moments.append(_Moment(time, arrow, side=side))
        if fate not in _NEVER_ARRIVES:
            self.under_way[link].extend([arrow] * (2 if fate is Fate.DUPLICATED else 1))

    def _arrival(self, entry: Moved) -> None:
        time, _, link, _, segment, _ = entry
        waiting = self.under_way[link]
        arrow = next((each for each in waiting if each.segment is segment), None)
        arrow = arrow or next((each for each in waiting if each.segment == segment), None)
        arrow = arrow or next((each for each in waiting if each.fate is Fate.ALTERED), None)
        if arrow is None:
            return
        waiting.remove(arrow)
        _, known = self._of(segment)
        known.moments.append(_Moment(time, arrow, arrives=True, side=1 - arrow.side))

    def _refusal(self, time: Instant, segment: Segment, reason: Reason) -> None:
        _, known = self._of(segment)
        for at in range(len(known.moments) - 1, -1, -1):
            moment = known.moments[at]
            if moment.arrives and moment.arrow and moment.reason is None and moment.arrow.segment[:7] == segment[:7]:
                known.moments[at] = moment._replace(reason=reason)
                return
            if moment.time < time:
                return

    def _call(self, entry: Called) -> None:
        connection = entry.connection
        if connection is not None and entry.result.isdigit() and entry.call.startswith(("connect", "accept")):
            self.handles[entry.host, entry.result] = connection
        found = None if connection is None else self._nearest(connection)
        if found is None:
            self.calls.append(entry)
            return
        side, known = found
        known.moments.append(_Moment(entry.time, side=side, called=entry))

    def _nearest(self, connection: FourTuple) -> tuple[int, _Open] | None:
        """Return the conversation a call is about; of a call that names one end alone, the last one with that end."""
        local, remote = connection[:2], connection[2:]
        if all((*local, *remote)):
            return self._found((local, remote))
        for known in reversed(self.open.values()):
            for side in (LEFT, RIGHT):
                own, other = known.conversation.ends[side], known.conversation.ends[1 - side]
                if _may_be(local, own) and _may_be(remote, other):
                    return side, known
        return None

    def finished(self) -> Iterator[Conversation]:
        """Yield the conversations, their rows in order."""
        end = max((entry.time for entry in self.trace.entries), default=self.trace.zero)
        for conversation, moments in self.open.values():
            conversation.names = self._names(conversation.ends)
            conversation.end = end
            conversation.rows = _rows(moments)
            yield conversation

    def _names(self, ends: tuple[End, End]) -> tuple[str, str]:
        """Return names for both ends: their hosts', or on one host what they are to each other."""
        left, right = (self.trace.names.get(address, "") for address, _ in ends)
        if left == right:
            return ("one end", "the same end") if ends[LEFT] == ends[RIGHT] else ("client", "server")
        return left, right


def _may_be(asked: End, end: End) -> bool:
    """Whether an end of which something may be unknown (an empty address, port 0) is this one."""
    return (not any(asked[0]) or asked[0] == end[0]) and asked[1] in (0, end[1])


# -- rows --------------------------------------------------------------------------------------------------------------


def _rows(moments: Sequence[_Moment]) -> list[Row]:
    """Return rows: an arrow is one row if only its sender's state changes before it arrives."""
    rows: list[Row] = []
    drawn: set[int] = set()
    for at, moment in enumerate(moments):
        if at in drawn:
            continue
        if moment.change is not None:
            _place(rows, moments, at)
        elif moment.called is not None or moment.failed:
            rows.append(Row(moment.time, called=moment.called, failed=moment.failed, side=moment.side))
        elif moment.arrow is not None and moment.arrives:
            rows.append(
                Row(moment.time, moment.arrow, Part.ARRIVES, moment.time, moment.reason, side=moment.arrow.side)
            )
        elif moment.arrow is not None:
            rows.append(_departing(rows, moments, at, drawn))
    return rows


def _departing(rows: list[Row], moments: Sequence[_Moment], at: int, drawn: set[int]) -> Row:
    """Return the row of a segment that leaves; its arrival is part of it if nothing else happens first."""
    moment = moments[at]
    row = Row(moment.time, moment.arrow, Part.DEPARTS, side=moment.side)
    if rows and rows[-1].arrow is None and rows[-1].called is None and not rows[-1].failed:
        # The state that it leaves in was entered just before.
        before = rows[-1]
        if before.time == moment.time and before.states[1 - moment.side] is None:
            row.states = rows.pop().states
    for later in range(at + 1, len(moments)):
        other = moments[later]
        if other.arrives and other.arrow is moment.arrow:
            row.part, row.arrived, row.reason = Part.WHOLE, other.time, other.reason
            drawn.add(later)
            break
        if other.change is None or other.side != moment.side or row.states[moment.side] is not None:
            break
        row.states[moment.side] = other.change
        drawn.add(later)
    return row


def _place(rows: list[Row], moments: Sequence[_Moment], at: int) -> None:
    """Put a state where it belongs: at the end of the arrow that brought it, else in a row of its own."""
    time, side, change = moments[at].time, moments[at].side, moments[at].change
    following = moments[at + 1] if at + 1 < len(moments) else None
    leaves = following is not None and following.arrow is not None and not following.arrives and following.side == side
    if rows:
        last = rows[-1]
        brought = last.arrow is not None and last.arrived is not None and last.arrow.side != side
        alone = last.arrow is None and last.called is None and not last.failed and last.time == time
        near = last.arrived is not None and time - last.arrived < _AT_ONCE
        if last.states[side] is None and ((brought and near) or (alone and not leaves)):
            last.states[side] = change
            return
    new = Row(time)
    new.states[side] = change
    rows.append(new)


def _unrepeated(rows: Sequence[Row]) -> list[Item]:
    """Fold what repeats: incarnations of one shape that follow each other."""
    groups = _incarnations(rows)
    found: list[Item] = []
    at = 0
    while at < len(groups):
        shape = [row.shape for row in groups[at]]
        upto = at + 1
        while upto < len(groups) and [row.shape for row in groups[upto]] == shape:
            upto += 1
        if upto - at < _ALIKE:
            found += [row for group in groups[at:upto] for row in group]
        else:
            more = [row for group in groups[at + 1 : upto] for row in group]
            found += groups[at]
            found.append(Fold(tuple(more), f"{upto - at - 1} more like it"))
        at = upto
    return found


def _incarnations(rows: Sequence[Row]) -> list[list[Row]]:
    """Cut before each SYN that opens the connection anew, and before a call that fails without one."""
    groups: list[list[Row]] = [[]]
    last: int | None = None
    for row in rows:
        arrow = row.arrow
        if arrow is not None and arrow.sent and row.part is not Part.ARRIVES:
            begins = arrow.segment.flags & (SYN | ACK) == SYN and arrow.segment.seq != last
            last = arrow.segment.seq if begins else last
        else:
            begins = row.called is not None and groups[-1][-1:] != [] and _refused(row) and _refused(groups[-1][-1])
        if begins and groups[-1]:
            groups.append([])
        groups[-1].append(row)
    return groups


def _refused(row: Row) -> bool:
    return row.called is not None and row.called.call.startswith("connect") and row.called.result.startswith("E")


def _shortened(items: Sequence[Item]) -> list[Item]:
    """Leave out the middle of what is too long."""
    if len(items) <= MOST_ROWS:
        return list(items)
    middle = items[_FIRST:-_LAST]
    rows = [row for item in middle for row in (item.rows if isinstance(item, Fold) else [item])]
    kept = tuple(row for row in rows if isinstance(row, Row))
    return [*items[:_FIRST], Fold(kept, f"{len(kept):,} more rows"), *items[-_LAST:]]


def _with_gaps(items: Sequence[Item]) -> Iterator[Item]:
    last: Instant | None = None
    for item in items:
        rows = item.rows if isinstance(item, Fold) else (item,) if isinstance(item, Row) else ()
        if last is not None and isinstance(item, Row) and item.time - last >= GAP:
            yield Gap(item.time - last)
        yield item
        if rows:
            last = max(rows[-1].time, rows[-1].arrived or 0)
