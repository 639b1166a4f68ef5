"""`RecordedHost`: a kernel's host whose calls and states a trace records; `LoopbackHost`: one alone, its loopback too.

A kernel tells its states only who asks: they are looked up after each call and whenever the scenario looks.  Passing
ones may be missed; a time is that of the look.
"""

import time
from collections import deque
from collections.abc import Sequence
from functools import cache
from ipaddress import ip_address
from typing import Any, Final

from timewait.clock import MS, Instant
from timewait.endpoint import Endpoint
from timewait.errors import UnavailableError
from timewait.lab.kernel import KernelHost
from timewait.system.agent import Answer
from timewait.system.sock_diag import ALL_STATES
from timewait.system.socket_table import Socket
from timewait.system.tap import Heard, Tap
from timewait.tcp.events import Entered, FourTuple
from timewait.tcp.states import State
from timewait.trace import Called, Fate, Happened, Trace
from timewait.wire import packet
from timewait.wire.errors import WireError

# A packet is later than the look that finds it by less than this, unless somebody sets the clock.
_MEANWHILE: Final = 10 * MS
_STATES: Final = {str(state): state for state in State}
# The system call of each operation that is one.
_CALLS: Final = {
    "connect": "connect",
    "listen": "listen",
    "accept": "accept",
    "send": "send",
    "receive": "recv",
    "half_close": "shutdown",
    "close": "close",
    "abort": "abort",
    "set_option": "setsockopt",
    "stop_reading": "shutdown",
    "destroy": "destroy",
}
# A wait that ends so much later than it would have has begun anew; what is left of one is told in jiffies.
_ANEW: Final = 50 * MS
# Looking costs as much as there are sockets: with more than this, only the scenario's own looks are recorded.
_MOST_SOCKETS: Final = 256
# Of text no more than this is kept, lest a large transfer fill the memory: the rest is zeros.
_KEPT: Final = 2048


class RecordedHost(KernelHost):
    """A host whose calls and states are written into `trace`, where there is one."""

    def __init__(self, name: str) -> None:
        """Start the host.  Raises `UnavailableError` where this user may not."""
        super().__init__()
        self.name = name
        self._known: dict[FourTuple, tuple[State, Instant | None]] = {}
        self._ends: dict[int, FourTuple] = {}

    @property
    def trace(self) -> Trace | None:
        """What to write into."""
        return None

    def listened(self) -> Instant:
        """Write down what passed since the last time, where that is this host's to do; return up to when."""
        return time.monotonic_ns()

    def _ask(self, operation: str, **arguments: Any) -> Any:
        began = time.monotonic_ns()
        answer = super()._ask(operation, **arguments)
        trace = self.trace
        if trace is None:
            return answer
        self.listened()
        if operation == "sockets" and not arguments["local_port"] and not arguments["peer_port"]:
            self._note(trace, answer, began, self.listened())
        elif operation in _CALLS:
            text = f"{_CALLS[operation]}({_about(arguments)})"
            ends = self._ends_of(operation, arguments, answer)
            trace.add(Called(self.listened(), self.name, text, _result(answer), ends))
            if len(self._known) <= _MOST_SOCKETS:
                self.look()
        return answer

    def _ends_of(self, operation: str, arguments: dict[str, Any], answer: Answer) -> FourTuple | None:
        """Return which connection a call was about, as far as that is known."""
        if operation in ("connect", "accept") and not answer.error:
            try:
                own, peer = super()._ask("ends", handle=answer.value)
            except UnavailableError:  # it is over already: reset by the peer
                return None
            self._ends[answer.value] = found = FourTuple(*_end(Endpoint(*own)), *_end(Endpoint(*peer)))
            return found
        if operation == "connect":
            source = arguments["source"]
            own_end = (b"", 0) if source is None else _end(Endpoint(*source))
            return FourTuple(*own_end, *_end(Endpoint(arguments["address"], arguments["port"])))
        if operation == "listen":
            at = _end(Endpoint(arguments["address"], arguments["port"]))
            if not answer.error:
                self._ends[answer.value] = FourTuple(*at, b"", 0)
            return FourTuple(*at, b"", 0)
        if operation == "destroy":
            return FourTuple(b"", arguments["local_port"], b"", arguments["peer_port"])
        return self._ends.get(arguments["handle"])

    def look(self) -> None:
        """Record what states the connections are in, where they changed."""
        if self.trace is not None:
            began = time.monotonic_ns()
            rows = super()._ask("sockets", mask=ALL_STATES, local_port=0, peer_port=0)
            self._note(self.trace, rows, began, self.listened())  # what passed meanwhile comes first

    def sockets(self, *, local_port: int = 0, peer_port: int = 0) -> list[Socket]:
        """See `Host.sockets`; a look that is recorded."""
        if self.trace is None:
            return super().sockets(local_port=local_port, peer_port=peer_port)
        found = super().sockets()
        return [row for row in found if local_port in (0, row.local.port) and peer_port in (0, row.peer.port)]

    def _note(self, trace: Trace, rows: Sequence[Socket], began: Instant, now: Instant) -> None:
        """Note what changed, by a look made between two times: a wait ends no earlier, and no later, than by them."""
        found = {}
        for row in rows:
            if row.state == "LISTEN":
                continue
            name = FourTuple(*_end(row.local), *_end(row.peer))
            state, until = _STATES[row.state], None if row.time_left is None else now + row.time_left
            before, ends = self._known.get(name, (None, None))
            found[name] = state, until if ends is None or until is None else min(until, ends)
            least = began + (row.time_left or 0)
            anew = state is State.TIME_WAIT and ends is not None and least - ends > _ANEW
            if before is not state or anew:
                found[name] = state, until
                trace.add(Happened(now, self.name, Entered(name, state, until)))
        for name in self._known.keys() - found.keys():
            trace.add(Happened(now, self.name, Entered(name, State.CLOSED)))
        self._known = found


