"""How each call is asked of the kernel: its name and plain arguments for `system.process`, and what becomes of what it
wrote."""

from collections.abc import Callable, Mapping
from struct import Struct as Layout
from typing import Any, Final, Protocol

from timewait.script import kernel_info, messages
from timewait.script.calls import CONSTANTS, evaluate
from timewait.script.syntax import Anything, Apply, Array, Call, Expression, Number, Struct, Text, Word
from timewait.script.world import Addresses, UnknownCallError

_PAIR: Final = Layout("ii")
_TIME: Final = Layout("qq")
_INT: Final = Layout("i")


class Asking(Protocol):
    """What asking needs of the world.  `watched`: what a script wants back of each descriptor in an epoll set."""

    system: str
    addresses: Addresses
    local: str
    remote: str
    watched: dict[int, dict[str, Expression]]
    allow_shell: bool

    def began_at(self) -> int:
        """Return when the script began, by the clock of packet timestamps: nanoseconds since 1970."""
        ...

    def number(self, call: Call, index: int) -> int:
        """Return a number among the arguments."""
        ...


Out = Callable[[Any], Mapping[int, Expression] | None]
Asked = tuple[str, tuple[Any, ...], Out]


def nothing(_: Any) -> None:
    """Read what a call wrote that writes nothing."""


def _socket(world: Asking, call: Call) -> Asked:
    given = call.arguments[0]
    family = (10 if ":" in world.local else 2) if isinstance(given, Anything) else world.number(call, 0)
    return "socket", (family, world.number(call, 1), world.number(call, 2)), nothing


def _bind(world: Asking, call: Call) -> Asked:
    return "bind", (world.number(call, 0), world.local, world.addresses.bind_port), nothing


def _connect(world: Asking, call: Call) -> Asked:
    if call.arguments[1:2] == (Word("AF_UNSPEC"),):
        return "disconnect", (world.number(call, 0),), nothing
    return "connect", (world.number(call, 0), world.remote, world.addresses.connect_port), nothing


def _accept(world: Asking, call: Call) -> Asked:
    return "accept", (world.number(call, 0), world.number(call, 3) if call.name == "accept4" else 0), nothing


def _numbers(name: str, *at: int) -> Callable[[Asking, Call], Asked]:
    """Return how a call is asked for whose arguments at these places are numbers; 0 where one is left out."""

    def asked(world: Asking, call: Call) -> Asked:
        return name, tuple(world.number(call, each) if each < len(call.arguments) else 0 for each in at), nothing

    return asked


def _vector(name: str, flags_at: int | None) -> Callable[[Asking, Call], Asked]:
    def asked(world: Asking, call: Call) -> Asked:
        flags = 0 if flags_at is None else world.number(call, flags_at)
        return name, (world.number(call, 0), vector_size(call.arguments[1]), flags), nothing

    return asked


def _recvmsg(world: Asking, call: Call) -> Asked:
    def read(wrote: tuple[int, list[tuple[int, int, bytes]]]) -> Mapping[int, Expression]:
        flags, control = wrote
        found = [messages.decoded(level, kind, data, world.began_at()) for level, kind, data in control]
        return {1: messages.written(flags, found)}

    return "receive_message", (world.number(call, 0), vector_size(call.arguments[1]), world.number(call, 2)), read


def _buffered(name: str, flags_at: int) -> Callable[[Asking, Call], Asked]:
    """Return how a call is asked for that takes a buffer; one that is nowhere is asked of the system itself."""

    def asked(world: Asking, call: Call) -> Asked:
        nowhere = call.arguments[1] == Word("NULL")
        flags = world.number(call, flags_at) if flags_at < len(call.arguments) else 0
        plain = (world.number(call, 0), world.number(call, 2), flags)
        if call.name == "sendto" and flags & CONSTANTS["linux"]["MSG_FASTOPEN"]:
            return "send_to", (*plain, world.remote, world.addresses.connect_port, nowhere), nothing
        return (f"{name}_nowhere" if nowhere else name), plain, nothing

    return asked


