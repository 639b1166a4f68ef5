"""Deleting sockets of the namespace this process lives in, TIME-WAIT records too, as `ss -K` does.

SOCK_DESTROY, include/uapi/linux/sock_diag.h; tcp_diag_destroy(), net/ipv4/tcp_diag.c; CONFIG_INET_DIAG_DESTROY.
"""

import os
import socket
from struct import Struct

from timewait.errors import UnavailableError
from timewait.system.netlink import HEADER, HEADER_SIZE, NLMSG_ERROR, request
from timewait.system.sock_diag import ALL_STATES
from timewait.system.socket_table import Socket, sockets

NETLINK_SOCK_DIAG = 4  # include/uapi/linux/netlink.h
NLM_F_ACK = 0x004
SOCK_DESTROY = 21
NO_COOKIE = b"\xff" * 8  # INET_DIAG_NOCOOKIE, include/uapi/linux/inet_diag.h

# struct inet_diag_req_v2: family, protocol, extensions; states; ports, addresses, interface, cookie.
_REQUEST = Struct("=BBBxI2s2s16s16sI8s")
_ERRNO = Struct("=i")


def destroy(local_port: int, peer_port: int) -> int:
    """Delete what has these ports, listeners excepted; return how many there were.

    Raises `UnavailableError` where this kernel cannot, or this user may not.
    """
    found = [row for row in sockets(ALL_STATES, local_port=local_port, peer_port=peer_port) if row.state != "LISTEN"]
    for row in found:
        _destroy(row)
    return len(found)


def _destroy(row: Socket) -> None:
    family = socket.AF_INET6 if ":" in row.local.address else socket.AF_INET
    ends = [(end.port.to_bytes(2, "big"), socket.inet_pton(family, end.address)) for end in (row.local, row.peer)]
    ports, addresses = zip(*ends, strict=True)
    payload = _REQUEST.pack(family, socket.IPPROTO_TCP, 0, ALL_STATES, *ports, *addresses, 0, NO_COOKIE)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_SOCK_DIAG) as asked:
        asked.sendto(request(SOCK_DESTROY, payload, flags=NLM_F_ACK), (0, 0))
        answer = asked.recv(4096)
    _, kind, *_ = HEADER.unpack_from(answer)
    (code,) = _ERRNO.unpack_from(answer, HEADER_SIZE) if kind == NLMSG_ERROR else (0,)
    if code:
        raise UnavailableError(
            f"{row.local} to {row.peer} cannot be destroyed: {os.strerror(-code)}",
            "it takes a kernel with CONFIG_INET_DIAG_DESTROY",
        )
