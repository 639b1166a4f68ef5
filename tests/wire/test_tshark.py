"""tshark reads what we write: packets, captures, comments."""

import subprocess
from io import BytesIO

from needs import require_program
from timewait.wire import packet, pcap, pcapng
from timewait.wire.segment import (
    ACK,
    FIN,
    SYN,
    MaximumSegmentSize,
    NoOperation,
    SackPermitted,
    Segment,
    Timestamps,
    WindowScale,
)

NOP = NoOperation()
SYN4 = Segment(
    bytes([192, 0, 2, 1]),
    40000,
    bytes([192, 0, 2, 2]),
    80,
    0xFFFF_FFFF,
    0,
    SYN,
    64240,
    (MaximumSegmentSize(1460), SackPermitted(), Timestamps(11, 0), NOP, WindowScale(7)),
)
FIN6 = Segment(
    bytes(15) + b"\x01", 80, bytes(15) + b"\x02", 40000, 300, 0, FIN | ACK, 501, (NOP, NOP, Timestamps(5, 11)), b"abc"
)
NOON = 1_700_000_000_123_456_789
FIELDS = ["frame.time_epoch", "tcp.seq_raw", "tcp.checksum.status", "tcp.options.timestamp.tsval", "tcp.len"]


def fields(capture: bytes, *names: str) -> list[list[str]]:
    """What tshark makes of the capture: a line for each packet; checksums are looked at."""
    command = [require_program("tshark"), "-n", "-r", "-", "-T", "fields"]
    command += ["-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE"]
    for name in names:
        command += ["-e", name]
    done = subprocess.run(command, input=capture, capture_output=True, check=True, timeout=60)
    return [line.split("\t") for line in done.stdout.decode().splitlines()]


def test_tshark_agrees_on_times_numbers_options_and_checksums_in_both_formats() -> None:
    old, new = BytesIO(), BytesIO()
    writers = pcap.Writer(old), pcapng.Writer(new)
    for writer in writers:
        writer.write(NOON, packet.build(SYN4))
        writer.write(NOON + 1, packet.build(FIN6))
    good = "1"
    expected = [
        ["1700000000.123456789", "4294967295", good, "11", "0"],
        ["1700000000.123456790", "300", good, "5", "3"],
    ]
    assert fields(old.getvalue(), *FIELDS) == expected
    assert fields(new.getvalue(), *FIELDS) == expected


def test_tshark_shows_comments_and_the_names_of_interfaces() -> None:
    file = BytesIO()
    writer = pcapng.Writer(file)
    client, server = writer.interface("client"), writer.interface("server")
    writer.write(NOON, packet.build(SYN4), interface=client, comment="lost on the way")
    writer.write(NOON, packet.build(FIN6), interface=server)
    assert fields(file.getvalue(), "frame.interface_name", "frame.comment", "ip.checksum.status") == [
        ["client", "lost on the way", "1"],
        ["server", "", ""],
    ]
