"""Remedies side by side: each is another workload, put through the same forecast.

Whether one is safe follows from the profiles' rules; the reason is said with it, and where the profile has it from.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple, TypeAlias

from timewait.clock import MS, SECOND
from timewait.errors import UsageError
from timewait.plan import loss, paths
from timewait.plan.demand import Binding
from timewait.plan.forecast import Route, route
from timewait.plan.workload import Destination, Flow, Pool, Source, Workload
from timewait.tcp.profile import Profile, Reuse, SynRule

_WIDEST: Final = (1024, 65535)
_REUSE: Final = "net.ipv4.tcp_tw_reuse"
_DELAY: Final = "net.ipv4.tcp_tw_reuse_delay"
_SHORT: Final = 100  # ms
# Requests over one connection, where a pool is tried and nothing is known of how long a request takes.
_PER_CONNECTION: Final = 100.0
# A pool is as large as it has to be for one request in a thousand to find it in use.
_BESIDE: Final = 1e-3


class Case(NamedTuple):
    """A route of a workload, to be changed."""

    workload: Workload
    source: Source
    destination: Destination

    @property
    def client(self) -> Profile:
        """The stack that connects."""
        return paths.profile_of(self.source)

    @property
    def server(self) -> Profile:
        """The stack that is connected to."""
        return paths.profile_of(self.destination)

    @property
    def flows(self) -> tuple[Flow, ...]:
        """The route's own."""
        mine = (self.source.name, self.destination.name)
        return tuple(flow for flow in self.workload.flows if (flow.source, flow.destination) == mine)

    def with_source(self, **changes: Any) -> "Case":
        """Return the case with its source changed."""
        new = replace(self.source, **changes)
        sources = tuple(new if each.name == new.name else each for each in self.workload.sources)
        return self._replace(workload=replace(self.workload, sources=sources), source=new)

    def with_destination(self, **changes: Any) -> "Case":
        """Return the case with its destination changed."""
        new = replace(self.destination, **changes)
        destinations = tuple(new if each.name == new.name else each for each in self.workload.destinations)
        return self._replace(workload=replace(self.workload, destinations=destinations), destination=new)

    def with_flows(self, change: Callable[[Flow], Flow]) -> "Case":
        """Return the case with the flows of its route changed."""
        mine = self.flows
        flows = tuple(change(flow) if flow in mine else flow for flow in self.workload.flows)
        return self._replace(workload=replace(self.workload, flows=flows))


class Judgement(NamedTuple):
    """Whether a remedy may be taken without a second thought, and the reason."""

    safe: bool
    why: str


# Returns the changed case, or None where the remedy does nothing here.
Change: TypeAlias = Callable[[Case], Case | None]


@dataclass(frozen=True, slots=True)
class Remedy:
    """One way out.  `label`: its name for a case; `judge` says whether it is safe with the case's stacks."""

    key: str
    label: Callable[[Case], str]
    change: Change
    cost: str
    judge: Callable[[Case], Judgement]


class Result(NamedTuple):
    """A remedy that does something, and what becomes of the route with it."""

    key: str
    name: str
    cost: str
    judgement: Judgement
    route: Route


