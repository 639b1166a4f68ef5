"""Calls that wait for descriptors: poll() and epoll.  When a socket is ready, the stack says."""

from collections.abc import Callable
from typing import Final

from timewait.clock import MS
from timewait.script.calls import evaluate
from timewait.script.process import Answer, Descriptor, Job, Process, Watch, done
from timewait.script.syntax import Array, Call, Expression, Number, Struct
from timewait.script.world import UnknownCallError
from timewait.tcp.connection import Connection

# poll(2): those of normal data come with those of any, which is all that TCP has but urgent data.
_TOGETHER: Final = {"IN": ("POLLIN", "POLLRDNORM"), "OUT": ("POLLOUT", "POLLWRNORM")}


def _ready(process: Process, descriptor: Descriptor) -> int:
    """Return what poll() reports for a socket."""
    mask = 0
    for name in process.host.tcp.poll(descriptor.handle):
        for constant in _TOGETHER.get(name, (f"POLL{name}",)):
            mask |= process.constant(constant)
    if descriptor.handle in process.errors and process.errors[descriptor.handle].waiting:
        mask |= process.constant("POLLERR")  # tcp_poll(), net/ipv4/tcp.c
    return mask


def _send_limit(process: Process, conn: Connection) -> int:
    limit = conn.options.send_buffer
    return process.host.tcp.profile.send_buffer if limit is None else limit


def room(process: Process, conn: Connection) -> int:
    """Return how many octets a connection's send buffer has room for."""
    return max(0, _send_limit(process, conn) - len(conn.buffer))


def poll(process: Process, call: Call) -> Job:
    """Answer poll()."""
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


def epoll_create(process: Process, call: Call) -> Job:
    """Answer epoll_create()."""
    if process.host.system != "linux":
        raise UnknownCallError(f"{process.host.system} has no {call.name}")
    return done(Answer(process.install(Descriptor(watched={}))))


def epoll_ctl(process: Process, call: Call) -> Job:
    """Answer epoll_ctl()."""
    watched = process.get(call).watched
    process.get(call, 2)
    if watched is None:
        return done(Answer(-1, "EINVAL"))
    operation, number = process.number(call, 1), process.number(call, 2)
    if number == process.number(call, 0):
        return done(Answer(-1, "EINVAL"))
    if (operation == process.constant("EPOLL_CTL_ADD")) == (number in watched):
        return done(Answer(-1, "EEXIST" if number in watched else "ENOENT"))
    if operation == process.constant("EPOLL_CTL_DEL"):
        del watched[number]
        return done(Answer())
    event = call.arguments[3]
    if not isinstance(event, Struct) or "events" not in event.fields:
        raise UnknownCallError("epoll_ctl: {events=, fd=} is wanted")
    data = {name: value for name, value in event.fields.items() if name != "events"}
    watched[number] = Watch(evaluate(event.fields["events"], process.host.system), Struct(data))
    return done(Answer())


def epoll_wait(process: Process, call: Call) -> Job:
    """Answer epoll_wait()."""
    watched = process.get(call).watched
    if watched is None:
        return done(Answer(-1, "EINVAL"))
    most = process.number(call, 2)
    if most <= 0:
        return done(Answer(-1, "EINVAL"))
    always = process.constant("EPOLLERR") | process.constant("EPOLLHUP")
    edge, once = process.constant("EPOLLET"), process.constant("EPOLLONESHOT")
    how = edge | once | process.constant("EPOLLEXCLUSIVE") | process.constant("EPOLLWAKEUP")

    def attempt() -> Answer | None:
        found: list[Expression] = []
        for number, watch in watched.items():
            descriptor = process.open.get(number)
            if descriptor is None or (watch.events & edge and not watch.armed):
                continue
            mask = _ready(process, descriptor) & (watch.events | always) if watch.events & ~how else 0
            watch.armed = False
            if mask and len(found) < most:
                assert isinstance(watch.data, Struct)
                found.append(Struct({"events": Number(mask), **watch.data.fields}))
                if watch.events & once:
                    watch.events &= how
        if not found:
            return None
        return Answer(len(found), out={1: found[0] if len(found) == 1 else Array(tuple(found))})

    return _waiting(process, attempt, process.number(call, 3), Answer(0))
