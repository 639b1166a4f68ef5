"""The state machine as a total table that can be printed: every (state, event) pair is a row, ignored, or impossible.

An event here is what `arrival`, `time_wait` and the user calls have judged a segment, a call or a timer to *be*; the
table alone says what it *does*.  Sequence numbers and the opinions of profiles are the judges' business, not this
table's: a segment that is dropped never becomes an event.

All section numbers are RFC 9293's unless another RFC is named.
"""

from collections.abc import Iterator
from enum import IntEnum
from typing import Final, Literal, NamedTuple, TypeAlias


class State(IntEnum):
    """Connection states; they print as the RFC writes them.  Section 3.3.2."""

    CLOSED = 0
    LISTEN = 1
    SYN_SENT = 2
    SYN_RECEIVED = 3
    ESTABLISHED = 4
    FIN_WAIT_1 = 5
    FIN_WAIT_2 = 6
    CLOSE_WAIT = 7
    CLOSING = 8
    LAST_ACK = 9
    TIME_WAIT = 10

    def __str__(self) -> str:
        return self.name.replace("_", "-")


class Event(IntEnum):
    """What happened, once judged.  The docstring of each says what the judges mean by it."""

    PASSIVE_OPEN = 0
    """User: listen."""
    ACTIVE_OPEN = 1
    """User: connect."""
    CLOSE = 2
    """User: nothing more will be sent."""
    ABORT = 3
    """User: give the connection up (linger zero, or close with unread data)."""
    SYN = 4
    """A SYN that asks for a connection and may have it (in TIME-WAIT: one that may reopen it)."""
    SYN_ACK = 5
    """The acceptable answer to our SYN."""
    ACK_OF_SYN = 6
    """An acceptable ACK that covers our SYN."""
    ACK_OF_FIN = 7
    """An acceptable ACK that covers our FIN."""
    FIN = 8
    """The peer's FIN, in order (in TIME-WAIT: again)."""
    RST = 9
    """A reset that the profile's rule accepts."""
    RST_OF_PASSIVE = 10
    """The same, for a connection that a listener made and that is not yet established."""
    SYN_IN_WINDOW = 11
    """A SYN inside the window, where the profile resets for it as RFC 793 did."""
    LATE_DATA = 12
    """New data for a user who has closed and will not read it."""
    TIMEOUT_2MSL = 13
    """The TIME-WAIT timer ended."""
    TIMEOUT_ORPHAN = 14
    """FIN-WAIT-2 without a user lasted longer than the profile allows."""
    TIMEOUT_USER = 15
    """Retransmission, probing or keep-alive gave up (R2, user timeout)."""

    def __str__(self) -> str:
        return self.name.lower().replace("_", " ")


class Action(IntEnum):
    """What a transition makes the connection do, besides changing its state."""

    SEND_SYN = 0
    SEND_SYN_ACK = 1
    SEND_ACK = 2
    QUEUE_FIN = 3
    SEND_RST = 4
    START_2MSL = 5
    RESTART_2MSL = 6
    TELL_CONNECTED = 7
    TELL_END_OF_FILE = 8
    TELL_ERROR = 9
    DELETE = 10

    def __str__(self) -> str:
        return self.name.lower().replace("_", " ")


class Row(NamedTuple):
    """One transition: in `state`, on `event`, do `actions` and become `next`; `section` says where it is written."""

    state: State
    event: Event
    next: State
    actions: tuple[Action, ...]
    section: str


class Ignored(NamedTuple):
    """A pair that may happen and changes nothing, and why."""

    state: State
    event: Event
    why: str


class Impossible(NamedTuple):
    """A pair that the judges never produce, and why; a test holds them to it."""

    state: State
    event: Event
    why: str


Entry: TypeAlias = Row | Ignored | Impossible

CLOSED: Final = State.CLOSED
LISTEN: Final = State.LISTEN
SYN_SENT: Final = State.SYN_SENT
SYN_RECEIVED: Final = State.SYN_RECEIVED
ESTABLISHED: Final = State.ESTABLISHED
FIN_WAIT_1: Final = State.FIN_WAIT_1
FIN_WAIT_2: Final = State.FIN_WAIT_2
CLOSE_WAIT: Final = State.CLOSE_WAIT
CLOSING: Final = State.CLOSING
LAST_ACK: Final = State.LAST_ACK
TIME_WAIT: Final = State.TIME_WAIT

