"""The ten bytes that stand before each packet on a TUN or TAP device opened with IFF_VNET_HDR.

They let the two sides leave work to each other: a checksum not yet filled, a segment of up to 64 KB that is cut to size
later or never.  The header is virtio's (Virtual I/O Device specification 1.2, section 5.1.6), in the byte order of the
machine, which is what a TUN device uses unless told otherwise.
"""

from struct import Struct
from struct import error as StructError  # noqa: N812
from typing import Final, NamedTuple

from timewait.wire import packet
from timewait.wire.checksum import fill, remainder
from timewait.wire.errors import WireError
from timewait.wire.packet import Bytes
from timewait.wire.segment import CWR, Segment

_HEADER = Struct("=BBHHHH")
SIZE: Final = _HEADER.size

# Virtio 1.2 section 5.1.6; the same numbers in Linux's include/uapi/linux/virtio_net.h.
NEEDS_CSUM: Final = 1
DATA_VALID: Final = 2
GSO_NONE: Final = 0
GSO_TCPV4: Final = 1
GSO_TCPV6: Final = 4
GSO_ECN: Final = 0x80
# Where the checksum stands in a TCP header.  RFC 9293 section 3.1.
_CHECKSUM_AT: Final = 16


class VnetHeader(NamedTuple):
    """`struct virtio_net_hdr`: hdr_len, gso_size, csum_start and csum_offset by their longer names.

    All zero: an ordinary packet, complete as it stands.
    """

    flags: int = 0
    gso_type: int = GSO_NONE
    header_length: int = 0
    segment_size: int = 0
    checksum_start: int = 0
    checksum_offset: int = 0


PLAIN: Final = bytes(SIZE)


def encode(header: VnetHeader) -> bytes:
    """Return the header's ten bytes; ValueError for a number out of range."""
    try:
        return _HEADER.pack(*header)
    except StructError as error:
        raise ValueError(f"a virtio-net header cannot hold this: {error}") from None


def decode(data: Bytes) -> VnetHeader:
    """Read the header at the start of `data`."""
    if len(data) < SIZE:
        raise WireError(f"a virtio-net header in {len(data)} bytes")
    return VnetHeader._make(_HEADER.unpack_from(data))


def build(
    segment: Segment,
    segment_size: int = 0,
    ttl: int = 64,
    tos: int = 0,
    identification: int = 0,
    dont_fragment: bool = True,
) -> bytes:
    """Return header and packet, TCP's checksum left to the kernel.

    A payload above `segment_size` (if not 0) makes a super-segment, which the kernel cuts into segments of that many
    bytes where it must; sequence numbers go up, FIN and PSH stay with the last, CWR with the first.
    """
    data = packet.build(segment, ttl, tos, identification, dont_fragment, complete=False)
    start = 20 if len(segment.source) == 4 else 40
    if 0 < segment_size < len(segment.payload):
        gso_type = GSO_TCPV4 if start == 20 else GSO_TCPV6
        if segment.flags & CWR:
            gso_type |= GSO_ECN
        length = len(data) - len(segment.payload)
        return _HEADER.pack(NEEDS_CSUM, gso_type, length, segment_size, start, _CHECKSUM_AT) + data
    return _HEADER.pack(NEEDS_CSUM, GSO_NONE, 0, 0, start, _CHECKSUM_AT) + data


def plain(packet_data: bytes, segment_size: int = 0) -> bytes:
    """Return header and packet, for one whose checksums stand already; `segment_size` as of `build`, 0 for none."""
    if not segment_size:
        return PLAIN + packet_data
    gso_type, start = (GSO_TCPV4, 20) if packet_data[0] >> 4 == 4 else (GSO_TCPV6, 40)
    length = start + (packet_data[start + 12] >> 4) * 4
    if len(packet_data) - length <= segment_size:
        return PLAIN + packet_data
    return encode(VnetHeader(0, gso_type, length, segment_size)) + packet_data


def complete(data: bytes) -> bytes:
    """Return the packet behind the header, the checksum that was left to us filled in.

    The field holds the sum of the pseudo-header, so that summing all from where the header says is enough.
    """
    header = decode(data)
    found = data[SIZE:]
    at = header.checksum_start + header.checksum_offset
    if not header.flags & NEEDS_CSUM or at + 2 > len(found):
        return found
    checksum = fill(remainder(found[header.checksum_start :]))
    return found[:at] + checksum.to_bytes(2, "big") + found[at + 2 :]


def parse(data: Bytes, *, verify: bool = True) -> Segment:
    """Read header and packet; checksums are verified only where the header does not vouch for them.

    A super-segment comes as one `Segment`; its `VnetHeader.segment_size` says what size it stands for.
    """
    if len(data) < SIZE:
        raise WireError(f"a virtio-net header in {len(data)} bytes")
    return packet.parse(data, verify=verify and not data[0] & (NEEDS_CSUM | DATA_VALID), start=SIZE)
