"""Whole packets, held to scapy both ways and to sums done by hand.  RFC 791, RFC 8200, RFC 9293 section 3.1."""

import contextlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oracle import Packet as ScapyPacket
from oracle import Raw, colons, dotted, inet, inet6, scapy_packet
from timewait.wire import checksum, ip, packet
from timewait.wire.errors import WireError
from timewait.wire.packet import Packet
from timewait.wire.segment import (
    ACK,
    CWR,
    ECE,
    FIN,
    PSH,
    SYN,
    Flag,
    MaximumSegmentSize,
    NoOperation,
    Sack,
    SackPermitted,
    Segment,
    Timestamps,
    WindowScale,
)
from wire_values import known_options, segments, u8, u16

often = settings(deadline=None, max_examples=200)
few = settings(deadline=None, max_examples=60)

A4, B4 = bytes([192, 0, 2, 1]), bytes([198, 51, 100, 2])
A6, B6 = bytes.fromhex("20010db8" + "0" * 23 + "1"), bytes.fromhex("20010db8" + "0" * 23 + "2")
NOP = NoOperation()
STAMPS = (NOP, NOP, Timestamps(1_000, 2_000))
PLAIN4 = Segment(A4, 40000, B4, 80, 0xFFFF_FFF0, 7, ACK | PSH, 501, STAMPS, b"hello")
PLAIN6 = PLAIN4._replace(source=A6, destination=B6)


def packets(versions: tuple[int, ...] = (4, 6)) -> st.SearchStrategy[Packet]:
    """Packets that scapy can say as well: a SACK option without blocks it cannot."""
    options = known_options.filter(lambda found: Sack(()) not in found)

    def around(segment: Segment) -> st.SearchStrategy[Packet]:
        if len(segment.source) == 4:
            return st.tuples(u8, u8, u16, st.booleans()).map(lambda facts: Packet(segment, *facts))
        return st.tuples(u8, u8).map(lambda facts: Packet(segment, *facts))

    return segments(options, versions).flatmap(around)


# What it says on the wire, by hand.


def test_the_checksum_is_that_of_the_example_in_rfc_1071() -> None:
    """RFC 1071 section 3: the words 0001 f203 f4f5 f6f7 add up to ddf2."""
    assert checksum.remainder(bytes.fromhex("0001f203f4f5f6f7")) == 0xDDF2
    assert checksum.fill(0xDDF2) == 0x220D


def test_an_odd_byte_counts_as_the_high_half_of_a_word() -> None:
    """RFC 1071 section 1."""
    assert checksum.remainder(b"\x01") == 0x0100
    assert checksum.remainder(b"\x00\x01\x02") == 0x0201


def test_words_that_add_up_to_all_ones_have_a_checksum_of_zero() -> None:
    assert checksum.fill(0xFFFF) == 0
    assert checksum.fill(0x1FFFE) == 0


@often
@given(st.binary(max_size=300))
def test_the_checksum_is_the_sum_with_end_around_carry(data: bytes) -> None:
    padded = data + bytes(len(data) % 2)
    total = 0
    for at in range(0, len(padded), 2):
        total += padded[at] << 8 | padded[at + 1]
        total = (total & 0xFFFF) + (total >> 16)
    if any(data):
        assert checksum.fill(checksum.remainder(data)) == total ^ 0xFFFF


def test_a_packet_by_hand() -> None:
    """Summed by hand: IPv4 words 4500 0028 0000 4000 4006 c000 0201 c633 6402; TCP with its pseudo-header likewise."""
    built = packet.build(Segment(A4, 1, B4, 2, 3, 4, SYN, 5))
    assert built.hex(" ", 4) == (
        "45000028 00004000 4006" + f"{0xFFFF - fold(0x4500, 0x28, 0x4000, 0x4006, 0xC000, 0x0201, 0xC633, 0x6402):04x}"
    ) + " c0000201 c6336402 00010002 00000003 00000004 50020005" + (
        f" {0xFFFF - fold(0xC000, 0x0201, 0xC633, 0x6402, 6, 20, 1, 2, 3, 4, 0x5002, 5):04x}0000"
    )