_S = State
_E = Event
_A = Action

ROWS: Final[tuple[Row, ...]] = (
    # Opening
    Row(CLOSED, _E.PASSIVE_OPEN, LISTEN, (), "3.10.1"),
    Row(CLOSED, _E.ACTIVE_OPEN, SYN_SENT, (_A.SEND_SYN,), "3.10.1"),
    Row(LISTEN, _E.SYN, SYN_RECEIVED, (_A.SEND_SYN_ACK,), "3.10.7.2 third"),
    Row(LISTEN, _E.ACTIVE_OPEN, SYN_SENT, (_A.SEND_SYN,), "3.10.1"),
    Row(SYN_SENT, _E.SYN_ACK, ESTABLISHED, (_A.SEND_ACK, _A.TELL_CONNECTED), "3.10.7.3 fourth"),
    Row(SYN_SENT, _E.SYN, SYN_RECEIVED, (_A.SEND_SYN_ACK,), "3.10.7.3 fourth; MUST-10"),
    Row(SYN_RECEIVED, _E.ACK_OF_SYN, ESTABLISHED, (_A.TELL_CONNECTED,), "3.10.7.4 fifth"),
    # Closing, by our user
    Row(LISTEN, _E.CLOSE, CLOSED, (_A.DELETE,), "3.10.4"),
    Row(SYN_SENT, _E.CLOSE, CLOSED, (_A.DELETE,), "3.10.4"),
    Row(SYN_RECEIVED, _E.CLOSE, FIN_WAIT_1, (_A.QUEUE_FIN,), "3.10.4"),
    Row(ESTABLISHED, _E.CLOSE, FIN_WAIT_1, (_A.QUEUE_FIN,), "3.10.4"),
    Row(CLOSE_WAIT, _E.CLOSE, LAST_ACK, (_A.QUEUE_FIN,), "3.10.4"),
    # Closing, by the peer
    Row(SYN_RECEIVED, _E.FIN, CLOSE_WAIT, (_A.SEND_ACK, _A.TELL_END_OF_FILE), "3.10.7.4 eighth"),
    Row(ESTABLISHED, _E.FIN, CLOSE_WAIT, (_A.SEND_ACK, _A.TELL_END_OF_FILE), "3.10.7.4 eighth"),
    Row(FIN_WAIT_1, _E.ACK_OF_FIN, FIN_WAIT_2, (), "3.10.7.4 fifth"),
    Row(FIN_WAIT_1, _E.FIN, CLOSING, (_A.SEND_ACK, _A.TELL_END_OF_FILE), "3.10.7.4 eighth"),
    Row(FIN_WAIT_2, _E.FIN, TIME_WAIT, (_A.SEND_ACK, _A.START_2MSL, _A.TELL_END_OF_FILE), "3.10.7.4 eighth"),
    Row(CLOSING, _E.ACK_OF_FIN, TIME_WAIT, (_A.START_2MSL,), "3.10.7.4 fifth"),
    Row(LAST_ACK, _E.ACK_OF_FIN, CLOSED, (_A.DELETE,), "3.10.7.4 fifth"),
    # TIME-WAIT
    Row(TIME_WAIT, _E.FIN, TIME_WAIT, (_A.SEND_ACK, _A.RESTART_2MSL), "3.10.7.4 eighth"),
    Row(TIME_WAIT, _E.SYN, SYN_RECEIVED, (_A.SEND_SYN_ACK,), "3.6.1 MAY-2, SHLD-4; RFC 6191"),
    Row(TIME_WAIT, _E.ACTIVE_OPEN, SYN_SENT, (_A.SEND_SYN,), "none: reuse by the client (3.10.1 says it exists)"),
    Row(TIME_WAIT, _E.RST, CLOSED, (_A.DELETE,), "3.10.7.4 second"),
    Row(TIME_WAIT, _E.SYN_IN_WINDOW, CLOSED, (_A.SEND_RST, _A.DELETE), "3.10.7.4 fourth (RFC 793)"),
    Row(TIME_WAIT, _E.ABORT, CLOSED, (_A.DELETE,), "3.10.5"),
    Row(TIME_WAIT, _E.TIMEOUT_2MSL, CLOSED, (_A.DELETE,), "3.10.8; MUST-13"),
    # Giving up, by our user
    Row(LISTEN, _E.ABORT, CLOSED, (_A.DELETE,), "3.10.5"),
    Row(SYN_SENT, _E.ABORT, CLOSED, (_A.DELETE,), "3.10.5"),
    Row(SYN_RECEIVED, _E.ABORT, CLOSED, (_A.SEND_RST, _A.DELETE), "3.10.5"),
    Row(ESTABLISHED, _E.ABORT, CLOSED, (_A.SEND_RST, _A.DELETE), "3.10.5"),
    Row(FIN_WAIT_1, _E.ABORT, CLOSED, (_A.SEND_RST, _A.DELETE), "3.10.5"),
    Row(FIN_WAIT_2, _E.ABORT, CLOSED, (_A.SEND_RST, _A.DELETE), "3.10.5"),
    Row(CLOSE_WAIT, _E.ABORT, CLOSED, (_A.SEND_RST, _A.DELETE), "3.10.5"),
    Row(CLOSING, _E.ABORT, CLOSED, (_A.DELETE,), "3.10.5"),
    Row(LAST_ACK, _E.ABORT, CLOSED, (_A.DELETE,), "3.10.5"),
    # Reset by the peer
    Row(SYN_SENT, _E.RST, CLOSED, (_A.TELL_ERROR, _A.DELETE), "3.10.7.3 second"),
    Row(SYN_RECEIVED, _E.RST, CLOSED, (_A.TELL_ERROR, _A.DELETE), "3.10.7.4 second"),
    Row(SYN_RECEIVED, _E.RST_OF_PASSIVE, LISTEN, (_A.DELETE,), "3.10.7.4 second"),
    Row(ESTABLISHED, _E.RST, CLOSED, (_A.TELL_ERROR, _A.DELETE), "3.10.7.4 second"),
    Row(FIN_WAIT_1, _E.RST, CLOSED, (_A.TELL_ERROR, _A.DELETE), "3.10.7.4 second"),
    Row(FIN_WAIT_2, _E.RST, CLOSED, (_A.TELL_ERROR, _A.DELETE), "3.10.7.4 second"),
    Row(CLOSE_WAIT, _E.RST, CLOSED, (_A.TELL_ERROR, _A.DELETE), "3.10.7.4 second"),
    Row(CLOSING, _E.RST, CLOSED, (_A.TELL_ERROR, _A.DELETE), "3.10.7.4 second"),
    Row(LAST_ACK, _E.RST, CLOSED, (_A.TELL_ERROR, _A.DELETE), "3.10.7.4 second"),
    # A SYN in the window, where RFC 793's rule is in force
    Row(SYN_RECEIVED, _E.SYN_IN_WINDOW, CLOSED, (_A.SEND_RST, _A.TELL_ERROR, _A.DELETE), "3.10.7.4 fourth (RFC 793)"),
    Row(ESTABLISHED, _E.SYN_IN_WINDOW, CLOSED, (_A.SEND_RST, _A.TELL_ERROR, _A.DELETE), "3.10.7.4 fourth (RFC 793)"),
    Row(FIN_WAIT_1, _E.SYN_IN_WINDOW, CLOSED, (_A.SEND_RST, _A.TELL_ERROR, _A.DELETE), "3.10.7.4 fourth (RFC 793)"),
    Row(FIN_WAIT_2, _E.SYN_IN_WINDOW, CLOSED, (_A.SEND_RST, _A.TELL_ERROR, _A.DELETE), "3.10.7.4 fourth (RFC 793)"),
    Row(CLOSE_WAIT, _E.SYN_IN_WINDOW, CLOSED, (_A.SEND_RST, _A.TELL_ERROR, _A.DELETE), "3.10.7.4 fourth (RFC 793)"),
    Row(CLOSING, _E.SYN_IN_WINDOW, CLOSED, (_A.SEND_RST, _A.TELL_ERROR, _A.DELETE), "3.10.7.4 fourth (RFC 793)"),
    Row(LAST_ACK, _E.SYN_IN_WINDOW, CLOSED, (_A.SEND_RST, _A.TELL_ERROR, _A.DELETE), "3.10.7.4 fourth (RFC 793)"),
    # Data for a user who is gone
    Row(FIN_WAIT_1, _E.LATE_DATA, CLOSED, (_A.SEND_RST, _A.DELETE), "3.6.1 SHLD-3; RFC 2525 2.17"),
    Row(FIN_WAIT_2, _E.LATE_DATA, CLOSED, (_A.SEND_RST, _A.DELETE), "3.6.1 SHLD-3; RFC 2525 2.17"),
    # Timers
    Row(FIN_WAIT_2, _E.TIMEOUT_ORPHAN, CLOSED, (_A.DELETE,), "none: every stack bounds it, RFC 793 does not"),
    Row(SYN_SENT, _E.TIMEOUT_USER, CLOSED, (_A.TELL_ERROR, _A.DELETE), "3.8.3; 3.10.8"),
    Row(SYN_RECEIVED, _E.TIMEOUT_USER, CLOSED, (_A.TELL_ERROR, _A.DELETE), "3.8.3; 3.10.8"),
    Row(ESTABLISHED, _E.TIMEOUT_USER, CLOSED, (_A.TELL_ERROR, _A.DELETE), "3.8.3; 3.10.8"),
    Row(FIN_WAIT_1, _E.TIMEOUT_USER, CLOSED, (_A.TELL_ERROR, _A.DELETE), "3.8.3; 3.10.8"),
    Row(FIN_WAIT_2, _E.TIMEOUT_USER, CLOSED, (_A.TELL_ERROR, _A.DELETE), "3.8.3; 3.10.8"),
    Row(CLOSE_WAIT, _E.TIMEOUT_USER, CLOSED, (_A.TELL_ERROR, _A.DELETE), "3.8.3; 3.10.8"),
    Row(CLOSING, _E.TIMEOUT_USER, CLOSED, (_A.TELL_ERROR, _A.DELETE), "3.8.3; 3.10.8"),
    Row(LAST_ACK, _E.TIMEOUT_USER, CLOSED, (_A.TELL_ERROR, _A.DELETE), "3.8.3; 3.10.8"),
)

