"""System calls on the engine: a process with descriptors whose sockets are those of a `Stack`.

A call is an attempt, made at once and, where the descriptor blocks, again after anything that happened, until it has an
answer or its time is up.  What the arguments mean is in `calls`; time and packets are the world's.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Final, NamedTuple, Protocol

from timewait.clock import MS, Duration
from timewait.script.calls import CONSTANTS, evaluate
from timewait.script.mistake import near
from timewait.script.socket_options import get_option, set_option
from timewait.script.syntax import Anything, Apply, Array, Call, Expression, Number, Struct, Word
from timewait.script.world import Addresses, UnknownCallError
from timewait.tcp.connection import Connection
from timewait.tcp.core import Listener, Socket
from timewait.tcp.events import Errno, Events
from timewait.tcp.receiver import CONSUMED
from timewait.tcp.stack import Stack
from timewait.tcp.states import CLOSED, SYN_RECEIVED, SYN_SENT, TIME_WAIT

_NULL: Final = Word("NULL")
# Options that let go what waits for a full segment: do_tcp_setsockopt(), net/ipv4/tcp.c.
_RELEASES: Final = frozenset({"TCP_NODELAY", "TCP_CORK", "TCP_NOPUSH"})
_OPENING: Final = (SYN_SENT, SYN_RECEIVED)
# A script that asks for more is a mistake, and would only fill this machine's memory.
_LARGEST: Final = 1 << 28


class Answer(NamedTuple):
    """How a call ended; `out` as in `world.Returned`."""

    value: int = 0
    errno: str = ""
    out: Mapping[int, Expression] | None = None


class Job(NamedTuple):
    """A call under way: `attempt` returns None while it would block; `late` is the answer at the time `deadline`."""

    attempt: Callable[[], Answer | None]
    blocks: bool = False
    deadline: Duration | None = None
    late: Answer = Answer(-1, "EAGAIN")


@dataclass(slots=True)
class Descriptor:
    """What a number of the process stands for: a socket of the stack, or an epoll set."""

    handle: int = 0
    blocking: bool = True
    connecting: bool = False
    kept: dict[str, Expression] = field(default_factory=dict)  # options that have no effect here, to be read back
    watched: dict[int, "Watch"] | None = None  # of an epoll set: descriptor -> what is asked


@dataclass(slots=True)
class Watch:
    """One descriptor in an epoll set; `armed`: something happened since it was last reported."""

    events: int
    data: Expression
    armed: bool = True


class Host(Protocol):
    """What calls need of the world."""

    tcp: Stack
    system: str
    addresses: Addresses

    def instant(self) -> int:
        """Return the stack's time."""
        ...

    def perform(self, events: Events) -> None:
        """Send what is to be sent, and note what happened."""
        ...


