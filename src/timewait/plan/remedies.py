"""Remedies side by side: each is another demand or another profile, put through the same forecast.

Whether one is safe follows from the profile's rules; the reason is said with it.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Final, NamedTuple, TypeAlias

from timewait.plan.demand import Binding, Closer, Demand
from timewait.plan.forecast import Forecast, forecast
from timewait.plan.limits import Limits, limits
from timewait.tcp.profile import Profile, Reuse

_WIDEST: Final = (1024, 65535)
_POOL: Final = 100  # requests over one connection, where a pool is tried and no number was given


class Design(NamedTuple):
    """What is planned: a demand on a stack.  `loopback`: both ends are on one host."""

    demand: Demand
    profile: Profile
    loopback: bool = False

    def limits(self) -> Limits:
        """Return what the stack gives this design."""
        return limits(self.profile, loopback=self.loopback, binding=self.demand.binding)

    def forecast(self, within: float) -> Forecast:
        """Return what becomes of it."""
        return forecast(self.demand, self.limits(), within=within)


# Returns the changed design, or None where the remedy does nothing here.
Change: TypeAlias = Callable[[Design], Design | None]


@dataclass(frozen=True, slots=True)
class Remedy:
    """One way out.  `safe` says whether it may be done without a second thought; `why`, the reason."""

    name: str
    change: Change
    cost: str
    safe: bool
    why: str


class Result(NamedTuple):
    """A remedy that does something, and what becomes of the design with it."""

    remedy: Remedy
    forecast: Forecast


def _pool(design: Design) -> Design | None:
    demand = design.demand
    if demand.per_connection >= _POOL:
        return None
    longer = demand.hold * _POOL / demand.per_connection
    return design._replace(demand=replace(demand, per_connection=_POOL, hold=longer))


def _reuse(design: Design) -> Design | None:
    profile = design.profile
    if "net.ipv4.tcp_tw_reuse" not in profile.sysctls or profile.reuse_ephemeral is Reuse.ALWAYS:
        return None
    if design.demand.closer is Closer.SERVER or design.demand.binding is Binding.BIND or not profile.timestamps:
        return None
    return design._replace(profile=profile.changed(reuse_ephemeral=Reuse.ALWAYS))


def _wider(design: Design) -> Design | None:
    if design.profile.ephemeral_range == _WIDEST:
        return None
    return design._replace(profile=design.profile.changed(ephemeral_range=_WIDEST))


def _sources(design: Design) -> Design:
    return design._replace(demand=replace(design.demand, sources=design.demand.sources * 2))


def _destinations(design: Design) -> Design | None:
    if design.demand.binding is Binding.BIND:
        return None
    return design._replace(demand=replace(design.demand, destinations=design.demand.destinations * 2))


def _late(design: Design) -> Design | None:
    if design.demand.binding is Binding.LATE:
        return None
    return design._replace(demand=replace(design.demand, binding=Binding.LATE))


def _server(design: Design) -> Design | None:
    if design.demand.closer is Closer.SERVER:
        return None
    return design._replace(demand=replace(design.demand, closer=Closer.SERVER))


REMEDIES: Final = (
    Remedy(
        f"a pool: {_POOL} requests a connection",
        _pool,
        "a change of the client; the other end may close an idle one",
        True,
        "fewer closes: nothing about TIME-WAIT changes",
    ),
    Remedy(
        "choose the port late",
        _late,
        "one socket option before bind(): IP_BIND_ADDRESS_NO_PORT",
        True,
        "connect() sees the destination, so each has a budget of its own",
    ),
    Remedy(
        "let the server close first",
        _server,
        "TIME-WAIT, and its memory, move to the server",
        True,
        "a passive open may leave TIME-WAIT early (RFC 9293 3.6.1, MAY-2); without timestamps see REFUSED",
    ),
    Remedy(
        "tcp_tw_reuse=1",
        _reuse,
        "a sysctl of the client's namespace",
        True,
        "takes over only waits with timestamps, after the delay: PAWS then drops old segments (RFC 6191)",
    ),
    Remedy(
        "ports 1024 to 65535",
        _wider,
        "services' ports must be reserved",
        True,
        "more four-tuples, each waits as before",
    ),
    Remedy("twice the source addresses", _sources, "addresses, routes", True, "more four-tuples"),
    Remedy("twice the destinations", _destinations, "one more address or port to listen on", True, "more four-tuples"),
)


def compare(design: Design, within: float) -> Iterator[Result]:
    """Yield what each remedy that does something makes of the design."""
    for remedy in REMEDIES:
        changed = remedy.change(design)
        if changed is not None:
            yield Result(remedy, changed.forecast(within))
