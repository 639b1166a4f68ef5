"""Classic captures: the format's own figures, scapy both ways, and files that are broken."""

import contextlib
import struct
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oracle import PcapReader, RawPcapReader, RawPcapWriter, inet
from timewait.wire import capture, link, pcap
from timewait.wire.errors import WireError
from timewait.wire.record import MAX_PACKET, Record
from wire_values import u8, u32

PACKET = bytes(inet.IP(src="192.0.2.1", dst="192.0.2.2") / inet.TCP(seq=0xFFFF_FFFF))
NOON = 1_700_000_000_123_456_789


def written(*packets: tuple[int, bytes], kind: int = link.RAW) -> bytes:
    file = BytesIO()
    writer = pcap.Writer(file, kind)
    for time, data in packets:
        writer.write(time, data)
    return file.getvalue()


def test_a_file_is_laid_out_as_the_draft_draws_it() -> None:
    """Magic for nanoseconds, version 2.4, two zeros, the snapshot length, link type 101; then the record."""
    assert written((3_000_000_007, b"abcd")) == b"".join(
        [
            bytes.fromhex("4d3cb2a1 0200 0400 00000000 00000000 00000400 65000000"),
            bytes.fromhex("03000000 07000000 04000000 04000000") + b"abcd",
        ]
    )


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    ("magic", "fraction", "time"), [(0xA1B2C3D4, 999_999, 5_999_999_000), (0xA1B23C4D, 7, 5_000_000_007)]
)
def test_both_byte_orders_and_both_precisions_are_read(order: str, magic: int, fraction: int, time: int) -> None:
    data = struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, 65535, 1)
    data += struct.pack(order + "IIII", 5, fraction, 3, 60) + b"abc"
    assert list(pcap.read(BytesIO(data))) == [Record(time, b"abc", 60, link.ETHERNET)]


@settings(deadline=None, max_examples=100)
@given(st.lists(st.tuples(st.integers(0, 2**32 * 10**9 - 1), st.binary(max_size=100)), max_size=4))
def test_packets_come_back_as_they_were_written(packets: list[tuple[int, bytes]]) -> None:
    assert list(capture.read(BytesIO(written(*packets)))) == [Record(time, data, len(data)) for time, data in packets]


def test_a_packet_may_be_cut_and_say_so() -> None:
    file = BytesIO()
    pcap.Writer(file).write(0, b"abc", length=1500)
    assert list(pcap.read(BytesIO(file.getvalue()))) == [Record(0, b"abc", 1500)]


def test_scapy_reads_our_file(tmp_path: Path) -> None:
    path = tmp_path / "ours.pcap"
    path.write_bytes(written((NOON, PACKET), (NOON + 1, PACKET)))
    with PcapReader(str(path)) as reader:
        packets = list(reader)
    assert [bytes(packet) for packet in packets] == [PACKET, PACKET]
    assert packets[0][inet.TCP].seq == 0xFFFF_FFFF
    with RawPcapReader(str(path)) as raw:
        assert raw.linktype == 101
        assert [(found.sec, found.usec) for _, found in raw] == [divmod(NOON, 10**9), divmod(NOON + 1, 10**9)]


@pytest.mark.parametrize("endianness", ["<", ">"])
@pytest.mark.parametrize("nano", [True, False])
def test_a_file_of_scapys_is_read(tmp_path: Path, endianness: str, nano: bool) -> None:
    path = tmp_path / "scapy.pcap"
    with RawPcapWriter(str(path), linktype=101, endianness=endianness, nano=nano) as writer:
        writer.write_header(None)
        writer.write_packet(PACKET, sec=NOON // 10**9, usec=NOON % 10**9 // (1 if nano else 1000))
    with path.open("rb") as file:
        [record] = capture.read(file)
    assert record == Record(NOON if nano else NOON // 1000 * 1000, PACKET, len(PACKET))


class Dripping(BytesIO):
    """A pipe that gives a byte at a time."""

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(1 if size else 0)


def test_a_pipe_that_gives_little_at_a_time_is_read_all_the_same() -> None:
    assert list(capture.read(Dripping(written((7, PACKET))))) == [Record(7, PACKET, len(PACKET))]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "the file ends within the magic number"),
        (b"\x0a\x0d\x0d", "the file ends within the magic number"),
        (b"GIF8" + bytes(100), "neither pcap nor pcapng: the file begins with 47494638"),
        (written()[:23], "the file ends within the file header"),
        (written((0, b"abc"))[:-1], "the file ends within a packet: 2 bytes of 3"),
        (written((0, b"abc"))[:30], "the file ends within a record header"),
        (bytes.fromhex("4d3cb2a1 0300 0400") + bytes(16), "pcap version 3.4"),
        (written() + bytes(8) + b"\xff\xff\xff\x7f" * 2, "a packet of 2147483647 bytes; the limit is"),
    ],
)
def test_what_is_no_capture_is_refused_with_the_reason(data: bytes, words: str) -> None:
    with pytest.raises(WireError, match=words):
        list(capture.read(BytesIO(data)))


def test_packets_before_the_break_are_given_first() -> None:
    records = capture.read(BytesIO(written((1, b"abc"), (2, b"def"))[:-1]))
    assert next(records) == Record(1, b"abc", 3)
    with pytest.raises(WireError, match="the file ends"):
        next(records)


@pytest.mark.parametrize(("time", "data"), [(-1, b""), (2**32 * 10**9, b""), (0, bytes(MAX_PACKET))])
def test_what_cannot_be_written_is_the_callers_mistake(time: int, data: bytes) -> None:
    file = BytesIO()
    writer = pcap.Writer(file)
    size = len(file.getvalue())
    with pytest.raises(ValueError, match=r"a time of|a packet of"):
        writer.write(time, data)
    assert len(file.getvalue()) == size
    with pytest.raises(ValueError, match="link type 65536"):
        pcap.Writer(file, 65536)


class Counting(BytesIO):
    """Remembers the largest read that was asked for."""

    largest = 0

    def read(self, size: int | None = -1, /) -> bytes:
        assert size is not None
        assert size >= 0
        self.largest = max(self.largest, size)
        return super().read(size)


@settings(deadline=None, max_examples=200)
@given(st.lists(st.tuples(st.integers(0, 120), u8), max_size=6), st.integers(0, 200), st.lists(u32, max_size=8))
def test_damaged_files_raise_nothing_but_a_wire_error_and_never_ask_for_much(
    damage: list[tuple[int, int]], length: int, more: list[int]
) -> None:
    data = bytearray(written((1, PACKET), (2, PACKET))[:length])
    for at, value in damage:
        if at < len(data):
            data[at] = value
    file = Counting(bytes(data) + struct.pack(f"<{len(more)}I", *more))
    with contextlib.suppress(WireError):
        list(capture.read(file))
    assert file.largest <= MAX_PACKET
