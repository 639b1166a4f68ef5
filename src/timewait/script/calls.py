"""System calls as the language writes them: constants of each system, values computed, results compared.

Knows which arguments are descriptors and which calls make one.  What a call does is for the worlds.
"""

import errno
import os
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from timewait.script.syntax import (
    Anything,
    Apply,
    Array,
    Between,
    Call,
    Expression,
    Flags,
    Number,
    Struct,
    Text,
    Word,
)
from timewait.script.world import UnknownCallError

# Calls whose result is a new descriptor; a script may call it by another number.
MAKES_DESCRIPTOR: Final = frozenset({"socket", "accept", "accept4", "epoll_create", "epoll_create1", "open"})
# Calls whose first argument is no descriptor.
_NO_DESCRIPTOR: Final = frozenset({"socket", "poll", "epoll_create", "epoll_create1", "open", "pipe"})
# Further arguments that are descriptors.
_ALSO_DESCRIPTOR: Final = {"epoll_ctl": 2, "sendfile": 1, "splice": 2}
# What packetdrill calls the arguments through which results come back.
_OUT_NAMES: Final = {
    ("getsockopt", 3): "optval",
    ("getsockopt", 4): "optlen",
    ("ioctl", 2): "optval",
    ("poll", 0): "fds",
    ("epoll_wait", 1): "events",
    ("recvmsg", 1): "msg",
    ("pipe", 0): "fds",
}

