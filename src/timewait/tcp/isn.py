"""Initial sequence numbers: a clock, a keyed hash, or neither.  RFC 9293 section 3.4.1 (MUST-8, SHLD-1), RFC 6528.

Knows how a number is made from time, four-tuple, secret and chance, all passed in.  Leaves to `time_wait` how a number
is moved past those of the connection's previous incarnation.
"""

from hashlib import blake2s
from random import Random

from timewait.clock import SECOND, Instant
from timewait.tcp.profile import IsnScheme, Profile, TimestampScope
from timewait.wire.seq import MASK


def keyed(secret: bytes, local: bytes, local_port: int, remote: bytes, remote_port: int) -> int:
    """Return 64 bits of a four-tuple that nobody without `secret` can compute.  RFC 9293 section 3.4.1 (MUST-9)."""
    ports = (local_port << 16 | remote_port).to_bytes(4, "big")
    return int.from_bytes(blake2s(local + remote + ports, digest_size=8, key=secret).digest(), "big")


def clock(now: Instant, hz: int) -> int:
    """Return the 32-bit counter that steps `hz` times a second: 250,000 by RFC 793, 15,625,000 in Linux."""
    return (now * hz // SECOND) & MASK


def initial(profile: Profile, mixed: int, passive: bool, chance: Random, now: Instant, opened: int) -> int:
    """Return the initial sequence number of a new incarnation.

    `mixed` is `keyed` of its four-tuple, `opened` how many connections the host has had, this one included.
    """
    ticks = clock(now, profile.isn_hz) + profile.isn_step * opened
    match profile.isn_passive if passive and profile.isn_passive is not None else profile.isn:
        case IsnScheme.KEYED:
            return (ticks + mixed) & MASK
        case IsnScheme.CLOCK:
            return ticks & MASK
        case IsnScheme.CONSTANT:
            return profile.isn_constant
        case IsnScheme.RANDOM:
            return chance.getrandbits(32)


def timestamp_offset(profile: Profile, mixed: int, secret: bytes, local: bytes, remote: bytes) -> int:
    """Return what is added to the timestamp clock of a connection.  RFC 7323 section 5.4.

    The ISN uses the low half of `mixed`, a timestamp the high half.
    """
    match profile.ts_scope:
        case TimestampScope.NONE:
            return 0
        case TimestampScope.HOST_PAIR:
            return keyed(secret, local, 1, remote, 0) & MASK
        case TimestampScope.FOUR_TUPLE:
            return mixed >> 32
