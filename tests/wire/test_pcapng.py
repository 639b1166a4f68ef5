"""Captures of the newer kind: blocks by hand from the draft, scapy both ways, and files that are broken."""

import contextlib
import struct
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oracle import PcapNgReader, PcapNgWriter, inet
from timewait.wire import capture, link, pcapng
from timewait.wire.errors import WireError
from timewait.wire.record import MAX_PACKET, Record
from wire_values import u8, u32

PACKET = bytes(inet.IP(src="192.0.2.1", dst="192.0.2.2") / inet.TCP(seq=0xFFFF_FFFF))
NOON = 1_700_000_000_123_456_789


def block(order: str, kind: int, body: bytes) -> bytes:
    body += bytes(-len(body) % 4)
    size = struct.pack(order + "I", 12 + len(body))
    return struct.pack(order + "I", kind) + size + body + size


def section(order: str = "<", options: bytes = b"", major: int = 1) -> bytes:
    return block(order, 0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, major, 0, -1) + options)


def option(order: str, code: int, value: bytes) -> bytes:
    return struct.pack(order + "HH", code, len(value)) + value + bytes(-len(value) % 4)


def interface(order: str = "<", kind: int = link.RAW, snaplen: int = 0, options: bytes = b"") -> bytes:
    return block(order, 1, struct.pack(order + "HHI", kind, 0, snaplen) + options)


def packet(order: str, number: int, time: int, data: bytes, options: bytes = b"", length: int | None = None) -> bytes:
    length = len(data) if length is None else length
    head = struct.pack(order + "IIIII", number, time >> 32, time & 0xFFFF_FFFF, len(data), length)
    return block(order, 6, head + data + bytes(-len(data) % 4) + options)


def simple(order: str, data: bytes, length: int) -> bytes:
    return block(order, 3, struct.pack(order + "I", length) + data)


def read(data: bytes) -> list[Record]:
    return list(capture.read(BytesIO(data)))


def written(*packets: tuple[int, bytes, str]) -> bytes:
    file = BytesIO()
    writer = pcapng.Writer(file)
    for time, data, comment in packets:
        writer.write(time, data, comment=comment)
    return file.getvalue()


# Writing.


def test_a_file_is_laid_out_as_the_draft_draws_it() -> None:
    file = BytesIO()
    writer = pcapng.Writer(file, comment="a trace")
    number = writer.interface("client")
    writer.write(0x1_0000_0002, b"abcde", interface=number, comment="lost on the way")
    end = bytes(4)
    assert file.getvalue() == b"".join(
        [
            section("<", option("<", 1, b"a trace") + option("<", 4, b"timewait") + end),
            interface("<", 101, 0, option("<", 2, b"client") + option("<", 9, b"\x09") + end),
            packet("<", 0, 0x1_0000_0002, b"abcde", option("<", 1, b"lost on the way") + end),
        ]
    )


texts = st.text("ab \nß€\N{HOURGLASS}\N{SNAKE}", max_size=12)


@settings(deadline=None, max_examples=100)
@given(
    st.lists(st.sampled_from([link.RAW, link.ETHERNET]), min_size=1, max_size=3),
    st.lists(st.tuples(st.integers(0, 2**64 - 1), st.binary(max_size=60), st.integers(0, 2), texts), max_size=4),
)
def test_packets_come_back_as_they_were_written(kinds: list[int], packets: list[tuple[int, bytes, int, str]]) -> None:
    file = BytesIO()
    writer = pcapng.Writer(file)
    numbers = [writer.interface(f"host {at}", kind) for at, kind in enumerate(kinds)]
    expected = []
    for time, data, which, comment in packets:
        at = which % len(kinds)
        writer.write(time, data, interface=numbers[at], comment=comment)
        expected.append(Record(time, data, len(data), kinds[at], f"host {at}", comment))
    assert read(file.getvalue()) == expected


def test_without_an_interface_packets_are_raw_ip() -> None:
    assert read(written((7, b"abc", ""))) == [Record(7, b"abc", 3, link.RAW)]


def test_a_packet_may_be_cut_and_say_so() -> None:
    file = BytesIO()
    pcapng.Writer(file).write(0, b"abc", length=1500)
    assert read(file.getvalue()) == [Record(0, b"abc", 1500)]


