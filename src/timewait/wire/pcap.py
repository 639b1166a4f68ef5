"""Classic capture files (pcap): a header, then one record after another.

The format is described in draft-ietf-opsawg-pcap.  Written here: little-endian, raw IP, nanoseconds.  Read: both byte
orders, both precisions.
"""

from collections.abc import Iterator
from struct import Struct
from struct import error as StructError  # noqa: N812
from typing import BinaryIO, Final

from timewait.clock import Instant
from timewait.wire import link as links
from timewait.wire.errors import WireError
from timewait.wire.record import MAX_PACKET, Record, take, take_first

_MICROSECONDS: Final = 0xA1B2_C3D4
_NANOSECONDS: Final = 0xA1B2_3C4D
# First four bytes of a file -> byte order, nanoseconds in one unit of the fraction.
MAGIC: Final[dict[bytes, tuple[str, int]]] = {
    _MICROSECONDS.to_bytes(4): (">", 1000),
    _MICROSECONDS.to_bytes(4, "little"): ("<", 1000),
    _NANOSECONDS.to_bytes(4): (">", 1),
    _NANOSECONDS.to_bytes(4, "little"): ("<", 1),
}
# tcpdump's own default: a reader may refuse more.
_SNAPLEN: Final = 0x4_0000
_HEADER = Struct("<IHHiIII")
_RECORD = Struct("<IIII")


class Writer:
    """Writes a capture to a binary file that the caller opened; all packets are of one link type."""

    def __init__(self, file: BinaryIO, link: int = links.RAW) -> None:
        if not 0 <= link <= 0xFFFF:
            raise ValueError(f"link type {link}; a capture has 16 bits for it")
        self._file = file
        file.write(_HEADER.pack(_NANOSECONDS, 2, 4, 0, 0, _SNAPLEN, link))

    def write(self, time: Instant, data: bytes, length: int = 0) -> None:
        """Add one packet; `length` is what it had on the wire if `data` is cut.  ValueError: no such time, too long."""
        if len(data) > _SNAPLEN:
            raise ValueError(f"a packet of {len(data)} bytes; this file takes {_SNAPLEN}")
        try:
            head = _RECORD.pack(*divmod(time, 1_000_000_000), len(data), max(length, len(data)))
        except StructError:
            raise ValueError(f"a time of {time} ns; a pcap file has 32 bits for the seconds since 1970") from None
        self._file.write(head + data)


def read(file: BinaryIO) -> Iterator[Record]:
    """Yield the packets of a pcap file, one at a time; WireError where it is not one or breaks off."""
    return read_after(take(file, 4, "the magic number"), file)


def read_after(magic: bytes, file: BinaryIO) -> Iterator[Record]:
    """Yield the packets of a file whose first four bytes are read already."""
    if magic not in MAGIC:
        raise WireError(f"no pcap file: it begins with {magic.hex()}")
    order, unit = MAGIC[magic]
    major, minor, _, _, _, link = Struct(order + "HHiIII").unpack(take(file, 20, "the file header"))
    if (major, minor) != (2, 4):
        raise WireError(f"pcap version {major}.{minor}")
    link &= 0xFFFF  # the upper half tells of frame check sequences
    record = Struct(order + "IIII")
    while head := take_first(file, 16, "a record header"):
        seconds, fraction, captured, length = record.unpack(head)
        if captured > MAX_PACKET:
            raise WireError(f"a packet of {captured} bytes; the limit is {MAX_PACKET}")
        data = take(file, captured, "a packet")
        yield Record(seconds * 1_000_000_000 + fraction * unit, data, length, link)
