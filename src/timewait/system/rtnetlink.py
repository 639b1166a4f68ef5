"""Links, addresses and routes of the namespace this process lives in: the changes that a private host needs.

include/uapi/linux/rtnetlink.h, if_link.h, if_addr.h.  One message asks, one answers; nothing is listed or removed here,
for what is made goes with its namespace.
"""

import os
import socket
import sys
from struct import Struct

from timewait.errors import UnavailableError
from timewait.system.netlink import HEADER, HEADER_SIZE, NLMSG_ERROR, request

NETLINK_ROUTE = 0  # include/uapi/linux/netlink.h
NLM_F_ACK = 0x004
NLM_F_CREATE = 0x400
NLM_F_EXCL = 0x200
RTM_NEWLINK = 16
RTM_NEWADDR = 20
RTM_NEWROUTE = 24
RTA_DST = 1
RTA_OIF = 4
RT_TABLE_MAIN = 254
RTPROT_STATIC = 4
RT_SCOPE_LINK = 253
RTN_UNICAST = 1
IFLA_IFNAME = 3
IFLA_MTU = 4
IFLA_TXQLEN = 13
IFLA_LINKINFO = 18
IFLA_INFO_KIND = 1
IFLA_INFO_DATA = 2
VETH_INFO_PEER = 1
IFA_ADDRESS = 1
IFA_LOCAL = 2
IFA_FLAGS = 8
IFA_F_NODAD = 0x02
IFF_UP = 1
IFF_NOARP = 0x80

_LINK = Struct("=BxHiII")  # struct ifinfomsg
_ADDRESS = Struct("=BBBBI")  # struct ifaddrmsg
_ROUTE = Struct("=BBBBBBBBI")  # struct rtmsg
_ATTRIBUTE = Struct("=HH")
_ERRNO = Struct("=i")


def link_up(name: str, mtu: int, queue: int) -> None:
    """Set a link's MTU and the length of its queue in packets, and bring it up."""
    attributes = _number(IFLA_MTU, mtu) + _number(IFLA_TXQLEN, queue)
    payload = _LINK.pack(0, 0, socket.if_nametoindex(name), IFF_UP, IFF_UP) + attributes
    _change(RTM_NEWLINK, payload, 0, f"link {name} cannot be brought up with an MTU of {mtu}")


def add_veth(name: str, peer: str) -> None:
    """Make a pair of Ethernet devices; the first asks nobody for addresses (IFF_NOARP)."""
    other = _LINK.pack(0, 0, 0, 0, 0) + _attribute(IFLA_IFNAME, peer.encode() + b"\0")
    kind = _attribute(IFLA_INFO_KIND, b"veth") + _attribute(IFLA_INFO_DATA, _attribute(VETH_INFO_PEER, other))
    payload = _LINK.pack(0, 0, 0, IFF_NOARP, IFF_NOARP) + _attribute(IFLA_IFNAME, name.encode() + b"\0")
    payload += _attribute(IFLA_LINKINFO, kind)
    _change(RTM_NEWLINK, payload, NLM_F_CREATE | NLM_F_EXCL, f"the pair {name}, {peer} cannot be made")


def add_address(name: str, address: str, prefix: int) -> None:
    """Give a link an address; an IPv6 one is used at once, no other host being there to have it (RFC 4862 5.4)."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    packed = socket.inet_pton(family, address)
    payload = _ADDRESS.pack(family, prefix, 0, 0, socket.if_nametoindex(name))
    payload += _attribute(IFA_LOCAL, packed) + _attribute(IFA_ADDRESS, packed)
    if family == socket.AF_INET6:
        payload += _number(IFA_FLAGS, IFA_F_NODAD)
    _change(RTM_NEWADDR, payload, NLM_F_CREATE | NLM_F_EXCL, f"link {name} cannot have the address {address}/{prefix}")


def add_route(name: str, destination: str) -> None:
    """Send what is for one address, of either family, through a link."""
    family = socket.AF_INET6 if ":" in destination else socket.AF_INET
    packed = socket.inet_pton(family, destination)
    payload = _ROUTE.pack(family, 8 * len(packed), 0, 0, RT_TABLE_MAIN, RTPROT_STATIC, RT_SCOPE_LINK, RTN_UNICAST, 0)
    payload += _attribute(RTA_DST, packed) + _number(RTA_OIF, socket.if_nametoindex(name))
    _change(RTM_NEWROUTE, payload, NLM_F_CREATE | NLM_F_EXCL, f"{destination} cannot be reached through link {name}")


def _attribute(kind: int, value: bytes) -> bytes:
    return _ATTRIBUTE.pack(_ATTRIBUTE.size + len(value), kind) + value + bytes(-len(value) % 4)


def _number(kind: int, value: int) -> bytes:
    return _attribute(kind, value.to_bytes(4, sys.byteorder))


def _change(kind: int, payload: bytes, flags: int, what: str) -> None:
    """Ask for one change and read the answer; `what` begins the error's words."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_ROUTE) as asking:
        asking.sendto(request(kind, payload, flags=flags | NLM_F_ACK), (0, 0))
        answer = asking.recv(4096)
    _, answered, *_ = HEADER.unpack_from(answer)
    if answered != NLMSG_ERROR:
        raise UnavailableError(f"{what}: the kernel answered with message {answered}")
    (code,) = _ERRNO.unpack_from(answer, HEADER_SIZE)
    if code:
        raise UnavailableError(f"{what}: {os.strerror(-code)}")
