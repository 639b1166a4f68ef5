"""scapy, the independent opinion on packets and captures; its import warns, and nothing else here may."""

import logging
import warnings

from timewait.wire.packet import Packet as OurPacket
from timewait.wire.segment import (
    EndOfOptions,
    MaximumSegmentSize,
    NoOperation,
    Option,
    Sack,
    SackPermitted,
    Timestamps,
    UnknownOption,
    WindowScale,
)

logging.getLogger("scapy").setLevel(logging.ERROR)
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from scapy.layers import inet, inet6, l2
    from scapy.packet import Packet, Raw
    from scapy.utils import PcapNgReader, PcapNgWriter, PcapReader, RawPcapReader, RawPcapWriter

__all__ = [
    "Packet",
    "PcapNgReader",
    "PcapNgWriter",
    "PcapReader",
    "Raw",
    "RawPcapReader",
    "RawPcapWriter",
    "colons",
    "dotted",
    "inet",
    "inet6",
    "l2",
    "scapy_packet",
]


def scapy_options(options: tuple[Option, ...]) -> list[tuple[object, object]]:
    """The options in scapy's words."""
    said: list[tuple[object, object]] = []
    for option in options:
        match option:
            case EndOfOptions():
                said.append(("EOL", None))
            case NoOperation():
                said.append(("NOP", None))
            case MaximumSegmentSize(size):
                said.append(("MSS", size))
            case WindowScale(shift):
                said.append(("WScale", shift))
            case SackPermitted():
                said.append(("SAckOK", b""))
            case Sack(blocks):
                said.append(("SAck", tuple(edge for block in blocks for edge in block)))
            case Timestamps(value, echo):
                said.append(("Timestamp", (value, echo)))
            case UnknownOption(kind, data):
                said.append((kind, data))
    return said


def scapy_packet(p: OurPacket) -> Packet:
    """The same packet, made by scapy: lengths, offsets and checksums are all its own."""
    s = p.segment
    below: Packet
    if len(s.source) == 4:
        below = inet.IP(src=dotted(s.source), dst=dotted(s.destination), ttl=p.ttl, tos=p.tos, id=p.identification)
        below.flags = "DF" if p.dont_fragment else 0
    else:
        below = inet6.IPv6(src=colons(s.source), dst=colons(s.destination), hlim=p.ttl, tc=p.tos)
    tcp = inet.TCP(
        sport=s.source_port,
        dport=s.destination_port,
        seq=s.seq,
        ack=s.ack,
        flags=s.flags,
        window=s.window,
        urgptr=s.urgent,
        options=scapy_options(s.options),
    )
    made: Packet = below / tcp / Raw(s.payload) if s.payload else below / tcp
    return made


def dotted(address: bytes) -> str:
    return ".".join(map(str, address))


def colons(address: bytes) -> str:
    return ":".join(address[i : i + 2].hex() for i in range(0, 16, 2))
