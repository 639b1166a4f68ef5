"""Whole packets: a TCP segment in IPv4 or IPv6 <-> `Segment`, checksums included.

The two layouts that nearly all traffic has, no IP options and no extension headers, are read in one step; everything
else, and everything that is refused, goes the long way, where each refusal has its words.  Bits of the TCP header that
are reserved are ignored when read and zero when sent (RFC 9293 section 3.1).
"""

from struct import Struct
from struct import error as StructError  # noqa: N812
from typing import NamedTuple, TypeAlias

from timewait.wire import ip
from timewait.wire.checksum import fill, pseudo, remainder
from timewait.wire.errors import WireError
from timewait.wire.options import decode, encode
from timewait.wire.segment import Segment

Bytes: TypeAlias = bytes | bytearray | memoryview

_TCP = Struct(">HHIIHHHH")
# IPv4 and TCP in one: to make, and to read what is wanted from it.  Likewise IPv6, only to read.
_V4_MAKE = Struct(">BBHHHBBH4s4sHHIIHHHH")
_V4_READ = Struct(">2xH2xHxB2x4s4sHHIIHH2xH")
_V6_READ = Struct(">4xHBx16s16sHHIIHH2xH")
_make = tuple.__new__


class Packet(NamedTuple):
    """A segment and what IP said around it; `build(*packet)` makes it again.

    `tos` is the traffic class in IPv6 and `ttl` the hop limit; the low two bits of `tos` are ECN's (RFC 3168).
    """

    segment: Segment
    ttl: int = 64
    tos: int = 0
    identification: int = 0
    dont_fragment: bool = True


def build(
    segment: Segment,
    ttl: int = 64,
    tos: int = 0,
    identification: int = 0,
    dont_fragment: bool = True,
    *,
    complete: bool = True,
) -> bytes:
    """Return the IP packet with both checksums filled.  `identification` and `dont_fragment` are IPv4's.

    Not `complete`: TCP's checksum field holds the sum of the pseudo-header alone, for whoever finishes it (see `vnet`).
    Raises ValueError for what cannot be sent: a number out of range, addresses of two families, more than 64 KB.
    """
    source, source_port, destination, destination_port, seq, ack, flags, window, options, payload, urgent = segment
    if flags >> 8:
        raise ValueError(f"flags of {flags:#x}; there are eight")
    tail = encode(options) + payload if options else payload
    size = 20 + len(tail)
    word = (size - len(payload) << 10) + flags
    addresses = int.from_bytes(source + destination) + ip.TCP
    checksum = addresses + size
    if complete:
        checksum += source_port + destination_port + seq + ack + word + window + urgent
        if tail:
            checksum += remainder(tail)
        checksum = fill(checksum)
    else:
        checksum %= 65535
    try:
        if len(source) == 4 == len(destination):
            # What ip.build() would do, in the same stroke: a third of the whole cost is saved.
            total = 20 + size
            fragment = 0x4000 if dont_fragment else 0
            ip_checksum = fill(addresses + 0x4500 + tos + total + identification + fragment + (ttl << 8))
            return (
                _V4_MAKE.pack(
                    0x45,
                    tos,
                    total,
                    identification,
                    fragment,
                    ttl,
                    ip.TCP,
                    ip_checksum,
                    source,
                    destination,
                    source_port,
                    destination_port,
                    seq,
                    ack,
                    word,
                    window,
                    checksum,
                    urgent,
                )
                + tail
            )
        header = ip.build(source, destination, ip.TCP, size, ttl, tos, identification, dont_fragment)
        return header + _TCP.pack(source_port, destination_port, seq, ack, word, window, checksum, urgent) + tail
    except StructError as error:
        raise ValueError(f"IP and TCP cannot hold this: {error} (a payload of {len(payload)} bytes)") from None