class CallError(Exception):
    """A call that fails with an errno."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


class Process:
    """The process that makes a script's calls; descriptors are numbered as a process's are, from 3 on."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.open: dict[int, Descriptor] = {}
        self.released: set[int] = set()  # sockets whose lingering close() is over

    def start(self, call: Call) -> Job:
        """Begin a call.  Raises `UnknownCallError` for one that is not known, or has arguments that cannot be."""
        handler = _CALLS.get(call.name)
        if handler is None:
            raise UnknownCallError(f"the engine has no call {call.name}", near(call.name, _CALLS, "it has"))
        try:
            return handler(self, call)
        except CallError as error:
            return _done(Answer(-1, error.name))
        except IndexError:
            raise UnknownCallError(f"{call.name}: arguments are missing ({len(call.arguments)} given)") from None

    def happened(self, handle: int) -> None:
        """Something changed for a socket: edge-triggered watches of it may report again."""
        for descriptor in self.open.values():
            for number, watch in (descriptor.watched or {}).items():
                if number in self.open and self.open[number].handle == handle:
                    watch.armed = True

    # --- Arguments

    def number(self, call: Call, index: int) -> int:
        """Return a number among the arguments."""
        return evaluate(call.arguments[index], self.host.system)

    def size(self, call: Call, index: int) -> int:
        """Return a size in octets among the arguments."""
        size = self.number(call, index)
        if not 0 <= size <= _LARGEST:
            raise UnknownCallError(f"{call.name}: a size of {size}; up to {_LARGEST} octets can be played")
        return size

    def get(self, call: Call, index: int = 0) -> Descriptor:
        """Return the descriptor that an argument names; EBADF, or ENOTSOCK for an epoll set."""
        descriptor = self.open.get(self.number(call, index))
        if descriptor is None:
            raise CallError("EBADF")
        return descriptor

    def socket(self, call: Call) -> Descriptor:
        """Return the socket that the first argument names."""
        descriptor = self.get(call)
        if descriptor.watched is not None:
            raise CallError("ENOTSOCK")
        return descriptor

    def install(self, descriptor: Descriptor) -> int:
        """Give a descriptor the lowest free number."""
        number = 3
        while number in self.open:
            number += 1
        self.open[number] = descriptor
        return number

    def constant(self, name: str) -> int:
        """Return a constant of the system, 0 if it has none of that name."""
        return CONSTANTS[self.host.system].get(name, 0)


def _done(answer: Answer) -> Job:
    return Job(lambda: answer)


def _result(error: Errno | None) -> Answer:
    return Answer() if error is None else Answer(-1, error)


# --- Sockets


def _socket(process: Process, call: Call) -> Job:
    kind = process.number(call, 1)
    flags = process.constant("SOCK_NONBLOCK") | process.constant("SOCK_CLOEXEC")
    if kind & ~flags != process.constant("SOCK_STREAM"):
        raise UnknownCallError("the engine has only stream sockets", "socket(..., SOCK_STREAM, IPPROTO_TCP)")
    blocking = not kind & process.constant("SOCK_NONBLOCK")
    return _done(Answer(process.install(Descriptor(process.host.tcp.socket(), blocking))))


def _bind(process: Process, call: Call) -> Job:
    addresses = process.host.addresses
    return _done(_result(process.host.tcp.bind(process.socket(call).handle, addresses.local, addresses.bind_port)))


def _listen(process: Process, call: Call) -> Job:
    backlog = process.number(call, 1)
    # Below 0 is as many as the system has: a number without sign in Linux, solisten_proto() in FreeBSD.
    return _done(_result(process.host.tcp.listen(process.socket(call).handle, backlog if backlog >= 0 else _LARGEST)))


def _accept(process: Process, call: Call) -> Job:
    listener = process.socket(call)
    flags = process.number(call, 3) if call.name == "accept4" else 0
    # FreeBSD's accept() hands O_NONBLOCK on, Linux's does not: accept(2) of each.
    inherits = process.host.system == "freebsd" and call.name == "accept"
    blocking = listener.blocking if inherits else not flags & process.constant("SOCK_NONBLOCK")

    def attempt() -> Answer | None:
        child = process.host.tcp.accept(listener.handle)
        if child is Errno.EAGAIN:
            return None
        if isinstance(child, Errno):
            return Answer(-1, child)
        return Answer(process.install(Descriptor(child, blocking)))

    return Job(attempt, listener.blocking)


def _connect(process: Process, call: Call) -> Job:
    descriptor = process.socket(call)
    host = process.host
    stack = host.tcp
    if descriptor.connecting:
        return _connect_again(process, descriptor)
    error, events = stack.connect(descriptor.handle, host.addresses.remote, host.addresses.connect_port, host.instant())
    host.perform(events)
    if error is not None:
        return _done(_result(error))
    descriptor.connecting = True
    return Job(partial(_connected, process, descriptor), descriptor.blocking, late=Answer(-1, "EINPROGRESS"))