_SYNCHRONISED = (ESTABLISHED, FIN_WAIT_1, FIN_WAIT_2, CLOSE_WAIT, CLOSING, LAST_ACK)
_OPEN = (SYN_SENT, SYN_RECEIVED, *_SYNCHRONISED)

# (states, event, why): nothing changes, and the caller or the peer is told by other means or not at all.
_IGNORED: Final[tuple[tuple[tuple[State, ...], Event, str], ...]] = (
    ((CLOSED,), _E.CLOSE, "the user is told that there is no connection: 3.10.4"),
    ((CLOSED,), _E.ABORT, "the user is told that there is no connection: 3.10.5"),
    ((CLOSED,), _E.SYN, "answered with RST, or silence where the host drops it: 3.10.7.1"),
    ((LISTEN, *_OPEN, TIME_WAIT), _E.PASSIVE_OPEN, "the user is told that the connection exists: 3.10.1"),
    (_OPEN, _E.ACTIVE_OPEN, "the user is told that the connection exists: 3.10.1"),
    ((FIN_WAIT_1, FIN_WAIT_2, CLOSING, LAST_ACK), _E.CLOSE, "our FIN is already queued: 3.10.4"),
    ((TIME_WAIT,), _E.CLOSE, "the user is told that it is closing already: 3.10.4"),
)

