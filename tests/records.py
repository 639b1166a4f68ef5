"""Socket records as the kernel writes them, built from the header's description and nothing of ours.

include/uapi/linux/inet_diag.h: struct inet_diag_msg behind a struct nlmsghdr, attributes behind it.
"""

import socket
import struct
from typing import NamedTuple

DUMP_TYPE, DONE, ERROR, MULTI, INTERRUPTED = 18, 3, 2, 0x2, 0x10


class Record(NamedTuple):
    family: int = socket.AF_INET
    state: int = 6
    timer: int = 3
    source: str = "192.0.2.1"
    source_port: int = 40000
    destination: str = "198.51.100.7"
    destination_port: int = 443
    expires_ms: int = 30000
    with_mark: bool = True
    v6_only: bool | None = None  # None: no such attribute
    flags: int = MULTI


def packed(family: int, address: str) -> bytes:
    return socket.inet_pton(family, address).ljust(16, b"\0")


def message(record: Record, sequence: int = 1) -> bytes:
    body = struct.pack("=BBBB", record.family, record.state, record.timer, 0)
    body += struct.pack(">HH", record.source_port, record.destination_port)
    body += packed(record.family, record.source) + packed(record.family, record.destination)
    body += struct.pack("=I8s", 0, bytes(8))
    body += struct.pack("=IIIII", record.expires_ms, 0, 0, 0, 0)
    if record.v6_only is not None:
        body += struct.pack("=HHB3x", 5, 11, record.v6_only)
    if record.with_mark:
        body += struct.pack("=HHI", 8, 15, 0)
    return struct.pack("=IHHII", 16 + len(body), DUMP_TYPE, record.flags, sequence, 0) + body


def done(code: int = 0, flags: int = MULTI, sequence: int = 1) -> bytes:
    return struct.pack("=IHHIIi", 20, DONE, flags, sequence, 0, code)


def error(code: int, sequence: int = 1) -> bytes:
    return struct.pack("=IHHIIi", 36, ERROR, 0, sequence, 0, code) + bytes(16)


class Datagrams:
    """What a kernel would hand out, one datagram a call."""

    def __init__(self, *datagrams: bytes) -> None:
        self.left = list(datagrams)

    def receive_into(self, buffer: memoryview) -> int:
        datagram = self.left.pop(0) if self.left else done()
        buffer[: len(datagram)] = datagram
        return len(datagram)
