"""A copy of every packet that passes over the loopback of a network namespace, with the time at which it did.

packet(7): a socket that hears what comes in, so each packet once.  What the reader is too slow for is counted by the
kernel and lost; the packets themselves go their way undisturbed.
"""

import errno
import socket
import struct
from typing import Final, NamedTuple

from timewait.clock import SECOND, Instant
from timewait.errors import UnavailableError

# include/uapi/linux/if_ether.h, if_packet.h; include/uapi/asm-generic/socket.h
_ETH_P_ALL: Final = 0x0003
_SOL_PACKET: Final = 263
_PACKET_STATISTICS: Final = 6
_PACKET_IGNORE_OUTGOING: Final = 23  # Linux 4.20
_SO_TIMESTAMPNS: Final = 35
_SO_RCVBUFFORCE: Final = 33
_TIMESPEC: Final = struct.Struct("qq")
_STATISTICS: Final = struct.Struct("II")
# Some thousand packets as large as loopback has them.
_BUFFER: Final = 256 << 20
_LONGEST: Final = 65_536


class Heard(NamedTuple):
    """A packet, from its IP header on, and when it passed: nanoseconds since 1970."""

    time: Instant
    packet: bytes


def create() -> int:
    """Begin to listen in the network namespace of this process; return the descriptor.  Raises `UnavailableError`."""
    try:
        tap = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK, 0)
    except OSError as error:
        raise UnavailableError(f"loopback cannot be listened to: {error.strerror}") from None
    try:
        tap.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        tap.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
        try:
            tap.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER)
        except OSError as error:
            if error.errno != errno.EPERM:
                raise
            tap.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)  # as much as net.core.rmem_max allows
        tap.bind(("lo", _ETH_P_ALL))
    except OSError as error:
        tap.close()
        raise UnavailableError(f"loopback cannot be listened to: {error.strerror}") from None
    return tap.detach()


class Tap:
    """The listening end.  `close` ends it; `missed` counts what was never heard."""

    def __init__(self, descriptor: int) -> None:
        self._socket = socket.socket(fileno=descriptor)
        self.missed = 0

    def take(self) -> list[Heard]:
        """Return what passed since the last time."""
        found = []
        while True:
            try:
                data, ancillary, _, _ = self._socket.recvmsg(_LONGEST, socket.CMSG_SPACE(_TIMESPEC.size))
            except BlockingIOError:
                break
            seconds, rest = _TIMESPEC.unpack(ancillary[0][2][: _TIMESPEC.size])
            found.append(Heard(seconds * SECOND + rest, data))
        self.missed += _STATISTICS.unpack(self._socket.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8))[1]
        return found

    def close(self) -> None:
        """Listen no more.  May be called again."""
        self._socket.close()