def _connect_again(process: Process, descriptor: Descriptor) -> Job:
    answer = _connected(process, descriptor)
    if answer is None:
        return _done(Answer(-1, "EALREADY"))
    if not answer.errno and process.host.system == "freebsd":
        return _done(Answer(-1, "EISCONN"))  # Linux says so only from the second time on: net/ipv4/af_inet.c
    return _done(answer)


def _connected(process: Process, descriptor: Descriptor) -> Answer | None:
    stack = process.host.tcp
    if stack.state(descriptor.handle) in _OPENING:
        return None
    descriptor.connecting = False
    return _result(stack.take_error(descriptor.handle))


# --- Data


def _read(process: Process, call: Call) -> Job:
    flags = process.number(call, 3) if call.name in ("recv", "recvfrom") else 0
    return _receive(process, call, process.size(call, 2), flags)


def _readv(process: Process, call: Call) -> Job:
    return _receive(process, call, _vector(process, call.arguments[1]), 0)


def _recvmsg(process: Process, call: Call) -> Job:
    if process.number(call, 2) & (process.host.system == "linux" and process.constant("MSG_ERRQUEUE")):
        raise UnknownCallError("the engine keeps no queue of errors", "leave MSG_ERRQUEUE out")
    return _receive(process, call, _vector(process, call.arguments[1]), process.number(call, 2))


def _receive(process: Process, call: Call, size: int, flags: int) -> Job:
    descriptor = process.socket(call)
    host = process.host
    peek = flags & process.constant("MSG_PEEK") != 0
    whole = flags & process.constant("MSG_WAITALL") != 0
    got = 0

    nowhere = size > 0 and call.arguments[1:2] == (_NULL,)

    def attempt() -> Answer | None:
        nonlocal got
        if not isinstance(host.tcp.handles.get(descriptor.handle), Connection):
            return Answer(-1, "ENOTCONN")
        if host.tcp.state(descriptor.handle) in _OPENING:
            return None
        data, events = host.tcp.recv(descriptor.handle, size - got, host.instant(), peek or nowhere)
        host.perform(events)
        if nowhere and isinstance(data, bytes) and data:
            return Answer(-1, "EFAULT")
        if data is Errno.EAGAIN:
            return None
        if isinstance(data, Errno):
            return Answer(got) if got else Answer(-1, data)
        got += len(data)
        return Answer(got) if got >= size or not data or not whole or peek else None

    dont_wait = flags & process.constant("MSG_DONTWAIT")
    return Job(attempt, descriptor.blocking and not dont_wait)


def _write(process: Process, call: Call) -> Job:
    flags = process.number(call, 3) if call.name in ("send", "sendto") else 0
    return _send(process, call, process.size(call, 2), flags)


def _writev(process: Process, call: Call) -> Job:
    return _send(process, call, _vector(process, call.arguments[1]), 0)


def _sendmsg(process: Process, call: Call) -> Job:
    return _send(process, call, _vector(process, call.arguments[1]), process.number(call, 2))


def _send(process: Process, call: Call, size: int, flags: int) -> Job:
    descriptor = process.socket(call)
    host = process.host
    if size > 0 and call.arguments[1:2] == (_NULL,):
        return _done(Answer(-1, "EFAULT"))
    if flags & process.constant("MSG_FASTOPEN"):
        raise UnknownCallError("the engine has no TCP Fast Open", "leave MSG_FASTOPEN out and call connect()")
    blocks = descriptor.blocking and not flags & process.constant("MSG_DONTWAIT")
    if host.system == "linux" and flags & process.constant("MSG_EOR"):
        raise UnknownCallError("the engine joins what writes leave behind", "leave MSG_EOR out")
    urgent = flags & process.constant("MSG_OOB") != 0
    more = host.system == "linux" and flags & process.constant("MSG_MORE") != 0
    sent = 0

    def attempt() -> Answer | None:
        nonlocal sent
        state = host.tcp.state(descriptor.handle)
        if state in _OPENING and host.system == "linux":
            return None  # tcp_sendmsg() waits for the connection; FreeBSD's tcp_usr_send() queues
        if not isinstance(host.tcp.handles.get(descriptor.handle), Connection):
            # Linux: tcp_sendmsg() on a socket that was never connected, EPIPE; FreeBSD: sosend(), ENOTCONN.
            return Answer(-1, "ENOTCONN" if host.system == "freebsd" else "EPIPE")
        taken, events = host.tcp.send(descriptor.handle, bytes(size - sent), host.instant(), urgent, more)
        host.perform(events)
        if taken is Errno.EAGAIN:
            return Answer(sent) if sent and not blocks else None
        if isinstance(taken, Errno):
            return Answer(sent) if sent else Answer(-1, taken)
        sent += taken
        return Answer(sent) if sent == size or not blocks else None

    return Job(attempt, blocks)


