"""Netlink framing: one request out, the datagrams of its dump in, every length checked before it is believed.

include/uapi/linux/netlink.h.  Knows headers, errors and the end of a dump; leaves the payload to `sock_diag`.
This module and those it stands on import little: starting up is most of what a short command costs.
"""

import _socket as socket  # the C half alone: the full module takes 15 ms to import, mostly for names we do not use
import errno
import os
from struct import Struct

from timewait.errors import UnavailableError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

HEADER = Struct("=IHHII")  # nlmsg_len, nlmsg_type, nlmsg_flags, nlmsg_seq, nlmsg_pid
HEADER_SIZE = HEADER.size
_ERRNO = Struct("=i")

NLMSG_NOOP = 1
NLMSG_ERROR = 2
NLMSG_DONE = 3
NLMSG_OVERRUN = 4
NLM_F_REQUEST = 0x001
NLM_F_DUMP_INTR = 0x010
NLM_F_DUMP = 0x300
SEQUENCE = 1  # one request a socket, so one number serves

# The kernel fills at most 32 KiB of a dump at a time (netlink_dump: max_recvmsg_len is capped at 32 KiB), so a larger
# buffer never receives more; one that is too small would cut a datagram, which MSG_TRUNC reveals.
DATAGRAM_SIZE = 32 * 1024


class NetlinkError(UnavailableError):
    """The kernel refused, or its answer cannot be what it says.  `code` is the errno, 0 when the answer is at fault."""

    def __init__(self, what: str, hint: str = "", code: int = 0) -> None:
        super().__init__(what, hint)
        self.code = code


class InterruptedDumpError(NetlinkError):
    """The table changed under the dump, or datagrams were lost: what was read may miss rows or hold some twice."""


def request(kind: int, payload: bytes, *, flags: int = NLM_F_DUMP) -> bytes:
    """Return one netlink request."""
    return HEADER.pack(HEADER_SIZE + len(payload), kind, NLM_F_REQUEST | flags, SEQUENCE, 0) + payload


class DumpState:
    """What one dump has said about itself so far."""

    __slots__ = ("done", "interrupted")

    def __init__(self) -> None:
        self.done = False
        self.interrupted = False


def messages(datagram: "memoryview", state: DumpState) -> "Iterator[tuple[int, int, int]]":
    """Yield (type, start, length) of each message that carries data; note the dump's end and interruptions in `state`.

    Raises `NetlinkError` for an error message of the kernel and for a length that cannot be true.
    """
    at, size = 0, len(datagram)
    while at < size:
        if size - at < HEADER_SIZE:
            raise NetlinkError(f"netlink answer ends inside a header ({size - at} of {HEADER_SIZE} bytes)")
        length, kind, flags, seq, _ = HEADER.unpack_from(datagram, at)
        if length < HEADER_SIZE or length > size - at:
            raise NetlinkError(f"netlink message claims {length} bytes where {size - at} are left")
        if flags & NLM_F_DUMP_INTR:
            state.interrupted = True
        if seq == SEQUENCE:  # anything else answers a question that was not ours
            if kind >= 16:
                yield kind, at, length
            elif kind in (NLMSG_DONE, NLMSG_ERROR):
                state.done = True
                _raise_code(datagram, at, length)
            elif kind == NLMSG_OVERRUN:
                state.interrupted = True
        at += (length + 3) & ~3


def _raise_code(datagram: "memoryview", at: int, length: int) -> None:
    """Raise the negative errno that an error message, or the end of a dump that failed half-way, carries."""
    if length < HEADER_SIZE + _ERRNO.size:
        return
    (code,) = _ERRNO.unpack_from(datagram, at + HEADER_SIZE)
    if code == -errno.ENOENT:
        raise _no_diag(errno.ENOENT)  # the netlink family exists, its TCP part does not
    if code < 0:
        raise NetlinkError(f"the kernel refused the socket dump: {os.strerror(-code)}", code=-code)


class DumpSocket:
    """A NETLINK_SOCK_DIAG socket that asks for one dump and hands out its datagrams."""

    def __init__(self) -> None:
        """Raise `UnavailableError` where the kernel has no sock_diag."""
        try:
            # 4: NETLINK_SOCK_DIAG, include/uapi/linux/netlink.h
            self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 4)
        except OSError as error:
            raise _no_diag(error.errno or 0) from None

    def ask(self, message: bytes) -> None:
        """Send one request."""
        try:
            self._socket.sendto(message, (0, 0))
        except OSError as error:
            raise _no_diag(error.errno or 0) from None

    def receive_into(self, buffer: "memoryview") -> int:
        """Receive one datagram into `buffer`; return its length.

        Raises `InterruptedDumpError` when datagrams were lost (ENOBUFS) or did not fit.
        """
        try:
            count, _, flags, sender = self._socket.recvmsg_into([buffer])
        except OSError as error:
            if error.errno == errno.ENOBUFS:
                raise InterruptedDumpError(
                    "the kernel dropped part of the socket dump (ENOBUFS)", code=errno.ENOBUFS
                ) from None
            raise NetlinkError(f"reading the socket dump failed: {error.strerror}", code=error.errno or 0) from None
        if sender[0] != 0:
            raise NetlinkError(f"a socket dump came from process {sender[0]} instead of the kernel")
        if flags & socket.MSG_TRUNC:
            raise InterruptedDumpError(f"a datagram of the socket dump is larger than {len(buffer)} bytes")
        return count

    def close(self) -> None:
        """Close the socket, which also ends a dump that was not read to its end."""
        self._socket.close()


def _no_diag(code: int) -> NetlinkError:
    return NetlinkError(
        f"this kernel offers no socket dump (NETLINK_SOCK_DIAG): {os.strerror(code)}",
        "load the module (as root: modprobe tcp_diag), or use a kernel with CONFIG_INET_DIAG",
        code,
    )