def parse(data: Bytes, *, verify: bool = True, start: int = 0) -> Segment:
    """Read the packet that begins at byte `start` of `data`; what follows the packet is ignored.

    `verify` checks the checksums of IPv4 and of TCP.  Without it, packets that the sender's hardware would have
    finished are read too: checksums unfilled, an IP length of zero.
    """
    if type(data) is not bytes:
        data = bytes(data)
    size = len(data) - start
    if size >= 60 and data[start] >> 4 == 6:
        return _parse_v6(data, verify, start)
    if size < 40 or data[start] != 0x45:
        return _parse_any(data[start:], verify)
    (total, fragment, protocol, source, destination, source_port, destination_port, seq, ack, word, window, urgent) = (
        _V4_READ.unpack_from(data, start)
    )
    body = 20 + (word >> 12) * 4
    if protocol != 6 or fragment & 0x3FFF or body < 40 or body > total or total > size:
        return _parse_any(data[start:], verify)
    end = start + total
    # The addresses stand right before the TCP header: one sum takes in the pseudo-header.
    if verify and (
        int.from_bytes(data[start : start + 20]) % 65535 or (remainder(data[start + 12 : end]) + total - 14) % 65535
    ):
        return _parse_any(data[start:], verify)
    options = () if body == 40 else decode(data[start + 40 : start + body])
    return _make(
        Segment,
        (
            source,
            source_port,
            destination,
            destination_port,
            seq,
            ack,
            word & 0xFF,
            window,
            options,
            data[start + body : end],
            urgent,
        ),
    )


def _parse_v6(data: bytes, verify: bool, start: int) -> Segment:
    """Read IPv6 in the layout without extension headers; `data` has 60 bytes at least."""
    (length, following, source, destination, source_port, destination_port, seq, ack, word, window, urgent) = (
        _V6_READ.unpack_from(data, start)
    )
    body = 40 + (word >> 12) * 4
    end = start + 40 + length
    if following != 6 or body < 60 or body > 40 + length or end > len(data):
        return _parse_any(data[start:], verify)
    if verify and (remainder(data[start + 8 : end]) + 6 + length) % 65535:
        return _parse_any(data[start:], verify)
    options = () if body == 60 else decode(data[start + 60 : start + body])
    return _make(
        Segment,
        (
            source,
            source_port,
            destination,
            destination_port,
            seq,
            ack,
            word & 0xFF,
            window,
            options,
            data[start + body : end],
            urgent,
        ),
    )


def _parse_any(data: bytes, verify: bool) -> Segment:
    """Read a packet of any layout, or say why not."""
    header = ip.parse(data, verify=verify)
    if header.protocol != ip.TCP:
        raise WireError(f"not TCP: protocol {header.protocol}")
    tcp = data[header.start : header.end]
    if len(tcp) < 20:
        raise WireError(f"a TCP header in {len(tcp)} bytes")
    source_port, destination_port, seq, ack, word, window, _, urgent = _TCP.unpack_from(tcp)
    body = (word >> 12) * 4
    if not 20 <= body <= len(tcp):
        raise WireError(f"a TCP header that claims {body} bytes of {len(tcp)}")
    if verify and (remainder(tcp) + pseudo(header.source, header.destination, ip.TCP, len(tcp))) % 65535:
        raise WireError("TCP's checksum is wrong")
    return Segment(
        header.source,
        source_port,
        header.destination,
        destination_port,
        seq,
        ack,
        word & 0xFF,
        window,
        decode(tcp[20:body]),
        tcp[body:],
        urgent,
    )


def parse_packet(data: Bytes, *, verify: bool = True, start: int = 0) -> Packet:
    """Read a packet as `parse` does, and keep what IP said.  RFC 791 section 3.1, RFC 8200 section 3."""
    if type(data) is not bytes:
        data = bytes(data)
    segment = parse(data, verify=verify, start=start)
    if len(segment.source) == 16:
        return Packet(segment, data[start + 7], (data[start] << 4 | data[start + 1] >> 4) & 0xFF)
    identification = int.from_bytes(data[start + 4 : start + 6])
    return Packet(segment, data[start + 8], data[start + 1], identification, data[start + 6] & 0x40 != 0)
