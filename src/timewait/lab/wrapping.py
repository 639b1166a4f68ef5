"""Segments <-> what a TUN device carries, with offload and without: super-segments made where several fit into one.

Works on values alone; the bytes are `wire`'s.
"""

from collections.abc import Iterable, Iterator

from timewait.tcp.icmp import IcmpError
from timewait.wire import icmp, packet, vnet
from timewait.wire.errors import WireError
from timewait.wire.segment import ACK, FIN, PSH, Segment

# The longest super-segment: an IP packet holds 65,535 octets, headers with all options take up to 120.
_LONGEST = 65_535 - 120

_KINDS = {
    icmp.Reason.NETWORK_UNREACHABLE: IcmpError.NETWORK_UNREACHABLE,
    icmp.Reason.HOST_UNREACHABLE: IcmpError.HOST_UNREACHABLE,
    icmp.Reason.PROTOCOL_UNREACHABLE: IcmpError.PROTOCOL_UNREACHABLE,
    icmp.Reason.PORT_UNREACHABLE: IcmpError.PORT_UNREACHABLE,
    icmp.Reason.PROHIBITED: IcmpError.PROHIBITED,
    icmp.Reason.UNREACHABLE: IcmpError.HOST_UNREACHABLE,
    icmp.Reason.TOO_BIG: IcmpError.FRAGMENTATION_NEEDED,
    icmp.Reason.TIME_EXCEEDED: IcmpError.TIME_EXCEEDED,
}


def bare(data: bytes, offload: bool) -> bytes:
    """Return the IP packet in what the device carries."""
    return data[vnet.SIZE :] if offload else data


def unwrap(data: bytes, offload: bool) -> Segment:
    """Read a segment; raises `WireError` where it is none."""
    return vnet.parse(data) if offload else packet.parse(data)


def unwrap_error(data: bytes, offload: bool) -> tuple[IcmpError, Segment, int] | None:
    """Read an ICMP error as `Stack.unreachable` wants it: kind, the segment quoted, the MTU; None where it is none."""
    try:
        error = icmp.parse(bare(data, offload))
    except WireError:
        return None
    kind = _KINDS.get(error.reason)
    if kind is None:
        return None
    quoted = Segment(error.source, error.source_port, error.destination, error.destination_port, error.seq, 0, ACK, 0)
    return kind, quoted, error.mtu


def wrap(segments: Iterable[Segment], offload: bool) -> Iterator[bytes]:
    """Make packets of segments in order; with offload, runs of text of one connection become super-segments."""
    if offload:
        for run in runs(segments):
            yield _super(run) if len(run) > 1 else vnet.build(run[0])
    else:
        for segment in segments:
            yield packet.build(segment)


def runs(segments: Iterable[Segment]) -> Iterator[list[Segment]]:
    """Group segments that one super-segment can stand for: all of one size, the last may be shorter and have a FIN."""
    run: list[Segment] = []
    seq = size = left = 0
    for segment in segments:
        length = len(segment.payload)
        if run and 0 < length <= size and length <= left and segment.seq == seq and _alike(run[0], segment):
            run.append(segment)
        else:
            if run:
                yield run
            run = [segment]
            size = length if segment.flags == ACK and not segment.urgent else 0
            left = _LONGEST
        left -= length
        seq = (segment.seq + length) & 0xFFFF_FFFF
        if length < size or segment.flags != ACK:
            size = 0  # nothing follows the last
    if run:
        yield run


def _alike(first: Segment, other: Segment) -> bool:
    """Whether two segments differ in sequence number, text, and what only the last of a run may carry."""
    return (
        first[:4] == other[:4]
        and first.ack == other.ack
        and other.flags & ~(PSH | FIN) == ACK
        and first.window == other.window
        and first.options == other.options
    )


def _super(run: list[Segment]) -> bytes:
    first, last = run[0], run[-1]
    whole = first._replace(flags=last.flags, payload=b"".join([segment.payload for segment in run]))
    return vnet.build(whole, len(first.payload))
