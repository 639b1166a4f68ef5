"""`Budget`: one set of ports while connects come in order: which find one, in which half, and whose wait they end.

Exact, in whole nanoseconds, with numpy: who finds a port is decided for many connects at once, by counting; which port
that is, one by one, and only where somebody asks (`named`).  `budget_numba` decides the same, compiled.

The search is that of Linux, __inet_hash_connect(), net/ipv4/inet_hashtables.c: ports of the first parity from a place
on, then those of the other; the place moves on by what was walked or by a random step, whichever is more, and by one.
Every 10 s it jumps (EPHEMERAL_PORT_SHUFFLE_PERIOD, net/core/secure_seq.c).
"""

from typing import Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from timewait.plan.draws import Times

Flags: TypeAlias = NDArray[np.bool_]
Counts: TypeAlias = NDArray[np.int64]

# A port that is free by so many nanoseconds later counts as free: ticks are rounded to whole nanoseconds.
TIE: Final = 2
FIRST, SECOND_HALF, NONE = 0, 1, 2
# How often decisions are made anew before a run of connects is cut in two: those that end within it hang together.
_ROUNDS: Final = 12
# Connects decided at once: enough that calls of numpy cost little, few enough that not many end among them.
_LEAST: Final = 128
_MOST: Final = 1 << 14


class Connects(NamedTuple):
    """Connects in the order in which they come; all but `steps` and `starts` in nanoseconds.

    `closes`: when the connection is closed; `frees`: from when on its port can be taken, later than `TIE` after it
    came; `ends`: when its wait is over if nobody takes it; `steps`: the random step of the search, 0 to 7; `starts`:
    where the search jumps to, -1: nowhere.
    """

    times: Times
    closes: Times
    frees: Times
    ends: Times
    steps: NDArray[np.uint8]
    starts: NDArray[np.int32]

    def part(self, begin: int, end: int) -> "Connects":
        """Return the connects from `begin` to before `end`."""
        at = slice(begin, end)
        return Connects(self.times[at], self.closes[at], self.frees[at], self.ends[at], self.steps[at], self.starts[at])


class Decided(NamedTuple):
    """For each connect: the half that it got a port in (`NONE`: it failed), the ports in use as it came, and whether it
    ended a wait early."""

    half: NDArray[np.uint8]
    used: Counts
    met: Flags


class Look(NamedTuple):
    """What there is at one moment: ports that cannot be taken, connections that are open, and waits."""

    used: int
    open: int
    waiting: int


