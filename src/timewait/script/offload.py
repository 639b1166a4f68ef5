"""Runs of text as segmentation offload would have cut or joined them: scripts are written on stacks that have it."""

from timewait.wire.packet import Packet, build
from timewait.wire.segment import ACK, FIN, PSH
from timewait.wire.seq import MASK


def cut(live: Packet, size: int, push: bool) -> tuple[Packet, bytes]:
    """Return a packet's first `size` octets of text, and the packet that has the rest, as if offload had cut there."""
    segment = live.segment
    flags = segment.flags & ~(FIN | PSH) | (PSH if push else 0)
    first = live._replace(segment=segment._replace(flags=flags, payload=segment.payload[:size]))
    seq = (segment.seq + size) & MASK
    return first, build(*live._replace(segment=segment._replace(seq=seq, payload=segment.payload[size:])))


def joined(first: Packet, second: Packet) -> Packet | None:
    """Return two packets as the one that offload would have made of them; None if they do not follow each other.

    Scripts written on a stack with segmentation offload expect runs of segments as one packet.
    """
    one, two = first.segment, second.segment
    same = one._replace(seq=0, flags=0, payload=b"") == two._replace(seq=0, flags=0, payload=b"")
    if not same or not two.payload or two.seq != (one.seq + len(one.payload)) & MASK or one.flags & ~(ACK | PSH):
        return None
    both = one._replace(flags=one.flags | two.flags, payload=one.payload + two.payload)
    return first._replace(segment=both)
