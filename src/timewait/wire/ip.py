"""IP headers, version 4 and 6, as far as TCP needs them: where the payload lies, from whom, to whom.

Options of IPv4 and extension headers of IPv6 are walked and not kept.  Fragments are refused: putting them together
needs state, and TCP on a host of today sends none.  What the payload says is for `packet` and `icmp`.
"""

from struct import Struct
from struct import error as StructError  # noqa: N812
from typing import Final, NamedTuple

from timewait.wire.checksum import fill
from timewait.wire.errors import WireError

# Protocol and next-header numbers: the IANA registry "Protocol Numbers".
ICMP: Final = 1
TCP: Final = 6
ICMPV6: Final = 58
_HOP_BY_HOP: Final = 0
_ROUTING: Final = 43
_FRAGMENT: Final = 44
_DESTINATION_OPTIONS: Final = 60

_V4 = Struct(">BBHHHBBH4s4s")
_V6 = Struct(">IHBB16s16s")


class IpHeader(NamedTuple):
    """What an IP packet says before its payload, which lies at [`start`:`end`] of the packet.

    `tos` is the traffic class in version 6, `ttl` the hop limit.  Version 6 has no identification (0) and never
    fragments on the way (`dont_fragment` is True).
    """

    source: bytes
    destination: bytes
    protocol: int
    start: int
    end: int
    ttl: int
    tos: int
    identification: int = 0
    dont_fragment: bool = True


def build(
    source: bytes,
    destination: bytes,
    protocol: int,
    size: int,
    ttl: int = 64,
    tos: int = 0,
    identification: int = 0,
    dont_fragment: bool = True,
) -> bytes:
    """Return the header for a payload of `size` bytes; the addresses' length says which version.

    Raises ValueError for what cannot be sent.  RFC 791 section 3.1, RFC 8200 section 3.
    """
    try:
        if len(source) == 4 == len(destination):
            fragment = 0x4000 if dont_fragment else 0
            total = 20 + size
            words = 0x4500 + tos + total + identification + fragment + (ttl << 8) + protocol
            checksum = fill(words + int.from_bytes(source + destination))
            return _V4.pack(0x45, tos, total, identification, fragment, ttl, protocol, checksum, source, destination)
        if len(source) == 16 == len(destination):
            if not 0 <= tos <= 255:
                raise ValueError(f"a traffic class of {tos}")
            return _V6.pack(0x6000_0000 | tos << 20, size, protocol, ttl, source, destination)
    except StructError as error:
        raise ValueError(f"an IP header cannot hold this: {error} (payload of {size} bytes)") from None
    raise ValueError(f"addresses of {len(source)} and {len(destination)} bytes; both need 4 or both 16")


def parse(data: bytes, *, verify: bool = True, quoted: bool = False) -> IpHeader:
    """Read the header at the start of `data`; what follows the packet is ignored.

    Without `verify` the header's checksum is not looked at, and a length of zero means "as long as `data`", as
    segmentation offload leaves it.  `quoted` is for the inside of ICMP errors, where routers cut the packet short.
    """
    if not data:
        raise WireError("an empty packet")
    match data[0] >> 4:
        case 4:
            return _parse_v4(data, verify, quoted)
        case 6:
            return _parse_v6(data, verify, quoted)
        case version:
            raise WireError(f"IP version {version}")


def _parse_v4(data: bytes, verify: bool, quoted: bool) -> IpHeader:
    """RFC 791 section 3.1."""
    if len(data) < 20:
        raise WireError(f"an IPv4 header in {len(data)} bytes")
    first, tos, total, identification, fragment, ttl, protocol, _, source, destination = _V4.unpack_from(data)
    start = (first & 15) * 4
    if start < 20:
        raise WireError(f"an IPv4 header that claims {start} bytes")
    if total == 0 and not verify:
        total = len(data)
    if total < start or len(data) < start:
        raise WireError(f"an IPv4 header of {start} bytes in a packet of {min(total, len(data))}")
    if verify and int.from_bytes(data[:start]) % 65535:
        raise WireError("the IPv4 header's checksum is wrong")
    if fragment & 0x1FFF or (fragment & 0x2000 and not quoted):
        raise WireError(f"a fragment, at byte {(fragment & 0x1FFF) * 8}")
    return IpHeader(
        source,
        destination,
        protocol,
        start,
        _end(data, total, quoted),
        ttl,
        tos,
        identification,
        fragment & 0x4000 != 0,
    )


def _parse_v6(data: bytes, verify: bool, quoted: bool) -> IpHeader:
    """RFC 8200 sections 3 and 4."""
    if len(data) < 40:
        raise WireError(f"an IPv6 header in {len(data)} bytes")
    first, size, following, ttl, source, destination = _V6.unpack_from(data)
    if size == 0 and not verify:
        size = len(data) - 40
    end = _end(data, 40 + size, quoted)
    at = 40
    while following in (_HOP_BY_HOP, _ROUTING, _FRAGMENT, _DESTINATION_OPTIONS):
        if following == _HOP_BY_HOP and at > 40:
            raise WireError("hop-by-hop options that do not come first")
        if at + 8 > end:
            raise WireError("an IPv6 extension header runs past the packet")
        # The length counts 8-byte units after the first; a fragment header has none, and the reserved byte is ignored.
        length = 8 if following == _FRAGMENT else 8 + 8 * data[at + 1]
        if at + length > end:
            raise WireError("an IPv6 extension header runs past the packet")
        if following == _FRAGMENT:
            place = int.from_bytes(data[at + 2 : at + 4])
            # Offset and M flag both zero: an atomic fragment, whole in itself.  RFC 6946.
            if place & 0xFFF8 or (place & 1 and not quoted):
                raise WireError(f"a fragment, at byte {place & 0xFFF8}")
        elif following == _ROUTING and data[at + 3] and not quoted:
            raise WireError("a packet on its way along a route: the addressee is not its last")
        following = data[at]
        at += length
    return IpHeader(source, destination, following, at, end, ttl, first >> 20 & 0xFF)


def _end(data: bytes, end: int, quoted: bool) -> int:
    if end <= len(data):
        return end
    if quoted:
        return len(data)
    raise WireError(f"cut short: {len(data)} bytes of {end}")