class LoopbackHost(RecordedHost):
    """A host alone, all that goes over its loopback recorded: the time of a segment is the kernel's own."""

    _tap: Tap | None = None

    def __init__(self, name: str) -> None:
        """Start the host and listen.  Raises `UnavailableError` where this user may not."""
        super().__init__(name)
        self._heard: deque[Heard] = deque()
        self._trace = Trace(time.monotonic_ns())
        self._trace.epoch = time.time_ns() - time.monotonic_ns()
        try:
            self._tap = self.open_tap()
        except BaseException:
            self.end()
            raise

    @property
    def trace(self) -> Trace | None:
        """What was recorded; None until it has begun."""
        return None if self._tap is None else self._trace

    @property
    def missed(self) -> int:
        """How many packets passed unrecorded."""
        return 0 if self._tap is None else self._tap.missed

    def end(self) -> None:
        """See `KernelHost.end`."""
        if self._tap is not None:
            self._tap.close()
            self._tap = None
        super().end()

    def listened(self) -> Instant:
        """Write down what passed over loopback: each segment left and came at once.  What comes after waits."""
        until = super().listened()
        trace, epoch, link = self._trace, self._trace.epoch, f"{self.name} > {self.name}"
        self._heard.extend(self._tap.take() if self._tap is not None else ())
        while self._heard and not 0 < self._heard[0].time - epoch - until < _MEANWHILE:
            when, data = self._heard.popleft()
            try:
                segment = packet.parse(data, verify=False)  # loopback leaves checksums out
            except WireError:
                continue  # not TCP: answers of ICMP, neighbour discovery
            if len(segment.payload) > _KEPT:
                segment = segment._replace(payload=_zeros(len(segment.payload)))
            trace.moved(when - epoch, Fate.SENT, link, self.name, segment)
            trace.moved(when - epoch, Fate.DELIVERED, link, self.name, segment)
        return until


@cache
def _zeros(length: int) -> bytes:
    return bytes(length)


def _end(end: Endpoint) -> tuple[bytes, int]:
    return ip_address(end.address).packed, end.port


def _about(arguments: dict[str, Any]) -> str:
    if "address" in arguments:
        return str(Endpoint(arguments["address"], arguments["port"]))
    words = [arguments[name] for name in ("handle", "local_port", "peer_port") if name in arguments]
    if "data" in arguments:
        words.append(f"{len(arguments['data'])} octets")
    if "name" in arguments:
        words += [arguments["name"], arguments["value"]]
    return ", ".join(map(str, words))


def _result(answer: Answer) -> str:
    if answer.error:
        return answer.error
    value = answer.value
    return f"{len(value)} octets" if isinstance(value, bytes) else "done" if value is None else str(value)