_COMMON: Final = {
    "AF_UNSPEC": 0,
    "AF_INET": 2,
    "PF_INET": 2,
    "SOCK_STREAM": 1,
    "SOCK_DGRAM": 2,
    "SOCK_RAW": 3,
    "IPPROTO_IP": 0,
    "IPPROTO_TCP": 6,
    "IPPROTO_UDP": 17,
    "IPPROTO_IPV6": 41,
    "SOL_IP": 0,
    "SOL_TCP": 6,
    "SOL_IPV6": 41,
    "SHUT_RD": 0,
    "SHUT_WR": 1,
    "SHUT_RDWR": 2,
    "INADDR_ANY": 0,
    "INADDR_LOOPBACK": 0x7F000001,
    "O_RDONLY": 0,
    "O_WRONLY": 1,
    "O_RDWR": 2,
    "F_DUPFD": 0,
    "F_GETFD": 1,
    "F_SETFD": 2,
    "F_GETFL": 3,
    "F_SETFL": 4,
    "MSG_OOB": 1,
    "MSG_PEEK": 2,
    "MSG_DONTROUTE": 4,
    "NULL": 0,
    "POLLIN": 1,
    "POLLPRI": 2,
    "POLLOUT": 4,
    "POLLERR": 8,
    "POLLHUP": 0x10,
    "POLLNVAL": 0x20,
    "TCP_NODELAY": 1,
    "TCP_MAXSEG": 2,
}
# Names of packetdrill for the level and the type of IP's messages, one of each for both versions of IP.
_EITHER: Final = {"CMSG_LEVEL_IP": (0, 41), "CMSG_TYPE_RECVERR": (11, 25)}
# Classes of service: RFC 2474 section 4.2.2 (CS), RFC 2597 section 6 (AF), RFC 3246 (EF), RFC 1349 (the bits before).
_SERVICES: Final = {
    **{f"IPTOS_DSCP_CS{number}": number << 5 for number in range(8)},
    **{f"IPTOS_DSCP_AF{of}{drop}": of << 5 | drop << 3 for of in range(1, 5) for drop in range(1, 4)},
    "IPTOS_DSCP_EF": 0xB8,
    "IPTOS_LOWDELAY": 0x10,
    "IPTOS_THROUGHPUT": 8,
    "IPTOS_RELIABILITY": 4,
    "IPTOS_MINCOST": 2,
}
# include/uapi/asm-generic/socket.h, fcntl.h; include/uapi/linux/tcp.h, eventpoll.h, sockios.h.
_LINUX: Final = {
    **_COMMON,
    **_SERVICES,
    "AF_INET6": 10,
    "PF_INET6": 10,
    "SOL_SOCKET": 1,
    "O_NONBLOCK": 0o4000,
    "O_CLOEXEC": 0o2000000,
    "SOCK_NONBLOCK": 0o4000,
    "SOCK_CLOEXEC": 0o2000000,
    "FD_CLOEXEC": 1,
    "SO_DEBUG": 1,
    "SO_REUSEADDR": 2,
    "SO_TYPE": 3,
    "SO_ERROR": 4,
    "SO_DONTROUTE": 5,
    "SO_BROADCAST": 6,
    "SO_SNDBUF": 7,
    "SO_RCVBUF": 8,
    "SO_KEEPALIVE": 9,
    "SO_OOBINLINE": 10,
    "SO_PRIORITY": 12,
    "SO_LINGER": 13,
    "SO_REUSEPORT": 15,
    "SO_RCVLOWAT": 18,
    "SO_SNDLOWAT": 19,
    "SO_RCVTIMEO": 20,
    "SO_SNDTIMEO": 21,
    "SO_TIMESTAMP": 29,
    "SO_ACCEPTCONN": 30,
    "SO_SNDBUFFORCE": 32,
    "SO_RCVBUFFORCE": 33,
    "SO_MARK": 36,
    "SO_TIMESTAMPING": 37,
    "SO_PROTOCOL": 38,
    "SO_DOMAIN": 39,
    "SOF_TIMESTAMPING_TX_HARDWARE": 1 << 0,
    "SOF_TIMESTAMPING_TX_SOFTWARE": 1 << 1,
    "SOF_TIMESTAMPING_RX_HARDWARE": 1 << 2,
    "SOF_TIMESTAMPING_RX_SOFTWARE": 1 << 3,
    "SOF_TIMESTAMPING_SOFTWARE": 1 << 4,
    "SOF_TIMESTAMPING_SYS_HARDWARE": 1 << 5,
    "SOF_TIMESTAMPING_RAW_HARDWARE": 1 << 6,
    "SOF_TIMESTAMPING_OPT_ID": 1 << 7,
    "SOF_TIMESTAMPING_TX_SCHED": 1 << 8,
    "SOF_TIMESTAMPING_TX_ACK": 1 << 9,
    "SOF_TIMESTAMPING_OPT_CMSG": 1 << 10,
    "SOF_TIMESTAMPING_OPT_TSONLY": 1 << 11,
    "SOF_TIMESTAMPING_OPT_STATS": 1 << 12,
    "SOF_TIMESTAMPING_OPT_PKTINFO": 1 << 13,
    "SOF_TIMESTAMPING_OPT_TX_SWHW": 1 << 14,
    "SOF_TIMESTAMPING_OPT_ID_TCP": 1 << 16,
    "SCM_TIMESTAMPING": 37,
    "SCM_TSTAMP_SND": 0,
    "SCM_TSTAMP_SCHED": 1,
    "SCM_TSTAMP_ACK": 2,
    "SO_EE_ORIGIN_NONE": 0,
    "SO_EE_ORIGIN_LOCAL": 1,
    "SO_EE_ORIGIN_ICMP": 2,
    "SO_EE_ORIGIN_ICMP6": 3,
    "SO_EE_ORIGIN_TXSTATUS": 4,
    "SO_EE_ORIGIN_TIMESTAMPING": 4,
    "SO_EE_ORIGIN_ZEROCOPY": 5,
    "SO_EE_CODE_ZEROCOPY_COPIED": 1,
    "CMSG_LEVEL_IP": 0,
    "CMSG_TYPE_RECVERR": 11,
    "SO_MAX_PACING_RATE": 47,
    "SO_ZEROCOPY": 60,
    "TCP_CORK": 3,
    "TCP_KEEPIDLE": 4,
    "TCP_KEEPINTVL": 5,
    "TCP_KEEPCNT": 6,
    "TCP_SYNCNT": 7,
    "TCP_LINGER2": 8,
    "TCP_DEFER_ACCEPT": 9,
    "TCP_WINDOW_CLAMP": 10,
    "TCP_INFO": 11,
    "TCP_QUICKACK": 12,
    "TCP_CONGESTION": 13,
    "TCP_USER_TIMEOUT": 18,
    "TCP_FASTOPEN": 23,
    "TCP_TIMESTAMP": 24,
    "TCP_NOTSENT_LOWAT": 25,
    "TCP_MD5SIG": 14,
    "TCP_THIN_LINEAR_TIMEOUTS": 16,
    "TCP_THIN_DUPACK": 17,
    "TCP_REPAIR": 19,
    "TCP_CC_INFO": 26,
    "TCP_SAVE_SYN": 27,
    "TCP_SAVED_SYN": 28,
    "TCP_ULP": 31,
    "TCP_FASTOPEN_KEY": 33,
    "TCP_FASTOPEN_NO_COOKIE": 34,
    "TCP_INQ": 36,
    "TCP_CM_INQ": 36,
    "TCP_TX_DELAY": 37,
    "TCP_RTO_MAX_MS": 44,
    "TCP_RTO_MIN_US": 45,
    "TCP_DELACK_MAX_US": 46,
    "TCP_FASTOPEN_CONNECT": 30,
    "IP_MTU_DISCOVER": 10,
    "IP_MTU": 14,
    "IP_BIND_ADDRESS_NO_PORT": 24,
    "IP_LOCAL_PORT_RANGE": 51,
    "IP_TOS": 1,
    "IP_TTL": 2,
    "IP_RECVERR": 11,
    "IP_FREEBIND": 15,
    "IP_PMTUDISC_DONT": 0,
    "IP_PMTUDISC_WANT": 1,
    "IP_PMTUDISC_DO": 2,
    "IP_PMTUDISC_PROBE": 3,
    "IPV6_UNICAST_HOPS": 16,
    "IPV6_MTU_DISCOVER": 23,
    "IPV6_MTU": 24,
    "IPV6_RECVERR": 25,
    "IPV6_V6ONLY": 26,
    "IPV6_TCLASS": 67,
    "MSG_CTRUNC": 8,
    "MSG_TRUNC": 0x20,
    "MSG_DONTWAIT": 0x40,
    "MSG_EOR": 0x80,
    "MSG_WAITALL": 0x100,
    "MSG_ERRQUEUE": 0x2000,
    "MSG_NOSIGNAL": 0x4000,
    "MSG_MORE": 0x8000,
    "MSG_ZEROCOPY": 0x4000000,
    "MSG_FASTOPEN": 0x20000000,
    "FIONREAD": 0x541B,
    "SIOCINQ": 0x541B,
    "SIOCOUTQ": 0x5411,
    "TIOCOUTQ": 0x5411,
    "SIOCOUTQNSD": 0x894B,
    "FIONBIO": 0x5421,
    "POLLRDNORM": 0x40,
    "POLLRDBAND": 0x80,
    "POLLWRNORM": 0x100,
    "POLLWRBAND": 0x200,
    "POLLMSG": 0x400,
    "POLLREMOVE": 0x1000,
    "POLLRDHUP": 0x2000,
    "EPOLLIN": 1,
    "EPOLLPRI": 2,
    "EPOLLOUT": 4,
    "EPOLLERR": 8,
    "EPOLLHUP": 0x10,
    "EPOLLRDNORM": 0x40,
    "EPOLLRDBAND": 0x80,
    "EPOLLWRNORM": 0x100,
    "EPOLLWRBAND": 0x200,
    "EPOLLMSG": 0x400,
    "EPOLLRDHUP": 0x2000,
    "EPOLLEXCLUSIVE": 1 << 28,
    "EPOLLWAKEUP": 1 << 29,
    "EPOLLONESHOT": 1 << 30,
    "EPOLLET": 1 << 31,
    "EPOLL_CTL_ADD": 1,
    "EPOLL_CTL_DEL": 2,
    "EPOLL_CTL_MOD": 3,
    "EPOLL_CLOEXEC": 0o2000000,
    "SPLICE_F_MOVE": 1,
    "SPLICE_F_NONBLOCK": 2,
    "SPLICE_F_MORE": 4,
    "O_CREAT": 0o100,
    "O_EXCL": 0o200,
    "O_TRUNC": 0o1000,
    "O_APPEND": 0o2000,
    "SOL_IP": 0,
}
# Options of the RACK and BBR stacks, sys/netinet/tcp.h: the base stack knows none of them (ENOPROTOOPT).
OTHER_STACKS_OPTIONS: Final = {
    "TCP_RACK_MBUF_QUEUE": 1050,
    "TCP_RACK_TLP_REDUCE": 1052,
    "TCP_RACK_PACE_REDUCE": 1053,
    "TCP_RACK_PACE_MAX_SEG": 1054,
    "TCP_RACK_PACE_ALWAYS": 1055,
    "TCP_RACK_PROP_RATE": 1056,
    "TCP_RACK_PRR_SENDALOT": 1057,
    "TCP_RACK_MIN_TO": 1058,
    "TCP_RACK_EARLY_RECOV": 1059,
    "TCP_RACK_EARLY_SEG": 1060,
    "TCP_RACK_REORD_THRESH": 1061,
    "TCP_RACK_REORD_FADE": 1062,
    "TCP_RACK_TLP_THRESH": 1063,
    "TCP_RACK_PKT_DELAY": 1064,
    "TCP_RACK_TLP_INC_VAR": 1065,
    "TCP_RACK_IDLE_REDUCE_HIGH": 1092,
    "TCP_RACK_MIN_PACE": 1093,
    "TCP_RACK_GP_INCREASE": 1094,
    "TCP_RACK_TLP_USE": 1095,
    "TCP_RACK_DO_DETECTION": 1097,
    "TCP_RACK_RR_CONF": 1113,
    "TCP_RACK_GP_INCREASE_CA": 1114,
    "TCP_RACK_GP_INCREASE_SS": 1115,
    "TCP_RACK_GP_INCREASE_REC": 1116,
    "TCP_RACK_FORCE_MSEG": 1117,
    "TCP_RACK_PACE_RATE_CA": 1118,
    "TCP_RACK_PACE_RATE_SS": 1119,
    "TCP_RACK_PACE_RATE_REC": 1120,
    "TCP_NO_PRR": 1122,
    "TCP_RACK_NONRXT_CFG_RATE": 1123,
    "TCP_SHARED_CWND_ENABLE": 1124,
    "TCP_TIMELY_DYN_ADJ": 1125,
    "TCP_RACK_NO_PUSH_AT_MAX": 1126,
    "TCP_RACK_PACE_TO_FILL": 1127,
    "TCP_SHARED_CWND_TIME_LIMIT": 1128,
    "TCP_RACK_PROFILE": 1129,
    "TCP_HDWR_RATE_CAP": 1130,
    "TCP_PACING_RATE_CAP": 1131,
    "TCP_HDWR_UP_ONLY": 1132,
    "TCP_RACK_ABC_VAL": 1133,
    "TCP_REC_ABC_VAL": 1134,
    "TCP_RACK_MEASURE_CNT": 1135,
    "TCP_DEFER_OPTIONS": 1136,
    "TCP_FAST_RSM_HACK": 1137,
    "TCP_RACK_PACING_BETA": 1138,
    "TCP_RACK_PACING_BETA_ECN": 1139,
    "TCP_RACK_TIMER_SLOP": 1140,
    "TCP_RACK_DSACK_OPT": 1141,
    "TCP_RACK_ENABLE_HYSTART": 1142,
}
# sys/sys/socket.h, fcntl.h, filio.h, ttycom.h, poll.h; sys/netinet/tcp.h.
_FREEBSD: Final = {
    **_COMMON,
    **_SERVICES,
    "AF_INET6": 28,
    "PF_INET6": 28,
    "SOL_SOCKET": 0xFFFF,
    "O_NONBLOCK": 4,
    "O_CLOEXEC": 0x100000,
    "SOCK_CLOEXEC": 0x10000000,
    "SOCK_NONBLOCK": 0x20000000,
    "FD_CLOEXEC": 1,
    "SO_DEBUG": 1,
    "SO_ACCEPTCONN": 2,
    "SO_REUSEADDR": 4,
    "SO_KEEPALIVE": 8,
    "SO_DONTROUTE": 0x10,
    "SO_BROADCAST": 0x20,
    "SO_LINGER": 0x80,
    "SO_OOBINLINE": 0x100,
    "SO_REUSEPORT": 0x200,
    "SO_TIMESTAMP": 0x400,
    "SO_SNDBUF": 0x1001,
    "SO_RCVBUF": 0x1002,
    "SO_SNDLOWAT": 0x1003,
    "SO_RCVLOWAT": 0x1004,
    "SO_SNDTIMEO": 0x1005,
    "SO_RCVTIMEO": 0x1006,
    "SO_ERROR": 0x1007,
    "SO_TYPE": 0x1008,
    "SO_PROTOCOL": 0x1016,
    "SO_DOMAIN": 0x1019,
    "SO_REUSEPORT_LB": 0x10000,
    "TCP_NOPUSH": 4,
    "TCP_NOOPT": 8,
    "TCP_MD5SIG": 16,
    "TCP_INFO": 32,
    "TCP_CONGESTION": 64,
    "TCP_CCALGOOPT": 65,
    "TCP_KEEPINIT": 128,
    "TCP_KEEPIDLE": 256,
    "TCP_KEEPINTVL": 512,
    "TCP_KEEPCNT": 1024,
    "TCP_FASTOPEN": 1025,
    "TCP_MAXUNACKTIME": 68,
    "TCP_FUNCTION_BLK": 8192,
    "TCP_REMOTE_UDP_ENCAPS_PORT": 71,
    "TCP_LOG": 34,
    "TCP_LOGBUF": 35,
    "TCP_LOGID": 36,
    "TCP_LOGDUMP": 37,
    "TCP_LOGDUMPID": 38,
    "TCP_TXTLS_ENABLE": 39,
    "TCP_TXTLS_MODE": 40,
    "TCP_RXTLS_ENABLE": 41,
    "TCP_RXTLS_MODE": 42,
    "TCP_DELACK": 72,
    "TCP_FIN_IS_RST": 73,
    "TCP_LOG_LIMIT": 74,
    "TCP_SHARED_CWND_ALLOWED": 75,
    "TCP_PROC_ACCOUNTING": 76,
    "TCP_USE_CMP_ACKS": 77,
    "TCP_PERF_INFO": 78,
    "TCP_PCAP_OUT": 2048,
    "TCP_PCAP_IN": 4096,
    "TCP_REUSPORT_LB_NUMA": 1026,
    **OTHER_STACKS_OPTIONS,
    "IP_TOS": 3,
    "IP_TTL": 4,
    "IPV6_UNICAST_HOPS": 4,
    "IPV6_V6ONLY": 27,
    "MSG_EOR": 8,
    "MSG_TRUNC": 0x10,
    "MSG_CTRUNC": 0x20,
    "MSG_WAITALL": 0x40,
    "MSG_DONTWAIT": 0x80,
    "MSG_EOF": 0x100,
    "MSG_NBIO": 0x4000,
    "MSG_NOSIGNAL": 0x20000,
    "IPV6_TCLASS": 61,
    "FIONREAD": 0x4004667F,
    "FIONWRITE": 0x40046677,
    "FIONSPACE": 0x40046676,
    "FIONBIO": 0x8004667E,
    "POLLRDNORM": 0x40,
    "POLLWRNORM": 4,
    "POLLRDBAND": 0x80,
    "POLLWRBAND": 0x100,
    "POLLINIGNEOF": 0x2000,
    "POLLRDHUP": 0x4000,
}
# sys/sys/errno.h of FreeBSD; Linux's come with the interpreter.
_FREEBSD_ERRNO: Final = {
    "EPERM": 1,
    "EINTR": 4,
    "EBADF": 9,
    "ENOMEM": 12,
    "EACCES": 13,
    "EFAULT": 14,
    "EINVAL": 22,
    "EPIPE": 32,
    "EAGAIN": 35,
    "EWOULDBLOCK": 35,
    "EINPROGRESS": 36,
    "EALREADY": 37,
    "ENOTSOCK": 38,
    "EDESTADDRREQ": 39,
    "EMSGSIZE": 40,
    "EPROTOTYPE": 41,
    "ENOPROTOOPT": 42,
    "EPROTONOSUPPORT": 43,
    "EOPNOTSUPP": 45,
    "EAFNOSUPPORT": 47,
    "EADDRINUSE": 48,
    "EADDRNOTAVAIL": 49,
    "ENETDOWN": 50,
    "ENETUNREACH": 51,
    "ENETRESET": 52,
    "ECONNABORTED": 53,
    "ECONNRESET": 54,
    "ENOBUFS": 55,
    "EISCONN": 56,
    "ENOTCONN": 57,
    "ESHUTDOWN": 58,
    "ETIMEDOUT": 60,
    "ECONNREFUSED": 61,
    "EHOSTDOWN": 64,
    "EHOSTUNREACH": 65,
    "EPROTO": 92,
}
_LINUX.update({name: number for number, name in errno.errorcode.items()}, EWOULDBLOCK=errno.EAGAIN)
_FREEBSD.update(_FREEBSD_ERRNO)
CONSTANTS: Final[Mapping[str, Mapping[str, int]]] = MappingProxyType({"linux": _LINUX, "freebsd": _FREEBSD})