# (states, event, why): the judges never produce it.
_IMPOSSIBLE: Final[tuple[tuple[tuple[State, ...], Event, str], ...]] = (
    (
        (CLOSED,),
        _E.SYN_ACK,
        "without a connection no number of it can be judged: 3.10.7.1",
    ),
    ((CLOSED, LISTEN), _E.ACK_OF_SYN, "no SYN of ours is outstanding"),
    ((CLOSED, LISTEN, SYN_SENT), _E.ACK_OF_FIN, "no FIN of ours is outstanding"),
    ((SYN_RECEIVED, ESTABLISHED, FIN_WAIT_2, CLOSE_WAIT, TIME_WAIT), _E.ACK_OF_FIN, "no FIN of ours is outstanding"),
    ((CLOSED, LISTEN, SYN_SENT), _E.FIN, "its number cannot be judged: 3.10.7.4 eighth"),
    ((CLOSE_WAIT, CLOSING, LAST_ACK), _E.FIN, "the peer's FIN was taken; again, it is outside the window"),
    ((CLOSED, LISTEN), _E.RST, "a reset is ignored here: 3.10.7.1, 3.10.7.2 first"),
    ((CLOSED, LISTEN, SYN_SENT, *_SYNCHRONISED, TIME_WAIT), _E.RST_OF_PASSIVE, "judged as RST here"),
    ((LISTEN,), _E.SYN_ACK, "an ACK at a listener is answered with RST: 3.10.7.2 second"),
    ((SYN_RECEIVED, *_SYNCHRONISED, TIME_WAIT), _E.SYN_ACK, "no SYN of ours waits for an answer: judged as a SYN"),
    ((SYN_RECEIVED, *_SYNCHRONISED), _E.SYN, "challenged, or SYN in window: 3.10.7.4 fourth"),
    ((SYN_SENT,), _E.ACK_OF_SYN, "judged as SYN ACK, or dropped: 3.10.7.3"),
    ((*_SYNCHRONISED, TIME_WAIT), _E.ACK_OF_SYN, "our SYN is acknowledged already"),
    ((CLOSED, LISTEN, SYN_SENT), _E.SYN_IN_WINDOW, "there is no window yet"),
    ((CLOSED, LISTEN, SYN_SENT, SYN_RECEIVED, ESTABLISHED), _E.LATE_DATA, "the user has not closed"),
    ((CLOSE_WAIT, CLOSING, LAST_ACK, TIME_WAIT), _E.LATE_DATA, "nothing new can follow the peer's FIN"),
    ((CLOSED, LISTEN, *_OPEN), _E.TIMEOUT_2MSL, "the timer runs only in TIME-WAIT"),
    (
        (CLOSED, LISTEN, SYN_SENT, SYN_RECEIVED, ESTABLISHED, FIN_WAIT_1, CLOSE_WAIT, CLOSING, LAST_ACK, TIME_WAIT),
        _E.TIMEOUT_ORPHAN,
        "the timer runs only in FIN-WAIT-2",
    ),
    ((CLOSED, LISTEN), _E.TIMEOUT_USER, "nothing is outstanding"),
    ((TIME_WAIT,), _E.TIMEOUT_USER, "a TIME-WAIT record has no user timer; 2 MSL ends it"),
)


