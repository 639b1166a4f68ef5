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
_ROUNDS: Final = 24
# Connects decided at once: enough that calls of numpy cost little, few enough that not many end among them.
_LEAST: Final = 64
_MOST: Final = 1 << 14
# The random step of the search is less.
_STEPS: Final = 8
# What happens in turn, as one number each: a connect is its half times the steps plus its step; from here on, a port.
_CODES: Final = 2 * _STEPS
# Runs of connects of which it is remembered apart when each closes.
_KEPT: Final = 64


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
        self._used = [0, 0]
        # In order: when the ports in use will be free, where they are not told apart.
        self._frees = [empty, empty]
        # When connections close; looked at rarely, so in no order.
        self._closes: list[Times] = []
        self._chunk = max(_LEAST, min(_MOST, 16 * first, int(first**0.5 * 60)))

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
        still = sum(int(np.count_nonzero(closes > now + TIE)) for closes in self._closes)
        return Look(used, still, used - still)

    def _decide(self, part: Connects) -> Decided | None:
        """Decide a run of connects at once; None where too many of them end within it."""
        latest = part.times + TIE
        leaving = None if self._named is None else self._named.leaving(int(latest[-1]))
        pending = self._frees if leaving is None else leaving.instants
        gone = [np.searchsorted(each, latest, side="right") for each in pending]
        free = [size - used + each for size, used, each in zip(self.sizes, self._used, gone, strict=True)]
        taken = _stage(free[0], latest, part.frees)
        if taken is None:
            return None
        half = np.where(taken, FIRST, NONE).astype(np.uint8)
        if self.sizes[1] and not taken.all():
            rest = np.flatnonzero(~taken)
            more = _stage(free[1][rest], latest[rest], part.frees[rest])
            if more is None:
                return None
            half[rest[more]] = SECOND_HALF
        accepted = half != NONE
        within = np.sort(part.frees[accepted & (part.frees <= latest[-1])])
        own = np.searchsorted(within, latest, side="right") if len(within) else 0
        left = gone[0] + gone[1] + own
        used = sum(self._used) + np.cumsum(accepted) - accepted - left
        for number in (FIRST, SECOND_HALF):
            mine = half == number
            frees = part.frees[mine]
            ended = np.count_nonzero(frees <= latest[-1]) if len(within) else 0
            self._used[number] += len(frees) - int(ended) - int(gone[number][-1])
            if leaving is None:
                frees.sort()
                self._frees[number] = _merged(pending[number][gone[number][-1] :], frees[ended:])
        if self._named is not None and leaving is not None:
            return Decided(half, used, self._named.take(part, half, leaving.ports, left))
        self._closes.append(part.closes[accepted])
        if len(self._closes) > _KEPT:
            closes = np.concatenate(self._closes)
            self._closes = [closes[closes > latest[-1]]]
        return Decided(half, used, np.zeros(len(latest), np.bool_))


def _stage(free: Counts, latest: Times, frees: Times) -> Flags | None:
    """Return which connects find a port, of which `free` are or have come free by each, were none taken in this run.

    None where that will not settle.  With N(i) that number, what was taken before it is k(i+1) = min(k(i) + 1, N(i));
    written out, a running minimum.  N grows by the run's own connects that end within it.  So decisions are made until
    they no longer change; they can do so in one way only, since each depends on earlier ones.
    """
    order = np.arange(len(latest))
    if int((free - order).min()) > 0:  # there is one for each, whatever ends
        return np.ones(len(latest), np.bool_)
    within = frees <= latest[-1]
    if not within.any():
        return _found(free, order)
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


class _Leaving(NamedTuple):
    """Ports in the order in which they come free; the instants, of each half."""

    ports: Counts
    instants: tuple[Times, Times]


