"""`Stage`: where a scenario runs: its hosts by name, and the network between them where it has one.

One interface for every world.  What befalls segments is said with `sim.faults`; what happened stands in `trace`.
"""

from collections.abc import Callable, Mapping
from ipaddress import ip_address
from typing import Any

from timewait.clock import MS, SECOND, Duration, Instant
from timewait.endpoint import Endpoint
from timewait.lab.host import Host
from timewait.sim.faults import Fault, Picks, every
from timewait.sim.link import Conditions, Link
from timewait.sim.network import End, Network, Node, Wire
from timewait.trace import Trace
from timewait.wire.segment import Segment
from timewait.wire.seq import MASK

# A segment and its answer take well under a millisecond; a busy machine longer.
PATIENCE: Duration = 5 * SECOND


class Stage:
    """Hosts, each alone with its loopback or, where there are several or a wire's end, on one network."""

    def __init__(self, hosts: Mapping[str, Host], network: Network | None = None) -> None:
        self.named = dict(hosts)
        self._network = network

    # -- hosts -----------------------------------------------------------------------------------------------------

    def __getitem__(self, name: str) -> Host:
        """Return a host by name."""
        return self.named[name]

    @property
    def hosts(self) -> tuple[Host, ...]:
        """All hosts, in the scenario's order."""
        return tuple(self.named.values())

    @property
    def host(self) -> Host:
        """The only host."""
        (host,) = self.named.values()
        return host

    # -- the network -----------------------------------------------------------------------------------------------

    @property
    def network(self) -> Network:
        """The network; hosts alone with their loopback have none."""
        assert self._network is not None, "this scenario has one host and no wire: it has no network"
        return self._network

    @property
    def networked(self) -> bool:
        """Whether there is a network."""
        return self._network is not None

    @property
    def trace(self) -> Trace:
        """All that happened on the network."""
        trace = self.network.trace
        assert trace is not None, "the trace was switched off"
        return trace

    def end(self, name: str) -> End:
        """Return an end of the network: a host's, or a wire's."""
        return self.network.ends[name]

    def wire(self, name: str) -> Wire:
        """Return an end without a stack."""
        end = self.end(name)
        assert isinstance(end, Wire)
        return end

    def address(self, name: str, version: int = 4) -> str:
        """Return the address of an end, of IPv4 or IPv6."""
        known = (ip_address(packed) for packed in self.end(name).addresses)
        return next(str(each) for each in known if each.version == version and not each.is_loopback)

    def at(self, name: str, port: int) -> Endpoint:
        """Return a port of an end, by IPv4."""
        return Endpoint(self.address(name), port)

    def link(self, source: str, far: str) -> Link:
        """Return the link from one end to another."""
        link = self.end(source).link_to(ip_address(self.address(far)).packed)
        assert link is not None
        return link

    def conditions(self, one: str, other: str, conditions: Conditions, back: Conditions | None = None) -> None:
        """Say how two ends' link treats segments from now on, in both directions alike unless `back` is given."""
        self.link(one, other).conditions = conditions
        self.link(other, one).conditions = back or conditions

    def fault(self, source: str, far: str, fault: Fault) -> Fault:
        """Have something befall segments from one end to another; return the fault, which counts what it hit."""
        self.link(source, far).faults.append(fault)
        return fault

    def mend(self, source: str, far: str) -> None:
        """Take all faults from a link."""
        self.link(source, far).faults.clear()

    def release(self, fault: Fault) -> None:
        """Let what a fault holds back arrive at once; it holds no more."""
        fault.times = fault.hits
        self.network.release(fault)

    def inject(self, segment: Segment) -> None:
        """Let a segment that nobody sent arrive at once where its destination is."""
        self.network.inject(segment)

    def replay(self, segment: Segment) -> None:
        """Let a copy of a segment of before arrive at once: an old duplicate."""
        self.network.replay(segment)

    def sent(self, name: str, picks: Picks = every) -> list[Segment]:
        """Return what an end has sent so far and `picks` picks, whatever became of it."""
        return [each.segment for each in self.trace.sent() if each.host == name and picks(each.segment)]

    def sent_at(self, name: str, picks: Picks = every) -> list[Instant]:
        """Return when an end sent what `picks` picks: by its own clock, where its segments carry that.

        The trace knows when this program read a kernel's segment from the device, which may be much later.  A kernel's
        timestamps are of one millisecond (TCP_TS_HZ, include/net/tcp.h).
        """
        found = [each for each in self.trace.sent() if each.host == name and picks(each.segment)]
        times = [each.time for each in found]
        stamps = [each.segment.timestamps for each in found]
        if isinstance(self.end(name), Node):
            return times
        return [
            time if stamp is None or stamps[0] is None else times[0] + (stamp.value - stamps[0].value & MASK) * MS
            for time, stamp in zip(times, stamps, strict=True)
        ]

    @property
    def recorded(self) -> Trace | None:
        """The trace, of a network or of a host alone; None where nothing was recorded."""
        recorder: Any = self._network or self.hosts[0]
        if (listened := getattr(recorder, "listened", None)) is not None:
            listened()
        trace: Trace | None = getattr(recorder, "trace", None)
        return trace

    @property
    def unrecorded(self) -> int:
        """How many packets a host's record misses: more passed at once than could be taken down."""
        return sum(getattr(host, "missed", 0) for host in self.hosts)

    @property
    def schedule(self) -> str:
        """Words for how well real time was kept up with; none where it was, or where time is virtual."""
        return "" if self._network is None else self._network.behind

    # -- time ------------------------------------------------------------------------------------------------------

    @property
    def now(self) -> Instant:
        """The time of this world."""
        return self.host.now() if self._network is None else self._network.now

    def wait(self, duration: Duration) -> None:
        """Let so much time pass."""
        if self._network is None:
            self.host.wait(duration)
        else:
            self._network.run(duration)

    def until(self, true: Callable[[], bool], patience: Duration = PATIENCE) -> bool:
        """Let time pass until something that segments and timers change is true; False when patience ended first."""
        return self.network.run_until(true, self.now + patience)
