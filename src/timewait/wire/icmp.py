"""ICMP errors about a TCP connection, version 4 and 6: who complains, about which segment, why.

Reads and makes the errors that carry a piece of the packet they complain about.  Whether to believe one, and what it
does to a connection (RFC 9293 section 3.9.2.2, RFC 5927), is decided elsewhere.
"""

from enum import StrEnum
from struct import Struct
from struct import error as StructError  # noqa: N812
from typing import Final, NamedTuple

from timewait.wire import ip
from timewait.wire.checksum import fill, pseudo, remainder
from timewait.wire.errors import WireError

_HEAD = Struct(">BBHI")
_PORTS = Struct(">HHI")
# RFC 1812 section 4.3.2.5: network control, as routers mark their errors.
_PRECEDENCE: Final = 0xC0
# RFC 1812 section 4.3.2.3 and RFC 4443 section 3.1: no error is longer than this, headers included.
_LONGEST: Final = {4: 576, 6: 1280}


# RFC 4443 section 4.1.
_ECHO_REQUEST = 128


class Reason(StrEnum):
    """What an error says, the same in both versions of IP."""

    NETWORK_UNREACHABLE = "network unreachable"
    HOST_UNREACHABLE = "host unreachable"
    PROTOCOL_UNREACHABLE = "protocol unreachable"
    PORT_UNREACHABLE = "port unreachable"
    PROHIBITED = "prohibited by an administrator"
    UNREACHABLE = "unreachable for another reason"
    TOO_BIG = "packet too big"
    TIME_EXCEEDED = "time exceeded"
    PARAMETER_PROBLEM = "parameter problem"


# RFC 792 and RFC 1812 section 5.2.7.1; None stands for any other code of the type.
_V4: Final[dict[int, dict[int | None, Reason]]] = {
    3: {
        0: Reason.NETWORK_UNREACHABLE,
        1: Reason.HOST_UNREACHABLE,
        2: Reason.PROTOCOL_UNREACHABLE,
        3: Reason.PORT_UNREACHABLE,
        4: Reason.TOO_BIG,
        6: Reason.NETWORK_UNREACHABLE,
        7: Reason.HOST_UNREACHABLE,
        9: Reason.PROHIBITED,
        10: Reason.PROHIBITED,
        11: Reason.NETWORK_UNREACHABLE,
        12: Reason.HOST_UNREACHABLE,
        13: Reason.PROHIBITED,
        None: Reason.UNREACHABLE,
    },
    11: {None: Reason.TIME_EXCEEDED},
    12: {None: Reason.PARAMETER_PROBLEM},
}
# RFC 4443 section 3.
_V6: Final[dict[int, dict[int | None, Reason]]] = {
    1: {
        0: Reason.NETWORK_UNREACHABLE,
        1: Reason.PROHIBITED,
        3: Reason.HOST_UNREACHABLE,
        4: Reason.PORT_UNREACHABLE,
        None: Reason.UNREACHABLE,
    },
    2: {None: Reason.TOO_BIG},
    3: {None: Reason.TIME_EXCEEDED},
    4: {1: Reason.PROTOCOL_UNREACHABLE, None: Reason.PARAMETER_PROBLEM},
}


class IcmpError(NamedTuple):
    """One error: `reporter` sent it, the rest is quoted from the segment that caused it.

    `source` is therefore the host that receives the error.  `type` and `code` are the version's own numbers; `mtu` is
    the next hop's where the error is about size, else 0.
    """

    reporter: bytes
    source: bytes
    source_port: int
    destination: bytes
    destination_port: int
    seq: int
    type: int
    code: int
    mtu: int = 0

    @property
    def reason(self) -> Reason:
        """What the type and the code mean."""
        return _reason(self)


def _reason(error: IcmpError) -> Reason:
    table = _V4 if len(error.source) == 4 else _V6
    codes = table.get(error.type)
    if codes is None:
        raise ValueError(f"ICMP type {error.type} is not an error that is kept here")
    return codes.get(error.code) or codes[None]


