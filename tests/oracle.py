"""scapy, the independent opinion on packets and captures; its import warns, and nothing else here may."""

import logging
import warnings

logging.getLogger("scapy").setLevel(logging.ERROR)
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from scapy.layers import inet, inet6, l2
    from scapy.packet import Packet, Raw
    from scapy.utils import PcapNgReader, PcapReader, PcapWriter, RawPcapNgWriter, RawPcapReader, RawPcapWriter

__all__ = [
    "Packet",
    "PcapNgReader",
    "PcapReader",
    "PcapWriter",
    "Raw",
    "RawPcapNgWriter",
    "RawPcapReader",
    "RawPcapWriter",
    "inet",
    "inet6",
    "l2",
]
