"""A workload from a look at a host: what its last minute of closes and its open connections say.

Only what this host's clients closed first is seen, since the other end has the TIME-WAIT of the rest.
"""

from typing import Final

from timewait.errors import UsageError
from timewait.host.budget import Budget, budgets, pool_of
from timewait.host.history import history
from timewait.host.snapshot import Snapshot
from timewait.plan.workload import DAY, Destination, Flow, Holding, Source, Workload
from timewait.tcp import profiles

# Destinations that are planned, the busiest first.
MOST: Final = 100
# Below, a minute had at most a close or two: no rate to plan with.
_LEAST: Final = 1 / 30


def workload(seen: Snapshot) -> Workload:
    """Return it: a source for each local address, a destination for each remote address and port.

    Raises `UsageError` where no client closed anything in the last minute.
    """
    rated = [(history(budget.waits, seen.span_ms, seen.hz).mean, budget) for budget in budgets(seen)]
    busy = sorted(((rate, budget) for rate, budget in rated if rate >= _LEAST), key=lambda row: -row[0])
    if not busy:
        raise UsageError(
            "no client of this host closed connections in the last minute: there is no rate to plan with",
            "look again under load, or write down what is to come: timewait plan preset proxy",
        )
    kept = busy[:MOST]
    names = {budget.name: _there(budget) for _, budget in kept}
    return Workload(
        title=f"as seen on {f'namespace {seen.namespace}' if seen.namespace else 'this host'}, Linux {seen.kernel}",
        notes=tuple(_notes(len(rated), len(busy), len(kept))),
        sources=tuple(_source(seen, local) for local in dict.fromkeys(budget.local for _, budget in kept)),
        destinations=tuple(
            Destination(name=names[budget.name], ports=((budget.port, budget.port),), loopback=_loopback(budget))
            for budget in {names[each.name]: each for _, each in kept}.values()
        ),
        flows=tuple(_flow(rate, budget) for rate, budget in kept),
    )


def _there(budget: Budget) -> str:
    return budget.name.partition(" -> ")[2]


def _loopback(budget: Budget) -> bool:
    return budget.address == "::1" or budget.address.startswith("127.")


def _source(seen: Snapshot, local: str) -> Source:
    """Return what connects from a local address, with the host's settings; ports of listeners are taken out."""
    pool = pool_of(seen.sysctls, seen.listeners)
    known = profiles.get("linux").sysctls
    settings = {name: value for name, value in seen.sysctls.items() if name in known}
    text = settings.pop("net.ipv4.ip_local_reserved_ports", "").strip()
    settings.pop("net.ipv4.ip_local_port_range", None)
    reserved = tuple((port, port) for port in pool.listening) + tuple(
        (int(low), int(high or low)) for low, _, high in (part.partition("-") for part in text.split(",") if part)
    )
    return Source(
        name=local,
        port_range=(pool.low, pool.high),
        reserved_ports=reserved,
        sysctls=tuple(sorted((name, value.strip()) for name, value in settings.items())),
    )


def _flow(rate: float, budget: Budget) -> Flow:
    """Return what goes to a destination.  Little's law: open connections = rate x time that each is open."""
    still = sum(count for state, count in budget.by_state.items() if state in ("ESTABLISHED", "SYN-SENT"))
    return Flow(
        source=budget.local,
        destination=_there(budget),
        rate=_rounded(rate),
        holds=Holding(mean=_rounded(min(still / rate, DAY)), distribution="exponential" if still else "constant"),
    )


def _rounded(value: float) -> float:
    """Return a number with as many digits as a look at a host is good for."""
    return float(f"{value:.4g}")


def _notes(seen: int, busy: int, kept: int) -> list[str]:
    found = [
        "measured: rates are closes a second, the mean of the last minute, of connections that this host closed first",
        "worked out: how long a connection is open is those open now, divided by that rate (Little's law)",
        "not seen: connections that the other end closed first, and when in a day or a week the rate is higher",
    ]
    if busy < seen:
        found.append(f"left out: {seen - busy} destinations with fewer than two closes in that minute")
    if kept < busy:
        found.append(f"left out: {busy - kept} destinations beyond the {MOST} busiest")
    return found
