"""Link layers that captures come with: what stands before the IP packet, and how to get past it.

Numbers and layouts: the LINKTYPE registry of tcpdump.org, whose numbers both capture formats use.
"""

from typing import Final

from timewait.wire.errors import WireError

NULL: Final = 0
ETHERNET: Final = 1
RAW: Final = 101
LOOP: Final = 108
LINUX_SLL: Final = 113
IPV4: Final = 228
IPV6: Final = 229
LINUX_SLL2: Final = 276

# DLT_RAW of some systems (12, on OpenBSD 14), found in files whose writers did not translate it to 101.
_OTHER_RAW: Final = (12, 14)
# EtherTypes (IEEE registry); tags of IEEE 802.1Q, 802.1ad, and the one in use before it.
_IP_TYPES: Final = (0x0800, 0x86DD)
_TAGS: Final = (0x8100, 0x88A8, 0x9100)
# AF_INET everywhere; AF_INET6 of Linux, NetBSD and OpenBSD, FreeBSD, Darwin.
_FAMILIES: Final = (2, 10, 24, 28, 30)


def strip(link: int, frame: bytes) -> bytes:
    """Return the IP packet in `frame`, captured on a link of type `link`; padding after the packet may remain."""
    if link in (RAW, IPV4, IPV6, *_OTHER_RAW):
        return _checked(frame)
    if link == ETHERNET:
        return _typed(frame, 14, 12)
    if link == LINUX_SLL:
        return _typed(frame, 16, 14)
    if link == LINUX_SLL2:
        return _typed(frame, 20, 0)
    if link in (NULL, LOOP):
        return _family(link, frame)
    raise WireError(f"frames of link type {link} are not read here")


def _typed(frame: bytes, size: int, at: int) -> bytes:
    """Get past a header of `size` bytes with an EtherType at `at`, and past VLAN tags behind it."""
    if len(frame) < size:
        raise WireError(f"a link header of {size} bytes in {len(frame)}")
    ethertype = int.from_bytes(frame[at : at + 2])
    while ethertype in _TAGS:
        if len(frame) < size + 4:
            raise WireError("a VLAN tag runs past the frame")
        ethertype = int.from_bytes(frame[size + 2 : size + 4])
        size += 4
    if ethertype not in _IP_TYPES:
        raise WireError(f"not IP: EtherType {ethertype:#06x}")
    return _checked(frame[size:])


def _family(link: int, frame: bytes) -> bytes:
    """Get past the address family: in the capturing machine's byte order on NULL, big-endian on LOOP."""
    family = int.from_bytes(frame[:4])
    if link == NULL and family not in _FAMILIES:
        family = int.from_bytes(frame[:4], "little")
    if family not in _FAMILIES:
        raise WireError(f"not IP: address family {family}")
    return _checked(frame[4:])


def _checked(packet: bytes) -> bytes:
    if not packet or packet[0] >> 4 not in (4, 6):
        raise WireError("no IP packet where the link header ends")
    return packet
