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
# A handshake that takes longer than this did not work: a SYN was refused or dropped, and is sent again after a second.
_SLOW: Final = SECOND // 2
# What is recorded for a connect that worked, for one that was slow, and for one that was not made.
OK: Final = 0
SLOW: Final = errno.ETIMEDOUT
UNMADE: Final = -1


class Plan(NamedTuple):
    """What is done.  `sources`: local addresses in turn; `destinations`: in turn, a listener is made at each.

    `by_bind`: the port is chosen by bind() to port 0, else by connect().
    `looks`: when TIME-WAIT is counted.  `translated`: (address, first and last port) that all sources are translated
    to, as by a NAT.
    """

    sources: tuple[str, ...]
    destinations: tuple[tuple[str, int], ...]
    by_bind: bool
    looks: tuple[int, ...]
    translated: tuple[str, int, int] | None = None


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
        """Listen at every destination.  Raises `OSError` as bind() does, `UnavailableError` without a NAT."""
        self._plan = plan
        if plan.translated is not None:
            from timewait.system import conntrack

            conntrack.translate(*plan.translated)
        self._listeners: dict[tuple[str, int], socket.socket] = {}
        for destination in plan.destinations:
            listener = socket.socket()
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(destination)
            listener.listen(_BACKLOG)
            listener.setblocking(False)
            self._listeners[destination] = listener
        self._times, self._holds, self._clients = array("q"), array("q"), bytearray()
        self._late, self._errors, self._ports = array("q"), array("h"), array("H")
        self._looks: list[tuple[int, int, int]] = []
        self._closing: list[tuple[int, int, socket.socket, socket.socket]] = []
        # Handshakes under way, in the order in which they are given up: when, which connect.
        self._opening: dict[socket.socket, tuple[int, int]] = {}
        self._made = 0
        self._start = 0

    def schedule(self, times: bytes, holds: bytes, clients: bytes) -> None:
        """Add connects: when, for how long each connection is open, whether the client closes first.

        The first two are octets of array("q"), the last has one octet for each.
        """
        self._clients += clients
        self._times.frombytes(times)
        self._holds.frombytes(holds)
        more = len(self._times) - len(self._errors)
        self._late.extend([0] * more)
        self._errors.extend([UNMADE] * more)
        self._ports.extend([0] * more)

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
            ready, opened, _ = select.select([control], list(self._opening), [], max(0, due - now) / SECOND)
            for client in opened:
                self._finish(client)
            if ready:
                break
            now = time.monotonic_ns() - self._start
            if now >= upto and due == upto:
                break
            self._step(now)
        failed = sum(1 for error in self._errors[: self._made] if error != OK)
        over = self._made == len(self._times) and not self._more_looks() and not self._opening
        return Progress(self._made, failed, over)

    def recorded(self) -> Recorded:
        """Return what was recorded, and close everything."""
        for client in self._opening:
            client.close()
        for _, _, one, other in self._closing:
            one.close()
            other.close()
        for listener in self._listeners.values():
            listener.close()
        made = slice(self._made)
        late, errors, ports = self._late[made], self._errors[made], self._ports[made]
        return Recorded(late.tobytes(), errors.tobytes(), ports.tobytes(), tuple(self._looks))

    def _more_looks(self) -> bool:
        return len(self._looks) < len(self._plan.looks)

    def _due(self) -> int | None:
        """Return when something is to be done next."""
        done = self._made
        moments = []
        if self._opening:
            moments.append(next(iter(self._opening.values()))[0])
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
            if self._opening and (client := next(iter(self._opening))) and self._opening[client][0] == due:
                self._fail(client, self._opening.pop(client)[1], SLOW)
            elif self._closing and self._closing[0][0] == due:
                _, _, first, then = heapq.heappop(self._closing)
                first.close()
                then.close()
            elif self._more_looks() and self._plan.looks[len(self._looks)] == due:
                self._looks.append((time.monotonic_ns() - self._start, waiting(), len(self._closing)))
            else:
                self._made += 1
                self._connect(self._made - 1)

    def _connect(self, number: int) -> None:
        plan = self._plan
        source = plan.sources[number // len(plan.destinations) % len(plan.sources)]
        self._late[number] = time.monotonic_ns() - self._start - self._times[number]
        client = socket.socket()
        client.setblocking(False)
        try:
            if not plan.by_bind:
                client.setsockopt(socket.IPPROTO_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
            client.bind((source, 0))
            code = client.connect_ex(self._destination(number))
        except OSError as error:
            code = error.errno or errno.EIO
        if code not in (0, errno.EINPROGRESS):
            self._fail(client, number, code)
            return
        self._opening[client] = (self._times[number] + _SLOW, number)
        # On loopback the handshake is over when connect() returns, but for a machine that is busy.
        if select.select([], [client], [], 0)[1]:
            self._finish(client)

    def _destination(self, number: int) -> tuple[str, int]:
        return self._plan.destinations[number % len(self._plan.destinations)]

    def _fail(self, client: socket.socket, number: int, code: int) -> None:
        client.close()
        self._errors[number] = code

    def _finish(self, client: socket.socket) -> None:
        """Go on with a connection whose handshake is over: accept its other end, and note when both are closed."""
        _, number = self._opening.pop(client)
        code = client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        port = 0 if code else client.getsockname()[1]
        server = None if code else self._accept(self._destination(number), port)
        if server is None:
            self._fail(client, number, code or SLOW)
            return
        self._errors[number], self._ports[number] = OK, port
        first, then = (client, server) if self._clients[number] else (server, client)
        heapq.heappush(self._closing, (self._times[number] + self._holds[number], number, first, then))

    def _accept(self, destination: tuple[str, int], port: int) -> socket.socket | None:
        """Return the other end of the connection from a port; drop what was given up before."""
        listener = self._listeners[destination]
        # The last ACK of the handshake may be on its way still, on a busy machine.
        while select.select([listener], [], [], _SLOW / SECOND)[0]:
            server, peer = listener.accept()
            # Behind a NAT nobody knows which it is; one after the other, it is the next.
            if peer[1] == port or self._plan.translated is not None:
                return server
            with contextlib.suppress(OSError):
                server.close()
        return None


def waiting() -> int:
    """Return how many sockets are in TIME-WAIT in this network namespace: /proc/net/sockstat, `tw`."""
    # /proc/self is the thread group's leader; a namespace is entered by a thread, which here is the same.
    words = Path(f"/proc/{os.getpid()}/net/sockstat").read_text().split()
    return int(words[words.index("tw") + 1])