def _vector(process: Process, value: Expression) -> int:
    """Return how many octets an iovec, or the one in a msghdr, has room for."""
    match value:
        case Array(items):
            return sum(_vector(process, item) for item in items)
        case Struct(fields):
            for name, each in fields.items():
                if name == "msg_iov":
                    return _vector(process, each.arguments[-1] if isinstance(each, Apply) else each)
            sizes = [each for each in fields.values() if isinstance(each, Number)]
            if sizes:
                return sizes[-1].value
    raise UnknownCallError("an iovec is wanted: [{..., 1000}, {..., 500}]")


# --- What descriptors are like


def _fcntl(process: Process, call: Call) -> Job:
    descriptor = process.get(call)
    command = process.number(call, 1)
    non_blocking = process.constant("O_NONBLOCK")
    if command == process.constant("F_GETFL"):
        return _done(Answer(process.constant("O_RDWR") | (0 if descriptor.blocking else non_blocking)))
    if command == process.constant("F_SETFL"):
        descriptor.blocking = not process.number(call, 2) & non_blocking
        return _done(Answer())
    if command in (process.constant("F_GETFD"), process.constant("F_SETFD")):
        return _done(Answer())
    return _done(Answer(-1, "EINVAL"))


def _ioctl(process: Process, call: Call) -> Job:
    descriptor = process.socket(call)
    command = process.number(call, 1)
    owner = process.host.tcp.handles.get(descriptor.handle)
    if command == process.constant("FIONBIO"):
        descriptor.blocking = not process.number(call, 2)
        return _done(Answer())
    if isinstance(owner, Listener):
        return _done(Answer(-1, "EINVAL"))
    conn = owner if isinstance(owner, Connection) else None
    answers = {
        "FIONREAD": len(conn.received) if conn else 0,
        "SIOCOUTQ": len(conn.buffer) + (conn.fin_sent and conn.snd_una != conn.snd_nxt) if conn else 0,
        "SIOCOUTQNSD": (conn.fin_seq - conn.snd_nxt) & 0xFFFF_FFFF if conn and not conn.fin_sent else 0,
        "FIONWRITE": len(conn.buffer) if conn else 0,
        "FIONSPACE": _room(process, conn) if conn else 0,
    }
    for name, value in answers.items():
        if command == process.constant(name):
            return _done(Answer(out={2: Array((Number(value),))}))
    return _done(Answer(-1, "ENOTTY"))


def _getsockopt(process: Process, call: Call) -> Job:
    descriptor = process.socket(call)
    value = get_option(process.host.tcp, process.host.system, descriptor.handle, descriptor.kept, call)
    if isinstance(value, Errno):
        return _done(Answer(-1, value))
    size = Array((Anything(),)) if isinstance(value, Struct) else Array((Number(4),))
    return _done(Answer(out={3: value, 4: size}))


def _setsockopt(process: Process, call: Call) -> Job:
    descriptor = process.socket(call)
    host = process.host
    result = _result(set_option(host.tcp, host.system, descriptor.handle, descriptor.kept, call))
    if isinstance(call.arguments[2], Word) and call.arguments[2].name in _RELEASES:
        host.perform(host.tcp.push(descriptor.handle, host.instant()))
    return _done(result)


