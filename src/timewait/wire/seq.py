"""Sequence numbers: arithmetic modulo 2^32.  RFC 9293 section 3.4."""

from typing import Final

MASK: Final = 0xFFFF_FFFF
_HALF: Final = 0x8000_0000


def add(seq: int, count: int) -> int:
    """Return the sequence number `count` after `seq` (before it when `count` is negative)."""
    return (seq + count) & MASK


def diff(a: int, b: int) -> int:
    """Return how far `a` lies after `b`, from -2^31 to 2^31 - 1."""
    return ((a - b + _HALF) & MASK) - _HALF


def lt(a: int, b: int) -> bool:
    """Return whether `a` comes before `b`; exactly 2^31 apart, each comes before the other, as in Linux's before()."""
    return (a - b) & _HALF != 0


def le(a: int, b: int) -> bool:
    """Return whether `a` comes before `b` or is `b`."""
    return a == b or (a - b) & _HALF != 0


def gt(a: int, b: int) -> bool:
    """Return whether `a` comes after `b`."""
    return (b - a) & _HALF != 0


def ge(a: int, b: int) -> bool:
    """Return whether `a` comes after `b` or is `b`."""
    return a == b or (b - a) & _HALF != 0


def within(seq: int, low: int, size: int) -> bool:
    """Return whether `seq` lies in the `size` numbers that start at `low`."""
    return (seq - low) & MASK < size


def later(a: int, b: int) -> int:
    """Return the later of two."""
    return b if lt(a, b) else a
