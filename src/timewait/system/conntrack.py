"""Connection tracking in the namespace this process lives in: switched on, and its entries read.

A rule that looks at a packet's tracking state makes the kernel track: nft_ct_get_init(), net/netfilter/nft_ct.c.  The
rule lets everything pass, and goes with its namespace.  include/uapi/linux/netfilter/nfnetlink.h, nf_tables.h.
"""

import os
import re
import socket
from struct import Struct
from typing import Final, NamedTuple

from timewait.clock import SECOND, Duration
from timewait.errors import UnavailableError
from timewait.system.netlink import HEADER, HEADER_SIZE, NLM_F_REQUEST, NLMSG_ERROR

NETLINK_NETFILTER: Final = 12  # include/uapi/linux/netlink.h
NLM_F_ACK, NLM_F_CREATE, NLM_F_APPEND = 0x004, 0x400, 0x800
NFNL_SUBSYS_NFTABLES: Final = 10
NFNL_MSG_BATCH_BEGIN, NFNL_MSG_BATCH_END = 16, 17
NFT_MSG_NEWTABLE, NFT_MSG_NEWCHAIN, NFT_MSG_NEWRULE = 0, 3, 6
NFPROTO_IPV4: Final = 2
NF_INET_LOCAL_OUT: Final = 3
NLA_F_NESTED: Final = 0x8000
NFTA_TABLE_NAME = 1
NFTA_CHAIN_TABLE, NFTA_CHAIN_NAME, NFTA_CHAIN_HOOK, NFTA_CHAIN_TYPE = 1, 3, 4, 7
NFTA_HOOK_HOOKNUM, NFTA_HOOK_PRIORITY = 1, 2
NFTA_RULE_TABLE, NFTA_RULE_CHAIN, NFTA_RULE_EXPRESSIONS = 1, 2, 4
NFTA_LIST_ELEM, NFTA_EXPR_NAME, NFTA_EXPR_DATA = 1, 1, 2
NFTA_CT_DREG, NFTA_CT_KEY = 1, 2
NFT_REG_1, NFT_CT_STATE = 1, 0

_TABLE, _CHAIN = b"tracked\0", b"output\0"
_GENERIC = Struct(">BBH")  # struct nfgenmsg: family, version, res_id
_ATTRIBUTE = Struct("=HH")
_ERRNO = Struct("=i")

# An entry of TCP: protocol, its number, seconds left, state, then the tuple of the original direction.
_ENTRY = re.compile(r"tcp +6 (\d+) ([A-Z_]+) src=(\S+) dst=(\S+) sport=(\d+) dport=(\d+) ")


class Tracked(NamedTuple):
    """One tracked TCP connection; the ends are those of its first segment."""

    state: str
    time_left: Duration
    source_port: int
    destination_port: int


def track() -> None:
    """Have the kernel track the connections of this namespace.  Raises `UnavailableError` where it cannot."""
    messages = (
        _message(NFNL_MSG_BATCH_BEGIN, b"", 0, NFNL_SUBSYS_NFTABLES),
        _change(NFT_MSG_NEWTABLE, _attribute(NFTA_TABLE_NAME, _TABLE)),
        _change(NFT_MSG_NEWCHAIN, _chain()),
        _change(NFT_MSG_NEWRULE, _rule(), NLM_F_APPEND),
        _message(NFNL_MSG_BATCH_END, b"", 0, NFNL_SUBSYS_NFTABLES),
    )
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_NETFILTER) as asked:
            asked.settimeout(5)
            asked.sendto(b"".join(messages), (0, 0))
            for _ in range(3):
                _check(asked.recv(8192))
    except OSError as error:
        raise _cannot(error.strerror or str(error)) from None


def tracked() -> list[Tracked]:
    """Return the TCP connections that are tracked in this namespace."""
    try:
        with open("/proc/net/nf_conntrack") as file:
            text = file.read()
    except OSError as error:
        raise _cannot(error.strerror or str(error)) from None
    return parsed(text)


def parsed(text: str) -> list[Tracked]:
    """Read /proc/net/nf_conntrack: ct_seq_show(), net/netfilter/nf_conntrack_standalone.c."""
    return [
        Tracked(found[2].replace("_", "-"), int(found[1]) * SECOND, int(found[5]), int(found[6]))
        for found in _ENTRY.finditer(text)
    ]


def _cannot(why: str) -> UnavailableError:
    return UnavailableError(
        f"connections cannot be tracked here: {why}",
        "it takes a kernel with CONFIG_NF_TABLES, CONFIG_NFT_CT and CONFIG_NF_CONNTRACK_PROCFS",
    )


def _check(answer: bytes) -> None:
    _, kind, *_ = HEADER.unpack_from(answer)
    (code,) = _ERRNO.unpack_from(answer, HEADER_SIZE) if kind == NLMSG_ERROR else (0,)
    if code:
        raise _cannot(os.strerror(-code))


def _chain() -> bytes:
    hook = _number(NFTA_HOOK_HOOKNUM, NF_INET_LOCAL_OUT) + _number(NFTA_HOOK_PRIORITY, 0)
    named = _attribute(NFTA_CHAIN_TABLE, _TABLE) + _attribute(NFTA_CHAIN_NAME, _CHAIN)
    return named + _nested(NFTA_CHAIN_HOOK, hook) + _attribute(NFTA_CHAIN_TYPE, b"filter\0")


def _rule() -> bytes:
    data = _number(NFTA_CT_DREG, NFT_REG_1) + _number(NFTA_CT_KEY, NFT_CT_STATE)
    expression = _attribute(NFTA_EXPR_NAME, b"ct\0") + _nested(NFTA_EXPR_DATA, data)
    place = _attribute(NFTA_RULE_TABLE, _TABLE) + _attribute(NFTA_RULE_CHAIN, _CHAIN)
    return place + _nested(NFTA_RULE_EXPRESSIONS, _nested(NFTA_LIST_ELEM, expression))


def _change(kind: int, attributes: bytes, flags: int = 0) -> bytes:
    return _message(NFNL_SUBSYS_NFTABLES << 8 | kind, attributes, NLM_F_CREATE | NLM_F_ACK | flags, 0, NFPROTO_IPV4)


def _message(kind: int, attributes: bytes, flags: int, resource: int, family: int = 0) -> bytes:
    payload = _GENERIC.pack(family, 0, resource) + attributes
    return HEADER.pack(HEADER_SIZE + len(payload), kind, NLM_F_REQUEST | flags, 1, 0) + payload


def _attribute(kind: int, payload: bytes) -> bytes:
    size = _ATTRIBUTE.size + len(payload)
    return _ATTRIBUTE.pack(size, kind) + payload + bytes(-size % 4)


def _nested(kind: int, payload: bytes) -> bytes:
    return _attribute(kind | NLA_F_NESTED, payload)


def _number(kind: int, value: int) -> bytes:
    return _attribute(kind, value.to_bytes(4, "big"))
