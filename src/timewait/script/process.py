"""The process that makes a script's calls on the engine: its descriptors, and what becomes of a call.

What each call does is in `engine_calls` and, where it waits for several descriptors, in `engine_poll`.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol

from timewait.clock import Duration
from timewait.script.calls import CONSTANTS, evaluate
from timewait.script.error_queue import ErrorQueue
from timewait.script.syntax import Call, Expression
from timewait.script.world import Addresses, UnknownCallError
from timewait.tcp.connection import Connection
from timewait.tcp.events import Errno, Events
from timewait.tcp.stack import Stack
from timewait.tcp.states import SYN_RECEIVED, SYN_SENT
from timewait.wire.segment import Segment

OPENING: Final = (SYN_SENT, SYN_RECEIVED)
# A script that asks for more is a mistake, and would only fill this machine's memory.
LARGEST: Final = 1 << 28


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

    def now(self) -> Duration:
        """Return the time since the script began."""
        ...

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
        self.errors: defaultdict[int, ErrorQueue] = defaultdict(ErrorQueue)  # by socket

    def happened(self, handle: int) -> None:
        """Something changed for a socket: edge-triggered watches of it may report again."""
        for descriptor in self.open.values():
            for number, watch in (descriptor.watched or {}).items():
                if number in self.open and self.open[number].handle == handle:
                    watch.armed = True

    def left(self, segment: Segment) -> None:
        """A segment leaves the stack: who asked for its timestamps learns of it."""
        for handle, queue in self.errors.items():
            conn = self.host.tcp.handles.get(handle)
            if isinstance(conn, Connection) and conn.key == segment[:4] and queue.sent(segment, self.host.now()):
                self.happened(handle)

    def look_for_acknowledged(self) -> None:
        """See what has been acknowledged: what was promised with it is due."""
        for handle, queue in self.errors.items():
            conn = self.host.tcp.handles.get(handle)
            if isinstance(conn, Connection) and queue.acknowledged(conn.snd_una, self.host.now()):
                self.happened(handle)

    # --- Arguments

    def number(self, call: Call, index: int) -> int:
        """Return a number among the arguments."""
        return evaluate(call.arguments[index], self.host.system)

    def size(self, call: Call, index: int) -> int:
        """Return a size in octets among the arguments."""
        size = self.number(call, index)
        if not 0 <= size <= LARGEST:
            raise UnknownCallError(f"{call.name}: a size of {size}; up to {LARGEST} octets can be played")
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


def done(answer: Answer) -> Job:
    """Return a call that has its answer at once."""
    return Job(lambda: answer)


def result(error: Errno | None) -> Answer:
    """Return 0, or -1 with the error."""
    return Answer() if error is None else Answer(-1, error)
