"""ICMP errors about a connection, held to scapy both ways.  RFC 792, RFC 1191 section 4, RFC 4443 section 3."""

import contextlib
from ipaddress import ip_address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oracle import Packet as ScapyPacket
from oracle import colons, dotted, inet, inet6
from timewait.wire import icmp, packet
from timewait.wire.errors import WireError
from timewait.wire.icmp import IcmpError, Reason
from timewait.wire.segment import ACK, Segment
from wire_values import seqs, u8, u16, u32

often = settings(deadline=None, max_examples=100)
few = settings(deadline=None, max_examples=40)

ROUTER4, A4, B4 = bytes([203, 0, 113, 9]), bytes([192, 0, 2, 1]), bytes([198, 51, 100, 2])
ROUTER6, A6, B6 = (bytes.fromhex("20010db8" + "00" * 11 + end) for end in ("09", "01", "02"))
TOO_BIG4 = IcmpError(ROUTER4, A4, 40000, B4, 443, 0xFFFF_FFFE, 3, 4, 1280)
TOO_BIG6 = IcmpError(ROUTER6, A6, 40000, B6, 443, 0xFFFF_FFFE, 2, 0, 1280)


def errors() -> st.SearchStrategy[IcmpError]:
    def of(length: int, kinds: dict[int, bool]) -> st.SearchStrategy[IcmpError]:
        def number(kind: int, code: int, mtu: int) -> tuple[int, int, int]:
            sized = kinds[kind] and (length == 16 or code == 4)
            return kind, code, mtu if sized else 0

        address = st.binary(min_size=length, max_size=length)
        numbers = st.builds(number, st.sampled_from(sorted(kinds)), u8, u16 if length == 4 else u32)
        return st.tuples(address, address, u16, address, u16, seqs, numbers).map(
            lambda found: IcmpError(*found[:-1], *found[-1])
        )

    # The types that are kept, and whether one of their codes carries an MTU.
    return st.one_of(of(4, {3: True, 11: False, 12: False}), of(16, {1: False, 2: True, 3: False, 4: False}))


@often
@given(errors())
def test_an_error_comes_back_as_it_was_sent(error: IcmpError) -> None:
    assert icmp.parse(icmp.build(error)) == error


@few
@given(errors())
def test_scapy_finds_nothing_to_correct_in_an_error_and_reads_the_same(error: IcmpError) -> None:
    data = icmp.build(error)
    read: ScapyPacket
    if len(error.source) == 4:
        read = inet.IP(data)
        outer, inner, tcp = read[inet.ICMP], read[inet.IPerror], read[inet.TCPerror]
        assert (read.src, read.dst) == (dotted(error.reporter), dotted(error.source))
        assert (inner.src, inner.dst) == (dotted(error.source), dotted(error.destination))
        assert error.mtu in (0, outer.nexthopmtu)
        del read.chksum, outer.chksum
    else:
        read = inet6.IPv6(data)
        outer = read.payload
        inner, tcp = read[inet6.IPerror6], read[inet.TCPerror]
        assert [ip_address(address).packed for address in (read.src, read.dst, inner.src, inner.dst)] == [
            error.reporter,
            error.source,
            error.source,
            error.destination,
        ]
        if error.type == 2:
            assert outer.mtu == error.mtu
        del outer.cksum
    assert (outer.type, outer.code) == (error.type, error.code)
    assert (tcp.sport, tcp.dport, tcp.seq) == (error.source_port, error.destination_port, error.seq)
    assert bytes(read) == data


QUOTED4 = inet.IP(src=dotted(A4), dst=dotted(B4)) / inet.TCP(sport=40000, dport=443, seq=0xFFFF_FFFE)
QUOTED6 = inet6.IPv6(src=colons(A6), dst=colons(B6)) / inet.TCP(sport=40000, dport=443, seq=0xFFFF_FFFE)
FROM4 = inet.IP(src=dotted(ROUTER4), dst=dotted(A4))
FROM6 = inet6.IPv6(src=colons(ROUTER6), dst=colons(A6))


@pytest.mark.parametrize(
    ("made", "type_code_mtu", "reason"),
    [
        (inet.ICMP(type=3, code=0), (3, 0, 0), Reason.NETWORK_UNREACHABLE),
        (inet.ICMP(type=3, code=1), (3, 1, 0), Reason.HOST_UNREACHABLE),
        (inet.ICMP(type=3, code=2), (3, 2, 0), Reason.PROTOCOL_UNREACHABLE),
        (inet.ICMP(type=3, code=3), (3, 3, 0), Reason.PORT_UNREACHABLE),
        (inet.ICMP(type=3, code=4, nexthopmtu=1400), (3, 4, 1400), Reason.TOO_BIG),
        (inet.ICMP(type=3, code=5), (3, 5, 0), Reason.UNREACHABLE),
        (inet.ICMP(type=3, code=13), (3, 13, 0), Reason.PROHIBITED),
        (inet.ICMP(type=11, code=0), (11, 0, 0), Reason.TIME_EXCEEDED),
        (inet.ICMP(type=12, code=0, ptr=20), (12, 0, 0), Reason.PARAMETER_PROBLEM),
        (inet6.ICMPv6DestUnreach(code=0), (1, 0, 0), Reason.NETWORK_UNREACHABLE),
        (inet6.ICMPv6DestUnreach(code=1), (1, 1, 0), Reason.PROHIBITED),
        (inet6.ICMPv6DestUnreach(code=3), (1, 3, 0), Reason.HOST_UNREACHABLE),
        (inet6.ICMPv6DestUnreach(code=4), (1, 4, 0), Reason.PORT_UNREACHABLE),
        (inet6.ICMPv6PacketTooBig(mtu=70_000), (2, 0, 70_000), Reason.TOO_BIG),
        (inet6.ICMPv6TimeExceeded(code=0), (3, 0, 0), Reason.TIME_EXCEEDED),
        (inet6.ICMPv6ParamProblem(code=1, ptr=6), (4, 1, 0), Reason.PROTOCOL_UNREACHABLE),
    ],
)
def test_an_error_of_scapys_is_read(made: ScapyPacket, type_code_mtu: tuple[int, int, int], reason: Reason) -> None:
    version = 4 if isinstance(made, inet.ICMP) else 6
    whole = FROM4 / made / QUOTED4 if version == 4 else FROM6 / made / QUOTED6
    error = icmp.parse(bytes(whole))
    like = TOO_BIG4 if version == 4 else TOO_BIG6
    kind, code, mtu = type_code_mtu
    assert error == like._replace(type=kind, code=code, mtu=mtu)
    assert error.reason is reason


