"""The SACK scoreboard: which octets beyond SND.UNA the peer holds, which are lost, what to send again.  RFC 2018, 6675.

`Connection.sacked` is a sorted tuple of disjoint (left, right) ranges, so that it is a value like the rest.
"""

from collections.abc import Callable
from typing import Final, TypeAlias

from timewait.clock import Instant
from timewait.tcp.connection import Connection
from timewait.tcp.events import Event
from timewait.wire.seq import MASK, diff, le, lt

# RFC 6675 section 2.
DUPLICATE_THRESHOLD: Final = 3
# More than any honest peer has; one that reports every other octet shall not cost a search through thousands.
MOST_BLOCKS: Final = 256

SendRange: TypeAlias = Callable[[Connection, int, int, Instant, list[Event]], None]


def take(conn: Connection, blocks: tuple[tuple[int, int], ...]) -> None:
    """Enter the blocks that a segment reports; blocks outside SND.UNA..SND.NXT are no news.  RFC 6675 section 4."""
    for left, right in blocks:
        if lt(left, right) and not lt(left, conn.snd_una) and le(right, conn.snd_nxt):
            merged = _merged(conn, left, right)
            if len(merged) <= MOST_BLOCKS:
                conn.sacked = merged


def _merged(conn: Connection, left: int, right: int) -> tuple[tuple[int, int], ...]:
    base = conn.snd_una
    low, high = diff(left, base), diff(right, base)
    kept = []
    for block in conn.sacked:
        first, last = diff(block[0], base), diff(block[1], base)
        if last < low or first > high:
            kept.append((first, last))
        else:
            low, high = min(low, first), max(high, last)
    kept.append((low, high))
    return tuple(((base + first) & MASK, (base + last) & MASK) for first, last in sorted(kept))


def forget(conn: Connection) -> None:
    """Drop what SND.UNA has passed."""
    una = conn.snd_una
    conn.sacked = tuple(block for block in conn.sacked if lt(una, block[0]))


def below(conn: Connection, seq: int) -> int:
    """Return how many octets before `seq` were reported."""
    return sum((min(diff(right, seq), 0) - diff(left, seq)) for left, right in conn.sacked if lt(left, seq))


def lost(conn: Connection, seq: int) -> bool:
    """Whether the octet at `seq` is taken for lost: three blocks, or more than two segments, lie above it."""
    blocks = octets = 0
    for left, right in conn.sacked:
        if lt(seq, left):
            blocks += 1
            octets += (right - left) & MASK
    return blocks >= DUPLICATE_THRESHOLD or octets > (DUPLICATE_THRESHOLD - 1) * conn.mss


def holes(conn: Connection) -> list[tuple[int, int]]:
    """Return the ranges between SND.UNA and SND.NXT that were not reported."""
    found = []
    at = conn.snd_una
    for left, right in conn.sacked:
        found.append((at, left))
        at = right
    found.append((at, conn.snd_nxt))
    return found


def pipe(conn: Connection) -> int:
    """Return an estimate of the octets under way.  RFC 6675 section 4, SetPipe."""
    total = 0
    for left, right in holes(conn):
        size = (right - left) & MASK
        if not lost(conn, left):
            total += size
        resent = diff(conn.high_resent, left)
        if resent > 0:
            total += min(resent, size)
    return total


def resend(conn: Connection, now: Instant, out: list[Event], send_range: SendRange) -> None:
    """Send lost octets again while the pipe has room.  RFC 6675 section 5 (C), NextSeg rule 1, then rule 3."""
    for only_lost in (True, False):
        if not only_lost and (conn.fin_seq - conn.snd_nxt) & MASK and not conn.fin_sent:
            return  # rule 2: new data comes before what is not known to be lost
        for left, right in holes(conn)[:-1]:
            at = left if lt(conn.high_resent, left) else conn.high_resent
            while lt(at, right) and (not only_lost or lost(conn, at)):
                if conn.cwnd - pipe(conn) < conn.mss:
                    return
                size = min((right - at) & MASK, conn.mss, (conn.fin_seq - at) & MASK)
                send_range(conn, at, size, now, out)
                at = (at + max(size, 1)) & MASK
                conn.high_resent = at
