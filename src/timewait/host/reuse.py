"""Whether connections are used again: how many are opened for each request that the user says is made.

Requests cannot be seen from outside; opens can, in three ways, the surest first: closes traced (in a steady state as
many as opens), the counter ActiveOpens over an interval (of all destinations together), and the TIME-WAITs of the last
seconds (without those that the other end closed first: at least so many).
"""

from typing import NamedTuple

from timewait.endpoint import Endpoint
from timewait.host.budget import merged
from timewait.host.history import history
from timewait.host.look import Look

_OPENS = "Tcp.ActiveOpens"


class Demand(NamedTuple):
    """Requests per second towards a destination; None stands for all destinations together."""

    to: Endpoint | None
    per_s: float


class Reuse(NamedTuple):
    """What a demand leads to.  `source`: "trace", "counters" or "history"; by the last `opens_per_s` is the least."""

    to: Endpoint | None
    requests_per_s: float
    opens_per_s: float
    source: str

    @property
    def opens_per_request(self) -> float:
        """1 where every request opens a connection, near 0 where connections are kept."""
        return self.opens_per_s / self.requests_per_s


def reuse(look: Look, demand: Demand) -> Reuse:
    """Return how many connections are opened for a demand."""
    snapshot = look.snapshot
    if demand.to is None and snapshot.interval_s:
        return Reuse(*demand, snapshot.moved.get(_OPENS, 0) / snapshot.interval_s, "counters")
    if snapshot.trace:
        ends = [each for each in snapshot.trace.closers if each.role == "client"]
        closes = sum(each.first + each.second for each in ends if demand.to in (None, (each.address, each.port)))
        return Reuse(*demand, closes / snapshot.trace.seconds, "trace")
    rows = [row for row in look.waiting("client") if demand.to in (None, (row.address, row.port))]
    return Reuse(*demand, history(merged(rows), snapshot.span_ms, snapshot.hz).now, "history")
