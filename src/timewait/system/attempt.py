"""`Attempt`: one real connect() or bind(), made because the user asked for it, and what came of it.

Leaves nothing behind: a connection is reset (SO_LINGER with a time of 0, __tcp_close in net/ipv4/tcp.c), so neither
end gets a TIME-WAIT; a bound socket never listens and is closed at once.
"""

import errno
import select
import socket
import struct
import time
from typing import Final, NamedTuple

from timewait.clock import MS, Duration
from timewait.endpoint import Endpoint

IP_BIND_ADDRESS_NO_PORT: Final = 24  # include/uapi/linux/in.h
TCP_INFO: Final = 11  # include/uapi/linux/tcp.h, as what follows
TCPI_OPT_TIMESTAMPS: Final = 1
_OPTIONS_AT: Final = 5  # struct tcp_info, tcpi_options
_RESENT: Final = struct.Struct("=100xI")  # struct tcp_info, tcpi_total_retrans; a SYN counts as any segment


class Attempt(NamedTuple):
    """What one call came to.

    `call`: "connect" or "bind", the one that failed where `error` (an errno's name) is not "".  `took` in ns.
    `resent`: segments sent more than once until then, that is SYNs.  `timestamps`: whether both ends use them, None
    where it did not connect.  `local`: the own end, None where there was none.  `reuse_address`: SO_REUSEADDR was set.
    """

    call: str
    error: str
    took: Duration
    resent: int = 0
    timestamps: bool | None = None
    local: Endpoint | None = None
    reuse_address: bool = False

    @property
    def ok(self) -> bool:
        """Whether it worked."""
        return not self.error


def connect(to: Endpoint, source: Endpoint | None, limit: Duration) -> Attempt:
    """Connect once, for `limit` ns at most, and reset the connection.

    With a source address alone the port is left to connect() (IP_BIND_ADDRESS_NO_PORT); with a source port
    SO_REUSEADDR is set, as without it bind() and not connect() would fail.  No answer in time is error "no answer".
    """
    fixed = source is not None and source.port != 0
    with _open(to) as new:
        new.setblocking(False)
        began = time.monotonic_ns()
        if source is not None:
            if fixed:
                new.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            else:
                new.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
            try:
                new.bind(source)
            except OSError as error:
                return Attempt("bind", _name(error.errno), time.monotonic_ns() - began, reuse_address=fixed)
        code = new.connect_ex(to)
        if code == errno.EINPROGRESS:
            poll = select.poll()
            poll.register(new, select.POLLOUT)
            ready = poll.poll(max(1, limit // MS))
            code = new.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) if ready else -1
        took = time.monotonic_ns() - began
        info = new.getsockopt(socket.IPPROTO_TCP, TCP_INFO, _RESENT.size)
        (resent,) = _RESENT.unpack(info) if len(info) == _RESENT.size else (0,)
        if code:
            return Attempt(
                "connect",
                "no answer" if code < 0 else _name(code),
                took,
                resent,
                None,
                _local(new),
                reuse_address=fixed,
            )
        own = _local(new)
        new.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return Attempt("connect", "", took, resent, bool(info[_OPTIONS_AT] & TCPI_OPT_TIMESTAMPS), own, fixed)


def bind(at: Endpoint, *, reuse_address: bool) -> Attempt:
    """Bind a socket to an address and port and close it again; it never listens."""
    with _open(at) as new:
        if reuse_address:
            new.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        began = time.monotonic_ns()
        error = ""
        try:
            new.bind(at)
        except OSError as failed:
            error = _name(failed.errno)
        return Attempt("bind", error, time.monotonic_ns() - began, reuse_address=reuse_address)


def _open(end: Endpoint) -> socket.socket:
    return socket.socket(socket.AF_INET6 if end.is_ipv6 else socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)


def _local(of: socket.socket) -> Endpoint | None:
    address, port = of.getsockname()[:2]
    return Endpoint(address, port) if port else None


def _name(code: int | None) -> str:
    return errno.errorcode.get(code or 0, str(code))
