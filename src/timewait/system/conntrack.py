"""Connection tracking in the namespace this process lives in: switched on, its entries read, sources translated.

A rule that looks at a packet's tracking state makes the kernel track: nft_ct_get_init(), net/netfilter/nft_ct.c.  The
rule lets everything pass, and goes with its namespace.  include/uapi/linux/netfilter/nfnetlink.h, nf_tables.h.
"""

import os
import re
import socket
from collections.abc import Iterable
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
NF_INET_LOCAL_OUT, NF_INET_POST_ROUTING = 3, 4
NF_IP_PRI_NAT_SRC: Final = 100  # include/uapi/linux/netfilter_ipv4.h
NLA_F_NESTED: Final = 0x8000
NFTA_TABLE_NAME = 1
NFTA_CHAIN_TABLE, NFTA_CHAIN_NAME, NFTA_CHAIN_HOOK, NFTA_CHAIN_TYPE = 1, 3, 4, 7
NFTA_HOOK_HOOKNUM, NFTA_HOOK_PRIORITY = 1, 2
NFTA_RULE_TABLE, NFTA_RULE_CHAIN, NFTA_RULE_EXPRESSIONS = 1, 2, 4
NFTA_LIST_ELEM, NFTA_EXPR_NAME, NFTA_EXPR_DATA = 1, 1, 2
NFTA_CT_DREG, NFTA_CT_KEY = 1, 2
NFT_REG_1, NFT_CT_STATE = 1, 0
NFT_REG_2, NFT_REG_3 = 2, 3
NFTA_IMMEDIATE_DREG, NFTA_IMMEDIATE_DATA, NFTA_DATA_VALUE = 1, 2, 1
NFTA_NAT_TYPE, NFTA_NAT_FAMILY, NFTA_NAT_REG_ADDR_MIN, NFTA_NAT_REG_PROTO_MIN, NFTA_NAT_REG_PROTO_MAX = 1, 2, 3, 5, 6
NFT_NAT_SNAT: Final = 0

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
    data = _number(NFTA_CT_DREG, NFT_REG_1) + _number(NFTA_CT_KEY, NFT_CT_STATE)
    _add_rule(_chain(NF_INET_LOCAL_OUT, 0, b"filter\0"), _expression(b"ct\0", data))


def translate(address: str, first: int, last: int) -> None:
    """Translate the source of every new connection of this namespace to an address and a port of a range.

    Raises `UnavailableError` where the kernel cannot: nft_nat_init(), net/netfilter/nft_nat.c.
    """
    nat = b"".join(
        _number(kind, value)
        for kind, value in (
            (NFTA_NAT_TYPE, NFT_NAT_SNAT),
            (NFTA_NAT_FAMILY, NFPROTO_IPV4),
            (NFTA_NAT_REG_ADDR_MIN, NFT_REG_1),
            (NFTA_NAT_REG_PROTO_MIN, NFT_REG_2),
            (NFTA_NAT_REG_PROTO_MAX, NFT_REG_3),
        )
    )
    _add_rule(
        _chain(NF_INET_POST_ROUTING, NF_IP_PRI_NAT_SRC, b"nat\0"),
        _load(NFT_REG_1, socket.inet_aton(address)),
        _load(NFT_REG_2, first.to_bytes(2, "big")),
        _load(NFT_REG_3, last.to_bytes(2, "big")),
        _expression(b"nat\0", nat),
    )


def _add_rule(chain: bytes, *expressions: bytes) -> None:
    """Make the table, a chain in it, and a rule in that, in one transaction."""
    messages = (
        _message(NFNL_MSG_BATCH_BEGIN, b"", 0, NFNL_SUBSYS_NFTABLES),
        _change(NFT_MSG_NEWTABLE, _attribute(NFTA_TABLE_NAME, _TABLE)),
        _change(NFT_MSG_NEWCHAIN, chain),
        _change(NFT_MSG_NEWRULE, _rule(expressions), NLM_F_APPEND),
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


def _chain(hook: int, priority: int, kind: bytes) -> bytes:
    where = _number(NFTA_HOOK_HOOKNUM, hook) + _number(NFTA_HOOK_PRIORITY, priority)
    named = _attribute(NFTA_CHAIN_TABLE, _TABLE) + _attribute(NFTA_CHAIN_NAME, _CHAIN)
    return named + _nested(NFTA_CHAIN_HOOK, where) + _attribute(NFTA_CHAIN_TYPE, kind)


def _rule(expressions: Iterable[bytes]) -> bytes:
    place = _attribute(NFTA_RULE_TABLE, _TABLE) + _attribute(NFTA_RULE_CHAIN, _CHAIN)
    return place + _nested(NFTA_RULE_EXPRESSIONS, b"".join(expressions))


def _expression(name: bytes, data: bytes) -> bytes:
    return _nested(NFTA_LIST_ELEM, _attribute(NFTA_EXPR_NAME, name) + _nested(NFTA_EXPR_DATA, data))


def _load(register: int, value: bytes) -> bytes:
    data = _nested(NFTA_IMMEDIATE_DATA, _attribute(NFTA_DATA_VALUE, value))
    return _expression(b"immediate\0", _number(NFTA_IMMEDIATE_DREG, register) + data)


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
