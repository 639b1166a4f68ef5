"""`Network`: ends joined by links, a clock that jumps, one heap of what is due.

The same seed and the same calls give the same trace, byte for byte.  The caller makes a stack's calls and hands the
events to `perform`; time passes only in `step` and what is built on it.  `lab.live` is the same network in real time,
with kernels at some of its ends.
"""

from collections.abc import Callable, Iterable
from heapq import heappop, heappush
from random import Random
from typing import TypeAlias, TypeVar

from timewait.clock import Duration, Instant
from timewait.errors import TimewaitError
from timewait.sim.faults import Fault
from timewait.sim.link import PERFECT, Conditions, Link, Load
from timewait.tcp.core import is_loopback
from timewait.tcp.events import Dropped, Entered, Event, Failed, Send
from timewait.tcp.icmp import IcmpError
from timewait.tcp.profile import Profile
from timewait.tcp.stack import Stack
from timewait.trace import Fate, Happened, Trace
from timewait.wire.segment import Segment
from timewait.wire.unread import Unread

# The largest packet IP has: what a host can send itself.
_LOOPBACK_MTU = 65535
# Events that the trace keeps.
RECORDED = (Entered, Dropped, Failed)
# More than any exchange needs at one instant: on a link without delay two hosts may answer each other for ever.
_AT_ONCE = 100_000


class NoProgressError(TimewaitError):
    """The hosts keep answering each other and time does not pass."""


class End:
    """One end of links: its name, its addresses, where what it sends goes, what it does with what arrives."""

    __slots__ = ("addresses", "default", "name", "routes")

    def __init__(self, name: str, addresses: Iterable[bytes]) -> None:
        self.name = name
        self.addresses = frozenset(addresses)
        self.routes: dict[bytes, Link] = {}
        self.default: Link | None = None

    def link_to(self, address: bytes) -> Link | None:
        """Return the link on which segments for `address` leave."""
        return self.routes.get(address, self.default)

    def arrive(self, network: "Network", segment: Segment) -> None:
        """Take a segment."""
        raise NotImplementedError


class Node(End):
    """An end with a stack of ours, and when that is due.

    `watch`, where it is set, hears each event that is for users.
    """

    __slots__ = ("due", "loopback", "stack", "watch")

    def __init__(self, name: str, stack: Stack, loopback: Link | None = None) -> None:
        super().__init__(name, stack.addresses)
        self.stack = stack
        self.due: Instant | None = None
        self.watch: Callable[[Event, Instant], None] | None = None
        self.loopback = loopback or Link(f"{name} > {name}", name, Random(0), Conditions(mtu=_LOOPBACK_MTU))

    def link_to(self, address: bytes) -> Link | None:
        """See `End.link_to`; what is for the host itself does not leave it."""
        link = self.routes.get(address)
        if link is None:
            own = address in self.addresses or is_loopback(address)
            return self.loopback if own else self.default
        return link

    def arrive(self, network: "Network", segment: Segment) -> None:
        """See `End.arrive`: it is the stack's."""
        self.take(network, self.stack.receive(segment, network.now))

    def expire(self, network: "Network") -> None:
        """Let the stack do what is due."""
        self.take(network, self.stack.expire(network.now))

    def unreachable(self, network: "Network", error: IcmpError, segment: Segment, mtu: int) -> None:
        """Let the stack hear that a segment of its own did not get through; `mtu`: what would have."""
        self.take(network, self.stack.unreachable(error, segment, network.now, mtu))

    def take(self, network: "Network", events: Iterable[Event]) -> None:
        """Carry out what came of a call to the stack."""
        network.perform(self, events)


class Wire(End):
    """An end without a stack: nobody answers there but `answers`, who each hear all.  `heard` keeps what arrived."""

    __slots__ = ("answers", "heard")

    def __init__(self, name: str, addresses: Iterable[bytes]) -> None:
        super().__init__(name, addresses)
        self.heard: list[Segment] = []
        self.answers: list[Callable[[Segment], None]] = []

    def arrive(self, network: "Network", segment: Segment) -> None:
        """See `End.arrive`."""
        self.heard.append(segment)
        for answer in self.answers:
            answer(segment)


_AnEnd = TypeVar("_AnEnd", bound=End)

# What is due: a segment's arrival at the end of a link, a stack's deadline, or an action of the caller's.  The number
# keeps what is due at one instant in the order in which it was asked for.
_Due: TypeAlias = tuple[Instant, int, Link | Node | Callable[[], None], Load | None]


