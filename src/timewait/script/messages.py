"""What recvmsg() writes besides data: flags and control messages, as the language has them, from values of each world.

Queued errors are `struct sock_extended_err` (include/uapi/linux/errqueue.h); packet timestamps count from the script's
beginning.
"""

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from struct import Struct as Layout
from typing import Final

from timewait.clock import SECOND, Duration
from timewait.script.calls import CONSTANTS
from timewait.script.syntax import Anything, Array, Expression, Number, Struct

_LINUX: Final = CONSTANTS["linux"]
ERRQUEUE: Final = _LINUX["MSG_ERRQUEUE"]
TRUNC: Final = _LINUX["MSG_TRUNC"]
_SOCKET: Final = (_LINUX["SOL_SOCKET"], _LINUX["SCM_TIMESTAMPING"])
_INQ: Final = (_LINUX["SOL_TCP"], _LINUX["TCP_CM_INQ"])
_RECVERR4: Final = (_LINUX["SOL_IP"], _LINUX["IP_RECVERR"])
_RECVERR6: Final = (_LINUX["SOL_IPV6"], _LINUX["IPV6_RECVERR"])
_TIMESPEC: Final = Layout("qq")
_ERROR: Final = Layout("IBBBxII")
_INT: Final = Layout("i")
_ERROR_FIELDS: Final = ("ee_errno", "ee_origin", "ee_type", "ee_code", "ee_info", "ee_data")


@dataclass(slots=True)
class QueuedError:
    """One entry of a socket's error queue.

    `time`: of a packet timestamp, nanoseconds since the script began; `size`: octets of the packet that comes with it.
    """

    errno: int
    origin: int
    code: int
    info: int
    data: int
    time: Duration | None = None
    size: int = 0


def written(flags: int, control: Iterable[Expression]) -> Struct:
    """Return what recvmsg() left in its msghdr."""
    return Struct({"msg_flags": Number(flags), "msg_control": Array(tuple(control))})


def unread(octets: int) -> Struct:
    """Return the message that tells how many octets can be read: TCP_INQ."""
    return _message(*_INQ, Number(octets))


def queued(error: QueuedError, version6: bool) -> list[Expression]:
    """Return the messages of an entry of the error queue, in the kernel's order."""
    found: list[Expression] = [] if error.time is None else [_message(*_SOCKET, _stamp(error.time))]
    values = (error.errno, error.origin, 0, error.code, error.info, error.data)
    level, kind = _RECVERR6 if version6 else _RECVERR4
    found.append(_message(level, kind, _fields(values)))
    return found


def decoded(level: int, kind: int, data: bytes, began: Duration) -> Struct:
    """Return a control message of the kernel; `began`: when the script did, by the clock of timestamps."""
    value: Expression = Anything()
    try:
        if (level, kind) == _SOCKET:
            seconds, rest = _TIMESPEC.unpack_from(data)
            value = _stamp(seconds * SECOND + rest - began)
        elif (level, kind) in (_RECVERR4, _RECVERR6):
            value = _fields(_ERROR.unpack_from(data))
        elif (level, kind) == _INQ:
            value = Number(*_INT.unpack_from(data))
    except struct.error:
        pass  # shorter than it is by its type: its contents are anybody's guess
    return _message(level, kind, value)


def in_time(expected: Expression, actual: Expression, slack: Duration) -> Expression:
    """Return `actual` with each packet timestamp that is not further than `slack` from the expected one set to it."""
    match expected, actual:
        case Array(wished), Array(seen) if len(wished) == len(seen):
            return Array(tuple(in_time(one, other, slack) for one, other in zip(wished, seen, strict=True)))
        case Struct(wished_fields), Struct(fields):
            if _near(wished_fields, fields, slack):
                return expected
            return Struct({name: in_time(wished_fields.get(name, each), each, slack) for name, each in fields.items()})
    return actual


def _near(wished: Mapping[str, Expression], seen: Mapping[str, Expression], slack: Duration) -> bool:
    times = []
    for fields in (wished, seen):
        match fields.get("scm_sec"), fields.get("scm_nsec"):
            case Number(seconds), Number(rest):
                times.append(seconds * SECOND + rest)
    return len(times) == 2 and abs(times[0] - times[1]) <= slack


def _message(level: int, kind: int, data: Expression) -> Struct:
    return Struct({"cmsg_level": Number(level), "cmsg_type": Number(kind), "cmsg_data": data})


def _stamp(time: Duration) -> Struct:
    return Struct({"scm_sec": Number(time // SECOND), "scm_nsec": Number(time % SECOND)})


def _fields(values: tuple[int, ...]) -> Struct:
    return Struct(dict(zip(_ERROR_FIELDS, map(Number, values), strict=True)))
