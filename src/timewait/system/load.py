"""Connections made on a schedule, open loop, by real sockets on loopback: what `plan --validate` measures with.

Runs in the agent, inside its namespace.  Every connect has its moment on the clock, whatever became of those before it;
how late it really was is recorded, so that a busy machine is told from a wrong forecast.  Times are nanoseconds from
the start.  Needs the standard library only.
"""

import contextlib
import errno
import heapq
import os
import select
import socket
import time
from array import array
from pathlib import Path
from typing import Final, NamedTuple

from timewait.clock import MS, SECOND

# include/uapi/linux/in.h
_IP_BIND_ADDRESS_NO_PORT: Final = 24
_BACKLOG: Final = 4096
# From the order to begin to the first moment of the schedule.
_AHEAD: Final = 20 * MS
# A handshake that takes longer than this did not work: a SYN was refused, and is sent again after a second.
_SLOW: Final = SECOND // 2
# What is recorded for a connect that worked, and for one that was slow.
OK: Final = 0
SLOW: Final = errno.ETIMEDOUT


class Plan(NamedTuple):
    """What is done.  `sources`: local addresses in turn; `destinations`: in turn, a listener is made at each.

    `client_closes`: who closes first; `by_bind`: the port is chosen by bind() to port 0, else by connect().
    `looks`: when TIME-WAIT is counted.
    """

    sources: tuple[str, ...]
    destinations: tuple[tuple[str, int], ...]
    client_closes: bool
    by_bind: bool
    looks: tuple[int, ...]


class Progress(NamedTuple):
    """How far a run is: connects made and failed; whether it is over."""

    connects: int
    failed: int
    over: bool


class Recorded(NamedTuple):
    """What a run recorded, of each connect: how late it was made, its errno, its local port (0: none).

    `looks`: of each look, when it was, sockets in TIME-WAIT, connections open.
    """

    late: bytes
    errors: bytes
    ports: bytes
    looks: tuple[tuple[int, int, int], ...]


class Load:
    """One run; `schedule` it, then `run` it in slices, then ask what was `recorded`."""

    def __init__(self, plan: Plan) -> None:
        """Listen at every destination.  Raises `OSError` as bind() does."""
        self._plan = plan
        self._listeners: dict[tuple[str, int], socket.socket] = {}
        for destination in plan.destinations:
            listener = socket.socket()
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(destination)
            listener.listen(_BACKLOG)
            listener.setblocking(False)
            self._listeners[destination] = listener
        self._times, self._holds = array("q"), array("q")
        self._late, self._errors, self._ports = array("q"), array("h"), array("H")
        self._looks: list[tuple[int, int, int]] = []
        self._closing: list[tuple[int, int, socket.socket, socket.socket]] = []
        self._start = 0

    def schedule(self, times: bytes, holds: bytes) -> None:
        """Add connects: when, and for how long each connection is open; both as octets of array("q")."""
        self._times.frombytes(times)
        self._holds.frombytes(holds)

    def run(self, upto: int, control: int) -> Progress:
        """Go on up to a moment of the schedule, or until `control` can be read."""
        if not self._start:
            self._start = time.monotonic_ns() + _AHEAD
        while True:
            due = self._due()
            if due is None or due > upto:
                due = upto
            now = time.monotonic_ns() - self._start
            # select() sleeps to the microsecond, and some 60 of them too long; nothing here is that fine.
            ready, _, _ = select.select([control], [], [], max(0, due - now) / SECOND)
            if ready:
                break
            now = time.monotonic_ns() - self._start
            if now >= upto and (due == upto):
                break
            self._step(now)
        failed = sum(1 for error in self._errors if error != OK)
        return Progress(len(self._errors), failed, len(self._errors) == len(self._times) and not self._more_looks())

    def recorded(self) -> Recorded:
        """Return what was recorded, and close everything."""
        for _, _, one, other in self._closing:
            one.close()
            other.close()
        for listener in self._listeners.values():
            listener.close()
        return Recorded(self._late.tobytes(), self._errors.tobytes(), self._ports.tobytes(), tuple(self._looks))

    def _more_looks(self) -> bool:
        return len(self._looks) < len(self._plan.looks)

    def _due(self) -> int | None:
        """Return when something is to be done next."""
        done = len(self._errors)
        moments = []
        if self._closing:
            moments.append(self._closing[0][0])
        if done < len(self._times):
            moments.append(self._times[done])
        if self._more_looks():
            moments.append(self._plan.looks[len(self._looks)])
        return min(moments, default=None)

    def _step(self, now: int) -> None:
        """Do what is due by now, in order: of one moment closes first, so that a port is free for who comes then."""
        while (due := self._due()) is not None and due <= now:
            if self._closing and self._closing[0][0] == due:
                _, _, first, then = heapq.heappop(self._closing)
                first.close()
                then.close()
            elif self._more_looks() and self._plan.looks[len(self._looks)] == due:
                self._looks.append((time.monotonic_ns() - self._start, waiting(), len(self._closing)))
            else:
                self._connect(len(self._errors))

    def _connect(self, number: int) -> None:
        plan = self._plan
        destination = plan.destinations[number % len(plan.destinations)]
        source = plan.sources[number // len(plan.destinations) % len(plan.sources)]
        self._late.append(time.monotonic_ns() - self._start - self._times[number])
        client = socket.socket()
        try:
            if not plan.by_bind:
                client.setsockopt(socket.IPPROTO_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
            client.bind((source, 0))
            client.settimeout(_SLOW / SECOND)
            client.connect(destination)
            port = client.getsockname()[1]
            server = self._accept(destination, port)
        except OSError as error:
            client.close()
            self._errors.append(SLOW if isinstance(error, TimeoutError) else error.errno or errno.EIO)
            self._ports.append(0)
            return
        self._errors.append(OK)
        self._ports.append(port)
        first, then = (client, server) if plan.client_closes else (server, client)
        # The close is due from when the connect was: what is open for no time is closed before the next one comes.
        when = max(self._times[number] + self._holds[number], self._times[number])
        heapq.heappush(self._closing, (when, number, first, then))

    def _accept(self, destination: tuple[str, int], port: int) -> socket.socket:
        """Return the other end of the connection from a port; drop what was given up before."""
        listener = self._listeners[destination]
        while True:
            ready, _, _ = select.select([listener], [], [], _SLOW / SECOND)
            if not ready:
                raise TimeoutError
            server, peer = listener.accept()
            if peer[1] == port:
                return server
            with contextlib.suppress(OSError):
                server.close()


def waiting() -> int:
    """Return how many sockets are in TIME-WAIT in this network namespace: /proc/net/sockstat, `tw`."""
    # /proc/self is the thread group's leader; a namespace is entered by a thread, which here is the same.
    words = Path(f"/proc/{os.getpid()}/net/sockstat").read_text().split()
    return int(words[words.index("tw") + 1])
