"""Strategies for what `timewait.wire` works on: sequence numbers, options, segments."""

from hypothesis import strategies as st

from timewait.wire.segment import (
    EndOfOptions,
    MaximumSegmentSize,
    NoOperation,
    Option,
    Sack,
    SackPermitted,
    Segment,
    Timestamps,
    UnknownOption,
    WindowScale,
)

u8 = st.integers(0, 0xFF)
u16 = st.integers(0, 0xFFFF)
u32 = st.integers(0, 0xFFFF_FFFF)
# Any, and often those where arithmetic modulo 2^32 wraps or changes sign.
seqs = st.one_of(
    u32,
    st.integers(-3000, 3000).map(lambda n: n & 0xFFFF_FFFF),
    st.integers(-3, 3).map(lambda n: 0x8000_0000 + n),
)
# RFC 9293 section 3.2, RFC 2018, RFC 7323: the data lengths that belong to the known kinds.
_LENGTHS: dict[int, tuple[int, ...]] = {2: (2,), 3: (1,), 4: (0,), 5: (0, 8, 16, 24, 32), 8: (8,)}

_known: st.SearchStrategy[Option] = st.one_of(
    st.just(NoOperation()),
    u16.map(MaximumSegmentSize),
    u8.map(WindowScale),
    st.just(SackPermitted()),
    st.lists(st.tuples(seqs, seqs), max_size=4).map(lambda blocks: Sack(tuple(blocks))),
    st.tuples(u32, u32).map(lambda pair: Timestamps(*pair)),
)
_unknown: st.SearchStrategy[Option] = (
    st.tuples(st.integers(2, 255), st.binary(max_size=38))
    .filter(lambda pair: len(pair[1]) not in _LENGTHS.get(pair[0], ()))
    .map(lambda pair: UnknownOption(*pair))
)


def size(option: Option) -> int:
    """Octets on the wire, straight from the RFCs' figures."""
    match option:
        case EndOfOptions() | NoOperation():
            return 1
        case MaximumSegmentSize():
            return 4
        case WindowScale():
            return 3
        case SackPermitted():
            return 2
        case Sack(blocks):
            return 2 + 8 * len(blocks)
        case Timestamps():
            return 10
        case UnknownOption(_, data):
            return 2 + len(data)


def _fitting(options: list[Option], end: bool) -> tuple[Option, ...]:
    """As many of them as 40 bytes hold; an end-of-options where it is not mere padding."""
    kept: list[Option] = []
    room = 40
    for option in options:
        if size(option) <= room:
            kept.append(option)
            room -= size(option)
    if end and room and room % 4 == 0:
        kept.append(EndOfOptions())
    return tuple(kept)


def options_of(option: st.SearchStrategy[Option]) -> st.SearchStrategy[tuple[Option, ...]]:
    return st.builds(_fitting, st.lists(option, max_size=8), st.booleans())


options = options_of(st.one_of(_known, _unknown))
known_options = options_of(_known)


def segments(
    options: st.SearchStrategy[tuple[Option, ...]] = options, versions: tuple[int, ...] = (4, 6)
) -> st.SearchStrategy[Segment]:
    def of(length: int) -> st.SearchStrategy[Segment]:
        address = st.binary(min_size=length, max_size=length)
        payload = st.one_of(st.binary(max_size=40), st.binary(max_size=1460))
        return st.builds(Segment, address, u16, address, u16, seqs, seqs, u8, u16, options, payload, u16)

    return st.one_of([of({4: 4, 6: 16}[version]) for version in versions])
