"""The bridge: programs on the engine at one end of a device, the kernel at the other, and the link between them.

A `lab.live` network of two ends.  What is done with a connection is for `program`, what a segment means for `tcp`.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Final

from timewait.clock import SECOND, Duration, Instant
from timewait.lab.live import Device, LiveNetwork
from timewait.lab.programs import Programs
from timewait.sim.link import PERFECT, Conditions
from timewait.sim.network import RECORDED, Network, Node
from timewait.tcp.events import Event
from timewait.tcp.stack import Stack
from timewait.trace import Happened
from timewait.wire.segment import Segment

# With offload a packet is what IP can hold at most, and stands behind a header of its own.
_LARGEST: Final = 65_535 + 10


class ProgramNode(Node):
    """An end whose stack is used by programs."""

    __slots__ = ("programs",)

    def __init__(self, name: str, programs: Programs) -> None:
        super().__init__(name, programs.stack)
        self.programs = programs

    def arrive(self, network: Network, segment: Segment) -> None:
        """See `End.arrive`; what is for other addresses is nobody's here."""
        if segment.destination in self.addresses:
            super().arrive(network, segment)

    def take(self, network: Network, events: Iterable[Event]) -> None:
        """See `Node.take`: it is for the programs."""
        self.programs.take(events)
        self.flush(network)

    def flush(self, network: Network) -> None:
        """Tell the programs what happened and send what they and the stack have to say."""
        programs = self.programs
        programs.settle()
        segments, programs.outgoing = programs.outgoing, []
        for segment in segments:
            network.send(self, segment)
        network.arm(self)


class Bridge:
    """A stack on a device.  `programs` is what runs on it; `run` carries packets until something has come true.

    `conditions` hold in both directions (`to_kernel`, `from_kernel`: the links); `traced`: whether `network.trace` has
    all of it.  The device stays its maker's to close.
    """

    def __init__(
        self,
        device: Device,
        stack: Stack,
        *,
        clock: Callable[[], Instant] = time.monotonic_ns,
        conditions: Conditions = PERFECT,
        seed: int = 0,
        traced: bool = False,
    ) -> None:
        self.stack = stack
        self.network = LiveNetwork(seed, clock=clock)
        if not traced:
            self.network.trace = None
        self.programs = Programs(stack, clock)
        self.engine = self.network.add(ProgramNode("engine", self.programs))
        self.kernel = self.network.attach("kernel", device, ())
        if device.offload and conditions is not PERFECT:
            conditions = replace(conditions, mtu=_LARGEST)
        self.to_kernel, self.from_kernel = self.network.link(self.engine, self.kernel, conditions)
        self.engine.default, self.kernel.default = self.to_kernel, self.from_kernel
        if traced:
            self.programs.watch = self._record

    @property
    def received(self) -> int:
        """How many packets the kernel sent."""
        return self.kernel.received

    @property
    def sent(self) -> int:
        """How many packets the kernel was handed."""
        return self.kernel.sent

    def run(self, until: Callable[[], bool], *, limit: Duration = 30 * SECOND) -> bool:
        """Carry packets until `until()` holds; return False when `limit` ran out first."""
        self.engine.flush(self.network)
        return self.network.run_until(until, self.network.now + limit)

    def wait_for(self, descriptor: int, *, limit: Duration = 30 * SECOND) -> bool:
        """Carry packets until `descriptor` is readable (a pidfd: until the process has ended); else as `run`."""
        self.engine.flush(self.network)
        return self.network.wait_for(descriptor, limit=limit)

    def inject(self, segment: Segment) -> None:
        """Put a segment on the link that the stack never sent; its fate is as that of any other."""
        self.network.send(self.engine, segment)

    def _record(self, event: Event) -> None:
        if self.network.trace is not None and isinstance(event, RECORDED):
            self.network.trace.add(Happened(self.network.now, self.engine.name, event))
