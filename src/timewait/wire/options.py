"""The option block of the TCP header: up to 40 bytes <-> a tuple of options in the order of the wire.

What is on the wire is the tuple, no-operations included; nothing is sorted or aligned.  Only the padding is ours:

- `encode` fills up to a multiple of four with zeros, so the header ends on a 32-bit boundary (RFC 9293 section 3.1).
- `decode` stops at the first end-of-options and drops what follows it.  An end-of-options that only begins such padding
  is dropped as well; one that opens a 32-bit word of its own is kept, since without it the block would be shorter.

So decode(encode(x)) == x for every tuple in canonical form (`canonical` makes it), and two spellings of the same
bytes, with and without an end-of-options before the padding, are read as the one without.

Malformed blocks (RFC 9293 MUST-7): a known kind with a length that is not its own is kept as `UnknownOption`; a length
below two or beyond the block leaves no way to find the next option and is a `WireError`.
"""

from functools import lru_cache
from struct import Struct
from struct import error as StructError  # noqa: N812
from typing import Final, assert_never

from timewait.wire.errors import WireError
from timewait.wire.segment import (
    EndOfOptions,
    MaximumSegmentSize,
    NoOperation,
    Option,
    Sack,
    SackPermitted,
    Timestamps,
    UnknownOption,
    WindowScale,
)

# RFC 9293 section 3.1: the data offset counts 15 words at most, five of them fixed.
MAX_SIZE: Final = 40

_SIZE = Struct(">BBH")
_SHIFT = Struct(">BBB")
_STAMPS = Struct(">BBII")
_EDGES = Struct(">II")
# The layouts that nearly every segment has: NOP NOP TS, and Linux's SYN, MSS SACK-permitted TS NOP WS.
_STAMPED = Struct(">III")
_OPENING = Struct(">HHHHIIBBBB")
_STAMPED_HEAD: Final = 0x0101_080A

_END: Final = EndOfOptions()
_NOP: Final = NoOperation()
_PERMITTED: Final = SackPermitted()
_TWO_NOPS: Final = (_NOP, _NOP)
# Half the price of the classes' own constructors.
_make = tuple.__new__


def decode(block: bytes) -> tuple[Option, ...]:
    """Return the options of `block`, the bytes between the fixed header and the data.  RFC 9293 section 3.2."""
    size = len(block)
    if size == 12:
        head, value, echo = _STAMPED.unpack(block)
        if head == _STAMPED_HEAD:
            return (_NOP, _NOP, _make(Timestamps, (value, echo, 8)))
    elif size == 20:
        mss_head, mss, sack, stamps, value, echo, nop, scale, length, shift = _OPENING.unpack(block)
        if (mss_head, sack, stamps, nop, scale, length) == (0x0204, 0x0402, 0x080A, 1, 3, 3):
            return (
                _make(MaximumSegmentSize, (mss, 2)),
                _PERMITTED,
                _make(Timestamps, (value, echo, 8)),
                _NOP,
                _make(WindowScale, (shift, 3)),
            )
    options: list[Option] = []
    at = 0
    while at < size:
        kind = block[at]
        if kind == 1:
            options.append(_NOP)
            at += 1
        elif kind == 0:
            if at % 4 == 0:
                options.append(_END)
            break
        else:
            if at + 1 == size:
                raise WireError(f"option of kind {kind} has no room for its length")
            length = block[at + 1]
            if length < 2:
                raise WireError(f"option of kind {kind} claims a length of {length}")
            if at + length > size:
                raise WireError(f"option of kind {kind} runs past the header: {length} bytes, {size - at} left")
            options.append(_option(kind, block[at + 2 : at + length]))
            at += length
    return tuple(options)


def _option(kind: int, data: bytes) -> Option:
    match kind, len(data):
        case 2, 2:
            return MaximumSegmentSize(int.from_bytes(data))
        case 3, 1:
            return WindowScale(data[0])
        case 4, 0:
            return _PERMITTED
        case 5, size if size % 8 == 0:
            return Sack(tuple(_EDGES.iter_unpack(data)))
        case 8, 8:
            return Timestamps(*_EDGES.unpack(data))
    return UnknownOption(kind, data)


def encode(options: tuple[Option, ...]) -> bytes:
    """Return the option block, padded with zeros to whole words.

    What follows an end-of-options is written too, and read by nobody.

    Raises ValueError for what cannot be sent: more than 40 bytes, a number out of range, an `UnknownOption` of kind 0
    or 1, which have no length.
    """
    if not options:
        return b""
    try:
        if len(options) == 3 and options[:2] == _TWO_NOPS and type(options[2]) is Timestamps:
            return _STAMPED.pack(_STAMPED_HEAD, options[2].value, options[2].echo)
        block = b"".join(
            [
                _STAMPS.pack(8, 10, option.value, option.echo) if type(option) is Timestamps else _bytes(option)
                for option in options
            ]
        )
    except StructError as error:
        raise ValueError(f"an option holds a number out of range: {error}") from None
    if len(block) % 4:
        block += bytes(-len(block) % 4)
    if len(block) > MAX_SIZE:
        raise ValueError(f"{len(block)} bytes of options; a TCP header has room for {MAX_SIZE}")
    return block


@lru_cache(256)  # all but timestamps and SACK blocks come again and again
def _bytes(option: Option) -> bytes:
    match option:
        case NoOperation():
            return b"\x01"
        case Timestamps(value, echo):
            return _STAMPS.pack(8, 10, value, echo)
        case MaximumSegmentSize(size):
            return _SIZE.pack(2, 4, size)
        case WindowScale(shift):
            return _SHIFT.pack(3, 3, shift)
        case SackPermitted():
            return b"\x04\x02"
        case Sack(blocks):
            if len(blocks) > 4:
                raise ValueError(f"{len(blocks)} SACK blocks; a TCP header has room for 4")
            return bytes((5, 2 + 8 * len(blocks))) + b"".join([_EDGES.pack(left, right) for left, right in blocks])
        case EndOfOptions():
            return b"\x00"
        case UnknownOption(kind, data):
            if not 2 <= kind <= 255:
                raise ValueError(f"an option of kind {kind} cannot carry data")
            if len(data) > MAX_SIZE - 2:
                raise ValueError(
                    f"{len(data)} bytes in an option of kind {kind}; a TCP header has room for {MAX_SIZE - 2}"
                )
            return bytes((kind, 2 + len(data))) + data
        case _:
            assert_never(option)


def canonical(options: tuple[Option, ...]) -> tuple[Option, ...]:
    """Return `options` as a receiver reads them: padding dropped, known options known.  See the module's text."""
    return decode(encode(options))
