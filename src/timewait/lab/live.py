"""`LiveNetwork`: the one network in real time, with kernels at some of its ends.

A kernel's end is a `Port`: a device (`system.tun`) whose other end is in the kernel's namespace.  One thread reads the
devices, puts what comes on the links, and sleeps until a device has something or something is due.  Between two
kernels a packet that no fault wants to see is passed on unread; the trace keeps its bytes, and reads them later.
"""

import os
import select
import time
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple, Protocol

from timewait.clock import MS, SECOND, Duration, Instant, readable
from timewait.lab import wrapping
from timewait.lab.host import InterruptedCallError
from timewait.sim.link import Link, Load
from timewait.sim.network import End, Network, Node
from timewait.trace import Fate
from timewait.wire import packet, vnet
from timewait.wire.errors import WireError
from timewait.wire.segment import Segment
from timewait.wire.unread import Unread

# Packets taken in before timers and callers have their turn.
BATCH: Final = 64
# After a deadline, turns for what stood ready then: hosts that answer each other for ever have no more.
_TURNS: Final = 64
# Nobody minds being asked once an hour.
LONGEST_WAIT: Final = 3600 * SECOND
# A delivery this much after its time is late: more than waking up takes, less than anything foretold hangs on.
TOLERANCE: Final = MS
_EVENTFD: Final = os.EFD_NONBLOCK | os.EFD_CLOEXEC


class Device(Protocol):
    """The program's end of a device: packets in, packets out, neither ever waiting (`system.tun.Tun`)."""

    mtu: int
    offload: bool

    def fileno(self) -> int:
        """Return the descriptor that is readable while there are packets."""

    def receive(self) -> bytes:
        """Return the next packet the kernel sent, b"" while there is none."""

    def send(self, packet: bytes) -> bool:
        """Hand the kernel a packet; False where it does not take it."""

    def close(self) -> None:
        """Give the device up."""


class Port(End):
    """A kernel's end: what arrives is handed to the kernel at the end of the turn, so that offload can join it."""

    __slots__ = ("build", "device", "parse", "received", "refused", "sent", "waiting")

    def __init__(self, name: str, device: Device, addresses: Iterable[bytes]) -> None:
        super().__init__(name, addresses)
        self.device = device
        self.parse = vnet.parse if device.offload else packet.parse
        self.build = vnet.build if device.offload else packet.build
        self.waiting: list[Segment] = []
        self.received = 0
        self.sent = 0
        self.refused = 0

    def arrive(self, network: Network, segment: Segment) -> None:
        """See `End.arrive`."""
        self.waiting.append(segment)

    def pass_on(self, data: bytes) -> None:
        """Hand the kernel a packet as it stands, after all that arrived before."""
        if self.waiting:
            self.flush()
        self.sent += 1
        if not self.device.send(data):
            self.refused += 1

    def flush(self) -> None:
        """Hand the kernel what has arrived."""
        if segments := self.waiting:
            self.waiting = []
            if len(segments) == 1:
                self.pass_on(self.build(segments[0]))
                return
            for data in wrapping.wrap(segments, self.device.offload):
                self.pass_on(data)


class Lateness(NamedTuple):
    """How well the schedule was kept: how many deliveries came more than `TOLERANCE` late, the worst by how much."""

    deliveries: int = 0
    worst: Duration = 0