def _open(world: Asking, call: Call) -> Asked:
    path = call.arguments[0]
    if not isinstance(path, Text):
        raise UnknownCallError("open: a path in quotes is wanted")
    if not world.allow_shell:
        raise UnknownCallError("open() reaches this machine's files", "--allow-shell lets a script do that")
    mode = world.number(call, 2) if len(call.arguments) > 2 else 0
    return "open_file", (path.value, world.number(call, 1), mode), nothing


def _pipe(world: Asking, call: Call) -> Asked:
    return "pipe", (), lambda ends: {0: Array(tuple(map(Number, ends)))}


def _sendfile(world: Asking, call: Call) -> Asked:
    place = call.arguments[2]
    offset = None if place == Word("NULL") else evaluate(place, world.system)
    return (
        "sendfile",
        (world.number(call, 0), world.number(call, 1), offset, world.number(call, 3)),
        lambda after: None if after is None else {2: Array((Anything(),))},
    )


def _splice(world: Asking, call: Call) -> Asked:
    places = [
        None if call.arguments[at] == Word("NULL") else evaluate(call.arguments[at], world.system) for at in (1, 3)
    ]
    ends = world.number(call, 0), world.number(call, 2)
    return "splice", (*ends, *places, world.number(call, 4), world.number(call, 5)), nothing


def vector_size(value: Expression) -> int:
    """Return how many octets an iovec, or the one in a msghdr, has room for."""
    match value:
        case Array(items):
            return sum(map(vector_size, items))
        case Struct(fields):
            for name, each in fields.items():
                if name == "msg_iov":
                    return vector_size(each.arguments[-1] if isinstance(each, Apply) else each)
            sizes = [each.value for each in fields.values() if isinstance(each, Number)]
            if sizes:
                return sizes[-1]
    raise UnknownCallError("an iovec is wanted: [{..., 1000}, {..., 500}]")


def _ioctl(world: Asking, call: Call) -> Asked:
    command = world.number(call, 1)
    argument = world.number(call, 2) if command == 0x5421 else 0
    return "ioctl", (world.number(call, 0), command, argument), _pointed(2)


def _pointed(index: int) -> Out:
    return lambda value: None if value is None else {index: Array((Number(value),))}


def _getsockopt(world: Asking, call: Call) -> Asked:
    level, name = world.number(call, 1), world.number(call, 2)
    kind = _KINDS.get((level, name), _INT)
    size = kernel_info.INFO_SIZE if kind == "text" or not isinstance(kind, Layout) else kind.size

    def read(data: bytes) -> Mapping[int, Expression]:
        return {3: _decoded(kind, data), 4: Array((Number(len(data)),))}

    return "getsockopt", (world.number(call, 0), level, name, size), read


# (level, option) -> the layout of what is no int.  include/uapi/asm-generic/socket.h, include/uapi/linux/tcp.h
_KINDS: Final[Mapping[tuple[int, int], Any]] = {
    (1, 13): _PAIR,  # SO_LINGER
    (1, 20): _TIME,  # SO_RCVTIMEO
    (1, 21): _TIME,  # SO_SNDTIMEO
    (6, 13): "text",  # TCP_CONGESTION
    (6, 11): "info",  # TCP_INFO
}
_FIELDS: Final = {_PAIR: ("onoff", "linger"), _TIME: ("tv_sec", "tv_usec")}


def _decoded(kind: Any, data: bytes) -> Expression:
    if kind == "text":
        return Text(data.rstrip(b"\0").decode(errors="replace"))
    if kind == "info":
        return Struct({name: Number(value) for name, value in kernel_info.fields(data).items()})
    if kind in _FIELDS:
        return Struct(dict(zip(_FIELDS[kind], map(Number, kind.unpack_from(data)), strict=True)))
    return Array((Number(_INT.unpack_from(data)[0]),))