# --- Closing


def _shutdown(process: Process, call: Call) -> Job:
    how = process.number(call, 1)
    if how not in (0, 1, 2):
        return _done(Answer(-1, "EINVAL"))
    host = process.host
    handle = process.socket(call).handle
    names: Final = ("read", "write", "both")
    error, events = host.tcp.shutdown(handle, host.instant(), names[how])
    host.perform(events)
    return _done(_result(error))


def _close(process: Process, call: Call) -> Job:
    descriptor = process.get(call)
    del process.open[process.number(call, 0)]
    if descriptor.watched is not None:
        return _done(Answer())
    for each in process.open.values():
        if each.watched is not None:
            each.watched.pop(process.number(call, 0), None)
    host = process.host
    handle = descriptor.handle
    error, events = host.tcp.close(handle, host.instant())
    host.perform(events)
    if error is not Errno.EINPROGRESS:
        return _done(_result(error))
    waits = descriptor.blocking or host.system == "linux"  # FreeBSD: soclose() does not wait where SS_NBIO is set

    def attempt() -> Answer | None:
        return Answer() if handle in process.released or not waits else None

    return Job(attempt, waits)


# --- Waiting


def _ready(process: Process, descriptor: Descriptor) -> int:
    """Return what poll() reports for a socket: tcp_poll(), net/ipv4/tcp.c."""
    bit = process.constant
    stack = process.host.tcp
    owner = stack.handles.get(descriptor.handle)
    readable, writable = bit("POLLIN") | bit("POLLRDNORM"), bit("POLLOUT") | bit("POLLWRNORM")
    if isinstance(owner, Listener):
        return readable if owner.ready else 0
    if isinstance(owner, Socket) or owner is None:
        return writable | bit("POLLHUP")
    state = stack.state(descriptor.handle)
    if state in _OPENING:
        return 0
    ended = state is CLOSED or state is TIME_WAIT
    at_end = owner.remote_fin == CONSUMED or owner.read_shut or ended
    mask = bit("POLLERR") if owner.error is not None else 0
    if owner.received or at_end:
        mask |= readable
    if at_end:
        mask |= bit("POLLRDHUP")
    if ended or (at_end and owner.fin_queued):
        mask |= bit("POLLHUP")
    if ended or owner.fin_queued or 3 * _room(process, owner) >= _send_limit(process, owner):
        mask |= writable
    return mask


def _send_limit(process: Process, conn: Connection) -> int:
    limit = conn.options.send_buffer
    return process.host.tcp.profile.send_buffer if limit is None else limit


def _room(process: Process, conn: Connection) -> int:
    return max(0, _send_limit(process, conn) - len(conn.buffer))


def _poll(process: Process, call: Call) -> Job:
    wanted = call.arguments[0]
    if not isinstance(wanted, Array) or not all(isinstance(each, Struct) for each in wanted.items):
        raise UnknownCallError("poll: an array of {fd=, events=, revents=} is wanted")
    items = [each for each in wanted.items if isinstance(each, Struct)]
    always = process.constant("POLLERR") | process.constant("POLLHUP")

    def attempt() -> Answer | None:
        seen = []
        for item in items:
            number = evaluate(item.fields.get("fd", Number(-1)), process.host.system)
            asked = evaluate(item.fields.get("events", Number(0)), process.host.system)
            descriptor = process.open.get(number)
            mask = process.constant("POLLNVAL") if descriptor is None else _ready(process, descriptor)
            seen.append(mask & (asked | always | process.constant("POLLNVAL")))
        count = sum(mask != 0 for mask in seen)
        if not count:
            return None
        return Answer(count, out={0: _pollfds(items, seen)})

    late = Answer(0, out={0: _pollfds(items, [0] * len(items))})
    return _waiting(process, attempt, process.number(call, 2), late)