def fold(*words: int) -> int:
    total = sum(words)
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


# Round trips, and scapy.


@often
@given(segments())
def test_a_segment_comes_back_as_it_was_sent(segment: Segment) -> None:
    assert packet.parse(packet.build(segment)) == segment


@often
@given(packets())
def test_what_ip_said_comes_back_too(sent: Packet) -> None:
    assert packet.parse_packet(packet.build(*sent)) == sent


@pytest.mark.rfc("MUST-2")
@few
@given(packets())
def test_scapy_builds_the_same_bytes(sent: Packet) -> None:
    assert packet.build(*sent) == bytes(scapy_packet(sent))


@few
@given(packets())
def test_a_packet_of_scapys_is_read(sent: Packet) -> None:
    assert packet.parse_packet(bytes(scapy_packet(sent))) == sent


@few
@given(packets((4,)))
def test_scapy_reads_what_was_built(sent: Packet) -> None:
    read = inet.IP(packet.build(*sent))
    tcp, s = read[inet.TCP], sent.segment
    assert (read.src, read.dst, read.ttl, read.tos, read.id) == (
        dotted(s.source),
        dotted(s.destination),
        sent.ttl,
        sent.tos,
        sent.identification,
    )
    assert (tcp.sport, tcp.dport, tcp.seq, tcp.ack) == (s.source_port, s.destination_port, s.seq, s.ack)
    assert (int(tcp.flags), tcp.window, tcp.urgptr) == (s.flags, s.window, s.urgent)
    assert bytes(tcp.payload) == s.payload


@pytest.mark.parametrize("segment", [PLAIN4, PLAIN6])
@pytest.mark.parametrize("size", [0, 1, 2, 1459, 1460, 60_000])
def test_payloads_of_any_size_travel(segment: Segment, size: int) -> None:
    sent = segment._replace(payload=(b"0123456789abcdef" * 4096)[:size])
    assert packet.parse(packet.build(sent)) == sent
    assert packet.build(sent) == bytes(scapy_packet(Packet(sent)))


def test_flags_may_be_named() -> None:
    sent = PLAIN4._replace(flags=Flag.FIN | Flag.ACK | Flag.ECE | Flag.CWR)
    assert packet.build(sent) == packet.build(sent._replace(flags=FIN | ACK | ECE | CWR))


@pytest.mark.parametrize("segment", [PLAIN4, PLAIN6])
def test_bytes_may_come_in_any_container_and_with_something_before_and_after(segment: Segment) -> None:
    data = packet.build(segment)
    assert packet.parse(bytearray(data)) == segment
    assert packet.parse(memoryview(data)) == segment
    assert packet.parse(b"0123456789" + data + b"Ethernet padding", start=10) == segment
    assert packet.parse_packet(memoryview(b"0123456789" + data), start=10) == Packet(segment)


def test_reserved_bits_of_tcp_are_ignored() -> None:
    """RFC 9293 section 3.1: reserved bits must be ignored in received segments."""
    made = scapy_packet(Packet(PLAIN4))
    made[inet.TCP].reserved = 7
    assert packet.parse(bytes(made)) == PLAIN4


# Headers of other layouts.


def test_ip_options_are_skipped() -> None:
    made = scapy_packet(Packet(PLAIN4))
    made[inet.IP].options = [inet.IPOption_Router_Alert(), inet.IPOption_NOP()]
    assert packet.parse(bytes(made)) == PLAIN4


@pytest.mark.parametrize(
    "extensions",
    [
        inet6.IPv6ExtHdrHopByHop(options=[inet6.RouterAlert()]),
        inet6.IPv6ExtHdrRouting(addresses=["2001:db8::9"], segleft=0),
        inet6.IPv6ExtHdrDestOpt(options=[inet6.PadN(optdata=b"\x00" * 12)]),
        inet6.IPv6ExtHdrFragment(offset=0, m=0, id=77),
        inet6.IPv6ExtHdrHopByHop() / inet6.IPv6ExtHdrDestOpt() / inet6.IPv6ExtHdrFragment() / inet6.IPv6ExtHdrDestOpt(),
    ],
)
def test_extension_headers_are_walked(extensions: ScapyPacket) -> None:
    made = scapy_packet(Packet(PLAIN6, ttl=9, tos=0xB9))
    tcp = made[inet.TCP].copy()
    made[inet6.IPv6].remove_payload()
    data = bytes(made / extensions / tcp)
    assert packet.parse(data) == PLAIN6
    assert packet.parse_packet(data) == Packet(PLAIN6, ttl=9, tos=0xB9)


