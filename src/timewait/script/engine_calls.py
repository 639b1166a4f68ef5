"""System calls on the engine: a process with descriptors whose sockets are those of a `Stack`.

A call is an attempt, made at once and, where the descriptor blocks, again after anything that happened, until it has an
answer or its time is up.  What the arguments mean is in `calls`; time and packets are the world's.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from timewait.script import engine_poll, messages
from timewait.script.calls import evaluate
from timewait.script.engine_poll import room
from timewait.script.mistake import near
from timewait.script.process import LARGEST, OPENING, Answer, CallError, Descriptor, Job, Process, done, result
from timewait.script.socket_options import get_option, set_option
from timewait.script.syntax import Anything, Apply, Array, Call, Expression, Number, Struct, Word
from timewait.script.world import UnknownCallError
from timewait.tcp.connection import Connection
from timewait.tcp.core import Listener
from timewait.tcp.events import Errno
from timewait.tcp.receiver import CONSUMED

_NULL: Final = Word("NULL")
# Options that let go what waits for a full segment: do_tcp_setsockopt(), net/ipv4/tcp.c.
_RELEASES: Final = frozenset({"TCP_NODELAY", "TCP_CORK", "TCP_NOPUSH"})


# --- Sockets


def _socket(process: Process, call: Call) -> Job:
    kind = process.number(call, 1)
    flags = process.constant("SOCK_NONBLOCK") | process.constant("SOCK_CLOEXEC")
    if kind & ~flags != process.constant("SOCK_STREAM"):
        raise UnknownCallError("the engine has only stream sockets", "socket(..., SOCK_STREAM, IPPROTO_TCP)")
    blocking = not kind & process.constant("SOCK_NONBLOCK")
    return done(Answer(process.install(Descriptor(process.host.tcp.socket(), blocking))))


def _bind(process: Process, call: Call) -> Job:
    addresses = process.host.addresses
    return done(result(process.host.tcp.bind(process.socket(call).handle, addresses.local, addresses.bind_port)))


def _listen(process: Process, call: Call) -> Job:
    backlog = process.number(call, 1)
    # Below 0 is as many as the system has: a number without sign in Linux, solisten_proto() in FreeBSD.
    return done(result(process.host.tcp.listen(process.socket(call).handle, backlog if backlog >= 0 else LARGEST)))


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
        # sk_clone() hands the listener's flags on, SO_ZEROCOPY and SO_TIMESTAMPING among them.
        return Answer(process.install(Descriptor(child, blocking, kept=dict(listener.kept))))

    return Job(attempt, listener.blocking)


def _connect(process: Process, call: Call) -> Job:
    descriptor = process.socket(call)
    if call.arguments[1:2] == (Word("AF_UNSPEC"),):
        raise UnknownCallError("the engine dissolves no connection", "close it and open another socket")
    host = process.host
    stack = host.tcp
    if descriptor.connecting:
        return _connect_again(process, descriptor)
    error, events = stack.connect(descriptor.handle, host.addresses.remote, host.addresses.connect_port, host.instant())
    host.perform(events)
    if error is not None:
        return done(result(error))
    descriptor.connecting = True
    return Job(partial(_connected, process, descriptor), descriptor.blocking, late=Answer(-1, "EINPROGRESS"))


def _connect_again(process: Process, descriptor: Descriptor) -> Job:
    answer = _connected(process, descriptor)
    if answer is None:
        return done(Answer(-1, "EALREADY"))
    if not answer.errno and process.host.system == "freebsd":
        return done(Answer(-1, "EISCONN"))  # Linux says so only from the second time on: net/ipv4/af_inet.c
    return done(answer)


def _connected(process: Process, descriptor: Descriptor) -> Answer | None:
    stack = process.host.tcp
    if stack.state(descriptor.handle) in OPENING:
        return None
    descriptor.connecting = False
    return result(stack.take_error(descriptor.handle))


# --- Data


def _read(process: Process, call: Call) -> Job:
    flags = process.number(call, 3) if call.name in ("recv", "recvfrom") else 0
    return _receive(process, call, process.size(call, 2), flags)


def _readv(process: Process, call: Call) -> Job:
    return _receive(process, call, _vector(process, call.arguments[1]), 0)


def _recvmsg(process: Process, call: Call) -> Job:
    descriptor = process.socket(call)
    size, flags = _vector(process, call.arguments[1]), process.number(call, 2)
    if flags & process.constant("MSG_ERRQUEUE"):
        return done(_take_error(process, descriptor, size))
    job = _receive(process, call, size, flags)

    def attempt() -> Answer | None:
        answer = job.attempt()
        if answer is None or answer.errno:
            return answer
        return answer._replace(out={1: messages.written(0, _unread(process, descriptor))})

    return job._replace(attempt=attempt)


def _take_error(process: Process, descriptor: Descriptor, size: int) -> Answer:
    """Return the oldest entry of the error queue; this never waits: inet_recv_error(), net/ipv4/af_inet.c."""
    queue = process.errors[descriptor.handle].waiting if descriptor.handle in process.errors else None
    if not queue:
        return Answer(-1, "EAGAIN")
    error = queue.popleft()
    cut = messages.TRUNC if error.size > size else 0
    version6 = len(process.host.addresses.local) == 16
    wrote = messages.written(messages.ERRQUEUE | cut, messages.queued(error, version6))
    return Answer(min(error.size, size), out={1: wrote})


def _unread(process: Process, descriptor: Descriptor) -> list[Expression]:
    """Return the message of TCP_INQ where it is asked for; 1 is the end that is yet to be read: tcp_inq_hint()."""
    conn = process.host.tcp.handles.get(descriptor.handle)
    if not _is_on(process, descriptor, "TCP_INQ") or not isinstance(conn, Connection):
        return []
    return [messages.unread(len(conn.received) or int(conn.remote_fin == CONSUMED))]


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
        if host.tcp.state(descriptor.handle) in OPENING:
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
        return done(Answer(-1, "EFAULT"))
    if flags & process.constant("MSG_FASTOPEN"):
        raise UnknownCallError("the engine has no TCP Fast Open", "leave MSG_FASTOPEN out and call connect()")
    blocks = descriptor.blocking and not flags & process.constant("MSG_DONTWAIT")
    record = host.system == "linux" and flags & process.constant("MSG_EOR") != 0
    copies = flags & process.constant("MSG_ZEROCOPY") != 0 and _is_on(process, descriptor, "SO_ZEROCOPY")
    urgent = flags & process.constant("MSG_OOB") != 0
    more = host.system == "linux" and flags & process.constant("MSG_MORE") != 0
    sent = 0

    def attempt() -> Answer | None:
        nonlocal sent
        state = host.tcp.state(descriptor.handle)
        if state in OPENING and host.system == "linux":
            return None  # tcp_sendmsg() waits for the connection; FreeBSD's tcp_usr_send() queues
        if not isinstance(host.tcp.handles.get(descriptor.handle), Connection):
            # Linux: tcp_sendmsg() on a socket that was never connected, EPIPE; FreeBSD: sosend(), ENOTCONN.
            return Answer(-1, "ENOTCONN" if host.system == "freebsd" else "EPIPE")
        taken, events = host.tcp.send(descriptor.handle, bytes(size - sent), host.instant(), urgent, more, record)
        if isinstance(taken, int) and taken and (copies or descriptor.handle in process.errors):
            conn = host.tcp.handles[descriptor.handle]
            assert isinstance(conn, Connection)
            process.errors[descriptor.handle].wrote(conn, copies, sent > 0, sent + taken == size or not blocks)
        host.perform(events)
        if taken is Errno.EAGAIN:
            return Answer(sent) if sent and not blocks else None
        if isinstance(taken, Errno):
            return Answer(sent) if sent else Answer(-1, taken)
        sent += taken
        return Answer(sent) if sent == size or not blocks else None

    return Job(attempt, blocks)


def _is_on(process: Process, descriptor: Descriptor, option: str) -> bool:
    """Whether an option that is only kept here was set."""
    value = descriptor.kept.get(option)
    return value is not None and evaluate(value, process.host.system) != 0


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
        return done(Answer(process.constant("O_RDWR") | (0 if descriptor.blocking else non_blocking)))
    if command == process.constant("F_SETFL"):
        descriptor.blocking = not process.number(call, 2) & non_blocking
        return done(Answer())
    if command in (process.constant("F_GETFD"), process.constant("F_SETFD")):
        return done(Answer())
    return done(Answer(-1, "EINVAL"))


def _ioctl(process: Process, call: Call) -> Job:
    descriptor = process.socket(call)
    command = process.number(call, 1)
    owner = process.host.tcp.handles.get(descriptor.handle)
    if command == process.constant("FIONBIO"):
        descriptor.blocking = not process.number(call, 2)
        return done(Answer())
    if isinstance(owner, Listener):
        return done(Answer(-1, "EINVAL"))
    conn = owner if isinstance(owner, Connection) else None
    answers = {
        "FIONREAD": len(conn.received) if conn else 0,
        "SIOCOUTQ": len(conn.buffer) + (conn.fin_sent and conn.snd_una != conn.snd_nxt) if conn else 0,
        "SIOCOUTQNSD": (conn.fin_seq - conn.snd_nxt) & 0xFFFF_FFFF if conn and not conn.fin_sent else 0,
        "FIONWRITE": len(conn.buffer) if conn else 0,
        "FIONSPACE": room(process, conn) if conn else 0,
    }
    for name, value in answers.items():
        if command == process.constant(name):
            return done(Answer(out={2: Array((Number(value),))}))
    return done(Answer(-1, "ENOTTY"))


def _getsockopt(process: Process, call: Call) -> Job:
    descriptor = process.socket(call)
    value = get_option(
        process.host.tcp, process.host.system, descriptor.handle, descriptor.kept, call, process.host.instant()
    )
    if isinstance(value, Errno):
        return done(Answer(-1, value))
    size = Array((Anything(),)) if isinstance(value, Struct) else Array((Number(4),))
    return done(Answer(out={3: value, 4: size}))


def _setsockopt(process: Process, call: Call) -> Job:
    descriptor = process.socket(call)
    host = process.host
    answer = result(set_option(host.tcp, host.system, descriptor.handle, descriptor.kept, call))
    if "SO_TIMESTAMPING" in descriptor.kept:
        owner = host.tcp.handles.get(descriptor.handle)
        asked = evaluate(descriptor.kept["SO_TIMESTAMPING"], host.system)
        process.errors[descriptor.handle].ask(asked, owner if isinstance(owner, Connection) else None)
    if isinstance(call.arguments[2], Word) and call.arguments[2].name in _RELEASES:
        host.perform(host.tcp.push(descriptor.handle, host.instant()))
    return done(answer)


# --- Closing


def _shutdown(process: Process, call: Call) -> Job:
    how = process.number(call, 1)
    if how not in (0, 1, 2):
        return done(Answer(-1, "EINVAL"))
    host = process.host
    handle = process.socket(call).handle
    names: Final = ("read", "write", "both")
    error, events = host.tcp.shutdown(handle, host.instant(), names[how])
    host.perform(events)
    return done(result(error))


def _close(process: Process, call: Call) -> Job:
    descriptor = process.get(call)
    del process.open[process.number(call, 0)]
    if descriptor.watched is not None:
        return done(Answer())
    for each in process.open.values():
        if each.watched is not None:
            each.watched.pop(process.number(call, 0), None)
    host = process.host
    handle = descriptor.handle
    error, events = host.tcp.close(handle, host.instant())
    host.perform(events)
    if error is not Errno.EINPROGRESS:
        return done(result(error))
    waits = descriptor.blocking or host.system == "linux"  # FreeBSD: soclose() does not wait where SS_NBIO is set

    def attempt() -> Answer | None:
        return Answer() if handle in process.released or not waits else None

    return Job(attempt, waits)


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
    "poll": engine_poll.poll,
    "epoll_create": engine_poll.epoll_create,
    "epoll_create1": engine_poll.epoll_create,
    "epoll_ctl": engine_poll.epoll_ctl,
    "epoll_wait": engine_poll.epoll_wait,
}


def start(process: Process, call: Call) -> Job:
    """Begin a call.  Raises `UnknownCallError` for one that is not known, or has arguments that cannot be."""
    handler = _CALLS.get(call.name)
    if handler is None:
        raise UnknownCallError(f"the engine has no call {call.name}", near(call.name, _CALLS, "it has"))
    try:
        return handler(process, call)
    except CallError as error:
        return done(Answer(-1, error.name))
    except IndexError:
        raise UnknownCallError(f"{call.name}: arguments are missing ({len(call.arguments)} given)") from None