def _pollfds(items: list[Struct], seen: list[int]) -> Array:
    pairs = zip(items, seen, strict=True)
    return Array(tuple(Struct({**item.fields, "revents": Number(mask)}) for item, mask in pairs))


def _waiting(process: Process, attempt: Callable[[], Answer | None], milliseconds: int, late: Answer) -> Job:
    if milliseconds < 0:
        return Job(attempt, True)
    return Job(attempt, milliseconds > 0, process.host.instant() + milliseconds * MS, late)


def _epoll_create(process: Process, call: Call) -> Job:
    if process.host.system != "linux":
        raise UnknownCallError(f"{process.host.system} has no {call.name}")
    return _done(Answer(process.install(Descriptor(watched={}))))


def _epoll_ctl(process: Process, call: Call) -> Job:
    watched = process.get(call).watched
    process.get(call, 2)
    if watched is None:
        return _done(Answer(-1, "EINVAL"))
    operation, number = process.number(call, 1), process.number(call, 2)
    if number == process.number(call, 0):
        return _done(Answer(-1, "EINVAL"))
    if (operation == process.constant("EPOLL_CTL_ADD")) == (number in watched):
        return _done(Answer(-1, "EEXIST" if number in watched else "ENOENT"))
    if operation == process.constant("EPOLL_CTL_DEL"):
        del watched[number]
        return _done(Answer())
    event = call.arguments[3]
    if not isinstance(event, Struct) or "events" not in event.fields:
        raise UnknownCallError("epoll_ctl: {events=, fd=} is wanted")
    data = {name: value for name, value in event.fields.items() if name != "events"}
    watched[number] = Watch(evaluate(event.fields["events"], process.host.system), Struct(data))
    return _done(Answer())


def _epoll_wait(process: Process, call: Call) -> Job:
    watched = process.get(call).watched
    if watched is None:
        return _done(Answer(-1, "EINVAL"))
    most = process.number(call, 2)
    if most <= 0:
        return _done(Answer(-1, "EINVAL"))
    always = process.constant("EPOLLERR") | process.constant("EPOLLHUP")
    edge, once = process.constant("EPOLLET"), process.constant("EPOLLONESHOT")

    def attempt() -> Answer | None:
        found: list[Expression] = []
        for number, watch in watched.items():
            descriptor = process.open.get(number)
            if descriptor is None or (watch.events & edge and not watch.armed):
                continue
            mask = _ready(process, descriptor) & (watch.events | always) if watch.events & ~edge & ~once else 0
            watch.armed = False
            if mask and len(found) < most:
                assert isinstance(watch.data, Struct)
                found.append(Struct({"events": Number(mask), **watch.data.fields}))
                if watch.events & once:
                    watch.events &= edge | once
        if not found:
            return None
        return Answer(len(found), out={1: found[0] if len(found) == 1 else Array(tuple(found))})

    return _waiting(process, attempt, process.number(call, 3), Answer(0))


_CALLS: Final[Mapping[str, Callable[[Process, Call], Job]]] = {
    "socket": _socket,
    "bind": _bind,
    "listen": _listen,
    "accept": _accept,
    "accept4": _accept,
    "connect": _connect,
    "read": _read,
    "recv": _read,
    "recvfrom": _read,
    "readv": _readv,
    "recvmsg": _recvmsg,
    "write": _write,
    "send": _write,
    "sendto": _write,
    "writev": _writev,
    "sendmsg": _sendmsg,
    "fcntl": _fcntl,
    "ioctl": _ioctl,
    "getsockopt": _getsockopt,
    "setsockopt": _setsockopt,
    "shutdown": _shutdown,
    "close": _close,
    "poll": _poll,
    "epoll_create": _epoll_create,
    "epoll_create1": _epoll_create,
    "epoll_ctl": _epoll_ctl,
    "epoll_wait": _epoll_wait,
}
