"""getsockopt() and setsockopt() on the engine: which option is which field, and what reading one gives.

Options that only mark packets or wake programs are kept and read back; those that would change what a connection sends,
and that the engine has not, are refused with words.
"""

from collections.abc import Mapping
from typing import Final

from timewait.clock import MS, SECOND, Instant
from timewait.script import tcp_info
from timewait.script.calls import CONSTANTS, OTHER_STACKS_OPTIONS, evaluate
from timewait.script.syntax import Array, Call, Expression, Number, Struct, Text, Word
from timewait.script.world import UnknownCallError
from timewait.tcp.connection import Connection, Options
from timewait.tcp.core import Listener
from timewait.tcp.events import Errno
from timewait.tcp.stack import Stack
from timewait.tcp.states import SYN_SENT

# Name -> field of the stack's options, and the unit of the value; 0: yes or no.
_FIELDS: Final[Mapping[str, tuple[str, int]]] = {
    "SO_REUSEADDR": ("reuse_address", 0),
    "SO_REUSEPORT": ("reuse_port", 0),
    "SO_KEEPALIVE": ("keep_alive", 0),
    "TCP_NODELAY": ("no_delay", 0),
    "TCP_QUICKACK": ("quick_ack", 0),
    "TCP_CORK": ("cork", 0),
    "TCP_NOPUSH": ("cork", 0),
    "IP_BIND_ADDRESS_NO_PORT": ("bind_address_no_port", 0),
    "TCP_MAXSEG": ("max_segment", 1),
    "TCP_LINGER2": ("linger2", SECOND),
    "TCP_USER_TIMEOUT": ("user_timeout", MS),
    "TCP_KEEPIDLE": ("keep_idle", SECOND),
    "TCP_KEEPINTVL": ("keep_interval", SECOND),
    "TCP_KEEPCNT": ("keep_probes", 1),
    "TCP_KEEPINIT": ("open_timeout", SECOND),
    "TCP_NOOPT": ("no_options", 0),
    "IP_TOS": ("tos", 1),
    "IPV6_TCLASS": ("tos", 1),
    "IP_TTL": ("ttl", 1),
    "IPV6_UNICAST_HOPS": ("ttl", 1),
}
# Field of the stack's options -> field of the profile that holds while the user has not set it.
_DEFAULTS: Final = {
    "linger2": "fin_wait_2",
    "user_timeout": "user_timeout",
    "keep_idle": "keepalive_idle",
    "keep_interval": "keepalive_interval",
    "keep_probes": "keepalive_probes",
    "open_timeout": "open_timeout",
}
_KEPT: Final = frozenset(
    {
        *("SO_PRIORITY", "SO_MARK", "SO_RCVLOWAT", "SO_OOBINLINE", "SO_TIMESTAMP", "SO_TIMESTAMPING", "SO_DEBUG"),
        *("SO_BROADCAST", "SO_DONTROUTE", "SO_ZEROCOPY", "SO_MAX_PACING_RATE", "TCP_CONGESTION", "TCP_INQ"),
        *("TCP_LOG", "TCP_LOGID", "TCP_LOG_LIMIT", "TCP_PERF_INFO", "TCP_PROC_ACCOUNTING"),
        *("TCP_PCAP_IN", "TCP_PCAP_OUT"),
        *("TCP_NOTSENT_LOWAT", "TCP_FUNCTION_BLK", "TCP_CCALGOOPT", "IP_MTU_DISCOVER", "IPV6_V6ONLY"),
        *("IP_FREEBIND", "IPV6_MTU_DISCOVER", "IP_RECVERR", "IPV6_RECVERR"),
    }
)
_BUFFERS: Final = {
    "SO_RCVBUF": "receive_buffer",
    "SO_RCVBUFFORCE": "receive_buffer",
    "SO_SNDBUF": "send_buffer",
    "SO_SNDBUFFORCE": "send_buffer",
}
# What each system answers before anything was set: net.ipv4.tcp_rmem and tcp_wmem, second numbers (Linux);
# net.inet.tcp.recvspace and sendspace, tcp_usrreq.c (FreeBSD).
_BUFFER_DEFAULTS: Final = {
    ("linux", "receive_buffer"): 131072,
    ("linux", "send_buffer"): 16384,
    ("freebsd", "receive_buffer"): 65536,
    ("freebsd", "send_buffer"): 32768,
}
_DEFAULT_MSS: Final = 536
# net.inet.tcp.v6mssdflt and minmss, sys/netinet/tcp_subr.c.
_DEFAULT_MSS6: Final = 1220
_LEAST_SEGMENT: Final = 216
_LARGEST: Final = 0x7FFF_FFFF
# do_tcp_setsockopt(), net/ipv4/tcp.c: TCP_MIN_MSS, MAX_TCP_WINDOW; linger2 below 0 is none at all.
_RANGES: Final = {
    "IP_TOS": (0, 255),
    "IPV6_TCLASS": (0, 255),
    "IP_TTL": (1, 255),
    "IPV6_UNICAST_HOPS": (1, 255),
    "TCP_MAXSEG": (88, 32767),
    "TCP_LINGER2": (-_LARGEST, _LARGEST),
    "TCP_NOTSENT_LOWAT": (0, 0xFFFF_FFFF),
}


