"""`Programs`: all programs of one stack; `Channel`: what one of them may do with its connection.

Turns a stack's events into calls of programs and keeps the segments that follow for whoever carries them; it knows no
link.
"""

from collections import deque
from collections.abc import Callable, Iterable
from ipaddress import ip_address
from typing import Any

from timewait.clock import Instant
from timewait.endpoint import Endpoint
from timewait.errors import UnavailableError
from timewait.lab.program import Program
from timewait.tcp.connection import DEFAULT_OPTIONS, Options
from timewait.tcp.events import (
    Acceptable,
    Connected,
    Delivered,
    EndOfFile,
    Errno,
    Event,
    Failed,
    FourTuple,
    Send,
    Writable,
)
from timewait.tcp.stack import Stack
from timewait.wire.segment import Segment

_AS_MUCH_AS_THERE_IS = 1 << 30


class Channel:
    """A program's connection.  Once closed, its calls do nothing."""

    __slots__ = ("_programs", "_read_end", "handle", "program")

    def __init__(self, programs: "Programs", handle: int, program: Program) -> None:
        self._programs = programs
        self._read_end = False
        self.handle = handle
        self.program = program

    @property
    def name(self) -> FourTuple | None:
        """The four-tuple; None once closed."""
        return self._programs.stack.name(self.handle)

    def send(self, data: bytes) -> int:
        """Send; return how many octets the stack took.  If not all, `Program.writable` follows."""
        programs = self._programs
        taken, events = programs.stack.send(self.handle, data, programs.clock())
        programs.take(events)
        return taken if isinstance(taken, int) else 0

    def half_close(self) -> None:
        """Send no more."""
        programs = self._programs
        programs.take(programs.stack.shutdown(self.handle, programs.clock())[1])

    def close(self) -> None:
        """Give the connection up: FIN after all that was sent."""
        programs = self._programs
        if programs.channels.pop(self.handle, None) is not None:
            programs.take(programs.stack.close(self.handle, programs.clock())[1])

    def abort(self) -> None:
        """Give the connection up with a RST."""
        programs = self._programs
        if programs.channels.pop(self.handle, None) is not None:
            programs.take(programs.stack.abort(self.handle, programs.clock())[1])

    def read(self) -> bool:
        """Give the program all that stands ready, or the end; return whether there may be more to tell."""
        programs = self._programs
        if self._read_end or self.handle not in programs.channels:
            return False
        data, events = programs.stack.recv(self.handle, _AS_MUCH_AS_THERE_IS, programs.clock())
        programs.take(events)
        if isinstance(data, Errno):
            if data is not Errno.EAGAIN:
                programs.fail(self, data)
            return False
        if not data:
            self.end()
            return False
        self.program.received(self, data)
        return True

    def end(self) -> None:
        """Tell the program, once, that the peer will send no more."""
        if not self._read_end:
            self._read_end = True
            self.program.ended(self)


class Programs:
    """All programs of one stack.  `outgoing` collects segments; `watch`, where set, sees every other event first."""

    def __init__(self, stack: Stack, clock: Callable[[], Instant]) -> None:
        self.stack = stack
        self.clock = clock
        self.outgoing: list[Segment] = []
        self.channels: dict[int, Channel] = {}
        self.watch: Callable[[Event], None] | None = None
        self._factories: dict[int, Callable[[], Program]] = {}
        self._due: deque[Any] = deque()
        self._answers: dict[type, Callable[[Any], None]] = {
            Acceptable: self._accept,
            Connected: self._opened,
            Delivered: self._readable,
            EndOfFile: self._ended,
            Writable: self._writable,
            Failed: self._failed,
        }

    def serve(
        self, at: Endpoint, make: Callable[[], Program], *, options: Options = DEFAULT_OPTIONS, backlog: int = 4096
    ) -> int:
        """Listen, and run a program that `make` returns on each connection; return the listener's handle."""
        handle = self.stack.socket(options)
        error = self.stack.bind(handle, _packed(at), at.port) or self.stack.listen(handle, backlog)
        if error is not None:
            raise UnavailableError(f"the engine cannot listen at {at}: {error}")
        self._factories[handle] = make
        return handle

    def connect(
        self, to: Endpoint, program: Program, *, source: Endpoint | None = None, options: Options = DEFAULT_OPTIONS
    ) -> Channel:
        """Connect and run `program`; a refusal on the spot is `Program.failed` too."""
        stack = self.stack
        handle = stack.socket(options)
        channel = self.channels[handle] = Channel(self, handle, program)
        error = None if source is None else stack.bind(handle, _packed(source), source.port)
        if error is None:
            error, events = stack.connect(handle, _packed(to), to.port, self.clock())
            self.take(events)
        if error is not None:
            self.fail(channel, error)
        return channel

    def take(self, events: Iterable[Event]) -> None:
        """Sort what a stack said: segments to `outgoing`, the rest to be told by `settle`."""
        for event in events:
            if isinstance(event, Send):
                self.outgoing.append(event.segment)
                continue
            if self.watch is not None:
                self.watch(event)
            if type(event) in self._answers:
                self._due.append(event)

    def settle(self) -> None:
        """Call the programs that something happened to, until nothing more follows from it."""
        due = self._due
        while due:
            event = due.popleft()
            self._answers[type(event)](event)

    def fail(self, channel: Channel, error: Errno) -> None:
        """End a channel with an error."""
        channel.close()
        channel.program.failed(channel, error)

    def _accept(self, event: Acceptable) -> None:
        handle = self.stack.accept(event.handle)
        if isinstance(handle, Errno):
            return
        channel = self.channels[handle] = Channel(self, handle, self._factories[event.handle]())
        channel.program.opened(channel)
        while channel.read():
            pass  # what came before there was anybody to tell, the end included

    def _opened(self, event: Connected) -> None:
        channel = self.channels.get(event.handle)
        if channel is not None:
            channel.program.opened(channel)

    def _readable(self, event: Delivered) -> None:
        channel = self.channels.get(event.handle)
        if channel is not None:
            channel.read()

    def _ended(self, event: EndOfFile) -> None:
        channel = self.channels.get(event.handle)
        if channel is not None:
            channel.end()  # events come in order: all text has been read

    def _writable(self, event: Writable) -> None:
        channel = self.channels.get(event.handle)
        if channel is not None:
            channel.program.writable(channel)

    def _failed(self, event: Failed) -> None:
        channel = self.channels.get(event.handle)
        if channel is not None:
            self.fail(channel, event.error)


def _packed(endpoint: Endpoint) -> bytes:
    return ip_address(endpoint.address).packed