def _setsockopt(world: Asking, call: Call) -> Asked:
    value = call.arguments[3]
    match value:
        case Text(text):
            data = text.encode()
        case Array((Text(text),)):
            data = text.encode()
        case Struct(fields):
            numbers = [evaluate(each, world.system) for each in fields.values()]
            kind = _KINDS.get((world.number(call, 1), world.number(call, 2)))
            if not isinstance(kind, Layout) or len(numbers) != 2:
                raise UnknownCallError("setsockopt: this option takes no structure")
            data = kind.pack(*numbers)
        case _:
            data = _INT.pack(_signed(evaluate(value, world.system)))
    return "setsockopt", (world.number(call, 0), world.number(call, 1), world.number(call, 2), data), nothing


def _signed(number: int) -> int:
    number &= 0xFFFF_FFFF
    return number - (number >> 31 << 32)


def _poll(world: Asking, call: Call) -> Asked:
    wanted = call.arguments[0]
    if not isinstance(wanted, Array) or not all(isinstance(each, Struct) for each in wanted.items):
        raise UnknownCallError("poll: an array of {fd=, events=, revents=} is wanted")
    items = [each for each in wanted.items if isinstance(each, Struct)]
    pairs = [
        (evaluate(item.fields["fd"], world.system), evaluate(item.fields.get("events", Number(0)), world.system))
        for item in items
    ]

    def read(found: dict[int, int]) -> Mapping[int, Expression]:
        seen = zip(items, pairs, strict=True)
        return {0: Array(tuple(Struct({**item.fields, "revents": Number(found.get(at, 0))}) for item, (at, _) in seen))}

    return "poll", (pairs, world.number(call, 2)), read


def _epoll_ctl(world: Asking, call: Call) -> Asked:
    operation, number = world.number(call, 1), world.number(call, 2)
    events = 0
    if operation != 2:
        event = call.arguments[3]
        if not isinstance(event, Struct) or "events" not in event.fields:
            raise UnknownCallError("epoll_ctl: {events=, fd=} is wanted")
        events = evaluate(event.fields["events"], world.system)
        world.watched[number] = {name: each for name, each in event.fields.items() if name != "events"}
    return "epoll_ctl", (world.number(call, 0), operation, number, events), nothing


def _epoll_wait(world: Asking, call: Call) -> Asked:
    def read(found: list[tuple[int, int]]) -> Mapping[int, Expression] | None:
        events = tuple(Struct({"events": Number(mask), **world.watched.get(number, {})}) for number, mask in found)
        return {1: events[0] if len(events) == 1 else Array(events)} if events else None

    return "epoll_wait", (world.number(call, 0), world.number(call, 2), world.number(call, 3)), read


def _epoll_create(world: Asking, call: Call) -> Asked:
    return "epoll_create", (), nothing


CALLS: Final[Mapping[str, Callable[[Asking, Call], Asked]]] = {
    "socket": _socket,
    "bind": _bind,
    "listen": _numbers("listen", 0, 1),
    "accept": _accept,
    "accept4": _accept,
    "connect": _connect,
    "read": _buffered("receive", 9),
    "recv": _buffered("receive", 3),
    "recvfrom": _buffered("receive", 3),
    "readv": _vector("receive", None),
    "recvmsg": _recvmsg,
    "write": _buffered("send", 9),
    "send": _buffered("send", 3),
    "sendto": _buffered("send", 3),
    "writev": _vector("send", None),
    "sendmsg": _vector("send", 2),
    "fcntl": _numbers("fcntl", 0, 1, 2),
    "ioctl": _ioctl,
    "getsockopt": _getsockopt,
    "setsockopt": _setsockopt,
    "shutdown": _numbers("shutdown", 0, 1),
    "close": _numbers("close", 0),
    "open": _open,
    "pipe": _pipe,
    "sendfile": _sendfile,
    "splice": _splice,
    "poll": _poll,
    "epoll_create": _epoll_create,
    "epoll_create1": _epoll_create,
    "epoll_ctl": _epoll_ctl,
    "epoll_wait": _epoll_wait,
}
