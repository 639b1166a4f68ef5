"""`Network`: hosts joined by links, a clock that jumps, one heap of what is due.

The same seed and the same calls give the same trace, byte for byte.  The caller makes a stack's calls and hands the
events to `perform`; time passes only in `step` and what is built on it.
"""

from collections.abc import Callable, Iterable
from heapq import heappop, heappush
from random import Random
from typing import TypeAlias

from timewait.clock import Duration, Instant
from timewait.errors import TimewaitError
from timewait.sim.faults import Fault
from timewait.sim.link import PERFECT, Conditions, Link
from timewait.tcp.core import is_loopback
from timewait.tcp.events import Dropped, Entered, Event, Failed, Send
from timewait.tcp.icmp import IcmpError
from timewait.tcp.profile import Profile
from timewait.tcp.stack import Stack
from timewait.trace import Fate, Happened, Moved, Trace
from timewait.wire.segment import Segment

# The largest packet IP has: what a host can send itself.
_LOOPBACK_MTU = 65535
_RECORDED = (Entered, Dropped, Failed)
# More than any exchange needs at one instant: on a link without delay two hosts may answer each other for ever.
_AT_ONCE = 100_000


class NoProgressError(TimewaitError):
    """The hosts keep answering each other and time does not pass."""


class Node:
    """One host in the network: its stack, where its segments go, when its stack is due.

    `watch`, where it is set, hears each event that is for users.
    """

    __slots__ = ("addresses", "due", "loopback", "name", "routes", "stack", "watch")

    def __init__(self, name: str, stack: Stack, loopback: Link | None = None) -> None:
        self.name = name
        self.stack = stack
        self.addresses = frozenset(stack.addresses)
        self.routes: dict[bytes, Link] = {}
        self.due: Instant | None = None
        self.watch: Callable[[Event, Instant], None] | None = None
        self.loopback = loopback or Link(f"{name} > {name}", name, Random(0), Conditions(mtu=_LOOPBACK_MTU))

    def link_to(self, address: bytes) -> Link | None:
        """Return the link on which segments for `address` leave."""
        link = self.routes.get(address)
        if link is None and (address in self.addresses or is_loopback(address)):
            return self.loopback
        return link


# What is due: a segment's arrival at the end of a link, a stack's deadline, or an action of the caller's.  The number
# keeps what is due at one instant in the order in which it was asked for.
_Due: TypeAlias = tuple[Instant, int, Link | Node | Callable[[], None], Segment | None]


