"""`Segment`: one TCP segment with its addresses, as a value; the options it carries, in the order of the wire."""

from enum import IntFlag
from typing import Final, NamedTuple, TypeAlias


class Flag(IntFlag):
    """Control bits.  RFC 9293 section 3.1; ECE and CWR: RFC 3168."""

    FIN = 0x01
    SYN = 0x02
    RST = 0x04
    PSH = 0x08
    ACK = 0x10
    URG = 0x20
    ECE = 0x40
    CWR = 0x80


# Plain ints for the engine's inner loops, where an IntFlag's operators cost more than the work.
FIN: Final = 0x01
SYN: Final = 0x02
RST: Final = 0x04
PSH: Final = 0x08
ACK: Final = 0x10
URG: Final = 0x20
ECE: Final = 0x40
CWR: Final = 0x80


# `kind` stands last with its default, so that options of different kinds never compare equal.


class EndOfOptions(NamedTuple):
    """Kind 0: what follows is padding.  RFC 9293 section 3.2."""

    kind: int = 0


class NoOperation(NamedTuple):
    """Kind 1.  RFC 9293 section 3.2."""

    kind: int = 1


class MaximumSegmentSize(NamedTuple):
    """Kind 2.  RFC 9293 section 3.7.1."""

    size: int
    kind: int = 2


class WindowScale(NamedTuple):
    """Kind 3.  RFC 7323 section 2.2."""

    shift: int
    kind: int = 3


class SackPermitted(NamedTuple):
    """Kind 4.  RFC 2018 section 2."""

    kind: int = 4


class Sack(NamedTuple):
    """Kind 5: blocks of (left, right) edges.  RFC 2018 section 3."""

    blocks: tuple[tuple[int, int], ...]
    kind: int = 5


class Timestamps(NamedTuple):
    """Kind 8.  RFC 7323 section 3.2."""

    value: int
    echo: int
    kind: int = 8


class UnknownOption(NamedTuple):
    """Any other kind, kept as it came."""

    kind: int
    data: bytes


Option: TypeAlias = (
    EndOfOptions | NoOperation | MaximumSegmentSize | WindowScale | SackPermitted | Sack | Timestamps | UnknownOption
)


class Segment(NamedTuple):
    """One segment: immutable, comparable, cheap to make.

    Addresses are packed bytes (4 for IPv4, 16 for IPv6) and both of one family.  `seq`, `ack`: 32 bits; `window`: as
    on the wire, not scaled; `options`: in the order of the wire; which padding counts as one: see `options`.
    """

    source: bytes
    source_port: int
    destination: bytes
    destination_port: int
    seq: int
    ack: int
    flags: int
    window: int
    options: tuple[Option, ...] = ()
    payload: bytes = b""
    urgent: int = 0

    @property
    def length(self) -> int:
        """SEG.LEN: octets of text, SYN and FIN counted.  RFC 9293 section 3.4."""
        return len(self.payload) + (self.flags & SYN > 0) + (self.flags & FIN)

    @property
    def timestamps(self) -> Timestamps | None:
        """The Timestamps option, if it has one."""
        return next((each for each in self.options if isinstance(each, Timestamps)), None)

    @property
    def end(self) -> int:
        """The sequence number after the last one this segment occupies."""
        return (self.seq + self.length) & 0xFFFF_FFFF
