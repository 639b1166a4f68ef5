"""`Segment` as a value.  RFC 9293 section 3.4: SEG.LEN counts octets of text, SYN and FIN."""

from itertools import combinations

import pytest

from timewait.wire import segment as s
from timewait.wire.segment import Flag, Segment


def a_segment(seq: int = 100, flags: int = s.ACK, payload: bytes = b"") -> Segment:
    return Segment(b"\x0a\x00\x00\x01", 1024, b"\x0a\x00\x00\x02", 80, seq, 0, flags, 1000, (), payload)


@pytest.mark.parametrize(
    ("flags", "payload", "length"),
    [
        (s.ACK, b"", 0),
        (s.SYN, b"", 1),
        (s.FIN | s.ACK, b"", 1),
        (s.FIN | s.ACK | s.PSH, b"abc", 4),
        (s.SYN | s.FIN, b"abc", 5),
        (s.RST, b"", 0),
    ],
)
def test_syn_and_fin_each_occupy_a_sequence_number(flags: int, payload: bytes, length: int) -> None:
    assert a_segment(flags=flags, payload=payload).length == length


def test_the_end_of_a_segment_wraps() -> None:
    assert a_segment(seq=0xFFFF_FFFF, flags=s.FIN | s.ACK).end == 0
    assert a_segment(seq=0xFFFF_FFFE, payload=b"abcd").end == 2


def test_the_plain_flags_are_the_named_ones() -> None:
    assert {flag.name: flag.value for flag in Flag} == {
        name: getattr(s, name) for name in ("FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR")
    }


def test_options_of_different_kinds_never_compare_equal() -> None:
    options = [
        s.EndOfOptions(),
        s.NoOperation(),
        s.MaximumSegmentSize(3),
        s.WindowScale(3),
        s.SackPermitted(),
        s.Sack(()),
        s.Timestamps(3, 3),
        s.UnknownOption(3, b""),
    ]
    assert all(a != b for a, b in combinations(options, 2))
