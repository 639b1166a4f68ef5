"""Super-segments: what runs of segments become one, and that the text is the same."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from timewait.lab import wrapping
from timewait.wire import vnet
from timewait.wire.segment import ACK, FIN, PSH, SYN, URG, Segment

FIRST = Segment(bytes([192, 0, 2, 2]), 80, bytes([192, 0, 2, 1]), 40_000, 0xFFFF_FF00, 7, ACK, 501)


def text(size: int, seq: int = 0, flags: int = ACK) -> Segment:
    return FIRST._replace(seq=(FIRST.seq + seq) & 0xFFFF_FFFF, payload=bytes(size), flags=flags)


def sizes(*segments: Segment) -> list[int]:
    return [len(run) for run in wrapping.runs(segments)]


def test_segments_of_one_size_become_one_and_the_last_may_be_shorter() -> None:
    assert sizes(text(1000), text(1000, 1000), text(10, 2000)) == [3]
    assert sizes(text(1000), text(10, 1000), text(10, 1010)) == [2, 1]
    assert sizes(text(10), text(1000, 10)) == [1, 1]


def test_fin_and_psh_stay_with_the_last() -> None:
    assert sizes(text(1000), text(1000, 1000, ACK | PSH | FIN)) == [2]
    assert sizes(text(1000, 0, ACK | PSH), text(1000, 1000)) == [1, 1]
    assert sizes(text(1000), text(1000, 1000, ACK | PSH), text(1000, 2000)) == [2, 1]


def test_nothing_else_is_joined() -> None:
    assert sizes(text(1000), text(1000, 1001)) == [1, 1]
    assert sizes(text(1000), text(1000, 1000)._replace(source_port=81)) == [1, 1]
    assert sizes(text(1000), text(1000, 1000)._replace(ack=8)) == [1, 1]
    assert sizes(text(1000), text(1000, 1000)._replace(window=502)) == [1, 1]
    assert sizes(text(1000), text(1000, 1000, ACK | URG)) == [1, 1]
    assert sizes(text(0), text(0)) == [1, 1]
    assert sizes(text(0, 0, SYN), text(0, 1)) == [1, 1]


def test_no_super_segment_is_longer_than_a_packet() -> None:
    segments = [text(1448, 1448 * number) for number in range(100)]
    assert sizes(*segments) == [45, 45, 10]
    for packet in wrapping.wrap(segments, True):
        assert len(vnet.parse(packet).payload) <= 65_160


@given(st.lists(st.tuples(st.sampled_from([0, 1, 100, 1448]), st.sampled_from([ACK, ACK | PSH, ACK | FIN]))))
def test_what_is_joined_says_the_same(parts: list[tuple[int, int]]) -> None:
    segments: list[Segment] = []
    seq = 0
    for size, flags in parts:
        segments.append(text(size, seq, flags)._replace(payload=bytes([len(segments) % 256]) * size))
        seq += size + (flags & FIN)
    joined = [vnet.parse(packet) for packet in wrapping.wrap(segments, True)]
    assert b"".join(each.payload for each in joined) == b"".join(each.payload for each in segments)
    assert [each.end for each in joined if each.flags & FIN] == [each.end for each in segments if each.flags & FIN]
    assert all(before.end == after.seq for before, after in pairwise(joined))
