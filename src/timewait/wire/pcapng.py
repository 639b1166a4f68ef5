"""Capture files of the newer kind (pcapng): blocks, several interfaces with names, comments on packets.

The format is described in draft-ietf-opsawg-pcapng.  Written here: little-endian, one section, nanoseconds.  Read: both
byte orders, any number of sections, any resolution of time; blocks that carry no packet are skipped unread.
"""

from collections.abc import Iterator
from struct import Struct
from struct import error as StructError  # noqa: N812
from typing import BinaryIO, Final, NamedTuple

from timewait.clock import Instant
from timewait.wire import link as links
from timewait.wire.errors import WireError
from timewait.wire.record import MAX_PACKET, Record, take, take_first

# Block types: draft section 4.
_SECTION: Final = 0x0A0D_0D0A
_INTERFACE: Final = 1
_SIMPLE: Final = 3
_ENHANCED: Final = 6
MAGIC: Final = _SECTION.to_bytes(4)
_BYTE_ORDER: Final = 0x1A2B_3C4D
# Option codes: draft sections 3.5, 4.1, 4.2.
_END: Final = 0
_COMMENT: Final = 1
_APPLICATION: Final = 4
_NAME: Final = 2
_RESOLUTION: Final = 9
_OFFSET: Final = 14

# A packet, and options as long as two of them can be.
_MAX_BLOCK: Final = MAX_PACKET + 0x2_0000
# More interfaces than any host has; a file that declares ever more would fill the memory.
_MAX_INTERFACES: Final = 4096

_PAIR = Struct("<II")
_PAIRS: Final = {"<": _PAIR, ">": Struct(">II")}
_OPTION: Final = {"<": Struct("<HH"), ">": Struct(">HH")}
_PACKET: Final = {"<": Struct("<IIIII"), ">": Struct(">IIIII")}
_DESCRIPTION: Final = {"<": Struct("<HHI"), ">": Struct(">HHI")}


class Writer:
    """Writes a capture to a binary file that the caller opened; times in nanoseconds.

    Interfaces are named with `interface`; without one, packets belong to a nameless one of raw IP.
    """

    def __init__(self, file: BinaryIO, comment: str = "") -> None:
        self._file = file
        self._interfaces = 0
        options = _option(_COMMENT, comment.encode()) if comment else b""
        options += _option(_APPLICATION, b"timewait")
        # Version 1.0; a section length of -1: not known.
        head = Struct("<IHHq").pack(_BYTE_ORDER, 1, 0, -1)
        self._block(_SECTION, head + options + bytes(4))

    def interface(self, name: str, link: int = links.RAW) -> int:
        """Declare an interface and return its number, for `write`.  ValueError: no such link type, a name too long."""
        if not 0 <= link <= 0xFFFF:
            raise ValueError(f"link type {link}; a capture has 16 bits for it")
        options = _option(_NAME, name.encode()) if name else b""
        options += _option(_RESOLUTION, b"\x09")
        self._block(_INTERFACE, _DESCRIPTION["<"].pack(link, 0, 0) + options + bytes(4))
        self._interfaces += 1
        return self._interfaces - 1

    def write(self, time: Instant, data: bytes, interface: int = 0, comment: str = "", length: int = 0) -> None:
        """Add one packet; `length` is what it had on the wire if `data` is cut.

        ValueError: a time before 1970, no such interface, a packet or comment too long.
        """
        if not self._interfaces:
            self.interface("")
        if not 0 <= interface < self._interfaces:
            raise ValueError(f"interface {interface}; {self._interfaces} are declared")
        if len(data) > MAX_PACKET:
            raise ValueError(f"a packet of {len(data)} bytes; the limit is {MAX_PACKET}")
        options = _option(_COMMENT, comment.encode()) + bytes(4) if comment else b""
        size = len(data)
        try:
            head = _PACKET["<"].pack(interface, time >> 32, time & 0xFFFF_FFFF, size, max(length, size))
        except StructError:
            raise ValueError(f"a time of {time} ns; a capture counts up from 1970 in 64 bits") from None
        self._block(_ENHANCED, head + data + bytes(-size % 4) + options)

    def _block(self, kind: int, body: bytes) -> None:
        size = 12 + len(body)
        self._file.write(_PAIR.pack(kind, size) + body + size.to_bytes(4, "little"))


def _option(code: int, value: bytes) -> bytes:
    if len(value) > 0xFFFF:
        raise ValueError(f"a text of {len(value)} bytes; a capture has room for 65535")
    return _OPTION["<"].pack(code, len(value)) + value + bytes(-len(value) % 4)


class _Interface(NamedTuple):
    link: int
    snaplen: int
    name: str = ""
    # One unit of time is `numerator` / `denominator` nanoseconds; `offset` is added, in nanoseconds.
    numerator: int = 1000
    denominator: int = 1
    offset: int = 0


def read(file: BinaryIO) -> Iterator[Record]:
    """Yield the packets of a pcapng file, one at a time; WireError where it is not one or breaks off.

    A simple packet block has no time: 0.  Several comments on one packet come as lines.
    """
    return read_after(take(file, 4, "the first block"), file)