@pytest.mark.parametrize(
    ("time", "data", "number", "comment", "words"),
    [
        (-1, b"", 0, "", "a time of -1 ns"),
        (2**64, b"", 0, "", "a time of"),
        (0, b"", 1, "", "interface 1; 1 are declared"),
        (0, b"", -1, "", "interface -1"),
        (0, bytes(MAX_PACKET + 1), 0, "", "a packet of"),
        (0, b"", 0, "x" * 65536, "a text of 65536 bytes"),
    ],
)
def test_what_cannot_be_written_is_the_callers_mistake(
    time: int, data: bytes, number: int, comment: str, words: str
) -> None:
    file = BytesIO()
    writer = pcapng.Writer(file)
    writer.interface("only")
    size = len(file.getvalue())
    with pytest.raises(ValueError, match=words):
        writer.write(time, data, interface=number, comment=comment)
    assert len(file.getvalue()) == size


def test_a_link_type_has_sixteen_bits() -> None:
    with pytest.raises(ValueError, match="link type 65536"):
        pcapng.Writer(BytesIO()).interface("", 65536)


# Reading.


@pytest.mark.parametrize("order", ["<", ">"])
def test_both_byte_orders_are_read(order: str) -> None:
    options = option(order, 2, b"eth0") + option(order, 9, b"\x09") + bytes(4)
    comments = option(order, 1, b"one") + option(order, 2, bytes(4)) + option(order, 1, "zwölf".encode()) + bytes(4)
    data = section(order) + interface(order, 1, 0, options) + packet(order, 0, NOON, b"abcde", comments, 60)
    assert read(data) == [Record(NOON, b"abcde", 60, link.ETHERNET, "eth0", "one\nzwölf")]


@pytest.mark.parametrize(
    ("resolution", "units", "time"),
    [
        (None, 1_700_000_000_123_456, 1_700_000_000_123_456_000),  # the default: microseconds
        (b"\x00", 5, 5_000_000_000),
        (b"\x03", 5, 5_000_000),
        (b"\x09", 5, 5),
        (b"\x0c", 5_999, 5),  # picoseconds, cut to nanoseconds
        (b"\x80", 5, 5_000_000_000),
        (b"\x8a", 1024 + 512, 1_500_000_000),  # 2^-10 s
        (b"\xa0", (5 << 32) + (1 << 31), 5_500_000_000),  # 2^-32 s, as NTP counts
        (b"\x7f", 2**64 - 1, 0),
        (b"\xff", 2**64 - 1, 0),
    ],
)
def test_any_resolution_of_time_is_read(resolution: bytes | None, units: int, time: int) -> None:
    options = option("<", 9, resolution) + bytes(4) if resolution else b""
    data = section() + interface(options=options) + packet("<", 0, units, b"abc")
    assert read(data) == [Record(time, b"abc", 3)]


@pytest.mark.parametrize("order", ["<", ">"])
def test_an_offset_of_time_in_seconds_is_added(order: str) -> None:
    options = option(order, 14, struct.pack(order + "q", -3)) + bytes(4)
    data = section(order) + interface(order, options=options) + packet(order, 0, 5_000_000, b"abc")
    assert read(data) == [Record(2_000_000_000, b"abc", 3)]


def test_simple_packets_belong_to_the_first_interface_and_have_no_time() -> None:
    data = section() + interface(snaplen=4, options=option("<", 2, b"lo")) + interface(kind=1)
    data += simple("<", b"abc", 3) + simple("<", b"abcd", 1500)
    assert read(data) == [Record(0, b"abc", 3, interface="lo"), Record(0, b"abcd", 1500, interface="lo")]


def test_blocks_of_other_kinds_are_skipped_whatever_their_size() -> None:
    statistics = block("<", 5, bytes(20))
    custom = block("<", 0x0BAD, bytes(300_000))
    data = section() + custom + interface() + statistics + packet("<", 0, 1, b"abc") + block("<", 0x80000001, b"")
    assert read(data) == [Record(1000, b"abc", 3)]