class Budget:
    """Ports in two halves, of which the second may be empty.  `named`: ports are told apart."""

    def __init__(self, first: int, second: int, *, named: bool) -> None:
        self.sizes = (first, second)
        self._named = _Named(first, second) if named else None
        empty = np.empty(0, np.int64)
        # In order: when the ports in use will be free, and when their connections close.
        self._frees = [empty, empty]
        self._closes = empty
        self._chunk = max(_LEAST, min(_MOST, int((first or 1) ** 0.5 * 24), first + second))

    def decide(self, connects: Connects) -> Decided:
        """Decide connects, none of which comes before one that was decided already."""
        found = []
        begin, size = 0, self._chunk
        while begin < len(connects.times):
            end = min(begin + size, len(connects.times))
            part = self._decide(connects.part(begin, end))
            if part is None:
                size = max(1, size // 2)
                continue
            found.append(part)
            begin = end
            size = min(self._chunk, size * 2)
        if not found:
            return Decided(np.empty(0, np.uint8), np.empty(0, np.int64), np.empty(0, np.bool_))
        return Decided(*(np.concatenate(column) for column in zip(*found, strict=True)))

    def look(self, now: int) -> Look:
        """Return what there is at a moment not before the last connect."""
        if self._named is not None:
            return self._named.look(now)
        used = sum(len(frees) - int(np.searchsorted(frees, now + TIE, side="right")) for frees in self._frees)
        still = len(self._closes) - int(np.searchsorted(self._closes, now + TIE, side="right"))
        return Look(used, still, used - still)

    def _decide(self, part: Connects) -> Decided | None:
        """Decide a run of connects at once; None where too many of them end within it."""
        latest = part.times + TIE
        taken = _stage(self._frees[0], self.sizes[0], latest, part.frees)
        if taken is None:
            return None
        half = np.where(taken, FIRST, NONE).astype(np.uint8)
        rest = np.flatnonzero(~taken)
        if len(rest) and self.sizes[1]:
            more = _stage(self._frees[1], self.sizes[1], latest[rest], part.frees[rest])
            if more is None:
                return None
            half[rest[more]] = SECOND_HALF
        used = np.zeros(len(latest), np.int64)
        for number in (FIRST, SECOND_HALF):
            mine = half == number
            frees = part.frees[mine]
            frees.sort()
            pending = self._frees[number]
            if len(pending) or len(frees):
                gone = np.searchsorted(pending, latest, side="right")
                used += len(pending) - gone + np.cumsum(mine) - mine - np.searchsorted(frees, latest, side="right")
                self._frees[number] = _merged(pending[gone[-1] :], frees)
        accepted = half != NONE
        if self._named is not None:
            return Decided(half, used, self._named.take(part, half))
        closes = np.sort(part.closes[accepted])
        old = self._closes
        self._closes = _merged(old[np.searchsorted(old, latest[-1], side="right") :], closes)
        return Decided(half, used, np.zeros(len(latest), np.bool_))


def _stage(pending: Times, ports: int, latest: Times, frees: Times) -> Flags | None:
    """Return which connects find one of `ports`, of which `pending` are in use; None where that will not settle.

    With N(i) the ports that are or have come free by connect i, were none taken in this run, the number taken before
    it is k(i+1) = min(k(i) + 1, N(i)); written out, a running minimum.  N depends on the run's own connects that end
    within it.  So decisions are made until they no longer change; they can do so in one way only, since each depends
    on earlier ones.
    """
    order = np.arange(len(latest))
    free = ports - len(pending) + np.searchsorted(pending, latest, side="right")
    within = frees <= latest[-1]
    if not within.any():
        return _found(free, order)
    if int((free - order).min()) > 0:  # there is one for each, whatever ends
        return np.ones(len(latest), np.bool_)
    taken = np.ones(len(latest), np.bool_)
    for _ in range(_ROUNDS):
        ended = np.sort(frees[within & taken])
        again = _found(free + np.searchsorted(ended, latest, side="right"), order)
        if np.array_equal(again, taken):
            return taken
        taken = again
    return np.array([bool(free[0] > 0)]) if len(latest) == 1 else None


def _found(free: Counts, order: Counts) -> Flags:
    taken = np.minimum(np.minimum.accumulate(free - order) + order, order + 1)
    return np.diff(taken, prepend=0) > 0


def _merged(one: Times, two: Times) -> Times:
    """Return both in order, each being so."""
    if not len(one) or not len(two):
        return one if len(one) else two
    if one[-1] <= two[0]:
        return np.concatenate((one, two))
    merged = np.concatenate((one, two))
    merged.sort(kind="stable")
    return merged


class _Named:
    """Which port each connect takes, and what it finds there."""

    def __init__(self, first: int, second: int) -> None:
        self._first = first
        self._all = first + second
        self._free = bytearray(b"\1") * self._all
        self._cursor = 0
        self._pending: Times = np.empty(0, np.int64)
        self._at: list[int] = []
        self.frees, self.closes, self.ends = (np.zeros(self._all, np.int64) for _ in range(3))

    def look(self, now: int) -> Look:
        open_ones = int(np.count_nonzero(self.closes > now + TIE))
        waiting = (self.closes <= now + TIE) & (self.ends > now + TIE)
        return Look(int(np.count_nonzero(self.frees > now + TIE)), open_ones, int(np.count_nonzero(waiting)))

    def take(self, part: Connects, half: NDArray[np.uint8]) -> Flags:
        """Give each connect that finds a port the one that the search comes to first; return which ended a wait."""
        accepted = np.flatnonzero(half != NONE)
        frees = part.frees[accepted]
        latest = part.times + TIE
        known = len(self._pending)
        both = np.concatenate((self._pending, frees))
        order = np.argsort(both, kind="stable")
        ended = np.searchsorted(both[order], latest, side="right")
        ports = self._at + [0] * len(accepted)
        self._walk(part, half, ended.tolist(), order.tolist(), ports, known)
        at = np.array(ports[known:], np.int64)
        met = np.zeros(len(half), np.bool_)
        met[accepted] = self._before(at, part.ends[accepted]) > latest[accepted]
        # Of connects at the same port the last one counts, which is the one that an assignment leaves.
        self.frees[at], self.closes[at], self.ends[at] = frees, part.closes[accepted], part.ends[accepted]
        left = order[int(ended[-1]) if len(ended) else 0 :]
        self._pending = both[left]
        self._at = [ports[each] for each in left.tolist()]
        return met

    def _walk(
        self, part: Connects, half: NDArray[np.uint8], ended: list[int], order: list[int], ports: list[int], new: int
    ) -> None:
        free, first, end = self._free, self._first, self._all
        sizes = (first, end - first)
        cursor, done = self._cursor, 0
        rows = zip(half.tolist(), ended, part.steps.tolist(), part.starts.tolist(), strict=True)
        for where, upto, step, start in rows:
            while done < upto:
                free[ports[order[done]]] = 1
                done += 1
            if start >= 0:
                cursor = start
            if where == NONE:
                continue
            if where == FIRST:
                place = cursor % first
                port = free.find(1, place, first)
                if port < 0:
                    port = free.find(1, 0, place)
                walked = port - place
            else:
                place = first + cursor % sizes[1]
                port = free.find(1, place, end)
                if port < 0:
                    port = free.find(1, first, place)
                walked = port - place
            if walked < 0:
                walked += sizes[where]
            cursor += (walked if walked > step else step) + 1
            free[port] = 0
            ports[new] = port
            new += 1
        self._cursor = cursor

    def _before(self, at: Counts, ends: Times) -> Times:
        """Return when the wait before each of these would have ended, of the connect before it at the same port."""
        before = self.ends[at]
        order = np.argsort(at, kind="stable")
        same = np.flatnonzero(at[order[1:]] == at[order[:-1]])
        before[order[same + 1]] = ends[order[same]]
        return before