def get_option(
    stack: Stack, system: str, handle: int, kept: Mapping[str, Expression], call: Call, now: Instant
) -> Expression | Errno:
    """Return what getsockopt() writes.  Raises `UnknownCallError` for an option that cannot be played."""
    name = _name(call, system)
    owner = stack.handles.get(handle)
    if owner is None:
        return Errno.EBADF
    conn = owner if isinstance(owner, Connection) else None
    options = owner.options
    if name == "SO_ERROR":
        error = stack.take_error(handle)
        return _number(CONSTANTS[system].get(error, 0) if error else 0)
    if name == "TCP_INFO":
        return Struct({field: Number(value) for field, value in tcp_info.fields(stack, system, handle, now).items()})
    if name == "SO_LINGER":
        on = options.linger is not None
        onoff, linger = Number(int(on)), Number((options.linger or 0) // SECOND)
        return Struct({"onoff": onoff, "linger": linger, "l_onoff": onoff, "l_linger": linger})
    if name in _BUFFERS:
        return _number(_buffer(conn, options, system, _BUFFERS[name]))
    if name in ("SO_TYPE", "SO_PROTOCOL", "SO_ACCEPTCONN"):
        listens = isinstance(owner, Listener)
        return _number({"SO_TYPE": 1, "SO_PROTOCOL": 6, "SO_ACCEPTCONN": int(listens)}[name])
    if name == "TCP_MAXSEG":
        return _number(_segment(stack, conn, options))
    if name in _FIELDS:
        field, unit = _FIELDS[name]
        value = getattr(options, field)
        if value is None and field in _DEFAULTS:
            value = getattr(stack.profile, _DEFAULTS[field])
        return _number(int(value or 0) // (unit or 1))
    if name in _KEPT:
        return kept.get(name, _number(0))
    if name in OTHER_STACKS_OPTIONS:
        return Errno.ENOPROTOOPT
    raise UnknownCallError(f"the engine has no option {name}")


def set_option(stack: Stack, system: str, handle: int, kept: dict[str, Expression], call: Call) -> Errno | None:
    """Carry out setsockopt().  Raises `UnknownCallError` for an option that cannot be played."""
    name = _name(call, system)
    value = call.arguments[3]
    if name == "SO_LINGER":
        return _set_linger(stack, system, handle, value)
    if name in _KEPT:
        kept[name] = value
        return None
    if name in OTHER_STACKS_OPTIONS:
        return Errno.ENOPROTOOPT
    if isinstance(value, (Text, Struct)):
        raise UnknownCallError(f"{name}: a number is wanted")
    number = evaluate(value, system)
    if name == "IP_LOCAL_PORT_RANGE":
        return _set_port_range(stack, handle, number)
    low, high = _RANGES.get(name, (0, _LARGEST))
    if name == "TCP_MAXSEG" and stack.profile.segment_option_sends:
        # tcp_default_ctloutput(), tcp_usrreq.c: never more than now, nor less than net.inet.tcp.minmss with headers.
        owner = stack.handles[handle]
        conn = owner if isinstance(owner, Connection) else None
        low, high = _LEAST_SEGMENT - 40, _segment(stack, conn, owner.options)
    if not low <= number <= high:
        return Errno.EINVAL
    if name in _BUFFERS:
        if system == "linux":
            number = max(number, 2304 // 2)  # SOCK_MIN_RCVBUF, include/net/sock.h; twice the value is what one reads
        return stack.set_option(handle, **{_BUFFERS[name]: number})
    if name in _FIELDS:
        field, unit = _FIELDS[name]
        return stack.set_option(handle, **{field: number * unit if unit else bool(number)})
    if number == 0 and name in CONSTANTS[system]:
        kept[name] = value
        return None  # switching off what the engine has not
    raise UnknownCallError(f"the engine has no option {name}")


def _set_port_range(stack: Stack, handle: int, number: int) -> Errno | None:
    """The upper 16 bits are the highest port, the lower the lowest; 0: no such bounds.  ip(7)."""
    low, high = number & 0xFFFF, number >> 16 & 0xFFFF
    if low and high and low > high:
        return Errno.EINVAL
    return stack.set_option(handle, local_port_range=(low or 1, high or 0xFFFF) if number else None)


def _segment(stack: Stack, conn: Connection | None, options: Options) -> int:
    """Return the largest segment as each system tells it: Linux without the options that each will carry."""
    if not stack.profile.segment_option_sends:
        return conn.mss if conn else options.max_segment or _DEFAULT_MSS
    if conn is None or conn.state is SYN_SENT:
        six = any(len(address) == 16 for address in stack.addresses)
        return options.max_segment or (_DEFAULT_MSS6 if six else _DEFAULT_MSS)
    return conn.mss + (12 if conn.ts_ok else 0)


def _set_linger(stack: Stack, system: str, handle: int, value: Expression) -> Errno | None:
    if not isinstance(value, Struct):
        raise UnknownCallError("SO_LINGER: {onoff=1, linger=0} is wanted")
    fields = {name.removeprefix("l_"): evaluate(each, system) for name, each in value.fields.items()}
    on, linger = (fields.get(name, fields.get(place, 0)) for name, place in (("onoff", "0"), ("linger", "1")))
    return stack.set_option(handle, linger=linger * SECOND if on else None)


def _name(call: Call, system: str) -> str:
    """Return an option's name, also where level and option are written as numbers."""
    level, option = call.arguments[1], call.arguments[2]
    if isinstance(option, Word):
        evaluate(option, system)
        return option.name
    number, at = evaluate(option, system), evaluate(level, system)
    constants = CONSTANTS[system]
    prefix = {constants["SOL_SOCKET"]: "SO_", constants["IPPROTO_TCP"]: "TCP_"}.get(at, "IP_")
    names = (name for name, value in constants.items() if name.startswith(prefix) and value == number)
    return next(names, f"{number} of level {at}")


def _buffer(conn: Connection | None, options: Options, system: str, field: str) -> int:
    """Return a buffer's size as each system tells it."""
    limit: int | None = getattr(options, field)
    size = _BUFFER_DEFAULTS[system, field] if limit is None else limit
    if system == "linux":
        return size if limit is None else 2 * size  # sock_setsockopt() doubles, for the overhead
    if conn is not None and conn.state is not SYN_SENT:
        segment = min(conn.peer_mss, conn.own_mss)
        return -(-size // segment) * segment  # tcp_mss(), tcp_input.c: rounded up to whole segments
    return size


def _number(value: int) -> Expression:
    return Array((Number(value),))