def strerror(name: str) -> str:
    """Return what an errno's name means."""
    number = getattr(errno, name, None)
    return os.strerror(number) if isinstance(number, int) else name


def evaluate(value: Expression, system: str) -> int:
    """Return the number that an expression stands for.

    Raises `UnknownCallError` for a constant that the system has not, and for what is no number.
    """
    match value:
        case Number(number):
            return number
        case Word(name):
            constants = CONSTANTS[system]
            if name not in constants:
                raise UnknownCallError(f"{system} has no constant {name}")
            return constants[name]
        case Flags(items):
            bits = 0
            for item in items:
                bits |= evaluate(item, system)
            return bits
        case Array((only,)):
            return evaluate(only, system)
        case Apply("htons" | "htonl" | "ntohs" | "ntohl", (only,)):
            return evaluate(only, system)
    raise UnknownCallError(f"a number is wanted, not {shown(value)}")


def agrees(expected: Expression, actual: Expression, system: str) -> bool:
    """Whether what came back is what the script expects; `...` fits anything, a structure by the fields it names."""
    match expected, actual:
        case Anything(), _:
            return True
        case Word(name), _ if name in _EITHER:
            return evaluate(actual, system) in _EITHER[name]
        case Between(low, high), _:
            return low <= evaluate(actual, system) <= high
        case Array(wished), Array(seen):
            return len(wished) == len(seen) and all(map(agrees, wished, seen, (system,) * len(seen)))
        case Array((only,)), _:
            return agrees(only, actual, system)
        case Struct(wished_fields), Struct(seen_fields):
            pairs = ((field, seen_fields.get(name)) for name, field in wished_fields.items())
            return all(seen is None or agrees(field, seen, system) for field, seen in pairs)
        case Text(text), Text(other):
            return text == other
        case Text(), _:
            return False
    # Numbers of 32 bits: -1 and 0xffffffff are one.
    return (evaluate(expected, system) - evaluate(actual, system)) & 0xFFFF_FFFF == 0