def over(below: ScapyPacket, segment: Segment = PLAIN6) -> bytes:
    """The segment above other headers."""
    return bytes(below / scapy_packet(Packet(segment))[inet.TCP])


IPV6: dict[str, Any] = {"src": colons(A6), "dst": colons(B6)}


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"),
        (b"\x45", "header in 1 bytes"),
        (b"\x60" * 39, "header in 39 bytes"),
        (b"\x00" * 40, "IP version 0"),
        (b"\x44" + packet.build(PLAIN4)[1:], "claims 16 bytes"),
        (packet.build(PLAIN4)[:-1], "cut short: 56 bytes of 57"),
        (packet.build(PLAIN6)[:-1], "cut short: 76 bytes of 77"),
        (bytes(inet.IP(src="192.0.2.1", dst="192.0.2.2") / inet.UDP()), "protocol 17"),
        (bytes(inet6.IPv6(**IPV6) / inet.UDP()), "protocol 17"),
        (bytes(inet6.IPv6(**IPV6, nh=59)), "protocol 59"),
        (bytes(inet.IP(src="192.0.2.1", dst="192.0.2.2", proto=6) / Raw(b"0123456789")), "header in 10 bytes"),
        (bytes(inet.IP(src="192.0.2.1", dst="192.0.2.2") / inet.TCP(dataofs=4)), "claims 16 bytes of 20"),
        (bytes(inet.IP(src="192.0.2.1", dst="192.0.2.2") / inet.TCP(dataofs=6)), "claims 24 bytes of 20"),
        (over(inet.IP(src="192.0.2.1", dst="192.0.2.2", flags="MF"), PLAIN4), "a fragment, at byte 0"),
        (over(inet.IP(src="192.0.2.1", dst="192.0.2.2", frag=3), PLAIN4), "a fragment, at byte 24"),
        (over(inet6.IPv6(**IPV6) / inet6.IPv6ExtHdrFragment(m=1)), "a fragment, at byte 0"),
        (over(inet6.IPv6(**IPV6) / inet6.IPv6ExtHdrFragment(offset=2)), "a fragment, at byte 16"),
        (over(inet6.IPv6(**IPV6) / inet6.IPv6ExtHdrDestOpt() / inet6.IPv6ExtHdrHopByHop()), "do not come first"),
        (over(inet6.IPv6(**IPV6) / inet6.IPv6ExtHdrRouting(addresses=["2001:db8::9"], segleft=1)), "along a route"),
        (bytes(inet6.IPv6(**IPV6, nh=60) / Raw(b"\x06\x05" + bytes(30))), "extension header runs past"),
        (bytes(inet6.IPv6(**IPV6, nh=60) / Raw(b"\x06\x00")), "extension header runs past"),
    ],
)
def test_what_is_no_segment_is_refused_with_the_reason(data: bytes, words: str) -> None:
    with pytest.raises(WireError, match=words):
        packet.parse(data)