def read_after(magic: bytes, file: BinaryIO) -> Iterator[Record]:
    """Yield the packets of a file whose first four bytes are read already."""
    if magic != MAGIC:
        raise WireError(f"no pcapng file: it begins with {magic.hex()}")
    order = "<"
    interfaces: list[_Interface] = []
    head = magic + take(file, 4, "the first block")
    while head:
        kind, size = _PAIRS[order].unpack(head)
        if kind == _SECTION:
            order, size = _section(file, head)
            interfaces = []
            _skip(file, size - 20)
        elif size < 12 or size % 4:
            raise WireError(f"a block that claims {size} bytes")
        elif kind in (_INTERFACE, _ENHANCED, _SIMPLE):
            if size > _MAX_BLOCK:
                raise WireError(f"a block of {size} bytes; the limit is {_MAX_BLOCK}")
            body = take(file, size - 12, "a block")
            if kind == _INTERFACE:
                if len(interfaces) == _MAX_INTERFACES:
                    raise WireError(f"more than {_MAX_INTERFACES} interfaces")
                interfaces.append(_interface(order, body))
            elif kind == _ENHANCED:
                yield _enhanced(order, body, interfaces)
            else:
                yield _simple(order, body, interfaces)
        else:
            _skip(file, size - 12)
        if take(file, 4, "a block") != _PAIRS[order].pack(0, size)[4:]:
            raise WireError(f"a block whose two lengths differ: {size} and another")
        head = take_first(file, 8, "a block")


def _section(file: BinaryIO, head: bytes) -> tuple[str, int]:
    """Return a section's byte order, known only after its first twelve bytes, and the size of its header block."""
    mark = take(file, 4, "a section header")
    version = take(file, 4, "a section header")
    for order, pair in _PAIRS.items():
        if pair.pack(0, _BYTE_ORDER)[4:] != mark:
            continue
        size: int = pair.unpack(head)[1]
        if size < 28 or size % 4:
            raise WireError(f"a section header that claims {size} bytes")
        major, minor = _OPTION[order].unpack(version)
        if major != 1:
            raise WireError(f"pcapng version {major}.{minor}")
        return order, size
    raise WireError(f"a section header with the byte-order mark {mark.hex()}")


def _skip(file: BinaryIO, size: int) -> None:
    while size > 0:
        size -= len(take(file, min(size, 0x1_0000), "a block"))


def _options(order: str, data: bytes, at: int) -> Iterator[tuple[int, bytes]]:
    while at + 4 <= len(data):
        code, size = _OPTION[order].unpack_from(data, at)
        if code == _END:
            return
        at += 4
        if at + size > len(data):
            raise WireError(f"option {code} runs past its block")
        yield code, data[at : at + size]
        at += size + -size % 4


def _interface(order: str, body: bytes) -> _Interface:
    if len(body) < 8:
        raise WireError(f"an interface described in {len(body)} bytes")
    link, _, snaplen = _DESCRIPTION[order].unpack_from(body)
    interface = _Interface(link, snaplen)
    for code, value in _options(order, body, 8):
        if code == _NAME:
            interface = interface._replace(name=value.decode(errors="replace"))
        elif code == _RESOLUTION:
            if len(value) != 1:
                raise WireError(f"a time resolution in {len(value)} bytes")
            power = value[0] & 0x7F
            # The top bit chooses powers of two.  Draft section 4.2, if_tsresol.
            denominator = 1 << power if value[0] & 0x80 else 10**power
            interface = interface._replace(numerator=1_000_000_000, denominator=denominator)
        elif code == _OFFSET:
            if len(value) != 8:
                raise WireError(f"a time offset in {len(value)} bytes")
            seconds = int.from_bytes(value, "little" if order == "<" else "big", signed=True)
            interface = interface._replace(offset=seconds * 1_000_000_000)
    return interface


def _enhanced(order: str, body: bytes, interfaces: list[_Interface]) -> Record:
    if len(body) < 20:
        raise WireError(f"a packet block of {len(body)} bytes")
    number, high, low, captured, length = _PACKET[order].unpack_from(body)
    if number >= len(interfaces):
        raise WireError(f"a packet of interface {number}; {len(interfaces)} are declared")
    end = 20 + captured
    if end > len(body):
        raise WireError(f"a packet of {captured} bytes runs past its block")
    interface = interfaces[number]
    time = (high << 32 | low) * interface.numerator // interface.denominator + interface.offset
    comment = ""
    if len(body) > end + 4:
        texts = [value for code, value in _options(order, body, end + -captured % 4) if code == _COMMENT]
        comment = b"\n".join(texts).decode(errors="replace")
    return Record(time, body[20:end], length, interface.link, interface.name, comment)


def _simple(order: str, body: bytes, interfaces: list[_Interface]) -> Record:
    if not interfaces:
        raise WireError("a packet before any interface")
    if len(body) < 4:
        raise WireError(f"a packet block of {len(body)} bytes")
    interface = interfaces[0]
    length = int.from_bytes(body[:4], "little" if order == "<" else "big")
    # Draft section 4.4: as many bytes as the packet had, or as the interface's limit allows.
    captured = min(length, interface.snaplen or length)
    if 4 + captured > len(body):
        raise WireError(f"a packet of {captured} bytes runs past its block")
    return Record(0, body[4 : 4 + captured], length, interface.link, interface.name)
