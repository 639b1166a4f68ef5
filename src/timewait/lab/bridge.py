"""The bridge: the engine at one end of a TUN device, the kernel at the other, and the link between them.

Knows packets, their fate on the link and the time at which something is due.  What is done with a connection is for
`program`, what a segment means for `tcp`.  The clock is passed in; nothing here waits but for the device.
"""

import select
import time
from collections.abc import Callable
from heapq import heappop, heappush

from timewait.clock import MS, SECOND, Duration, Instant
from timewait.lab import wrapping
from timewait.lab.impairment import Fate
from timewait.lab.programs import Programs
from timewait.system.tun import Tun
from timewait.tcp.stack import Stack
from timewait.wire import packet, vnet
from timewait.wire.errors import WireError
from timewait.wire.pcapng import Writer
from timewait.wire.segment import Segment

# Packets taken in before timers and callers have their turn.
BATCH = 64
# What poll() takes is an int of milliseconds; nobody minds being asked once an hour.
LONGEST_WAIT = 3600 * SECOND


class Bridge:
    """A stack on a device.  `programs` is what runs on it; `run` carries packets until something has come true.

    `fate` says what the link does to each packet, in both directions (`lab.impairment`).  `capture` gets every packet
    as it enters the link, its fate as a comment, at the clock's time plus `epoch`.
    """

    def __init__(
        self,
        device: Tun,
        stack: Stack,
        *,
        clock: Callable[[], Instant] = time.monotonic_ns,
        fate: Fate | None = None,
        capture: Writer | None = None,
        epoch: Duration = 0,
    ) -> None:
        self.device = device
        self.stack = stack
        self.clock = clock
        self.fate = fate
        self.programs = Programs(stack, clock)
        self.received = 0
        self.sent = 0
        self._unwrap = vnet.parse if device.offload else packet.parse
        self._build = vnet.build if device.offload else packet.build
        self._capture = capture
        self._epoch = epoch
        self._kept: list[tuple[Instant, int, bytes, bool]] = []  # due when, in which order, what, from the kernel?
        self._number = 0
        self._poll = select.poll()
        self._poll.register(device, select.POLLIN)

    def run(self, until: Callable[[], bool], *, limit: Duration = 30 * SECOND) -> bool:
        """Carry packets until `until()` holds; return False when `limit` ran out first.

        It is asked after every batch of packets and every timer, so it should speak of what packets and timers change.
        """
        end = self.clock() + limit
        self._flush()
        while not until():
            if self.clock() >= end:
                return False
            self._turn(end)
        return True

    def wait_for(self, descriptor: int, *, limit: Duration = 30 * SECOND) -> bool:
        """Carry packets until `descriptor` is readable (a pidfd: until the process has ended); else as `run`."""
        other = select.poll()
        other.register(descriptor, select.POLLIN)
        self._poll.register(descriptor, select.POLLIN)
        try:
            return self.run(lambda: bool(other.poll(0)), limit=limit)
        finally:
            self._poll.unregister(descriptor)

    def inject(self, segment: Segment) -> None:
        """Put a segment on the link that the stack never sent; its fate is as that of any other."""
        self.programs.outgoing.append(segment)
        self._flush()

    # -- one turn -----------------------------------------------------------------------------------------------------

    def _turn(self, end: Instant) -> None:
        """Take what the kernel has sent, or wait for it until something is due; then do what is due."""
        if not self._receive():
            self._wait(end)
            self._receive()
        now = self.clock()
        while self._kept and self._kept[0][0] <= now:
            _, _, data, from_kernel = heappop(self._kept)
            if from_kernel:
                self._arrive(data)
            else:
                self.device.send(data)
        due = self.stack.next_deadline()
        if due is not None and due <= now:
            self.programs.take(self.stack.expire(now))
            self._flush()

    def _wait(self, end: Instant) -> None:
        due = self.stack.next_deadline()
        if due is not None and due < end:
            end = due
        if self._kept and self._kept[0][0] < end:
            end = self._kept[0][0]
        left = min(end - self.clock(), LONGEST_WAIT)
        self._poll.poll(max(0, -(-left // MS)))

    def _receive(self) -> int:
        """Take in a batch of packets; return how many there were."""
        receive = self.device.receive
        plain = self.fate is None and self._capture is None
        for count in range(BATCH):
            data = receive()
            if not data:
                return count
            self.received += 1
            if plain:
                self._arrive(data)
            else:
                self._meet(data, True)
        return BATCH

    def _meet(self, data: bytes, from_kernel: bool) -> None:
        """Let the link do to a packet what is to befall it."""
        bare = wrapping.bare(data, self.device.offload)
        delay = 0 if self.fate is None else self.fate(bare, from_kernel)
        if self._capture is not None:
            comment = "lost" if delay is None else f"kept for {delay // 1000} us" if delay else ""
            self._capture.write(self.clock() + self._epoch, bare, comment=comment)
        if delay:
            self._number += 1
            heappush(self._kept, (self.clock() + delay, self._number, data, from_kernel))
        elif delay == 0:
            if from_kernel:
                self._arrive(data)
            else:
                self.device.send(data)

    def _arrive(self, data: bytes) -> None:
        """Give the stack what came, and see to all that follows."""
        try:
            segment = self._unwrap(data)
        except WireError:
            self._error_arrives(data)
            return
        if segment.destination in self.stack.addresses:
            self.programs.take(self.stack.receive(segment, self.clock()))
            self._flush()

    def _error_arrives(self, data: bytes) -> None:
        """Give the stack an ICMP error about a connection; anything else is not for it."""
        error = wrapping.unwrap_error(data, self.device.offload)
        if error is not None:
            self.programs.take(self.stack.unreachable(*error[:2], self.clock(), error[2]))
            self._flush()

    def _flush(self) -> None:
        """Tell the programs what happened and send what they and the stack have to say."""
        programs = self.programs
        programs.settle()
        segments = programs.outgoing
        if not segments:
            return
        programs.outgoing = []
        self.sent += len(segments)
        packets = (self._build(segments[0]),) if len(segments) == 1 else wrapping.wrap(segments, self.device.offload)
        if self.fate is None and self._capture is None:
            for data in packets:
                self.device.send(data)
        else:
            for data in packets:
                self._meet(data, False)