def build(
    error: IcmpError, ttl: int = 64, tos: int | None = None, identification: int = 0, *, quote: bytes = b""
) -> bytes:
    """Return the IP packet that carries the error to `error.source`.

    `quote` is the packet complained about, cut here to what fits; without it the packet's IP header and first eight
    bytes of TCP are made up from the error's own fields (RFC 792).  Raises ValueError for what cannot be sent.
    """
    _reason(error)
    version = 4 if len(error.source) == 4 else 6
    protocol = ip.ICMP if version == 4 else ip.ICMPV6
    if tos is None:
        tos = _PRECEDENCE if version == 4 else 0
    try:
        if not quote:
            quote = ip.build(error.source, error.destination, ip.TCP, 20)
            quote += _PORTS.pack(error.source_port, error.destination_port, error.seq)
        quote = quote[: _LONGEST[version] - (28 if version == 4 else 48)]
        if version == 4 and error.mtu >> 16:
            raise ValueError(f"an MTU of {error.mtu} in 16 bits")
        size = 8 + len(quote)
        head = _HEAD.pack(error.type, error.code, 0, error.mtu)
        words = remainder(head) + remainder(quote)
        if version == 6:
            words += pseudo(error.reporter, error.source, protocol, size)
        head = _HEAD.pack(error.type, error.code, fill(words), error.mtu)
    except StructError as failure:
        raise ValueError(f"an ICMP error cannot hold this: {failure}") from None
    return ip.build(error.reporter, error.source, protocol, size, ttl, tos, identification, False) + head + quote


def message(source: bytes, destination: bytes, kind: int, code: int) -> bytes:
    """Return the IP packet of any other message, its body eight zero octets.  RFC 792, RFC 4443 section 2.1."""
    body = bytes(8)
    protocol = ip.ICMP if len(source) == 4 else ip.ICMPV6
    try:
        words = remainder(_HEAD.pack(kind, code, 0, 0))
    except StructError as failure:
        raise ValueError(f"ICMP type {kind} code {code}: {failure}") from None
    if protocol == ip.ICMPV6:
        words += pseudo(source, destination, protocol, 8 + len(body))
    return ip.build(source, destination, protocol, 8 + len(body)) + _HEAD.pack(kind, code, fill(words), 0) + body


def echo_request(source: bytes, destination: bytes) -> bytes:
    """Return the IP packet that asks a host of IPv6 for an answer.  RFC 4443 section 4.1."""
    head = _HEAD.pack(_ECHO_REQUEST, 0, 0, 0)
    head = _HEAD.pack(_ECHO_REQUEST, 0, fill(remainder(head) + pseudo(source, destination, ip.ICMPV6, 8)), 0)
    return ip.build(source, destination, ip.ICMPV6, 8) + head


def is_echo_reply(data: bytes) -> bool:
    """Whether an IP packet is a host's answer to that.  RFC 4443 section 4.2."""
    return data[:1] >= b"\x60" and data[6:7] == bytes((ip.ICMPV6,)) and data[40:41] == bytes((_ECHO_REQUEST + 1,))


def parse(data: bytes, *, verify: bool = True) -> IcmpError:
    """Read an IP packet that carries an ICMP error about TCP.  RFC 792, RFC 1191 section 4, RFC 4443 section 3.

    The quoted piece need only reach as far as the sequence number; its own checksums are not looked at.
    """
    header = ip.parse(data, verify=verify)
    if header.protocol != (ip.ICMP if len(header.source) == 4 else ip.ICMPV6):
        raise WireError(f"not ICMP: protocol {header.protocol}")
    body = data[header.start : header.end]
    if len(body) < 8:
        raise WireError(f"an ICMP header in {len(body)} bytes")
    if verify:
        words = remainder(body)
        if header.protocol == ip.ICMPV6:
            words += pseudo(header.source, header.destination, ip.ICMPV6, len(body))
        if words % 65535:
            raise WireError("ICMP's checksum is wrong")
    kind, code, _, mtu = _HEAD.unpack_from(body)
    table = _V4 if header.protocol == ip.ICMP else _V6
    if kind not in table:
        raise WireError(f"ICMP type {kind} is not an error that is kept here")
    if table[kind].get(code, table[kind][None]) is not Reason.TOO_BIG:
        mtu = 0
    elif header.protocol == ip.ICMP:
        mtu &= 0xFFFF
    quote = ip.parse(body[8:], verify=False, quoted=True)
    if len(quote.source) != len(header.source):
        raise WireError("an ICMP error that quotes the other version of IP")
    if quote.protocol != ip.TCP:
        raise WireError(f"an ICMP error about protocol {quote.protocol}, not TCP")
    if quote.end - quote.start < 8:
        raise WireError(f"an ICMP error that quotes {quote.end - quote.start} bytes of TCP; 8 are needed")
    source_port, destination_port, seq = _PORTS.unpack_from(body, 8 + quote.start)
    return IcmpError(
        header.source, quote.source, source_port, quote.destination, destination_port, seq, kind, code, mtu
    )
