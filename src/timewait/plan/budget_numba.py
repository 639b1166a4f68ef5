"""`CompiledBudget`: the decisions of `budget`, connect by connect, as machine code (numba, the extra `fast`).

The same numbers to the last one, and a test says so.  Ports in use lie in a calendar: slots of time that come round,
each with a list of the ports that become free in it.  Which ports are free is a bit each.
"""

import math

import numba
import numpy as np

from timewait.plan.budget import NONE, TIE, Connects, Decided, Look

# Multiplying a single bit by this puts its number into the top six: a de Bruijn sequence, found by search below.
_BITS = 64


def _de_bruijn() -> int:
    """Return a number of 64 bits in which every six in a row differ: the greedy sequence, ones first."""
    seen, digits = {0}, [0] * 6
    while len(digits) < _BITS + 5:
        for digit in (1, 0):
            window = int("".join(map(str, [*digits[-5:], digit])), 2)
            if window not in seen:
                seen.add(window)
                digits.append(digit)
                break
        else:
            break
    return int("".join(map(str, digits[:_BITS])), 2)


_DE_BRUIJN = np.uint64(_de_bruijn())
_SHIFT = np.uint64(58)
_ONE = np.uint64(1)
_ZERO = np.uint64(0)
_ALL = np.uint64(0xFFFFFFFFFFFFFFFF)
_NUMBERS = np.zeros(_BITS, np.int64)
for _bit in range(_BITS):
    _NUMBERS[((int(_DE_BRUIJN) << _bit) & int(_ALL)) >> 58] = _bit

# Where each number of the state is: ports in use of each half, the search's place, the calendar's present slot, and
# the first of each half's free ports, where they are not told apart; each names the next one.
_USED, _CURSOR, _NOW, _PILE = 0, 2, 3, 4
# From so many ports on, slots last longer, so that the calendar takes less room than the ports.
_MANY = 1 << 22


@numba.njit(cache=True, nogil=True)
def _lowest(bits):  # type: ignore[no-untyped-def]
    """Return the number of the lowest bit that is set; there is one."""
    return _NUMBERS[np.int64(((bits & (~bits + _ONE)) * _DE_BRUIJN) >> _SHIFT)]


@numba.njit(cache=True, nogil=True)
def _next_bit(words, tops, base, top, size, place):  # type: ignore[no-untyped-def]
    """Return the first free port of a half from a place on, going round; there is one.

    `words` has a bit for each port, from `base` on; `tops`, from `top` on, one for each of those words that is not 0.
    """
    word = place >> 6
    bits = words[base + word] & (_ALL << np.uint64(place & 63))
    if bits == _ZERO:
        word += 1
        count = (((size + 63) >> 6) + 63) >> 6
        number = word >> 6
        above = _ZERO
        if number < count:
            above = tops[top + number] & (_ALL << np.uint64(word & 63))
        while above == _ZERO:
            number += 1
            if number >= count:
                number = 0
            above = tops[top + number]
        word = (number << 6) + _lowest(above)
        bits = words[base + word]
    return (word << 6) + _lowest(bits)


@numba.njit(cache=True, nogil=True)
def _take(words, tops, base, top, port):  # type: ignore[no-untyped-def]
    word = port >> 6
    words[base + word] &= ~(_ONE << np.uint64(port & 63))
    if words[base + word] == _ZERO:
        tops[top + (word >> 6)] &= ~(_ONE << np.uint64(word & 63))


@numba.njit(cache=True, nogil=True)
def _give_back(words, tops, base, top, port):  # type: ignore[no-untyped-def]
    word = port >> 6
    words[base + word] |= _ONE << np.uint64(port & 63)
    tops[top + (word >> 6)] |= _ONE << np.uint64(word & 63)


