"""`PortSet`: ports that connections compete for, and what comes to them, worked out from a workload.

A source's ports towards one pair of address and port of a destination are one set; where bind() chooses the port it is
all of the source's; a NAT has one for each of its addresses and each pair.  What is alike is counted, not repeated.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from timewait.errors import UsageError
from timewait.plan import loss
from timewait.plan.demand import Arrivals, Binding
from timewait.plan.limits import Limits, limits
from timewait.plan.workload import Destination, Flow, Holding, Middlebox, Source, Workload
from timewait.tcp import profiles, settings
from timewait.tcp.profile import Profile

Shape = tuple[tuple[float, float], ...]


class Connects(NamedTuple):
    """The connections that a flow's requests make, of all source hosts together.

    `rate`: opened a second, on average; `shape`: (seconds, factor of that) in turn; `random`: each by itself, else as
    a clock ticks; `standing`: connections of pools that are open all the time, on average.
    """

    rate: float
    shape: Shape
    random: bool
    holds: Holding
    standing: float


class Stream(NamedTuple):
    """Connects of one kind that come to one set of ports.

    `blocked`: seconds after the close for which the port stays out of use; `by_client`: who closes first.
    """

    flow: Flow
    rate: float
    shape: Shape
    random: bool
    holds: Holding
    standing: float
    blocked: float
    by_client: bool

    @property
    def busy(self) -> float:
        """Mean seconds that a port is in use for one connection."""
        return self.holds.mean + self.blocked

    @property
    def load(self) -> float:
        """Ports in use on average, were there enough."""
        return self.rate * self.busy + self.standing


@dataclass(frozen=True, slots=True, kw_only=True)
class PortSet:
    """`ports`: how many; `first_half`: of these, which are found at once, None where none is harder to find.

    `count`: how many sets there are that are alike; `whose`: the source or middlebox, `towards`: the destination, ""
    where the set is for all.
    """

    whose: str
    towards: str
    ports: int
    first_half: int | None
    count: int
    streams: tuple[Stream, ...]

    @property
    def rate(self) -> float:
        """Connects a second, on average."""
        return math.fsum(stream.rate for stream in self.streams)

    @property
    def load(self) -> float:
        """Ports in use on average, were there enough."""
        return math.fsum(stream.load for stream in self.streams)


def profile_of(end: Source | Destination) -> Profile:
    """Return the stack of a source or destination with its settings.  Raises `UsageError` for one it does not have."""
    profile = profiles.get(end.profile)
    for name, value in end.sysctls:
        profile = settings.change(profile, name, value)
    if isinstance(end, Source):
        if end.port_range is not None:
            profile = profile.changed(ephemeral_range=end.port_range)
        if end.reserved_ports:
            profile = profile.changed(reserved_ports=end.reserved_ports)
    return profile


@lru_cache(maxsize=256)
def limits_of(source: Source, destination: Destination) -> Limits:
    """Return what a source's stack gives it towards a destination.  Timestamps are used if both ends have them."""
    profile = profile_of(source)
    if not profile_of(destination).timestamps:
        profile = profile.changed(timestamps=False)
    loopback = destination.loopback
    return limits(profile, loopback=loopback, binding=source.binding, socket_range=source.socket_range)


@lru_cache(maxsize=256)
def limits_of_server(destination: Destination) -> Limits:
    """Return what a destination's stack does with connections that it closes first."""
    return limits(profile_of(destination))


def pairs(source: Source, destination: Destination) -> int:
    """Return how many pairs of address and port each source host can connect to."""
    return destination.pairs // destination.hosts if destination.loopback else destination.pairs


def connects(workload: Workload, flow: Flow) -> Connects:
    """Return the connections that a flow's requests make.

    Raises `UsageError` where requests wait for a pool that cannot carry them.
    """
    random = flow.arrivals is Arrivals.POISSON
    if flow.pool is None:
        return Connects(flow.mean / flow.per_connection, flow.shape, random, flow.holds, 0.0)
    hosts = workload.source(flow.source).hosts
    parts = flow.shape or ((1.0, 1.0),)
    opened = [(length, *_pooled(flow, flow.mean * factor / hosts)) for length, factor in parts]
    total = math.fsum(length for length, *_ in opened)
    rate = math.fsum(length * new for length, new, _ in opened) / total
    standing = math.fsum(length * still for length, _, still in opened) / total
    shape = tuple((length, new / rate) for length, new, _ in opened) if flow.shape and rate else ()
    return Connects(rate * hosts, shape, random, flow.holds, standing * hosts)