def test_eight_bytes_of_the_segment_are_enough_and_seven_are_not() -> None:
    """RFC 792: the internet header plus the first 64 bits of the original datagram's data."""
    made = FROM4 / inet.ICMP(type=3, code=4, nexthopmtu=1280)
    assert icmp.parse(bytes(made / bytes(QUOTED4)[:28])) == TOO_BIG4
    with pytest.raises(WireError, match="quotes 7 bytes of TCP"):
        icmp.parse(bytes(made / bytes(QUOTED4)[:27]))


def test_a_quoted_packet_may_have_options_and_extension_headers() -> None:
    quoted4 = QUOTED4.copy()
    quoted4.options = [inet.IPOption_NOP()]
    assert icmp.parse(bytes(FROM4 / inet.ICMP(type=3, code=4, nexthopmtu=1280) / quoted4)) == TOO_BIG4
    quoted6 = inet6.IPv6(src=colons(A6), dst=colons(B6)) / inet6.IPv6ExtHdrDestOpt() / QUOTED6[inet.TCP]
    assert icmp.parse(bytes(FROM6 / inet6.ICMPv6PacketTooBig(mtu=1280) / quoted6)) == TOO_BIG6


@pytest.mark.parametrize(("error", "addresses", "longest"), [(TOO_BIG4, (A4, B4), 576), (TOO_BIG6, (A6, B6), 1280)])
def test_the_packet_itself_may_be_quoted_as_far_as_it_fits(
    error: IcmpError, addresses: tuple[bytes, bytes], longest: int
) -> None:
    """RFC 1812 section 4.3.2.3; RFC 4443 section 2.4 (c)."""
    source, destination = addresses
    segment = Segment(source, 40000, destination, 443, 0xFFFF_FFFE, 0, ACK, 9, (), bytes(1400))
    data = icmp.build(error, quote=packet.build(segment))
    assert len(data) == longest
    assert icmp.parse(data) == error


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (bytes(QUOTED4), "not ICMP: protocol 6"),
        (bytes(QUOTED6), "not ICMP: protocol 6"),
        (bytes(FROM4 / inet.ICMP(type=8) / QUOTED4), "type 8 is not an error"),
        (bytes(FROM4 / inet.ICMP(type=4) / QUOTED4), "type 4 is not an error"),
        (bytes(FROM6 / inet6.ICMPv6EchoRequest()), "type 128 is not an error"),
        (
            bytes(FROM4 / inet.ICMP(type=3) / inet.IP(src="192.0.2.1", dst="192.0.2.2") / inet.UDP()),
            "about protocol 17",
        ),
        (bytes(FROM4 / inet.ICMP(type=3) / QUOTED6), "quotes the other version"),
        (bytes(FROM4 / inet.ICMP(type=3)), "empty"),
        (bytes(FROM4 / inet.ICMP(type=3) / QUOTED4)[:27], "cut short"),
    ],
)
def test_what_is_no_error_about_tcp_is_refused_with_the_reason(data: bytes, words: str) -> None:
    with pytest.raises(WireError, match=words):
        icmp.parse(data)


@pytest.mark.parametrize("error", [TOO_BIG4, TOO_BIG6])
def test_a_damaged_error_is_noticed(error: IcmpError) -> None:
    bad = bytearray(icmp.build(error))
    bad[-1] ^= 1
    with pytest.raises(WireError, match="ICMP's checksum is wrong"):
        icmp.parse(bytes(bad))
    assert icmp.parse(bytes(bad), verify=False) == error._replace(seq=error.seq ^ 1)


@pytest.mark.parametrize(
    "error",
    [
        TOO_BIG4._replace(type=8),
        TOO_BIG4._replace(code=256),
        TOO_BIG4._replace(mtu=65536),
        TOO_BIG4._replace(reporter=ROUTER6),
        TOO_BIG4._replace(source=b""),
        TOO_BIG6._replace(type=128),
        TOO_BIG6._replace(mtu=2**32),
        TOO_BIG6._replace(seq=-1),
    ],
)
def test_what_cannot_be_sent_is_the_callers_mistake(error: IcmpError) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        icmp.build(error)
    assert not isinstance(caught.value, WireError)


@often
@given(
    st.sampled_from([icmp.build(TOO_BIG4), icmp.build(TOO_BIG6)]),
    st.lists(st.tuples(st.integers(0, 100), u8), max_size=4),
    st.integers(0, 110),
    st.binary(max_size=8),
)
def test_damaged_errors_raise_nothing_but_a_wire_error(
    good: bytes, damage: list[tuple[int, int]], length: int, more: bytes
) -> None:
    bad = bytearray(good[:length] + more)
    for at, value in damage:
        if at < len(bad):
            bad[at] = value
    for verify in (True, False):
        with contextlib.suppress(WireError):
            icmp.parse(bytes(bad), verify=verify)