def shown(value: Expression) -> str:
    """Return an expression as the language writes it."""
    match value:
        case Number(number, text):
            return text or str(number)
        case Between(low, high):
            return f"{low}~{high}"
        case Word(name):
            return name
        case Text(text):
            return f'"{text}"'
        case Anything():
            return "..."
        case Flags(items):
            return "|".join(map(shown, items))
        case Array(items):
            return f"[{', '.join(map(shown, items))}]"
        case Struct(fields):
            return "{" + ", ".join(f"{name}={shown(field)}" for name, field in fields.items()) + "}"
        case Apply(function, arguments):
            return f"{function}({', '.join(map(shown, arguments))})"


def out_name(call: str, index: int) -> str:
    """Return what packetdrill calls an argument through which a result comes back."""
    return _OUT_NAMES.get((call, index), f"argument {index + 1}")


def with_descriptors(call: Call, numbers: Mapping[int, int]) -> Call:
    """Return a call with the script's descriptors replaced by the world's; unknown ones stay as they are."""
    arguments = list(call.arguments)
    if call.name == "poll" and arguments:
        arguments[0] = _in_structs(arguments[0], numbers)
    elif arguments and call.name not in _NO_DESCRIPTOR:
        arguments[0] = _renumbered(arguments[0], numbers)
    also = _ALSO_DESCRIPTOR.get(call.name, 0)
    if 0 < also < len(arguments):
        arguments[also] = _renumbered(arguments[also], numbers)
    return replace(call, arguments=tuple(arguments))


def _renumbered(value: Expression, numbers: Mapping[int, int]) -> Expression:
    return Number(numbers.get(value.value, value.value)) if isinstance(value, Number) else value


def _in_structs(value: Expression, numbers: Mapping[int, int]) -> Expression:
    match value:
        case Array(items):
            return Array(tuple(_in_structs(item, numbers) for item in items))
        case Struct(fields):
            return Struct({name: _renumbered(each, numbers) if name == "fd" else each for name, each in fields.items()})
    return value