class Network:
    """Hosts and links in virtual time.  `trace` may be set to None: then nothing is recorded."""

    def __init__(self, seed: int = 0, *, start: Instant = 0) -> None:
        self.seed = seed
        self._now = start
        self.trace: Trace | None = Trace(start)
        self.ends: dict[str, End] = {}
        self.owners: dict[bytes, End] = {}
        self._heap: list[_Due] = []
        self._number = 0
        self._instant = start
        self._steps = 0

    @property
    def now(self) -> Instant:
        """The time."""
        return self._now

    @property
    def behind(self) -> str:
        """Words for how far it lagged behind its schedule; none where it did not, as ever in virtual time."""
        return ""

    # -- what it is made of --------------------------------------------------------------------------------------

    def add(self, end: _AnEnd) -> _AnEnd:
        """Add an end, and return it."""
        self.ends[end.name] = end
        for address in end.addresses:
            if not is_loopback(address):
                self.owners[address] = end
                if self.trace is not None:
                    self.trace.names[address] = end.name
        return end

    def host(self, name: str, profile: Profile, addresses: Iterable[bytes], *, mtu: int = 1500) -> Node:
        """Add a host of ours; its secret and its chances come from the network's seed and its name."""
        chance = Random(f"{self.seed} {name}")
        return self.add(Node(name, Stack(profile, addresses, chance.randbytes(16), chance, mtu)))

    def link(
        self, one: End, other: End, conditions: Conditions = PERFECT, back: Conditions | None = None
    ) -> tuple[Link, Link]:
        """Join two ends; return the link there and the link back, whose conditions are `back` if given."""
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
                self.send(node, event.segment)
                continue
            if trace is not None and isinstance(event, RECORDED):
                trace.add(Happened(self.now, node.name, event))
            if node.watch is not None:
                node.watch(event, self.now)
        self.arm(node)

    def send(self, end: End, segment: Segment) -> None:
        """Put a segment on the link that leads from an end to its destination."""
        link = end.link_to(segment.destination)
        if link is None:
            if self.trace is not None:
                note = "there is no way to this address"
                self.trace.moved(self.now, Fate.LOST, end.name, end.name, segment, note)
            return
        carried = link.carry(segment, self.now)
        if self.trace is not None:
            self.trace.moved(self.now, carried.fate, link.name, end.name, segment, carried.note)
        for time, what in carried.arrivals:
            self._push(time, link, what)
        if carried.too_large and isinstance(end, Node):
            end.unreachable(self, IcmpError.FRAGMENTATION_NEEDED, segment, link.conditions.mtu)

    def inject(self, segment: Segment, *, to: End | None = None, fate: Fate = Fate.INJECTED, note: str = "") -> None:
        """Let a segment that nobody's stack sent arrive at once, at the host that has its destination or at `to`."""
        source = to if is_loopback(segment.source) else self.owners.get(segment.source)
        far = to or self.owners.get(segment.destination)
        if far is None:
            raise ValueError("no host has the destination of the segment")
        link = source.link_to(segment.destination) if source else None
        if link is not None and link.far != far.name:
            link = None
        name = link.name if link else f"> {far.name}"
        if self.trace is not None:
            self.trace.moved(self.now, fate, name, source.name if source else "", segment, note)
        self._push(self.now, link or Link(name, far.name, Random(0)), segment)

    def replay(self, segment: Segment, *, to: End | None = None) -> None:
        """Let a copy of a segment that was on the way before arrive at once: an old duplicate."""
        self.inject(segment, to=to, fate=Fate.REPLAYED)

    def release(self, fault: Fault, *, to: End | None = None) -> None:
        """Let what a fault holds back arrive at once, in its order."""
        held, fault.held = fault.held, []
        for segment in held:
            self.inject(segment, to=to, fate=Fate.RELEASED)

    def interrupt(self) -> None:
        """Make who waits for time to pass look up; nobody ever does where it is virtual."""

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
        time, _, target, load = heappop(self._heap)
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
            self._now = time
            target.expire(self)
        elif isinstance(target, Link):
            assert load is not None
            self._now = time
            self._deliver(target, load, time)
        else:
            self._now = time
            target()
        return True

    def run(self, duration: Duration) -> None:
        """Let so much time pass."""
        self.run_until(lambda: False, self.now + duration)

    def run_until(self, done: Callable[[], bool], deadline: Instant) -> bool:
        """Let time pass until `done` or the deadline; return whether it was done."""
        while not done():
            if not self._heap or self._heap[0][0] > deadline:
                self._now = max(self._now, deadline)
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

    def _push(self, time: Instant, target: Link | Node | Callable[[], None], load: Load | None) -> None:
        self._number += 1
        heappush(self._heap, (time, self._number, target, load))

    def arm(self, node: Node) -> None:
        """See to it that a stack is called when it is due next."""
        deadline = node.stack.next_deadline()
        if deadline is not None and (node.due is None or deadline < node.due):
            node.due = deadline = max(deadline, self.now)
            self._push(deadline, node, None)

    def _deliver(self, link: Link, load: Load, due: Instant) -> None:
        """Let a segment arrive at the end of a link."""
        assert not isinstance(load, Unread)
        end = self.ends[link.far]
        if self.trace is not None:
            self.trace.moved(self.now, Fate.DELIVERED, link.name, end.name, load)
        end.arrive(self, load)