@numba.njit(cache=True, nogil=True)
def _play(  # type: ignore[no-untyped-def]
    times, closes, frees, ends, steps, starts, named, open_too, first, second, shift, heads, after,
    port_frees, port_closes, port_ends, words, tops, state, half, used, met,
):  # fmt: skip
    mask = heads.shape[0] - 1
    base = (first + 63) >> 6
    top = (base + 63) >> 6
    used_first, used_second = state[_USED], state[_USED + 1]
    cursor, now = state[_CURSOR], state[_NOW]
    # The cursor seen by each half; kept beside it, since a division takes longer than most of what is done here.
    place_first, place_second = cursor % first, cursor % max(second, 1)
    pile_first, pile_second = state[_PILE], state[_PILE + 1]
    for i in range(times.shape[0]):
        latest = times[i] + TIE
        to = latest >> shift
        if to - now > mask:
            now = to - mask
        while True:
            slot = now & mask
            at = heads[slot]
            before = -1
            while at >= 0:
                following = after[at]
                if port_frees[at] <= latest:
                    if before < 0:
                        heads[slot] = following
                    else:
                        after[before] = following
                    if at < first:
                        used_first -= 1
                        if named:
                            _give_back(words, tops, 0, 0, at)
                        else:
                            after[at] = pile_first
                            pile_first = at
                    else:
                        used_second -= 1
                        if named:
                            _give_back(words, tops, base, top, at - first)
                        else:
                            after[at] = pile_second
                            pile_second = at
                else:
                    before = at
                at = following
            if now >= to:
                break
            now += 1
        used[i] = used_first + used_second
        if starts[i] >= 0:
            cursor = np.int64(starts[i])
            place_first, place_second = cursor % first, cursor % max(second, 1)
        if used_first < first:
            half[i] = 0
            used_first += 1
            if named:
                at = _next_bit(words, tops, 0, 0, first, place_first)
                walked = at - place_first
                if walked < 0:
                    walked += first
                _take(words, tops, 0, 0, at)
            else:
                at = pile_first
                pile_first = np.int64(after[at])
        elif used_second < second:
            half[i] = 1
            used_second += 1
            if named:
                at = _next_bit(words, tops, base, top, second, place_second)
                walked = at - place_second
                if walked < 0:
                    walked += second
                _take(words, tops, base, top, at)
                at += first
            else:
                at = pile_second
                pile_second = np.int64(after[at])
        else:
            half[i] = NONE
            continue
        if named:
            moved = max(walked, np.int64(steps[i])) + 1
            cursor += moved
            place_first += moved
            if place_first >= first:
                place_first %= first
            place_second += moved
            if place_second >= second:
                place_second %= max(second, 1)
            met[i] = port_ends[at] > latest
            port_ends[at] = ends[i]
        port_frees[at] = frees[i]
        if open_too:
            port_closes[at] = closes[i]
        slot = (frees[i] >> shift) & mask
        after[at] = heads[slot]
        heads[slot] = at
    state[_USED], state[_USED + 1] = used_first, used_second
    state[_CURSOR], state[_NOW] = cursor, now
    state[_PILE], state[_PILE + 1] = pile_first, pile_second


@numba.njit(cache=True, nogil=True)
def _later(instants, late):  # type: ignore[no-untyped-def]
    """Return how many of the instants are later than one."""
    count = 0
    for i in range(instants.shape[0]):
        count += instants[i] > late
    return count


@numba.njit(cache=True, nogil=True)
def _waiting(port_closes, port_ends, late):  # type: ignore[no-untyped-def]
    """Return how many ports have a wait on record, their connection being closed."""
    count = 0
    for i in range(port_closes.shape[0]):
        count += (port_closes[i] <= late) & (port_ends[i] > late)
    return count


def _ones(bits: int) -> "np.ndarray[tuple[int], np.dtype[np.uint64]]":
    """Return words with so many bits set."""
    words = np.full((bits + 63) >> 6, _ALL, np.uint64)
    if bits & 63:
        words[-1] = np.uint64((1 << (bits & 63)) - 1)
    return words


class CompiledBudget:
    """As `budget.Budget`; `gap`: nanoseconds between connects, `life`: for how long one keeps its port, on average.

    `open_too`: a look says how many connections are open; without, a port that is not told apart takes 12 octets.
    """

    def __init__(self, first: int, second: int, *, named: bool, gap: float, life: float, open_too: bool = True) -> None:
        ports = first + second
        self._named, self._open_too = named, open_too
        self._sizes = first, second
        # A slot lasts about as long as from one connect to the next, and the calendar longer than a port is in use.
        self._shift = max(0, math.ceil(math.log2(max(1.0, gap if ports < _MANY else 2 * gap))))
        slots = min(max(64, 2 * ports), max(64, math.ceil(1.25 * life / (1 << self._shift))))
        self._shift += max(0, math.ceil(math.log2(max(1.0, 1.25 * life / (1 << self._shift) / slots))))
        index = np.int32 if ports < 1 << 31 else np.int64
        self._heads = np.full(1 << math.ceil(math.log2(slots)), -1, index)
        self._after = np.arange(1, ports + 1, dtype=index)
        self._frees = np.zeros(ports, np.int64)
        self._closes, self._ends = (np.zeros(ports if kept else 1, np.int64) for kept in (open_too, named))
        words = [_ones(size) for size in self._sizes]
        self._words = np.concatenate(words)
        self._tops = np.concatenate([_ones(len(each)) for each in words])
        self._state = np.array([0, 0, 0, 0, 0, first], np.int64)

    def decide(self, connects: Connects) -> Decided:
        """See `budget.Budget.decide`."""
        count = len(connects.times)
        half, used, met = np.zeros(count, np.uint8), np.zeros(count, np.int64), np.zeros(count, np.bool_)
        _play(
            *connects,
            self._named,
            self._open_too,
            *self._sizes,
            self._shift,
            self._heads,
            self._after,
            self._frees,
            self._closes,
            self._ends,
            self._words,
            self._tops,
            self._state,
            half,
            used,
            met,
        )
        return Decided(half, used, met)

    def look(self, now: int) -> Look:
        """See `budget.Budget.look`."""
        late = now + TIE
        open_ones, used = int(_later(self._closes, late)), int(_later(self._frees, late))
        if not self._named:
            return Look(used, open_ones, used - open_ones)
        return Look(used, open_ones, int(_waiting(self._closes, self._ends, late)))
