"""One flow as options of a command line describe it, as a workload."""

from collections.abc import Sequence

from timewait.errors import UsageError
from timewait.plan.demand import Arrivals, Binding, parse_duration, parse_rate
from timewait.plan.workload import Destination, Flow, Holding, Pool, Source, Workload
from timewait.tcp import profiles


def workload(
    *,
    rate: str,
    sources: int = 1,
    destinations: int = 1,
    closer: str = "client",
    hold: str = "0",
    per_connection: float = 1.0,
    pool: int | None = None,
    arrivals: str = "poisson",
    binding: str = "late",
    octets: int = 0,
    profile: str = "linux",
    settings: Sequence[str] = (),
    loopback: bool = False,
) -> Workload:
    """Return it.  `sources` addresses of one host; each of `destinations` is a host with one port.

    Raises `UsageError` for what cannot be meant.
    """
    stack = profiles.get(profile).name
    sysctls = tuple(_setting(text) for text in settings)
    if loopback and destinations > 1:
        there = Destination(name="server", ports=((1, destinations),), profile=stack, sysctls=sysctls, loopback=True)
    else:
        there = Destination(name="server", hosts=destinations, profile=stack, sysctls=sysctls, loopback=loopback)
    return Workload(
        sources=(Source(name="client", addresses=sources, profile=stack, sysctls=sysctls, binding=Binding(binding)),),
        destinations=(_closed(there, closer),),
        flows=(
            Flow(
                source="client",
                destination="server",
                rate=parse_rate(rate),
                arrivals=Arrivals(arrivals),
                holds=Holding(mean=parse_duration(hold)),
                per_connection=per_connection,
                pool=None if pool is None else Pool(size=pool),
                octets=octets,
            ),
        ),
    )


def _closed(there: Destination, closer: str) -> Destination:
    from dataclasses import replace

    return replace(there, client_closes=float(closer == "client"))


def _setting(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise UsageError(f"{text!r} sets nothing", "NAME=VALUE is wanted, as in tcp_tw_reuse=1")
    return name.strip(), value.strip()