def _size(case: Case) -> int:
    """Return how large a pool has to be, for each source host; 0 where nothing says how long a request takes."""
    flows = case.flows
    busy = max(flow.mean * max((factor for _, factor in flow.shape), default=1.0) * flow.holds.mean for flow in flows)
    load = busy / case.source.hosts
    if not load:
        return 0
    size = max(1, math.ceil(load))
    while loss.erlang_b(load, size) > _BESIDE:
        size += max(1, size // 50)
    return size


def _pool(case: Case) -> Case | None:
    size = _size(case)
    if any(flow.pool for flow in case.flows):
        if not size or all(flow.pool and flow.pool.size >= size for flow in case.flows):
            return None
        return case.with_flows(lambda flow: replace(flow, pool=flow.pool and replace(flow.pool, size=size)))
    if size:
        return case.with_flows(lambda flow: replace(flow, pool=Pool(size=size)))
    if all(flow.per_connection >= _PER_CONNECTION for flow in case.flows):
        return None
    return case.with_flows(lambda flow: replace(flow, per_connection=max(flow.per_connection, _PER_CONNECTION)))


def _pool_label(case: Case) -> str:
    size = _size(case)
    return f"a pool of {size:,} on each host" if size else f"{_PER_CONNECTION:.0f} requests a connection"


def _by_client(case: Case) -> bool:
    return case.destination.client_closes > 0


def _takes_over(case: Case) -> bool:
    """Return whether connect() may be made to take over what waits, on this stack and with these ends."""
    stamped = case.client.timestamps and case.server.timestamps
    return _REUSE in case.client.sysctls and case.source.binding is Binding.LATE and stamped and _by_client(case)


def _set(case: Case, *values: tuple[str, str]) -> Case:
    names = {name for name, _ in values} | {name.rsplit(".", 1)[-1] for name, _ in values}
    others = tuple(pair for pair in case.source.sysctls if pair[0] not in names)
    return case.with_source(sysctls=others + values)


def _reuse(case: Case) -> Case | None:
    if not _takes_over(case) or case.client.reuse_ephemeral is Reuse.ALWAYS:
        return None
    return _set(case, (_REUSE, "1"))


def _delay(case: Case) -> Case | None:
    if not _takes_over(case) or _DELAY not in case.client.sysctls or case.client.reuse_delay <= _SHORT * MS:
        return None
    return _set(case, (_REUSE, "1"), (_DELAY, str(_SHORT)))


def _wider(case: Case) -> Case | None:
    low, high = case.client.ephemeral_range
    if high - low >= _WIDEST[1] - _WIDEST[0]:
        return None
    return case.with_source(port_range=_WIDEST)


def _socket_range(case: Case) -> Case | None:
    found = paths.limits_of(case.source, case.destination)
    if found.first_half is None or not case.client.option_range_drops_parity:
        return None
    return case.with_source(socket_range=True)


def _addresses(case: Case) -> Case:
    return case.with_source(addresses=case.source.addresses * 2)


def _ports(case: Case) -> Case | None:
    if case.source.binding is Binding.BIND:
        return None
    taken = {port for low, high in case.destination.ports for port in range(low, high + 1)}
    free = [port for port in range(1024, 65536) if port not in taken][: len(taken)]
    if len(free) < len(taken):
        return None
    return case.with_destination(ports=case.destination.ports + tuple((port, port) for port in free))


def _late(case: Case) -> Case | None:
    return None if case.source.binding is not Binding.BIND else case.with_source(binding=Binding.LATE)


def _server(case: Case) -> Case | None:
    return None if not _by_client(case) else case.with_destination(client_closes=0.0)


def _hosts(case: Case) -> Case:
    return case.with_source(hosts=case.source.hosts * 2)


def _nat(case: Case) -> Case | None:
    names = {box.name for box in paths.boxes(*case) if box.addresses}
    if not names:
        return None
    boxes = tuple(
        replace(box, addresses=box.addresses * 2) if box.name in names else box for box in case.workload.middleboxes
    )
    return case._replace(workload=replace(case.workload, middleboxes=boxes))


def _from(profile: Profile, field: str) -> str:
    """Return where a profile has a value from, in brackets."""
    source = profile.sources.get(field)
    return f" ({profile.name}: {source})" if source else ""


def _always(why: str) -> Callable[[Case], Judgement]:
    return lambda _: Judgement(True, why)


def _judge_reuse(case: Case) -> Judgement:
    """Old segments are dropped by their timestamps, if the peer's clock has ticked in the meantime.  RFC 6191."""
    return _ticked(case, case.client.reuse_delay)


def _judge_delay(case: Case) -> Judgement:
    return _ticked(case, _SHORT * MS)


def _ticked(case: Case, delay: int) -> Judgement:
    tick = SECOND / min(case.server.ts_hz, case.client.ts_hz)
    if tick > delay:
        return Judgement(
            False, f"timestamps tick every {tick / MS:g} ms only: after {delay / MS:g} ms they need not be newer"
        )
    return Judgement(
        True,
        f"only waits with timestamps, {delay / MS:g} ms old, are taken; clocks tick every {tick / MS:g} ms, so PAWS "
        f"drops old segments{_from(case.client, 'reuse_ephemeral')}",
    )


def _judge_server(case: Case) -> Judgement:
    server = case.server
    if server.tw_syn is SynRule.NEVER:
        return Judgement(
            False,
            f"profile {server.name} lets no SYN out of TIME-WAIT, so a client that comes back by the same port is "
            f"refused until the wait is over{_from(server, 'tw_syn')}",
        )
    nat = any(box.addresses for box in paths.boxes(*case))
    if nat and case.source.hosts > 1:
        return Judgement(
            False,
            "hosts behind one address have clocks and sequence numbers of their own: half of the SYNs that meet another"
            " one's wait at the server are refused",
        )
    newer = server.tw_syn in (SynRule.ABOVE_OR_NEWER, SynRule.RFC6191)
    if newer and server.timestamps and case.client.timestamps:
        return Judgement(True, f"a SYN with a newer timestamp ends the wait (MAY-2){_from(server, 'tw_syn')}")
    return Judgement(
        False,
        "sequence numbers alone decide whether a SYN ends the wait, and half of all look old: see the chance of a "
        f"refusal{_from(server, 'tw_syn')}",
    )


def _judge_wider(case: Case) -> Judgement:
    return Judgement(True, f"more four-tuples, each waits as before; now {_written(case.client.ephemeral_range)}")


def _written(ports: tuple[int, int]) -> str:
    return f"{ports[0]} to {ports[1]}"


_POOL_COST: Final = "a change of the client; the other end may close an idle connection"
REMEDIES: Final = (
    Remedy("pool", _pool_label, _pool, _POOL_COST, _always("fewer closes: nothing about TIME-WAIT changes")),
    Remedy(
        "late-binding",
        lambda _: "choose the port late",
        _late,
        "one socket option before bind(): IP_BIND_ADDRESS_NO_PORT",
        _always("connect() sees the destination, so each has ports of its own"),
    ),
    Remedy(
        "server-closes",
        lambda _: "the server closes first",
        _server,
        "TIME-WAIT, and its memory, move to the server",
        _judge_server,
    ),
    Remedy("tw-reuse", lambda _: "tcp_tw_reuse=1", _reuse, "a sysctl of the client's namespace", _judge_reuse),
    Remedy(
        "reuse-delay",
        lambda _: f"the same, delay {_SHORT} ms",
        _delay,
        "two sysctls of the client's namespace; Linux 6.14",
        _judge_delay,
    ),
    Remedy("wider-range", lambda _: "ports 1024 to 65535", _wider, "services' ports must be reserved", _judge_wider),
    Remedy(
        "socket-range",
        lambda _: "the range on each socket",
        _socket_range,
        "one socket option before connect(): IP_LOCAL_PORT_RANGE, Linux 6.8",
        lambda case: Judgement(True, f"no step at half the range{_from(case.client, 'option_range_drops_parity')}"),
    ),
    Remedy(
        "source-addresses",
        lambda _: "twice the source addresses",
        _addresses,
        "addresses, routes",
        _always("more four-tuples"),
    ),
    Remedy(
        "destination-ports",
        lambda _: "twice the destination's ports",
        _ports,
        "more ports to listen on",
        _always("more four-tuples"),
    ),
    Remedy(
        "nat-addresses",
        lambda _: "twice the NAT's addresses",
        _nat,
        "addresses of the gateway",
        _always("more four-tuples"),
    ),
    Remedy("hosts", lambda _: "twice the source hosts", _hosts, "hosts", _always("each does half of the work")),
)


def compare(workload: Workload, source: Source, destination: Destination) -> Iterator[Result]:
    """Yield what each remedy that does something makes of a route."""
    case = Case(workload, source, destination)
    for remedy in REMEDIES:
        try:
            changed = remedy.change(case)
        except UsageError:  # twice as many as can be counted
            continue
        if changed is not None:
            yield Result(remedy.key, remedy.label(case), remedy.cost, remedy.judge(case), route(*changed))