@pytest.mark.rfc("MUST-3")
@often
@given(st.sampled_from([PLAIN4, PLAIN6, PLAIN4._replace(options=(), payload=b"")]), st.data())
def test_one_bit_changed_on_the_way_is_noticed(segment: Segment, data: st.DataObject) -> None:
    """In IPv6 the class, the label and the hop limit are under no checksum; lengths and addresses are."""
    good = packet.build(segment)
    first = 1 if len(segment.source) == 4 else 8
    at = data.draw(st.integers(first * 8, len(good) * 8 - 1))
    bad = bytearray(good)
    bad[at // 8] ^= 1 << at % 8
    with pytest.raises(WireError):
        packet.parse(bad)


@pytest.mark.parametrize("segment", [PLAIN4, PLAIN6])
def test_checksums_may_be_left_to_the_hardware(segment: Segment) -> None:
    data = packet.build(segment, complete=False)
    with pytest.raises(WireError, match="TCP's checksum is wrong"):
        packet.parse(data)
    assert packet.parse(data, verify=False) == segment


def test_a_wrong_ip_checksum_is_told_apart() -> None:
    bad = bytearray(packet.build(PLAIN4))
    bad[8] -= 1
    with pytest.raises(WireError, match="the IPv4 header's checksum is wrong"):
        packet.parse(bad)
    assert packet.parse_packet(bad, verify=False) == Packet(PLAIN4, ttl=63)


@pytest.mark.parametrize(("segment", "at"), [(PLAIN4, 2), (PLAIN6, 4)])
def test_a_length_left_at_zero_by_offload_means_all_there_is(segment: Segment, at: int) -> None:
    data = bytearray(packet.build(segment))
    data[at : at + 2] = b"\x00\x00"
    assert packet.parse(data, verify=False) == segment
    with pytest.raises(WireError):
        packet.parse(data)


@pytest.mark.parametrize(
    ("changes", "facts"),
    [
        ({"seq": -1}, {}),
        ({"seq": 2**32}, {}),
        ({"source_port": 65536}, {}),
        ({"window": 65536}, {}),
        ({"flags": 0x100}, {}),
        ({"flags": -1}, {}),
        ({"urgent": -1}, {}),
        ({"source": A6}, {}),
        ({"destination": A6}, {}),
        ({"source": b"", "destination": b""}, {}),
        ({"source": b"12345", "destination": b"12345"}, {}),
        ({"payload": bytes(65536)}, {}),
        ({"options": (MaximumSegmentSize(-1),)}, {}),
        ({}, {"ttl": 256}),
        ({}, {"tos": 256}),
        ({}, {"identification": 65536}),
        ({"source": A6, "destination": B6}, {"ttl": -1}),
        ({"source": A6, "destination": B6}, {"tos": 256}),
        ({"source": A6, "destination": B6, "payload": bytes(65536)}, {}),
    ],
)
def test_what_cannot_be_sent_is_the_callers_mistake(changes: dict[str, object], facts: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        packet.build(Segment(**{**PLAIN4._asdict(), **changes}), **facts)  # type: ignore[arg-type]
    assert not isinstance(caught.value, WireError)


# Whatever comes.


def readings(data: bytes) -> None:
    for verify in (True, False):
        for read in (packet.parse, packet.parse_packet, ip.parse):
            with contextlib.suppress(WireError):
                read(data, verify=verify)
        with contextlib.suppress(WireError):
            ip.parse(data, verify=verify, quoted=True)


@often
@given(st.binary(max_size=120))
def test_no_bytes_raise_anything_but_a_wire_error(data: bytes) -> None:
    readings(data)
    readings(b"\x45" + data)
    readings(b"\x60" + data)


CHAIN = over(inet6.IPv6(**IPV6) / inet6.IPv6ExtHdrHopByHop() / inet6.IPv6ExtHdrDestOpt() / inet6.IPv6ExtHdrFragment())
WITH_OPTIONS = over(
    inet.IP(src="192.0.2.1", dst="192.0.2.2", options=[inet.IPOption_Router_Alert()]),
    PLAIN4._replace(options=(MaximumSegmentSize(1460), SackPermitted(), Timestamps(1, 2), NOP, WindowScale(7))),
)


@often
@given(
    st.sampled_from([packet.build(PLAIN4), packet.build(PLAIN6), CHAIN, WITH_OPTIONS]),
    st.lists(st.tuples(st.integers(0, 90), u8), max_size=4),
    st.integers(0, 120),
)
def test_damaged_packets_raise_nothing_but_a_wire_error(
    good: bytes, damage: list[tuple[int, int]], length: int
) -> None:
    bad = bytearray(good[:length])
    for at, value in damage:
        if at < len(bad):
            bad[at] = value
    readings(bytes(bad))
