"""`Link`: one direction between two hosts: delay, rate, loss, duplication, reordering, MTU, and its faults.

Knows what becomes of a segment and when copies of it arrive.  Leaves the clock and delivering to `network`.
"""

from dataclasses import dataclass, field
from random import Random
from typing import NamedTuple, TypeAlias

from timewait.clock import SECOND, Duration, Instant
from timewait.sim.faults import Act, Fault
from timewait.trace import Fate
from timewait.wire import packet
from timewait.wire.segment import Segment
from timewait.wire.unread import Unread

# What travels: a segment, or in real time a packet as it came, where nobody has to look into it.
Load: TypeAlias = Segment | Unread

# More than any IP and TCP headers with all their options (60 + 60): below, a segment's size need not be summed up.
_HEADERS = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """How a link treats segments.  `loss`, `duplication` and `reordering` are shares from 0 to 1.

    `rate` is in bits a second, 0 being no limit; what would wait longer than `patience` to be sent is lost.  A
    reordered segment, and the copy of a doubled one, is late by up to `lateness`: the longest life of a segment is so
    `patience + delay + lateness`, plus its own time to be sent.
    """

    delay: Duration = 0
    rate: int = 0
    loss: float = 0.0
    duplication: float = 0.0
    reordering: float = 0.0
    lateness: Duration = 0
    mtu: int = 1500
    patience: Duration = SECOND


PERFECT = Conditions()


class Arrival(NamedTuple):
    """What is due at the far end."""

    time: Instant
    load: Load


class Carried(NamedTuple):
    """What becomes of a segment: its fate, words for it, and when it arrives, if at all and how often."""

    fate: Fate
    note: str = ""
    arrivals: tuple[Arrival, ...] = ()
    too_large: bool = False


@dataclass(slots=True)
class Link:
    """One direction of a link, to the host named `far`.  Faults come first, in order; the first that hits decides.

    `lost` and `late` count what its conditions did.
    """

    name: str
    far: str
    chance: Random
    conditions: Conditions = PERFECT
    faults: list[Fault] = field(default_factory=list)
    free_at: Instant = 0
    lost: int = 0
    late: int = 0

    @property
    def plain(self) -> bool:
        """Whether everything just travels, at once."""
        return self.conditions is PERFECT and not self.faults

    def carry(self, load: Load, now: Instant) -> Carried:
        """Put a segment on the link; an unread packet travels too, and is picked by no fault."""
        conditions = self.conditions
        if _at_most(load) > conditions.mtu and _size(load) > conditions.mtu:
            return Carried(Fate.LOST, f"larger than the MTU of {conditions.mtu}", too_large=True)
        if not isinstance(load, Unread):
            for fault in self.faults:
                if fault.hit(load):
                    return self._befall(fault, load, now)
        if conditions is PERFECT:
            return Carried(Fate.SENT, "", (Arrival(now, load),))
        return self._travel(load, now)

    def _travel(self, load: Load, now: Instant) -> Carried:
        conditions = self.conditions
        chance = self.chance
        if conditions.loss and chance.random() < conditions.loss:
            self.lost += 1
            return Carried(Fate.LOST)
        if conditions.rate:
            start = max(now, self.free_at)
            if start - now > conditions.patience:
                return Carried(Fate.LOST, "the queue is full")
            self.free_at = start + _size(load) * 8 * SECOND // conditions.rate
            now = self.free_at
        at = now + conditions.delay
        if conditions.reordering and chance.random() < conditions.reordering:
            self.late += 1
            return Carried(Fate.LATE, "", (Arrival(at + chance.randint(0, conditions.lateness), load),))
        if conditions.duplication and chance.random() < conditions.duplication:
            copy = Arrival(at + chance.randint(0, conditions.lateness), load)
            return Carried(Fate.DUPLICATED, "", (Arrival(at, load), copy))
        return Carried(Fate.SENT, "", (Arrival(at, load),))

    def _befall(self, fault: Fault, segment: Segment, now: Instant) -> Carried:
        at = now + self.conditions.delay
        match fault.act:
            case Act.LOSE:
                return Carried(Fate.LOST)
            case Act.HOLD:
                fault.held.append(segment)
                return Carried(Fate.HELD)
            case Act.DOUBLE:
                return Carried(Fate.DUPLICATED, "", (Arrival(at, segment), Arrival(at + fault.by, segment)))
            case Act.DELAY:
                return Carried(Fate.LATE, "", (Arrival(at + fault.by, segment),))
            case Act.ALTER:
                assert fault.change is not None
                return Carried(Fate.ALTERED, "", (Arrival(at, fault.change(segment)),))


def _at_most(load: Load) -> int:
    """Return a size that this is not above, found quickly."""
    return load.size if isinstance(load, Unread) else len(load.payload) + _HEADERS


def _size(load: Load) -> int:
    """Return how many octets of IP this is."""
    return load.size if isinstance(load, Unread) else len(packet.build(load))