class LiveNetwork(Network):
    """A network whose clock runs.  `clock`: where the time comes from.  Used by one thread; `close` ends it."""

    def __init__(self, seed: int = 0, *, clock: Callable[[], Instant] = time.monotonic_ns) -> None:
        super().__init__(seed, start=clock())
        self.clock = clock
        self.lateness = Lateness()
        self._ports: list[Port] = []
        self._unarmed: dict[Node, None] = {}  # a set in order
        self._interrupted = False
        self._wake = os.eventfd(0, _EVENTFD)
        self._watched: list[int] = [self._wake]
        if self.trace is not None:
            self.trace.epoch = time.time_ns() - self.clock()

    @property
    def now(self) -> Instant:
        """The time, read from the clock."""
        return self.clock()

    @property
    def behind(self) -> str:
        """See `Network.behind`."""
        count, worst = self.lateness
        return f"not kept: {count} deliveries late, by up to {readable(worst)}" if count else ""

    def attach(self, name: str, device: Device, addresses: Iterable[bytes]) -> Port:
        """Add a kernel's end.  The device is closed with the network."""
        port = self.add(Port(name, device, addresses))
        self._ports.append(port)
        self._watched.append(device.fileno())
        return port

    def close(self) -> None:
        """Close all devices.  May be called again."""
        while self._ports:
            self._ports.pop().device.close()
        self._watched.clear()
        if self._wake >= 0:
            os.close(self._wake)
            self._wake = -1

    def interrupt(self) -> None:
        """Make whoever lets time pass raise `InterruptedCallError`.  Safe in a signal handler, from any thread."""
        self._interrupted = True
        if self._wake >= 0:
            os.eventfd_write(self._wake, 1)

    # -- time ------------------------------------------------------------------------------------------------------

    def run_until(self, done: Callable[[], bool], deadline: Instant) -> bool:
        """Carry packets until `done` or the deadline; return whether it was done.

        It is asked after every batch of packets and every timer, so it should speak of what packets and timers change.
        """
        self._flush()
        while not done():
            if self._interrupted:
                self._interrupted = False
                os.eventfd_read(self._wake)
                raise InterruptedCallError
            over = self.clock() >= deadline
            self._turn(deadline)
            if over:
                self._settle(done)
                return done()
        return True

    def _settle(self, done: Callable[[], bool]) -> None:
        """Carry what stands ready, and what comes of it, however late this process was woken."""
        for _ in range(_TURNS):
            if done() or not self._turn(self.clock()):
                return

    def wait_for(self, descriptor: int, *, limit: Duration = LONGEST_WAIT) -> bool:
        """Carry packets until `descriptor` is readable (a pidfd: until the process has ended); else as `run_until`."""
        other = select.poll()
        other.register(descriptor, select.POLLIN)
        self._watched.append(descriptor)
        try:
            ready = self.run_until(lambda: bool(other.poll(0)), self.clock() + limit)
            self._turn(self.clock())  # what a call made a kernel send is on its way when the call has returned
            return ready
        finally:
            self._watched.remove(descriptor)

    def _turn(self, end: Instant) -> bool:
        """Take what the kernels have sent, or wait for it until something is due; then do what is due.

        Returns whether there was anything.
        """
        found = self._receive()
        if not found:
            self._wait(end)
            found = self._receive()
        now = self.clock()
        before = self._heap[0][0] if self._heap else None
        while self._heap and self._heap[0][0] <= now:
            self.step()
        self._flush()
        return bool(found) or (before is not None and before <= now)

    def _wait(self, end: Instant) -> None:
        due = self.next_time()
        if due is not None and due < end:
            end = due
        left = min(end - self.clock(), LONGEST_WAIT)
        # Not poll(): it counts in whole milliseconds, and links have delays of less.
        select.select(self._watched, (), (), max(0, left) / SECOND)

    def _receive(self) -> int:
        """Take in a batch of packets from each kernel; return how many there were."""
        total = 0
        for port in self._ports:
            receive = port.device.receive
            for _ in range(BATCH):
                data = receive()
                if not data:
                    break
                port.received += 1
                total += 1
                self._depart(port, data)
        self._flush()
        return total

    def arm(self, node: Node) -> None:
        """See `Network.arm`; once for all that a batch of packets did."""
        self._unarmed[node] = None

    def _flush(self) -> None:
        for port in self._ports:
            port.flush()
        if self._unarmed:
            for node in self._unarmed:
                super().arm(node)
            self._unarmed.clear()

    # -- packets ---------------------------------------------------------------------------------------------------

    def _depart(self, port: Port, data: bytes) -> None:
        """Put a packet that a kernel sent on its link."""
        link = port.link_to(_destination(data, port.device.offload))
        if link is None:
            return  # to nobody here: multicast, or an address that no end has
        far = self.ends[link.far]
        if isinstance(far, Port) and far.device.offload is port.device.offload:
            self._forward(port, link, far, data)
            return
        if self.trace is None and link.plain:
            self._take_in(port, far, data)
            return
        try:
            segment = port.parse(data)
        except WireError:
            self._take_in(port, far, data)
            return
        self.send(port, segment)

    def _forward(self, port: Port, link: Link, far: Port, data: bytes) -> None:
        """Carry a packet from kernel to kernel: at once, or by the heap; read only if a fault may single it out."""
        trace = self.trace
        plain = link.plain
        if plain and trace is None:
            far.pass_on(data)
            return
        load = Unread(data, port.device.offload)
        if link.faults and (segment := load.segment) is not None:
            self.send(port, segment)
            return
        now = self.clock()
        first = not self._heap or self._heap[0][0] > now
        if plain and first and trace is not None and len(data) <= link.conditions.mtu:
            trace.moved(now, Fate.SENT, link.name, port.name, load)
            trace.moved(now, Fate.DELIVERED, link.name, far.name, load)
            far.pass_on(data)
            return
        carried = link.carry(load, now)
        if trace is not None:
            trace.moved(now, carried.fate, link.name, port.name, load, carried.note)
        for at, each in carried.arrivals:
            self._push(at, link, each)

    def _take_in(self, port: Port, far: End, data: bytes) -> None:
        """Let an end of ours take a packet: a segment, or an ICMP error about one of its connections."""
        try:
            segment = port.parse(data)
        except WireError:
            error = wrapping.unwrap_error(data, port.device.offload)
            if error is not None and isinstance(far, Node):
                far.unreachable(self, *error)
            return
        far.arrive(self, segment)

    def send(self, end: End, segment: Segment) -> None:
        """See `Network.send`; where nothing can befall a segment on its way to a kernel, it does not meet the heap."""
        if self.trace is None:
            link = end.link_to(segment.destination)
            if link is not None and link.plain:
                far = self.ends[link.far]
                if isinstance(far, Port):
                    far.waiting.append(segment)
                    return
        super().send(end, segment)

    def _deliver(self, link: Link, load: Load, due: Instant) -> None:
        """See `Network._deliver`; says by how much it is late."""
        now = self.clock()
        late = now - due
        if late > TOLERANCE:
            self.lateness = Lateness(self.lateness.deliveries + 1, max(self.lateness.worst, late))
        end = self.ends[link.far]
        if self.trace is not None:
            note = f"late by {readable(late)}" if late > TOLERANCE else ""
            self.trace.moved(now, Fate.DELIVERED, link.name, end.name, load, note)
        if isinstance(load, Unread):
            assert isinstance(end, Port)
            end.pass_on(load.data)
        else:
            end.arrive(self, load)


def _destination(data: bytes, offload: bool) -> bytes:
    """Return the address an IP packet is for; b"" where it is none.  RFC 791 3.1, RFC 8200 3."""
    start = vnet.SIZE if offload else 0
    if len(data) <= start:
        return b""
    if data[start] >> 4 == 4:
        return data[start + 16 : start + 20]
    return data[start + 24 : start + 40]