class Network:
    """Hosts and links in virtual time.  `trace` may be set to None: then nothing is recorded."""

    def __init__(self, seed: int = 0, *, start: Instant = 0) -> None:
        self.seed = seed
        self.now = start
        self.trace: Trace | None = Trace(start)
        self.nodes: dict[str, Node] = {}
        self.owners: dict[bytes, Node] = {}
        self._heap: list[_Due] = []
        self._number = 0
        self._instant = start
        self._steps = 0

    # -- what it is made of --------------------------------------------------------------------------------------

    def host(self, name: str, profile: Profile, addresses: Iterable[bytes], *, mtu: int = 1500) -> Node:
        """Add a host; its secret and its chances come from the network's seed and its name."""
        chance = Random(f"{self.seed} {name}")
        node = Node(name, Stack(profile, addresses, chance.randbytes(16), chance, mtu))
        self.nodes[name] = node
        for address in node.addresses:
            if not is_loopback(address):
                self.owners[address] = node
                if self.trace is not None:
                    self.trace.names[address] = name
        return node

    def link(
        self, one: Node, other: Node, conditions: Conditions = PERFECT, back: Conditions | None = None
    ) -> tuple[Link, Link]:
        """Join two hosts; return the link there and the link back, whose conditions are `back` if given."""
        pair = []
        for source, far, how in ((one, other, conditions), (other, one, back or conditions)):
            name = f"{source.name} > {far.name}"
            link = Link(name, far.name, Random(f"{self.seed} {name}"), how)
            for address in far.addresses:
                if not is_loopback(address):
                    source.routes[address] = link
            pair.append(link)
        return pair[0], pair[1]

    # -- what the caller does --------------------------------------------------------------------------------------

    def perform(self, node: Node, events: Iterable[Event]) -> None:
        """Carry out what came of a call to a host's stack."""
        trace = self.trace
        for event in events:
            if type(event) is Send:
                self._send(node, event.segment)
                continue
            if trace is not None and isinstance(event, _RECORDED):
                trace.entries.append(Happened(self.now, node.name, event))
            if node.watch is not None:
                node.watch(event, self.now)
        self._arm(node)

    def inject(self, segment: Segment, *, to: Node | None = None, fate: Fate = Fate.INJECTED, note: str = "") -> None:
        """Let a segment that nobody's stack sent arrive at once, at the host that has its destination or at `to`."""
        source = to if is_loopback(segment.source) else self.owners.get(segment.source)
        far = to or self.owners.get(segment.destination)
        if far is None:
            raise ValueError("no host has the destination of the segment")
        link = source.link_to(segment.destination) if source else None
        name = link.name if link else f"> {far.name}"
        if self.trace is not None:
            self.trace.entries.append(Moved(self.now, fate, name, source.name if source else "", segment, note))
        self._push(self.now, link or Link(name, far.name, Random(0)), segment)

    def replay(self, segment: Segment, *, to: Node | None = None) -> None:
        """Let a copy of a segment that was on the way before arrive at once: an old duplicate."""
        self.inject(segment, to=to, fate=Fate.REPLAYED)

    def release(self, fault: Fault, *, to: Node | None = None) -> None:
        """Let what a fault holds back arrive at once, in its order."""
        held, fault.held = fault.held, []
        for segment in held:
            self.inject(segment, to=to, fate=Fate.RELEASED)

    def at(self, time: Instant, action: Callable[[], None]) -> None:
        """Have something done at a chosen moment."""
        self._push(max(time, self.now), action, None)

    # -- time ------------------------------------------------------------------------------------------------------

    def next_time(self) -> Instant | None:
        """Return when something is due next; None while nothing is."""
        return self._heap[0][0] if self._heap else None

    def step(self) -> bool:
        """Jump to what is due next and let it happen; False when nothing is."""
        if not self._heap:
            return False
        time, _, target, segment = heappop(self._heap)
        self._steps += 1
        if time != self._instant:
            self._instant, self._steps = time, 0
        elif self._steps > _AT_ONCE:
            raise NoProgressError(
                f"{_AT_ONCE} segments and timers at one instant: hosts answer each other for ever",
                "give the link a delay, and see its trace",
            )
        if isinstance(target, Node):
            if target.due != time:
                return True  # an earlier deadline took its place
            target.due = None
            self.now = time
            self.perform(target, target.stack.expire(time))
        elif isinstance(target, Link):
            assert segment is not None
            self.now = time
            self._deliver(target, segment)
        else:
            self.now = time
            target()
        return True

    def run(self, duration: Duration) -> None:
        """Let so much time pass."""
        self.run_until(lambda: False, self.now + duration)

    def run_until(self, done: Callable[[], bool], deadline: Instant) -> bool:
        """Let time pass until `done` or the deadline; return whether it was done."""
        while not done():
            if not self._heap or self._heap[0][0] > deadline:
                self.now = max(self.now, deadline)
                return False
            self.step()
        return True

    def run_out(self, limit: Duration) -> bool:
        """Let time pass until nothing is due any more; False if that takes longer than `limit`."""
        deadline = self.now + limit
        while self._heap:
            if self._heap[0][0] > deadline:
                return False
            self.step()
        return True

    # -- inside ----------------------------------------------------------------------------------------------------

    def _push(self, time: Instant, target: Link | Node | Callable[[], None], segment: Segment | None) -> None:
        self._number += 1
        heappush(self._heap, (time, self._number, target, segment))

    def _arm(self, node: Node) -> None:
        deadline = node.stack.next_deadline()
        if deadline is not None and (node.due is None or deadline < node.due):
            node.due = deadline = max(deadline, self.now)
            self._push(deadline, node, None)

    def _send(self, node: Node, segment: Segment) -> None:
        link = node.link_to(segment.destination)
        if link is None:
            if self.trace is not None:
                note = "there is no way to this address"
                self.trace.entries.append(Moved(self.now, Fate.LOST, node.name, node.name, segment, note))
            return
        carried = link.carry(segment, self.now)
        if self.trace is not None:
            self.trace.entries.append(Moved(self.now, carried.fate, link.name, node.name, segment, carried.note))
        for time, what in carried.arrivals:
            self._push(time, link, what)
        if carried.too_large:
            mtu = link.conditions.mtu
            self.perform(node, node.stack.unreachable(IcmpError.FRAGMENTATION_NEEDED, segment, self.now, mtu))

    def _deliver(self, link: Link, segment: Segment) -> None:
        node = self.nodes[link.far]
        if self.trace is not None:
            self.trace.entries.append(Moved(self.now, Fate.DELIVERED, link.name, node.name, segment))
        self.perform(node, node.stack.receive(segment, self.now))