def test_each_section_has_its_own_byte_order_and_interfaces() -> None:
    nameless = section("<") + interface("<") + packet("<", 0, 1, b"abc")
    named = section(">") + interface(">", 1, 0, option(">", 2, b"eth0")) + packet(">", 0, 2, b"def")
    assert read(nameless + named + nameless) == [
        Record(1000, b"abc", 3),
        Record(2000, b"def", 3, link.ETHERNET, "eth0"),
        Record(1000, b"abc", 3),
    ]
    with pytest.raises(WireError, match="a packet of interface 0; 0 are declared"):
        read(nameless + section(">") + packet(">", 0, 2, b"def"))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (section()[:20], "the file ends within a block"),
        (section()[:8], "the file ends within a section header"),
        (b"\x0a\x0d\x0d\x0a" + bytes(24), "byte-order mark 00000000"),
        (section(major=2), "pcapng version 2.0"),
        (section()[:-4] + bytes(4), "two lengths differ"),
        (section() + struct.pack("<II", 77, 8), "claims 8 bytes"),
        (section() + struct.pack("<II", 77, 14), "claims 14 bytes"),
        (section() + struct.pack("<II", 6, 0x7FFF_FFF0), "a block of 2147483632 bytes; the limit is"),
        (section() + struct.pack("<II", 77, 0x7FFF_FFF0) + bytes(99), "the file ends within a block"),
        (section() + block("<", 1, bytes(4)), "an interface described in 4 bytes"),
        (section() + interface(options=option("<", 9, b"\x09\x09")), "a time resolution in 2 bytes"),
        (section() + interface(options=option("<", 14, b"\x09")), "a time offset in 1 bytes"),
        (section() + interface(options=struct.pack("<HH", 2, 99)), "option 2 runs past its block"),
        (section() + interface() + block("<", 6, bytes(16)), "a packet block of 16 bytes"),
        (section() + interface() + packet("<", 1, 0, b""), "a packet of interface 1; 1 are declared"),
        (section() + interface() + block("<", 6, struct.pack("<IIIII", 0, 0, 0, 9, 9) + bytes(8)), "9 bytes runs past"),
        (section() + simple("<", b"abc", 3), "a packet before any interface"),
        (section() + interface() + block("<", 3, b""), "a packet block of 0 bytes"),
        (section() + interface() + simple("<", b"abcd", 5), "5 bytes runs past"),
        (section() + interface() * 4097, "more than 4096 interfaces"),
    ],
)
def test_what_is_no_capture_is_refused_with_the_reason(data: bytes, words: str) -> None:
    with pytest.raises(WireError, match=words):
        read(data)


def test_a_name_that_is_no_text_is_read_as_far_as_it_is() -> None:
    data = section() + interface(options=option("<", 2, b"eth\xff")) + packet("<", 0, 0, b"")
    assert read(data)[0].interface == "eth\N{REPLACEMENT CHARACTER}"


# Other programs.


def test_scapy_reads_our_file(tmp_path: Path) -> None:
    path = tmp_path / "ours.pcapng"
    path.write_bytes(written((NOON, PACKET, "lost on the way"), (NOON + 1, PACKET, "")))
    with PcapNgReader(str(path)) as reader:
        first, second = reader
    assert bytes(first) == bytes(second) == PACKET
    assert (int(first.time * 10**9), int(second.time * 10**9)) == (NOON, NOON + 1)
    assert first.comments == [b"lost on the way"]


def test_a_file_of_scapys_is_read(tmp_path: Path) -> None:
    path = tmp_path / "scapy.pcapng"
    made = inet.IP(PACKET)
    made.time = 1_700_000_000.25
    made.comments = [b"held", b"back"]
    with PcapNgWriter(str(path)) as writer:
        writer.write(made)
    with path.open("rb") as file:
        [record] = capture.read(file)
    assert (record.time, record.comment) == (1_700_000_000_250_000_000, "held\nback")
    assert link.strip(record.link, record.data) == PACKET


class Counting(BytesIO):
    """Remembers the largest read that was asked for."""

    largest = 0

    def read(self, size: int | None = -1, /) -> bytes:
        assert size is not None
        assert size >= 0
        self.largest = max(self.largest, size)
        return super().read(size)


GOOD = (
    section("<", option("<", 4, b"other") + bytes(4))
    + interface("<", 1, 96, option("<", 2, b"eth0") + option("<", 9, b"\x09") + bytes(4))
    + packet("<", 0, NOON, b"abcde", option("<", 1, b"one") + bytes(4))
    + simple("<", b"abc", 3)
    + section(">")
    + interface(">")
    + packet(">", 0, NOON, b"abcde")
)


@settings(deadline=None, max_examples=300)
@given(
    st.lists(st.tuples(st.integers(0, len(GOOD)), u8), max_size=4),
    st.integers(0, 2 * len(GOOD)),
    st.lists(u32, max_size=8),
)
def test_damaged_files_raise_nothing_but_a_wire_error_and_never_ask_for_much(
    damage: list[tuple[int, int]], length: int, more: list[int]
) -> None:
    data = bytearray(GOOD[:length])
    for at, value in damage:
        if at < len(data):
            data[at] = value
    file = Counting(bytes(data) + struct.pack(f"<{len(more)}I", *more))
    with contextlib.suppress(WireError):
        list(capture.read(file))
    assert file.largest <= 2 * MAX_PACKET