def entries() -> Iterator[Entry]:
    """Yield the table: all rows, then what is ignored, then what is impossible; each pair once (a test counts)."""
    yield from ROWS
    for states, event, why in _IGNORED:
        for state in states:
            yield Ignored(state, event, why)
    for states, event, why in _IMPOSSIBLE:
        for state in states:
            yield Impossible(state, event, why)


def _indexed() -> tuple[tuple[Entry, ...], ...]:
    found = {(entry.state, entry.event): entry for entry in entries()}
    return tuple(tuple(found[state, event] for event in Event) for state in State)


# TABLE[state][event], for the engine.
TABLE: Final = _indexed()


def lookup(state: State, event: Event) -> Entry:
    """Return the entry of the pair."""
    return TABLE[state][event]


class TableRow(NamedTuple):
    """The table as text, one pair a row: what `timewait states` prints and writes as JSON."""

    state: str
    event: str
    kind: Literal["row", "ignored", "impossible"]
    next: str
    actions: str
    note: str


def table_rows() -> list[TableRow]:
    """Return every pair as text, in the order of the table; `note` is the section, or why nothing happens."""
    rows = []
    for entry in entries():
        match entry:
            case Row(state, event, after, actions, section):
                done = ", ".join(str(action) for action in actions)
                rows.append(TableRow(str(state), str(event), "row", str(after), done, section))
            case Ignored(state, event, why):
                rows.append(TableRow(str(state), str(event), "ignored", "", "", why))
            case Impossible(state, event, why):
                rows.append(TableRow(str(state), str(event), "impossible", "", "", why))
    return rows


def dot() -> str:
    """Return the diagram of all transitions in Graphviz's language."""
    lines = ["digraph tcp {", "  rankdir=TB; node [shape=box];"]
    for row in ROWS:
        label = str(row.event) + ("".join(f"\\n{action}" for action in row.actions))
        lines.append(f'  "{row.state}" -> "{row.next}" [label="{label}"];')
    return "\n".join([*lines, "}", ""])