def _pooled(flow: Flow, rate: float) -> tuple[float, float]:
    """Return (connects a second, connections open all the time) of one host whose requests come at this rate.

    A request that finds all of the pool in use opens a connection for itself: Erlang's loss, exact for requests that
    come at random.  Those of the pool are used evenly, so each idles for longer than `idle` with the chance that no
    request comes to it in that time.
    """
    pool = flow.pool
    assert pool is not None
    load = rate * flow.holds.mean
    if pool.waits and load >= pool.size:
        raise UsageError(
            f"a pool of {pool.size} carries {pool.size / flow.holds.mean:g} requests/s of {flow.holds.mean:g} s each, "
            f"and {rate:g}/s come to it ({flow.name})",
            "make the pool larger, or let more requests open a connection of their own: waits = false",
        )
    alone = 0.0 if pool.waits else loss.erlang_b(load, pool.size)
    through = rate * (1 - alone)
    last = 0.0 if flow.per_connection == 1 else 1 / flow.per_connection
    idles = 0.0 if pool.idle is None else math.exp(-min(through / pool.size * pool.idle, 700.0))
    closed = through * (1 - (1 - last) * (1 - idles))
    standing = float(pool.size) if pool.idle is None else min(pool.size, through * flow.holds.mean + closed * pool.idle)
    return rate * alone + closed, standing


def streams(
    workload: Workload, flows: Iterable[Flow], count: float, waits: float, *, both: bool = False
) -> Iterator[Stream]:
    """Yield what comes to each of `count` sets of ports that are alike, shared evenly.

    `waits`: seconds for which a port stays out of use after the client's closing first; `both`: whoever closes first.
    """
    for flow in flows:
        made = connects(workload, flow)
        share = workload.destination(flow.destination).client_closes
        for part, by_client in ((share, True), (1 - share, False)):
            if part:
                yield Stream(
                    flow,
                    made.rate * part / count,
                    made.shape,
                    made.random or 0 < share < 1,  # which of a clock's ticks close how is left to chance
                    made.holds,
                    made.standing * part / count,
                    waits if by_client or both else 0.0,
                    by_client,
                )


def of_source(workload: Workload, source: Source, destination: Destination) -> PortSet:
    """Return the ports of a source that its connections to a destination come from."""
    found = limits_of(source, destination)
    everywhere = source.binding is Binding.BIND
    count = source.hosts * source.addresses * (1 if everywhere else pairs(source, destination))
    mine = [flow for flow in workload.flows if flow.source == source.name]
    flows = mine if everywhere else [flow for flow in mine if flow.destination == destination.name]
    return PortSet(
        whose=source.name,
        towards="" if everywhere else destination.name,
        ports=found.ports,
        first_half=found.first_half,
        count=count,
        streams=tuple(streams(workload, flows, count, found.blocked)),
    )


def of_middlebox(workload: Workload, box: Middlebox, destination: Destination) -> PortSet | None:
    """Return the ports of a NAT towards a destination; None where it translates nothing.

    Linux keeps an entry for 120 s whoever closed first: nf_conntrack_proto_tcp.c.
    """
    if not box.addresses:
        return None
    low, high = box.port_range
    count = box.addresses * destination.pairs
    flows = [flow for flow in workload.flows if box.name in flow.via and flow.destination == destination.name]
    waits = 0.0 if box.takes_over else box.time_wait
    found = tuple(streams(workload, flows, count, waits, both=True))
    return PortSet(
        whose=box.name, towards=destination.name, ports=high - low + 1, first_half=None, count=count, streams=found
    )


def boxes(workload: Workload, source: Source, destination: Destination) -> tuple[Middlebox, ...]:
    """Return the middleboxes on the way of some flow of a route."""
    flows = [flow for flow in workload.flows if (flow.source, flow.destination) == (source.name, destination.name)]
    return tuple(workload.middlebox(name) for name in dict.fromkeys(name for flow in flows for name in flow.via))


def table_of(workload: Workload, box: Middlebox) -> PortSet | None:
    """Return a middlebox's table of entries, as a set; None where it has no end."""
    if box.most is None:
        return None
    flows = [flow for flow in workload.flows if box.name in flow.via]
    found = tuple(streams(workload, flows, 1, box.time_wait, both=True))
    return PortSet(whose=box.name, towards="", ports=box.most, first_half=None, count=1, streams=found)


def routes(workload: Workload) -> tuple[tuple[Source, Destination], ...]:
    """Return each pair of source and destination that a flow joins, in the order of the flows."""
    names = dict.fromkeys((flow.source, flow.destination) for flow in workload.flows)
    return tuple((workload.source(source), workload.destination(destination)) for source, destination in names)
