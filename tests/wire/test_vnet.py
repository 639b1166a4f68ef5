"""The virtio-net header.  Virtual I/O Device specification 1.2, section 5.1.6."""

import contextlib
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from timewait.wire import packet, vnet
from timewait.wire.errors import WireError
from timewait.wire.segment import ACK, CWR, PSH, NoOperation, Segment, Timestamps
from timewait.wire.vnet import VnetHeader
from wire_values import segments, u8, u16

often = settings(deadline=None, max_examples=100)

STAMPS = (NoOperation(), NoOperation(), Timestamps(1, 2))
BULK4 = Segment(bytes([192, 0, 2, 1]), 5001, bytes([192, 0, 2, 2]), 80, 1, 2, ACK | PSH, 500, STAMPS, b"abc" * 20_000)
BULK6 = BULK4._replace(source=bytes(15) + b"\x01", destination=bytes(15) + b"\x02")


@often
@given(st.builds(VnetHeader, u8, u8, u16, u16, u16, u16))
def test_a_header_comes_back_as_it_was_sent(header: VnetHeader) -> None:
    assert vnet.decode(vnet.encode(header)) == header


def test_the_header_is_the_kernels_struct() -> None:
    """u8 flags, gso_type; u16 hdr_len, gso_size, csum_start, csum_offset, in the machine's byte order."""
    assert vnet.encode(VnetHeader(1, 4, 60, 1448, 40, 16)) == b"\x01\x04" + b"".join(
        struct.pack("=H", value) for value in (60, 1448, 40, 16)
    )
    assert vnet.encode(VnetHeader()) == vnet.PLAIN == bytes(10)


@pytest.mark.parametrize(
    ("segment", "header"),
    [
        # 20 of IP, 20 of TCP, 12 of timestamps; the checksum stands 16 bytes into TCP.
        (BULK4, VnetHeader(vnet.NEEDS_CSUM, vnet.GSO_TCPV4, 52, 1448, 20, 16)),
        (BULK6, VnetHeader(vnet.NEEDS_CSUM, vnet.GSO_TCPV6, 72, 1448, 40, 16)),
        (
            BULK4._replace(flags=ACK | CWR),
            VnetHeader(vnet.NEEDS_CSUM, vnet.GSO_TCPV4 | vnet.GSO_ECN, 52, 1448, 20, 16),
        ),
        (BULK4._replace(payload=bytes(1448)), VnetHeader(vnet.NEEDS_CSUM, vnet.GSO_NONE, 0, 0, 20, 16)),
        (BULK6._replace(payload=b""), VnetHeader(vnet.NEEDS_CSUM, vnet.GSO_NONE, 0, 0, 40, 16)),
    ],
)
def test_a_payload_above_the_segment_size_is_left_to_the_kernel_to_cut(segment: Segment, header: VnetHeader) -> None:
    data = vnet.build(segment, 1448)
    assert vnet.decode(data) == header
    assert vnet.parse(data) == segment


@often
@given(segments())
def test_finishing_the_checksum_as_the_kernel_does_gives_the_whole_packet(segment: Segment) -> None:
    """From csum_start to the end, the field's own value included: that sum's complement goes to csum_offset."""
    data = bytearray(vnet.build(segment)[vnet.SIZE :])
    start = vnet.decode(vnet.build(segment)).checksum_start
    total = 0
    for at in range(start, len(data), 2):
        total += int.from_bytes(bytes(data[at : at + 2]).ljust(2, b"\x00"))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    data[start + 16 : start + 18] = (total ^ 0xFFFF).to_bytes(2)
    assert data == packet.build(segment)


def test_without_a_word_from_the_header_checksums_are_verified() -> None:
    small = BULK4._replace(payload=b"abc")
    whole = packet.build(small)
    unfilled = packet.build(small, complete=False)
    assert vnet.parse(vnet.PLAIN + whole) == small
    assert vnet.parse(vnet.encode(VnetHeader(vnet.DATA_VALID)) + unfilled) == small
    with pytest.raises(WireError, match="TCP's checksum is wrong"):
        vnet.parse(vnet.PLAIN + unfilled)
    assert vnet.parse(vnet.PLAIN + unfilled, verify=False) == small


@pytest.mark.parametrize(
    "header", [VnetHeader(flags=256), VnetHeader(segment_size=65536), VnetHeader(checksum_start=-1)]
)
def test_a_number_out_of_range_is_the_callers_mistake(header: VnetHeader) -> None:
    with pytest.raises(ValueError, match="cannot hold"):
        vnet.encode(header)


@often
@given(st.binary(max_size=80))
def test_no_bytes_raise_anything_but_a_wire_error(data: bytes) -> None:
    for read in (vnet.decode, vnet.parse):
        with contextlib.suppress(WireError):
            read(data)
