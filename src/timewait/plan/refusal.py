"""How often a TIME-WAIT at the server refuses the SYN of the next connection over the same four-tuple."""

import math
from typing import Final

from timewait.plan.limits import Limits
from timewait.plan.paths import PortSet, Stream
from timewait.plan.workload import Destination, Source, Workload

# 2^32: sequence numbers; half of that is "above" (RFC 9293 section 3.4).
_SPACE: Final = 1 << 32
_MOST_TURNS: Final = 10_000


def refused(workload: Workload, source: Source, ports: PortSet, client: Limits, server: Limits) -> float:
    """Return the chance per connect, of those whose connections a server closes, or did before them.

    Over a source's own four-tuples sequence numbers and timestamps decide; behind a NAT, another host's.
    """
    chance = weight = 0.0
    for stream in ports.streams:
        if stream.by_client or stream.flow.source != source.name:
            continue
        weight += stream.rate
        chance += stream.rate * max(
            _own(stream, ports, client, server), _behind_nat(workload, stream, source, client, server)
        )
    total = ports.rate
    return chance / total if weight and total else 0.0


def free_ports(ports: PortSet, carried: float = 1.0) -> float:
    """Return how many ports connects go round: all that no connection is open on.

    A client that finds ports at once, with those that are not to be taken yet, has its first half only.
    """
    live = math.fsum(stream.rate * stream.holds.mean + stream.standing for stream in ports.streams) * carried
    early = math.fsum(stream.rate * stream.blocked for stream in ports.streams) * carried
    half = ports.first_half
    return max(0.0, (half if half is not None and live + early < half else ports.ports) - live)


def _own(stream: Stream, ports: PortSet, client: Limits, server: Limits) -> float:
    """Return the chance over one host's own four-tuples.

    It is 0 when the port comes back after the wait, or when a newer timestamp decides.  Otherwise sequence numbers do:
    the new ISN has moved on by the ISN clock, the old connection by what the client sent, and half of all distances
    count as old.  RFC 9293 section 3.4; RFC 6191 section 2.  Connects come to ports in no order, so the time until a
    port is used again is exponential.
    """
    if client.timestamps and server.timestamps and server.newer_reopens:
        return 0.0
    again = ports.rate / max(1.0, free_ports(ports))  # a second, of each port
    hold, wait = stream.holds.mean, server.real_wait

    def within(begin: float, end: float) -> float:
        """Return the chance that the port comes back so long after the first SYN, and while the server waits."""
        begin, end = max(0.0, begin - hold), min(wait, end - hold)
        return max(0.0, math.exp(-again * begin) - math.exp(-again * end)) if begin < end else 0.0

    if not server.above_reopens:
        return within(0.0, math.inf)
    turn = _SPACE / client.isn_hz
    sent = (stream.flow.octets + 2) / client.isn_hz
    old = within(0.0, sent)
    # The second half of each turn of the clock since then.
    first = max(0, math.floor((hold - sent) / turn))
    for number in range(first, min(first + _MOST_TURNS, math.floor((hold + wait - sent) / turn) + 1)):
        old += within(sent + (number + 0.5) * turn, sent + (number + 1) * turn)
    return min(1.0, old)


def _behind_nat(workload: Workload, stream: Stream, source: Source, client: Limits, server: Limits) -> float:
    """Return the chance where hosts share a NAT's addresses: another one's clock is older half of the time.

    The port is any, so a four-tuple is met in TIME-WAIT as often as the share of ports that wait.  Timestamps decide
    where there are any (PAWS), initial sequence numbers where not; either way another host's are unrelated.
    """
    boxes = [workload.middlebox(name) for name in stream.flow.via]
    nat = next((box for box in boxes if box.addresses), None)
    hosts = source.hosts
    if nat is None or hosts < 2:
        return 0.0
    destination: Destination = workload.destination(stream.flow.destination)
    low, high = nat.port_range
    tuples = (high - low + 1) * nat.addresses * destination.pairs
    # The stream's rate is of one set of the source's ports: all of them together come to the NAT.
    rate = sum(flow.mean / flow.per_connection for flow in workload.flows if nat.name in flow.via)
    waiting = min(1.0, rate * (1 - destination.client_closes) * server.real_wait / tuples)
    other = 1 - 1 / hosts
    return waiting * other * (0.5 if server.above_reopens or (client.timestamps and server.timestamps) else 1.0)