class _Named:
    """Which port each connect takes, and what it finds there."""

    def __init__(self, first: int, second: int) -> None:
        self._first = first
        self._all = first + second
        # A port's place is the number that it has as a code.
        self._free = bytearray(_CODES) + b"\1" * self._all
        self._cursor = 0
        # All that ends up to here has been let go.
        self._upto = 0
        self.frees, self.closes, self.ends = (np.zeros(self._all, np.int64) for _ in range(3))

    def look(self, now: int) -> Look:
        open_ones = int(np.count_nonzero(self.closes > now + TIE))
        waiting = (self.closes <= now + TIE) & (self.ends > now + TIE)
        return Look(int(np.count_nonzero(self.frees > now + TIE)), open_ones, int(np.count_nonzero(waiting)))

    def leaving(self, upto: int) -> _Leaving:
        """Return which ports come free by then that have not been let go."""
        ports = np.flatnonzero((self.frees > self._upto) & (self.frees <= upto))
        instants = self.frees[ports]
        order = np.argsort(instants)
        ports, instants = ports[order], instants[order]
        first = ports < self._first
        return _Leaving(ports, (instants[first], instants[~first]))

    def take(self, part: Connects, half: NDArray[np.uint8], leaving: Counts, left: Counts) -> Flags:
        """Give each connect that finds a port the one that the search comes to first; return which ended a wait.

        `left`: how many ports have come free by each connect, those of this very run's connects among them.
        """
        accepted = np.flatnonzero(half != NONE)
        frees, ends = part.frees[accepted], part.ends[accepted]
        latest = part.times + TIE
        within = np.flatnonzero(frees <= latest[-1])
        codes = leaving + _CODES
        if len(within):  # connects of this run that end within it come as ~n, since their ports are not known yet
            order = np.argsort(np.concatenate((self.frees[leaving], frees[within])), kind="stable")
            codes = np.concatenate((codes, ~within))[order]
        self._upto = int(latest[-1])
        calls = half[accepted] * np.int64(_STEPS) + part.steps[accepted]
        at = np.array(self._walk(part, accepted, *_mixed(codes, left[accepted], calls)), np.int64) - _CODES
        before = self.ends[at]
        if len(within):  # only then a port can be here twice
            again = np.argsort(at, kind="stable")
            same = np.flatnonzero(at[again[1:]] == at[again[:-1]])
            before[again[same + 1]] = ends[again[same]]
        met = np.zeros(len(half), np.bool_)
        met[accepted] = before > latest[accepted]
        # Of connects at the same port the last one counts, which is the one that an assignment leaves.
        self.frees[at], self.closes[at], self.ends[at] = frees, part.closes[accepted], ends
        return met

    def _walk(self, part: Connects, accepted: Counts, codes: list[int], where: Counts) -> list[int]:
        """Search for each accepted connect in turn, letting ports go as their time comes; return the ports' codes.

        `codes`: what happens in turn; `where`: the connects' places in it.
        """
        free, find = self._free, self._free.find
        middle, last = _CODES + self._first, _CODES + self._all
        halves = ((_CODES, middle, self._first), (middle, last, last - middle))
        meant = [(*half, step) for half in halves for step in range(_STEPS)]
        # The search jumps whether or not the connect then finds anything.
        jumps = np.flatnonzero(part.starts >= 0)
        begins = np.append(where, len(codes))[np.searchsorted(accepted, jumps)].tolist()
        cursor, begin = self._cursor, 0
        ports: list[int] = []
        take = ports.append
        for start, end in zip([*part.starts[jumps].tolist(), 0], [*begins, len(codes)], strict=True):
            for code in codes[begin:end]:
                if code >= _CODES:
                    free[code] = 1
                elif code >= 0:
                    low, high, size, step = meant[code]
                    place = low + cursor % size
                    port = find(1, place, high)
                    if port < 0:
                        port = find(1, low, place)
                        walked = port - place + size
                    else:
                        walked = port - place
                    cursor += (walked if walked > step else step) + 1
                    free[port] = 0
                    take(port)
                else:
                    free[ports[~code]] = 1
            self._cursor, cursor, begin = cursor, start, end
        return ports


def _mixed(leaving: Counts, upto: Counts, calls: Counts) -> tuple[list[int], Counts]:
    """Return what happens in order, and where in it each of the calls is, of which `upto` say how many leave before."""
    where = upto + np.arange(len(calls))
    codes = np.empty(len(leaving) + len(calls), np.int64)
    rest = np.ones(len(codes), np.bool_)
    rest[where] = False
    codes[where], codes[rest] = calls, leaving
    return codes.tolist(), where
