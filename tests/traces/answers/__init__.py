"""What a stack answers, as rules: the first that fits an event in a state at a place of the window has the answer.

Each rule says where it is written.  One module a stack: `rfc9293`, `freebsd`, `linux`.  Places are first octets:

    outside left  R-1      left edge   R      middle   R+W/2
    right edge    R+W-1    outside right  R+W      beyond   R+W+1

In SYN-SENT there is no window yet, and the places are those of SEG.ACK: below, at or above SND.NXT.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from traces.situations import (
    CLOSE_WAIT,
    CLOSED,
    CLOSING,
    ESTABLISHED,
    FIN_WAIT_1,
    FIN_WAIT_2,
    LAST_ACK,
    LISTEN,
    SITUATIONS,
    STATES,
    SYN_RECEIVED,
    SYN_SENT,
    TIME_WAIT,
    Situation,
)

EVENTS = ("SYN", "SYN-ACK", "SYN-FIN", "ACK", "FIN", "FIN-ACK", "RST", "RST-ACK")
RESETS = ("RST", "RST-ACK")
SYNS = ("SYN", "SYN-ACK", "SYN-FIN")

OUTSIDE_LEFT, LEFT, MIDDLE, RIGHT, OUTSIDE_RIGHT, BEYOND = (
    *("outside left", "left edge", "middle"),
    *("right edge", "outside right", "beyond"),
)
WINDOW = (OUTSIDE_LEFT, LEFT, MIDDLE, RIGHT, OUTSIDE_RIGHT, BEYOND)
INSIDE = (LEFT, MIDDLE, RIGHT)
OUTSIDE = (OUTSIDE_LEFT, OUTSIDE_RIGHT, BEYOND)
ABOVE = (MIDDLE, RIGHT, OUTSIDE_RIGHT, BEYOND)
ACK_BELOW, ACK_AT, ACK_ABOVE = "ACK below SND.NXT", "ACK at SND.NXT", "ACK above SND.NXT"
ANYWHERE = "anywhere"

# What is sent.
NOTHING = "nothing"
ACK = "ACK <SND.NXT, RCV.NXT>"
ACK_OF_FIN = "ACK <SND.NXT, RCV.NXT>, the FIN counted"
SYN_ACK = "SYN-ACK"
RST = "RST at SEG.ACK"
RST_ACK = "RST-ACK <SND.NXT, RCV.NXT>"
RST_ACK_OF_ALL = "RST-ACK <0, SEG.SEQ+SEG.LEN>"

# What becomes of the state; a state that is not named stays.
STAYS: Mapping[str, str] = {}
GONE: Mapping[str, str] = {**dict.fromkeys(STATES, CLOSED), SYN_RECEIVED: LISTEN}
OPENS: Mapping[str, str] = {
    LISTEN: SYN_RECEIVED,
    SYN_SENT: SYN_RECEIVED,
    TIME_WAIT: SYN_RECEIVED,
}
# RFC 9293 section 3.10.7.4, fifth: what is acknowledged is all that was sent, our SYN or FIN included.
ACKED: Mapping[str, str] = {
    SYN_RECEIVED: ESTABLISHED,
    FIN_WAIT_1: FIN_WAIT_2,
    CLOSING: TIME_WAIT,
    LAST_ACK: CLOSED,
}
# The same, eighth: an acceptable FIN that acknowledges all too.
FINISHED: Mapping[str, str] = {
    SYN_RECEIVED: CLOSE_WAIT,
    ESTABLISHED: CLOSE_WAIT,
    FIN_WAIT_1: TIME_WAIT,
    FIN_WAIT_2: TIME_WAIT,
}

BEFORE_FIN = (ESTABLISHED, FIN_WAIT_1, FIN_WAIT_2)
AFTER_FIN = (CLOSE_WAIT, CLOSING, LAST_ACK)
SYNCHRONISED = (*BEFORE_FIN, *AFTER_FIN)


@dataclass(frozen=True, slots=True)
class Rule:
    """`events` in `states` at `places` draw `sends`, and the state becomes `after[state]`."""

    events: Sequence[str]
    states: Sequence[str]
    places: Sequence[str]
    sends: str
    after: Mapping[str, str]
    source: str


@dataclass(frozen=True, slots=True)
class Answers:
    """One stack, or one position of its switches: `stack` names its folder, `switches` are commands before all else.

    `window`: RCV.WND of a connection passively opened, `window_after_fin` the same once the peer's FIN came; `system`:
    whose numbers tcpi_state has; `exceptions`: what differs on the way to a state; `only`: the events to write; `gap`:
    before each case; `again`: sent after an unacceptable ACK in SYN-SENT, besides the RST.
    """

    stack: str
    title: str
    rules: Sequence[Rule]
    window: int
    window_after_fin: int
    system: str = "linux"
    name: str = ""
    switches: Sequence[str] = ()
    exceptions: Mapping[str, Situation] = field(default_factory=dict)
    only: Sequence[str] = EVENTS
    states: Sequence[str] = STATES
    gap: str = "+0"
    again: str = ""
    tolerance: str = ""

    def situation(self, state: str) -> Situation:
        """Return how a script comes to a state."""
        return self.exceptions.get(state, SITUATIONS[state])

    def rule(self, event: str, state: str, place: str) -> Rule:
        """Return the first rule that fits.  Raises `LookupError` where the table has a hole."""
        for rule in self.rules:
            if event in rule.events and state in rule.states and place in rule.places:
                return rule
        raise LookupError(f"{self.stack}: no rule for {event} in {state}, {place}")


def places(event: str, state: str) -> Sequence[str]:
    """Return where an event can be in a state."""
    if state in (CLOSED, LISTEN):
        return (ANYWHERE,)
    if state == SYN_SENT:
        return (ACK_BELOW, ACK_AT, ACK_ABOVE) if "ACK" in event else (ANYWHERE,)
    return WINDOW
