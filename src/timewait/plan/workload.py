"""`Workload`: who connects where, how often, by what way: frozen values, checked when they are made.

The one model: the command line's short form, files, presets, importers and snapshots of hosts all end here.  Knows no
file and no arithmetic of ports; rates are per second, times in seconds, sizes in octets.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias, TypeVar

from timewait.errors import UsageError
from timewait.plan.demand import Arrivals, Binding

DAY: Final = 86400.0
# Above, a float's rounding would show in a rate times a time.
MOST_RATE: Final = 1e9
MOST_TIME: Final = 366 * DAY
MOST_COUNT: Final = 1_000_000
MOST_PARTS: Final = 1440
MOST_OCTETS: Final = 1 << 50
# The distributions of durations, as `draws.Life` draws them.
DISTRIBUTIONS: Final = ("constant", "exponential", "uniform", "lognormal", "pareto")
_LAST_PORT: Final = 65535

Ports: TypeAlias = tuple[tuple[int, int], ...]
Settings: TypeAlias = tuple[tuple[str, str], ...]  # names and values of sysctls
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """How long a connection is open.  `spread`: standard deviation over mean, for lognormal and pareto."""

    mean: float = 0.0
    distribution: str = "constant"
    spread: float = 1.0

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        _within("a holding time's mean", self.mean, 0, MOST_TIME, "s")
        _within("a spread", self.spread, 1e-6, 1e3)
        if self.distribution not in DISTRIBUTIONS:
            raise UsageError(
                f"{self.distribution!r} is no distribution of holding times", f"one of {', '.join(DISTRIBUTIONS)}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """Connections that each source host keeps open towards a destination, for one request after the other.

    `idle`: seconds after which one that is not used is closed, None: never.  `waits`: a request that finds all in use
    waits for one, instead of opening one more that is closed after it.
    """

    size: int
    idle: float | None = None
    waits: bool = False

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        _count("connections of a pool", self.size)
        if self.idle is not None:
            _within("a pool's idle time", self.idle, 1e-3, MOST_TIME, "s")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bursts:
    """The rate goes up to `rate` for `lasts` seconds, again and again, one beginning `every` so many seconds."""

    rate: float
    lasts: float
    every: float

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        _within("a burst's rate", self.rate, 1e-9, MOST_RATE, "/s")
        _within("a burst's length", self.lasts, 1e-3, MOST_TIME, "s")
        _within("the time from burst to burst", self.every, 1e-3, MOST_TIME, "s")
        if self.lasts >= self.every:
            raise UsageError(
                f"bursts that last {self.lasts:g} s and begin every {self.every:g} s leave nothing in between",
                "make lasts shorter than every, or give the rate alone",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Hosts alike that connect.  `addresses`: of each.  `port_range`, `reserved_ports`, `sysctls`: over the profile's.

    `socket_range`: the program sets the range on each socket (IP_LOCAL_PORT_RANGE), so that Linux tries its ports
    without regard to parity.
    """

    name: str
    hosts: int = 1
    addresses: int = 1
    profile: str = "linux"
    port_range: tuple[int, int] | None = None
    reserved_ports: Ports = ()
    sysctls: Settings = ()
    binding: Binding = Binding.LATE
    socket_range: bool = False

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        _name("source", self.name)
        _count(f"hosts of source {self.name}", self.hosts)
        _count(f"addresses of source {self.name}", self.addresses)
        if self.port_range is not None:
            _range(f"the port range of source {self.name}", *self.port_range)
        for low, high in self.reserved_ports:
            _range(f"a reserved range of source {self.name}", low, high)
        if self.socket_range and self.binding is not Binding.LATE:
            raise UsageError(
                f"source {self.name} has socket_range, and its ports are chosen by bind()",
                'IP_LOCAL_PORT_RANGE is planned for ports that connect() chooses: binding = "late"',
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """Hosts alike that are connected to.  `addresses`: of each; `ports`: ranges that it listens on, at each address.

    `client_closes`: the share of connections that the client closes first, and so has the TIME-WAIT of (RFC 9293
    section 3.6).  `loopback`: on the source's own host.
    """

    name: str
    hosts: int = 1
    addresses: int = 1
    ports: Ports = ((443, 443),)
    profile: str = "linux"
    sysctls: Settings = ()
    client_closes: float = 1.0
    loopback: bool = False

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        _name("destination", self.name)
        _count(f"hosts of destination {self.name}", self.hosts)
        _count(f"addresses of destination {self.name}", self.addresses)
        if not self.ports:
            raise UsageError(f"destination {self.name} listens on no port", "ports = [443]")
        for low, high in self.ports:
            _range(f"a range of ports of destination {self.name}", low, high)
        _within(f"closes_first of destination {self.name}", self.client_closes, 0, 1)

    @property
    def pairs(self) -> int:
        """Pairs of address and port, of all its hosts together."""
        return self.hosts * self.addresses * count_of(self.ports)


@dataclass(frozen=True, slots=True, kw_only=True)
class Middlebox:
    """A box on the way that tracks connections, and with `addresses` translates them to ports of these (source NAT).

    `time_wait`: seconds that it keeps an entry after the close; `takes_over`: whether a new connection may take such
    an entry's port; `most`: entries that its table holds, None: any number.
    """

    name: str
    addresses: int = 0
    port_range: tuple[int, int] = (1024, 65535)
    time_wait: float = 120.0
    takes_over: bool = True
    most: int | None = 262_144

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        _name("middlebox", self.name)
        _whole(f"addresses of middlebox {self.name}", self.addresses, 0, MOST_COUNT)
        _range(f"the port range of middlebox {self.name}", *self.port_range)
        _within(f"the time_wait of middlebox {self.name}", self.time_wait, 0, MOST_TIME, "s")
        if self.most is not None:
            _whole(f"entries of middlebox {self.name}", self.most, 1, 1 << 31)


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """Requests from a source to a destination.  `rate`: requests a second, of all source hosts together.

    `daily`: how the rate goes through a day, in equal parts whose mean is `rate`; `bursts`: what it goes up to now and
    then.  `per_connection`: requests that one connection carries; of a pool at most, and 1 is any number.
    `octets`: what the client sends over one connection.  `via`: names of middleboxes.
    """

    source: str
    destination: str
    rate: float
    arrivals: Arrivals = Arrivals.POISSON
    daily: tuple[float, ...] = ()
    bursts: Bursts | None = None
    holds: Holding = field(default_factory=Holding)
    per_connection: float = 1.0
    pool: Pool | None = None
    octets: int = 0
    via: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        _within(f"the rate of the flow {self.name}", self.rate, 1e-9, MOST_RATE, "/s")
        _within(f"requests_per_connection of the flow {self.name}", self.per_connection, 1, 1e12)
        _whole(f"octets of the flow {self.name}", self.octets, 0, MOST_OCTETS)
        if self.daily and self.bursts:
            raise UsageError(
                f"the flow {self.name} has both a daily curve and bursts", "write two flows; they share the ports"
            )
        if self.daily and (len(self.daily) > MOST_PARTS or not sum(self.daily) or min(self.daily) < 0):
            raise UsageError(
                f"the daily curve of the flow {self.name} cannot be",
                f"from 1 to {MOST_PARTS} factors, none below 0 and not all 0",
            )
        for factor in self.daily:
            _within(f"a factor of the daily curve of {self.name}", factor, 0, 1e9)
        if self.bursts and self.bursts.rate <= self.rate:
            raise UsageError(
                f"bursts of {self.bursts.rate:g}/s are no more than the rate of {self.rate:g}/s in between",
                "give the higher rate in bursts",
            )
        if self.pool and not self.holds.mean:
            raise UsageError(
                f"the flow {self.name} has a pool, and its requests take no time",
                'say how long a request takes: holds = "20ms"',
            )

    @property
    def name(self) -> str:
        """Source and destination."""
        return f"{self.source} -> {self.destination}"

    @property
    def shape(self) -> tuple[tuple[float, float], ...]:
        """(seconds, factor of the mean rate) in turn, again and again; empty where the rate is steady."""
        if self.daily:
            mean = math.fsum(self.daily) / len(self.daily)
            return tuple((DAY / len(self.daily), factor / mean) for factor in self.daily)
        if self.bursts:
            quiet = self.bursts.every - self.bursts.lasts
            return ((quiet, self.rate / self.mean), (self.bursts.lasts, self.bursts.rate / self.mean))
        return ()

    @property
    def mean(self) -> float:
        """Requests a second, bursts counted in."""
        if not self.bursts:
            return self.rate
        return self.rate + (self.bursts.rate - self.rate) * self.bursts.lasts / self.bursts.every


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """What is planned.  `within`: seconds in which no connect is to fail; `growth`: of all rates, in a month.

    `notes`: where its numbers are from; shown with every report.
    """

    sources: tuple[Source, ...]
    destinations: tuple[Destination, ...]
    flows: tuple[Flow, ...]
    middleboxes: tuple[Middlebox, ...] = ()
    title: str = ""
    notes: tuple[str, ...] = ()
    within: float = 3600.0
    growth: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what does not fit together, naming near names."""
        _within("the time without a failure", self.within, 1, MOST_TIME, "s")
        _within("the growth a month", self.growth, -0.99, 100)
        if not self.flows:
            raise UsageError("nothing is planned: there is no flow", "write at least one [[flows]]")
        for kind, found in (
            ("source", self.sources),
            ("destination", self.destinations),
            ("middlebox", self.middleboxes),
        ):
            names = [each.name for each in found]
            for name in names:
                if names.count(name) > 1:
                    raise UsageError(f"there are two of {kind} {name!r}", "give each a name of its own")
        for flow in self.flows:
            self.source(flow.source)
            self.destination(flow.destination)
            for name in flow.via:
                self.middlebox(name)

    def source(self, name: str) -> Source:
        """Return a source by name.  Raises `UsageError`, naming near ones."""
        return _found("source", name, {each.name: each for each in self.sources})

    def destination(self, name: str) -> Destination:
        """Return a destination by name.  Raises `UsageError`, naming near ones."""
        return _found("destination", name, {each.name: each for each in self.destinations})

    def middlebox(self, name: str) -> Middlebox:
        """Return a middlebox by name.  Raises `UsageError`, naming near ones."""
        return _found("middlebox", name, {each.name: each for each in self.middleboxes})


def count_of(ports: Ports) -> int:
    """Return how many ports some ranges have."""
    return len({port for low, high in ports for port in range(low, high + 1)})


def _found(kind: str, name: str, known: Mapping[str, _T]) -> _T:
    if name in known:
        return known[name]
    from difflib import get_close_matches

    near = get_close_matches(name, known, 1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise UsageError(f"a flow names the {kind} {name!r}, which there is none of", f"{hint}known: {', '.join(known)}")


def _name(kind: str, name: str) -> None:
    if not name or len(name) > 200 or not name.isprintable():
        raise UsageError(f"a {kind} has the name {name[:40]!r}", "1 to 200 printable characters")


def _within(what: str, value: float, low: float, high: float, unit: str = "") -> None:
    if not low <= value <= high:  # not a number is not within either
        raise UsageError(f"{what} cannot be {value:g}{unit}", f"from {low:g} to {high:g}{unit}")


def _whole(what: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise UsageError(f"{value} {what} cannot be", f"from {low:,} to {high:,}")


def _count(what: str, value: int) -> None:
    _whole(what, value, 1, MOST_COUNT)


def _range(what: str, low: int, high: int) -> None:
    if low > high:
        raise UsageError(f"{what} goes from {low} down to {high}", f"the lower port first: {high} to {low}")
    if low < 1 or high > _LAST_PORT:
        raise UsageError(f"{what} is {low} to {high}", f"ports are numbers from 1 to {_LAST_PORT}")
