"""Stacks without any link: both ends in virtual time, and what TIME-WAIT records and idle connections cost.

Packet level, no codec: segments travel as values, in the order of the virtual clock; the delay is constant, so that is
the order in which they were sent.
"""

import gc
import time
import tracemalloc
from collections import deque
from typing import NamedTuple

from timewait.clock import MS, SECOND, US, Instant
from timewait.tcp import profiles
from timewait.tcp.events import Acceptable, EndOfFile, Errno, Events, Send
from timewait.tcp.stack import Stack
from timewait.wire.segment import ACK, FIN, SYN, MaximumSegmentSize, Segment
from timewait.wire.seq import MASK

CLIENT = bytes([192, 0, 2, 1])
SERVER = bytes([192, 0, 2, 2])
DELAY = 5 * MS
# Connections to one port of the server.  Linux looks at all ephemeral ports of one parity before it takes the other,
# so beyond 14,116 of its 28,232 each search would be a long one, and the engine does as Linux does.
PER_PORT = 10_000
# Nothing may refuse a connection for want of room where cost is what is measured.
PROFILE = profiles.get("linux").changed(tw_limit=None, somaxconn=1 << 20, syn_backlog=1 << 20)


class Pair:
    """A client's stack and a server's, joined by a link of constant delay; the client closes first."""

    def __init__(self) -> None:
        self.stacks = (Stack(PROFILE, [CLIENT]), Stack(PROFILE, [SERVER]))
        self.ended = 0
        self._wire: deque[tuple[Instant, int, Segment]] = deque()

    def lifecycles(self, count: int) -> None:
        """Open `count` connections, all alive at once, then close them all and wait until both ends forgot them."""
        client, server = self.stacks
        for port in range(80, 80 + -(-count // PER_PORT)):
            listener = server.socket()
            server.bind(listener, b"", port)
            server.listen(listener, 1 << 20)
        now = 0
        for number in range(count):
            handle = client.socket()
            error, events = client.connect(handle, SERVER, 80 + number // PER_PORT, now)
            assert error is None, error
            self._take(0, events, now)
            now += 10 * US
        self._run(now + SECOND)
        assert len(server.connections) == count
        now += SECOND
        for handle in list(client.handles):
            self._take(0, client.close(handle, now)[1], now)
        self._run(None)
        assert not client.connections
        assert not server.connections
        assert not len(client.waits)

    def _take(self, side: int, events: Events, now: Instant) -> None:
        stack = self.stacks[side]
        for event in events:
            if isinstance(event, Send):
                self._wire.append((now + DELAY, 1 - side, event.segment))
            elif isinstance(event, Acceptable):
                stack.accept(event.handle)
            elif isinstance(event, EndOfFile) and side == 1:
                self._take(1, stack.close(event.handle, now)[1], now)

    def _run(self, end: Instant | None) -> None:
        """Let virtual time pass, up to `end` or until nothing is due."""
        wire = self._wire
        while True:
            due = wire[0][0] if wire else None
            for stack in self.stacks:
                deadline = stack.next_deadline()
                if deadline is not None and (due is None or deadline < due):
                    due = deadline
            if due is None or (end is not None and due > end):
                return
            while wire and wire[0][0] <= due:
                at, side, segment = wire.popleft()
                self._take(side, self.stacks[side].receive(segment, at), at)
            for side, stack in enumerate(self.stacks):
                deadline = stack.next_deadline()
                if deadline is not None and deadline <= due:
                    self._take(side, stack.expire(due), due)


def lifecycle_rate(count: int) -> float:
    """Connection lifecycles, both ends, a CPU second; few of them are done again until the time can be measured."""
    again = max(1, 10_000 // count)
    gc.collect()
    before = time.process_time()
    for _ in range(again):
        Pair().lifecycles(count)
    return again * count / (time.process_time() - before)


class Client:
    """A client that is not a stack: it answers a server's stack with ready-made segments and costs next to nothing."""

    def __init__(self, stack: Stack, port: int = 80) -> None:
        self.stack = stack
        self.listener = stack.socket()
        assert stack.bind(self.listener, SERVER, port) is None
        assert stack.listen(self.listener, 1 << 20) is None
        self.port = port

    def open(self, address: bytes, port: int, now: Instant) -> tuple[int, int]:
        """Open one connection; return the server's handle and its next sequence number."""
        make = Segment(address, port, SERVER, self.port, 1000, 0, SYN, 64_000, (MaximumSegmentSize(1460),))
        events = self.stack.receive(make, now)
        answer = next(event.segment for event in events if isinstance(event, Send))
        seq = (answer.seq + 1) & MASK
        self.stack.receive(Segment(address, port, SERVER, self.port, 1001, seq, ACK, 64_000), now)
        handle = self.stack.accept(self.listener)
        assert not isinstance(handle, Errno)
        return handle, seq

    def wait(self, address: bytes, port: int, now: Instant) -> None:
        """Open one connection and have the server close it first, so that it waits there."""
        handle, seq = self.open(address, port, now)
        self.stack.close(handle, now)
        end = (seq + 1) & MASK
        self.stack.receive(Segment(address, port, SERVER, self.port, 1001, end, FIN | ACK, 64_000), now)


def _address(number: int) -> tuple[bytes, int]:
    """Return the address and port of the client of this number."""
    return bytes([198, 18, *(number // 50_000).to_bytes(2)]), 1024 + number % 50_000


class Waiting(NamedTuple):
    """What a full table of records costs.  Rates: connections accepted and closed a CPU second."""

    octets: float
    idle_cores: float
    full_rate: float
    empty_rate: float
    forget_seconds: float


def _fill(count: int) -> Stack:
    stack = Stack(PROFILE, [SERVER])
    client = Client(stack)
    for number in range(count):
        client.wait(*_address(number), now=number * US)
    assert len(stack.waits) == count
    return stack


def record_octets(count: int) -> float:
    """Octets of memory that one TIME-WAIT record takes, table, queue and port claims included."""
    gc.collect()
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    stack = _fill(count)
    gc.collect()
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    del stack
    return (after - before) / count


def connection_octets(count: int) -> float:
    """Octets of memory that one idle established connection takes."""
    gc.collect()
    tracemalloc.start()
    stack = Stack(PROFILE, [SERVER])
    client = Client(stack)
    before, _ = tracemalloc.get_traced_memory()
    for number in range(count):
        client.open(*_address(number), now=number * US)
    stack.expire(SECOND)
    gc.collect()
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return (after - before) / count


def accept_rate(stack: Stack, count: int, now: Instant) -> float:
    """Connections that a stack accepts and closes a CPU second, the client closing first."""
    client = Client(stack, 81)
    before = time.process_time()
    for number in range(count):
        address, port = _address(number)
        handle, seq = client.open(address, port, now)
        stack.receive(Segment(address, port, SERVER, 81, 1001, seq, FIN | ACK, 64_000), now)
        stack.close(handle, now)
        stack.receive(Segment(address, port, SERVER, 81, 1002, (seq + 1) & MASK, ACK, 64_000), now)
        stack.next_deadline()
    spent = time.process_time() - before
    stack.close(client.listener, now)
    return count / spent


def waiting(count: int, accepted: int, rounds: int) -> Waiting:
    """Measure a stack with `count` records beside an empty one, in turns."""
    full, empty = _fill(count), Stack(PROFILE, [SERVER])
    now = count * US
    full_rates, empty_rates = [], []
    for _ in range(rounds):
        full_rates.append(accept_rate(full, accepted, now))
        empty_rates.append(accept_rate(empty, accepted, now))
    # Idle: a pump that asks for the next deadline a thousand times a second, far more often than `lab.bridge` does.
    before = time.process_time()
    for _ in range(1000):
        full.next_deadline()
        full.expire(now)
    idle = time.process_time() - before
    before = time.process_time()
    full.expire(now + 61 * SECOND)
    forget = time.process_time() - before
    assert not len(full.waits)
    full_rates.sort()
    empty_rates.sort()
    return Waiting(record_octets(count), idle, full_rates[rounds // 2], empty_rates[rounds // 2], forget)
