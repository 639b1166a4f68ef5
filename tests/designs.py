"""One flow from a source to a destination, for tests: what the closed form says of it, and the simulation."""

from timewait.plan import paths, simulation
from timewait.plan.demand import Arrivals, Binding
from timewait.plan.forecast import Route, forecast
from timewait.plan.simulation import Simulated
from timewait.plan.workload import Destination, Flow, Holding, Source, Workload


def design(
    rate: float,
    *settings: str,
    hold: float = 0.0,
    client_closes: float = 1.0,
    steady: bool = False,
    sources: int = 1,
    destinations: int = 1,
    binding: Binding = Binding.LATE,
    octets: int = 0,
    per_connection: float = 1.0,
    loopback: bool = False,
    profile: str = "linux",
    within: float = 3600.0,
) -> Workload:
    """Return it; `settings` are of both ends, as NAME=VALUE."""
    pairs = tuple((name, value) for name, _, value in (text.partition("=") for text in settings))
    there = Destination(
        name="server",
        hosts=destinations,
        profile=profile,
        sysctls=pairs,
        client_closes=client_closes,
        loopback=loopback,
    )
    return Workload(
        sources=(Source(name="client", addresses=sources, profile=profile, sysctls=pairs, binding=binding),),
        destinations=(there,),
        flows=(
            Flow(
                source="client",
                destination="server",
                rate=rate,
                arrivals=Arrivals.CONSTANT if steady else Arrivals.POISSON,
                holds=Holding(mean=hold),
                octets=octets,
                per_connection=per_connection,
            ),
        ),
        within=within,
    )


def of_ports(ports: int) -> str:
    """Return the setting for a range of so many ports."""
    return f"ip_local_port_range=40000 {39999 + ports}"


def planned(load: Workload) -> Route:
    """Return what the closed form says of the one route."""
    (route,) = forecast(load).routes
    return route


def played(route: Route, *, connects: int, seed: int) -> Simulated:
    """Return what the simulation shows of it."""
    client = paths.limits_of(route.source, route.destination)
    scene = simulation.of_ports(route.own.ports, client.wait, client.late)
    return simulation.play(scene, connects=connects, seed=seed)
