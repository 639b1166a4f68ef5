"""Tables of cases: one segment put to a host whose end is in a certain state, what it answers, and what is left.

Each case has a connection of its own, all on one host and at one time, so that a table takes no longer than a case.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from timewait.clock import MS, Duration, Instant
from timewait.lab.hand import Hand, answers, described
from timewait.lab.scenario import Foretold, Observation, Stage, observed
from timewait.lab.steps import NOTHING, at_once, listen
from timewait.tcp.states import State

PORT: Final = 80
FIRST: Final = 40000
# How long the state has lasted when the segment comes: by so much later it ends where it began anew.
AGE: Final = 300 * MS


class Case(NamedTuple):
    """A segment in words and as `Hand.segment` takes it, the state it comes in, what is foretold: "ACK; wait kept".

    `orphan`: the user has closed, where only one direction need be closed.
    """

    state: State
    name: str
    segment: Mapping[str, Any]
    foretold: tuple[Foretold, ...]
    timestamps: bool
    orphan: bool


def case(
    state: State,
    name: str,
    flags: int,
    *foretold: Foretold,
    timestamps: bool = False,
    orphan: bool = True,
    **segment: Any,
) -> Case:
    """Return a case."""
    return Case(state, name, {"flags": flags, **segment}, foretold, timestamps, orphan)


class Table:
    """Cases on a stage with a host and a wire, each on a connection of its own that is in its state already."""

    def __init__(self, stage: Stage, cases: Sequence[Case], *, port: int = PORT, first: int = FIRST) -> None:
        self.stage = stage
        self.cases = cases
        self.port = port
        self.hands: list[Hand] = []
        self.connections: list[int] = []
        self.listener = listen(stage.host, stage.at("host", port))
        for at, each in enumerate(cases):
            hand = Hand(stage, port, first + at, timestamps=each.timestamps)
            connection = hand.open(self.listener)
            hand.bring(connection, each.state, orphan=each.orphan)
            self.hands.append(hand)
            self.connections.append(connection)

    def play(self, age: Duration = AGE, pause: Duration = 0) -> list[Observation]:
        """Put the cases' segments, `pause` apart, when the states have lasted for `age`; return what came of each."""
        self.stage.wait(age)
        before = self.ends()
        segments = [hand.segment(**each.segment) for hand, each in zip(self.hands, self.cases, strict=True)]
        heard = answers(self.hands, segments, pause)
        after = self.ends()
        several = len({each.state for each in self.cases}) > 1
        found = []
        for hand, each, answer in zip(self.hands, self.cases, heard, strict=True):
            left = _left(before.get(hand.own), after.get(hand.own), each.state)
            name = f"{each.state}: {each.name}" if several else each.name
            found.append(observed(name, f"{described(hand, answer)}; {left}", *each.foretold))
        return found

    def ends(self) -> "dict[int, _End]":
        """Return the host's ends by the port of the wire's."""
        rows, now = at_once(lambda: self.stage.now, lambda: self.stage.host.sockets(local_port=self.port))
        return {
            row.peer.port: _End(row.state, None if row.time_left is None else now + row.time_left)
            for row in rows
            if row.state != "LISTEN"
        }


class _End(NamedTuple):
    """A state, and until when it lasts."""

    state: str
    until: Instant | None


def _left(before: _End | None, after: _End | None, state: State) -> str:
    """Return in words what is left of a connection that was in this state."""
    if before is None or before.state != str(state):
        return f"it was never in {state}, but {before.state if before else NOTHING}"
    if after is None:
        return "gone"
    if after.state != before.state:
        return after.state
    if before.until is None or after.until is None:
        return "kept"
    return "wait restarted" if after.until - before.until > AGE // 2 else "wait kept"
