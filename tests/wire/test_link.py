"""What stands before IP in captures: the LINKTYPE registry's layouts, and scapy's frames."""

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oracle import inet, inet6, l2
from timewait.wire import link
from timewait.wire.errors import WireError

FOUR = bytes(inet.IP(src="192.0.2.1", dst="192.0.2.2") / inet.TCP())
SIX = bytes(inet6.IPv6(src="2001:db8::1", dst="2001:db8::2") / inet.TCP())
MAC = {"src": "02:00:00:00:00:01", "dst": "02:00:00:00:00:02"}


@pytest.mark.parametrize("packet", [FOUR, SIX])
@pytest.mark.parametrize("kind", [link.RAW, link.IPV4, link.IPV6, 12, 14])
def test_raw_ip_is_the_packet(kind: int, packet: bytes) -> None:
    assert link.strip(kind, packet) == packet


@pytest.mark.parametrize("packet", [inet.IP(FOUR), inet6.IPv6(SIX)])
@pytest.mark.parametrize(
    ("kind", "layers"),
    [
        (link.ETHERNET, l2.Ether(dst=MAC["dst"], src=MAC["src"])),
        (link.ETHERNET, l2.Ether(dst=MAC["dst"], src=MAC["src"]) / l2.Dot1Q(vlan=5)),
        (link.ETHERNET, l2.Ether(dst=MAC["dst"], src=MAC["src"]) / l2.Dot1AD(vlan=5) / l2.Dot1Q(vlan=6)),
        (link.LINUX_SLL, l2.CookedLinux(src=b"\x02\x00\x00\x00\x00\x01", lladdrlen=6)),
        (link.LINUX_SLL2, l2.CookedLinuxV2(src=b"\x02\x00\x00\x00\x00\x01", lladdrlen=6, ifindex=3)),
    ],
)
def test_frames_of_scapys_are_stripped(kind: int, layers: l2.Ether, packet: inet.IP) -> None:
    assert link.strip(kind, bytes(layers / packet)) == bytes(packet)


@pytest.mark.parametrize(
    ("kind", "family", "packet"),
    [
        (link.NULL, "02000000", FOUR),
        (link.NULL, "00000002", FOUR),
        (link.NULL, "1e000000", SIX),  # Darwin, little-endian
        (link.NULL, "1c000000", SIX),  # FreeBSD
        (link.NULL, "0000001c", SIX),
        (link.LOOP, "00000002", FOUR),
        (link.LOOP, "00000018", SIX),  # OpenBSD
    ],
)
def test_the_address_family_of_loopback_is_read_in_the_writers_byte_order(
    kind: int, family: str, packet: bytes
) -> None:
    assert link.strip(kind, bytes.fromhex(family) + packet) == packet


@pytest.mark.parametrize(
    ("kind", "frame", "words"),
    [
        (105, FOUR, "link type 105"),
        (link.RAW, b"", "no IP packet"),
        (link.RAW, b"\x00" * 20, "no IP packet"),
        (link.ETHERNET, bytes(13), "header of 14 bytes in 13"),
        (link.ETHERNET, bytes(12) + b"\x08\x06" + bytes(28), "not IP: EtherType 0x0806"),
        (link.ETHERNET, bytes(12) + b"\x81\x00\x00\x05", "VLAN tag runs past"),
        (link.ETHERNET, bytes(12) + b"\x08\x00", "no IP packet"),
        (link.LINUX_SLL, bytes(15), "header of 16 bytes in 15"),
        (link.NULL, b"\x07\x00\x00\x00" + FOUR, "not IP: address family"),
        (link.LOOP, b"\x02\x00\x00\x00" + FOUR, "not IP: address family"),
        (link.NULL, b"", "not IP: address family 0"),
    ],
)
def test_what_holds_no_ip_packet_is_refused_with_the_reason(kind: int, frame: bytes, words: str) -> None:
    with pytest.raises(WireError, match=words):
        link.strip(kind, frame)


@settings(deadline=None)
@given(st.sampled_from([0, 1, 101, 108, 113, 228, 276]), st.binary(max_size=60))
def test_no_frame_raises_anything_but_a_wire_error(kind: int, frame: bytes) -> None:
    with contextlib.suppress(WireError):
        link.strip(kind, frame)
