"""Faults: what is to befall single segments, chosen by what they are and how many came before.

A fault picks segments on a link and says what happens to them instead of travelling.  `network` carries it out.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TypeAlias

from timewait.clock import Duration
from timewait.wire.segment import ACK, FIN, RST, SYN, Segment

Picks: TypeAlias = Callable[[Segment], bool]


class Act(Enum):
    """What happens to a picked segment."""

    LOSE = auto()
    HOLD = auto()
    DOUBLE = auto()
    DELAY = auto()
    ALTER = auto()


@dataclass(slots=True)
class Fault:
    """One fault.  The first `skip` picked segments pass, the next `times` (None: all) are hit; `held` keeps them."""

    act: Act
    picks: Picks
    skip: int = 0
    times: int | None = 1
    by: Duration = 0
    change: Callable[[Segment], Segment] | None = None
    held: list[Segment] = field(default_factory=list)
    hits: int = 0

    def hit(self, segment: Segment) -> bool:
        """Return whether this segment is hit, and count it."""
        if (self.times is not None and self.hits >= self.times) or not self.picks(segment):
            return False
        if self.skip:
            self.skip -= 1
            return False
        self.hits += 1
        return True


def lose(picks: Picks, *, skip: int = 0, times: int | None = 1) -> Fault:
    """Lose segments on the way."""
    return Fault(Act.LOSE, picks, skip, times)


def hold(picks: Picks, *, skip: int = 0, times: int | None = 1) -> Fault:
    """Hold segments back until `Network.release`."""
    return Fault(Act.HOLD, picks, skip, times)


def double(picks: Picks, *, by: Duration = 0, skip: int = 0, times: int | None = 1) -> Fault:
    """Deliver segments, and a copy of each `by` later."""
    return Fault(Act.DOUBLE, picks, skip, times, by)


def delay(picks: Picks, by: Duration, *, skip: int = 0, times: int | None = 1) -> Fault:
    """Deliver segments `by` later than the link would."""
    return Fault(Act.DELAY, picks, skip, times, by)


def alter(picks: Picks, change: Callable[[Segment], Segment], *, skip: int = 0, times: int | None = 1) -> Fault:
    """Deliver what `change` makes of segments, as a middlebox might."""
    return Fault(Act.ALTER, picks, skip, times, change=change)


# -- what to pick by ----------------------------------------------------------------------------------------------


def every(segment: Segment) -> bool:
    """Pick every segment."""
    return True


def flagged(flags: int, mask: int = SYN | FIN | RST) -> Picks:
    """Pick segments whose control bits, of those in `mask`, are exactly `flags`."""
    return lambda segment: segment.flags & mask == flags


syn: Picks = flagged(SYN, SYN | ACK)
syn_ack: Picks = flagged(SYN | ACK, SYN | ACK)
fin: Picks = flagged(FIN)
rst: Picks = flagged(RST, RST)


def text(segment: Segment) -> bool:
    """Pick segments that carry text."""
    return bool(segment.payload)


def pure_ack(segment: Segment) -> bool:
    """Pick ACKs that occupy no sequence number."""
    return segment.flags & (SYN | FIN | RST | ACK) == ACK and not segment.payload
