"""What a forecast takes for granted, in words: all that holds for a workload, and nothing that does not."""

from collections.abc import Iterator

from timewait.plan import paths
from timewait.plan.demand import Arrivals, Binding
from timewait.plan.forecast import Forecast
from timewait.plan.limits import CONNTRACK_WAIT


def assumptions(found: Forecast) -> Iterator[str]:
    """Yield each assumption as a sentence or two."""
    load = found.workload
    yield from load.notes
    for each in found.routes:
        client = paths.limits_of(each.source, each.destination)
        late = f", and {client.late:g} s more on average for its timer" if client.late else ""
        yield f"{each.name}: a TIME-WAIT of profile {each.source.profile} lasts {client.wait:g} s{late}."
        if client.reuse is not None:
            yield f"{each.name}: connect() takes over a port {client.reuse:g} s after the close, with timestamps on."
    yield "Every source host and address, and every pair of address and port, gets an equal share of a flow."
    if any(flow.arrivals is Arrivals.POISSON for flow in load.flows):
        yield (
            "Random connects come each by itself (Poisson); a connect that finds no port fails and is not tried again: "
            "Erlang's loss formula, for any distribution of the holding times."
        )
    if any(flow.arrivals is Arrivals.CONSTANT for flow in load.flows):
        yield "Steady connects come as a clock ticks: a port is free again at the first tick after its time."
    if any(flow.shape for flow in load.flows):
        yield (
            "Where the rate changes, the ports in use at each moment have the mean that they would have were there "
            "enough of them, and Erlang's formula is applied to that mean (modified offered load). What ports cannot"
            " take is turned away as a fluid would be. Both are approximations, within some 5 % of the simulation."
        )
    if any(len(each.own.ports.streams) > 1 for each in found.routes):
        yield "Flows that share ports find none equally often."
    if any(each.own.beyond_half is not None for each in found.routes):
        yield (
            "Linux tries ports of one parity first; the step is where all of these are in use. It costs CPU time, which"
            " is not part of these numbers."
        )
    if any(source.binding is Binding.BIND for source in load.sources):
        yield "A port that bind() to port 0 chose is taken for every destination, until its TIME-WAIT is over."
    if any(flow.pool for flow in load.flows):
        yield (
            "Connections of a pool are used evenly. A request that finds all in use opens one of its own, unless it "
            "waits; what it waits for is not part of these numbers."
        )
    if any(each.client_memory or each.server_memory for each in found.routes):
        yield (
            "Memory is that of TIME-WAIT alone: 256 octets at a server, 512 at a client, whose local ports have "
            "records of their own (measured on Linux 6.18)."
        )
    yield f"A connection tracker keeps an entry for {CONNTRACK_WAIT:g} s after the close (Linux's default)."
    if any(box.ports for box in found.boxes):
        yield (
            "A NAT finds a port as long as one is free. Linux gives up after some hundred tries, so it fails a little "
            "earlier than is said here."
        )
    yield "No segment is lost: a repeated FIN would start its wait anew."
