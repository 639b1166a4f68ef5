"""Packets per second through our codec and through scapy, in one run: python bench/wire.py.

Both make and read whole IPv4 packets, checksums and options included.  The last lines are ours alone: super-segments of
60 KB behind a virtio-net header, whose checksum is the kernel's work.
"""

import logging
import warnings
from collections.abc import Callable
from time import perf_counter

from timewait.wire import packet, vnet
from timewait.wire.segment import (
    ACK,
    PSH,
    SYN,
    MaximumSegmentSize,
    NoOperation,
    SackPermitted,
    Segment,
    Timestamps,
    WindowScale,
)

logging.getLogger("scapy").setLevel(logging.ERROR)
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from scapy.layers import inet
    from scapy.packet import Raw

NOP = NoOperation()
PLAIN = Segment(bytes([192, 0, 2, 1]), 40000, bytes([192, 0, 2, 2]), 80, 0xFFFF_FFF0, 7, ACK, 501)
STAMPED = PLAIN._replace(options=(NOP, NOP, Timestamps(11, 12)))
OPENING = PLAIN._replace(
    flags=SYN, options=(MaximumSegmentSize(1460), SackPermitted(), Timestamps(11, 0), NOP, WindowScale(7))
)
FULL = STAMPED._replace(flags=ACK | PSH, payload=bytes(range(256)) * 5 + bytes(168))
SUPER = STAMPED._replace(payload=b"timewait" * 7500)
SCAPY_STAMPS = [("NOP", None), ("NOP", None), ("Timestamp", (11, 12))]
SCAPY_OPENING = [("MSS", 1460), ("SAckOK", b""), ("Timestamp", (11, 0)), ("NOP", None), ("WScale", 7)]


def rate(call: Callable[[], object], seconds: float = 0.4) -> float:
    """Calls per second: the best of four stretches, since others may be using the machine."""
    start, count = perf_counter(), 0
    while perf_counter() - start < seconds / 8:
        call()
        count += 1
    best = 0.0
    for _ in range(4):
        start = perf_counter()
        for _ in range(count):
            call()
        best = max(best, count / (perf_counter() - start))
    return best


def by_scapy(segment: Segment, options: list[tuple[object, object]]) -> Callable[[], bytes]:
    def make() -> bytes:
        tcp = inet.TCP(
            sport=segment.source_port,
            dport=segment.destination_port,
            seq=segment.seq,
            ack=segment.ack,
            flags=segment.flags,
            window=segment.window,
            options=options,
        )
        made = inet.IP(src="192.0.2.1", dst="192.0.2.2", flags="DF", id=0) / tcp
        return bytes(made / Raw(segment.payload) if segment.payload else made)

    return make


def main() -> None:
    print(f"{'packets per second':<24}{'build':>10}{'scapy':>9}{'ratio':>7}{'parse':>12}{'scapy':>9}{'ratio':>7}")
    for name, segment, options in (
        ("ACK", PLAIN, []),
        ("ACK, timestamps", STAMPED, SCAPY_STAMPS),
        ("SYN as Linux sends it", OPENING, SCAPY_OPENING),
        ("1448 bytes, timestamps", FULL, SCAPY_STAMPS),
    ):
        data = packet.build(segment)
        make = by_scapy(segment, list(options))
        if make() != data or packet.parse(data) != segment:
            raise SystemExit(f"error: the two codecs disagree about {name}")
        rates = [
            rate(lambda segment=segment: packet.build(segment)),  # type: ignore[misc]
            rate(make),
            rate(lambda data=data: packet.parse(data)),  # type: ignore[misc]
            rate(lambda data=data: inet.IP(data)[inet.TCP].options),  # type: ignore[misc]
        ]
        build, scapy_build, parse, scapy_parse = rates
        print(
            f"{name:<24}{build:>10,.0f}{scapy_build:>9,.0f}{build / scapy_build:>6.0f}x"
            f"{parse:>12,.0f}{scapy_parse:>9,.0f}{parse / scapy_parse:>6.0f}x"
        )
    data = vnet.build(SUPER, 1448)
    for what, found in (("built", rate(lambda: vnet.build(SUPER, 1448))), ("parsed", rate(lambda: vnet.parse(data)))):
        print(f"60 KB, virtio-net, {what:<7}{found:>8,.0f} per second, {found * len(SUPER.payload) / 1e6:,.0f} MB/s")


if __name__ == "__main__":
    main()
