"""`Forecast`: what a demand makes of a stack's limits, once it has settled; a closed form.

Each number is of one budget (a source and a destination, or a source alone where bind() chooses the port), except the
populations and memories, which are of a whole host.
"""

import math
from dataclasses import dataclass

from timewait.plan import loss
from timewait.plan.demand import Arrivals, Closer, Demand
from timewait.plan.limits import CONNTRACK_WAIT, Limits

# 2^32: sequence numbers; half of that is "above" (RFC 9293 section 3.4).
_SPACE = 1 << 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """Rates are per second, times in seconds, memories in octets.

    `nominal`: budget's rate for ever if waits lasted exactly as long as the stack means; `highest`: what really can be
    sustained without a failure, in the time asked for; both of requests, for the whole design.  `full_in`: from an
    empty start, None if it never fills.
    """

    ports: int
    used: float
    failing: float
    beyond_half: float | None
    nominal: float
    highest: float
    full_in: float | None
    client_waits: float
    server_waits: float
    client_memory: float | None
    server_memory: float | None
    overflow: float
    conntrack: float
    refused: float | None

    @property
    def share(self) -> float:
        """The share of the budget that is used."""
        return self.used / self.ports


def forecast(demand: Demand, limits: Limits, *, within: float = 3600.0) -> Forecast:
    """Return what becomes of it.  `within`: for how long no connect may fail, for `highest`."""
    here = demand.closer is Closer.CLIENT
    busy = demand.hold + (limits.blocked if here else 0.0)
    rate = demand.per_budget
    wanted = rate * busy
    failing = _failing(demand, busy, limits.ports)
    used = min(float(limits.ports), wanted * (1 - failing))
    to_all = demand.rate / rate
    waits = _waits(demand, limits, rate * (1 - failing))
    # What one host has: all its budgets.
    per_client = demand.connects / demand.sources / rate
    client_waits = waits * per_client if here else 0.0
    server_waits = 0.0 if here else waits * (demand.connects / rate) / demand.destinations
    standing = client_waits if here else server_waits
    memory = limits.memory
    return Forecast(
        ports=limits.ports,
        used=used,
        failing=failing,
        beyond_half=_beyond_half(demand, limits, wanted),
        nominal=_nominal(demand, limits) * to_all,
        highest=_highest(demand, limits.ports, busy, within) * to_all,
        full_in=limits.ports / rate if wanted > limits.ports else None,
        client_waits=client_waits,
        server_waits=server_waits,
        client_memory=None if memory is None else client_waits * memory[1],
        server_memory=None if memory is None else server_waits * memory[0],
        overflow=0.0 if limits.table is None or not standing else max(0.0, 1 - limits.table / standing),
        conntrack=_tracked(demand, limits, demand.connects * (1 - failing)),
        refused=None if here else _refused(demand, limits, rate),
    )


def _failing(demand: Demand, busy: float, ports: int) -> float:
    if demand.arrivals is Arrivals.CONSTANT:
        return loss.periodic(demand.per_budget, busy, ports)
    return loss.erlang_b(demand.per_budget * busy, ports)


def _beyond_half(demand: Demand, limits: Limits, wanted: float) -> float | None:
    """Return the share of time in which all ports of the first parity are in use, so that connect() walks them all.

    Who finds one free takes it whatever the others do: the first half is a loss system of its own.  The others being in
    use does not matter, so this is less than the share of time in which half of all ports are.
    """
    if limits.first_half is None:
        return None
    if demand.arrivals is Arrivals.CONSTANT:
        return loss.periodic(demand.per_budget, wanted / demand.per_budget, limits.first_half)
    return loss.erlang_b(wanted, limits.first_half)


def _nominal(demand: Demand, limits: Limits) -> float:
    wait = limits.wait if limits.reuse is None else min(limits.reuse, limits.wait)
    busy = demand.hold + (wait if demand.closer is Closer.CLIENT else 0.0)
    return limits.ports / busy if busy else math.inf


def _highest(demand: Demand, ports: int, busy: float, within: float) -> float:
    if not busy:
        return math.inf
    if demand.arrivals is Arrivals.CONSTANT:
        return ports / busy
    return loss.sustainable(busy, ports, within)


def _waits(demand: Demand, limits: Limits, connects: float) -> float:
    """Return how many four-tuples of one budget wait at the side that closes first.

    One four-tuple waits at most once, so ports bound it.  Where a wait can end early, because its port is taken over or
    its client comes back to the server by the same port, it lasts until then: connects come to ports in no order, so
    a share exp(-connects x wait / ports) of them is not waiting.  A client that finds ports at once has its first half
    only.
    """
    live = connects * demand.hold
    if demand.closer is Closer.CLIENT and limits.reuse is None:
        return min(connects * limits.real_wait, max(0.0, limits.ports - live))
    blocked = connects * limits.blocked if demand.closer is Closer.CLIENT else 0.0
    half = limits.first_half
    ports = half if half is not None and live + blocked < half else limits.ports
    around = max(0.0, ports - live)
    return around * -math.expm1(-connects * limits.real_wait / around) if around else 0.0


def _tracked(demand: Demand, limits: Limits, connects: float) -> float:
    """Return the entries of a connection tracker on the way of everything: one for each four-tuple at most."""
    four_tuples = limits.ports * demand.sources * demand.destinations
    return min(connects * (demand.hold + CONNTRACK_WAIT), float(four_tuples))


def _refused(demand: Demand, limits: Limits, rate: float) -> float:
    """Return the chance that a server's TIME-WAIT refuses the SYN of the next connection over the same four-tuple.

    It is 0 when the port comes back after the wait, or when a newer timestamp decides.  Otherwise sequence numbers do:
    the new ISN has moved on by the ISN clock, the old connection by what the client sent, and half of all distances
    count as old.  RFC 9293 section 3.4; RFC 6191 section 2.
    """
    cycle = (limits.first_half or limits.ports) / rate
    age = max(cycle, demand.hold)
    if age - demand.hold >= limits.real_wait or (limits.timestamps and limits.newer_reopens):
        return 0.0
    if not limits.above_reopens:
        return 1.0
    ahead = (limits.isn_hz * age - demand.octets - 2) % _SPACE
    return float(not 0 < ahead < _SPACE // 2)
