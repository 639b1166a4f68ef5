"""`Look`: a snapshot with what several rules need of it, worked out once."""

from functools import cached_property
from typing import NamedTuple

from timewait.host.budget import Budget, Pool, Taken, budgets, merged
from timewait.host.history import History, history
from timewait.host.limits import Limits
from timewait.host.snapshot import Cells, Crowd, Population, Snapshot


class Service(NamedTuple):
    """A listening service as its connections show it.  With `time_wait` it closes first, at least at times."""

    address: str
    port: int
    time_wait: int
    established: int


class Look:
    """A snapshot under examination."""

    def __init__(self, snapshot: Snapshot, limits: Limits) -> None:
        self.snapshot = snapshot
        self.limits = limits

    @cached_property
    def budgets(self) -> list[Budget]:
        """Every destination's budget, the fullest first."""
        return budgets(self.snapshot)

    @cached_property
    def pool(self) -> Pool:
        """The namespace's ephemeral ports."""
        return self.taken.pool

    @cached_property
    def taken(self) -> Taken:
        """What bind() takes of them from every destination."""
        return Taken(self.snapshot)

    @cached_property
    def minis(self) -> int:
        """TIME-WAIT records of the kernel, orphans in FIN-WAIT-2 included: what tcp_max_tw_buckets limits."""
        return sum([count for row in self.snapshot.populations for _, count in row.cells])

    def bound_first(self, crowd: Crowd) -> bool:
        """Return whether bind() chose these ports: then no two destinations share one, where connect() shares many.

        connect() chooses for each destination anew.  So of the sockets beside those to the busiest destination, at
        least that part meets a port of its, by which it fills the pool; a tenth of that is taken for none.
        """
        own = [budget.used for budget in self.budgets if budget.local == crowd.local]
        busiest = max(own, default=0)
        expected = (crowd.sockets - busiest) * busiest / max(1, self.pool.size)
        return expected >= self.limits.bound_shared and (crowd.sockets - crowd.ports) * 10 <= expected

    @property
    def full_buckets(self) -> bool:
        """Whether the records come near tcp_max_tw_buckets."""
        most = self.snapshot.number("net.ipv4.tcp_max_tw_buckets")
        return most is not None and self.minis >= self.limits.buckets * most

    @cached_property
    def cells(self) -> Cells:
        """All true TIME-WAITs by time left."""
        return merged(self.waiting())

    @cached_property
    def history(self) -> History:
        """Closes per second of the whole namespace."""
        return history(self.cells, self.snapshot.span_ms, self.snapshot.hz)

    def waiting(self, role: str = "") -> list[Population]:
        """Return the populations in TIME-WAIT, of one role or of both."""
        return [row for row in self.snapshot.populations if row.state == "TIME-WAIT" and role in ("", row.role)]

    def count(self, state: str, role: str = "") -> int:
        """Return how many sockets are in a state."""
        rows = self.snapshot.populations
        return sum(row.sockets for row in rows if row.state == state and role in ("", row.role))

    @cached_property
    def services(self) -> list[Service]:
        """What listens here, the one with most TIME-WAITs first; who closes first, as far as the last minute tells."""
        counts: dict[tuple[str, int], dict[str, int]] = {}
        for row in self.snapshot.populations:
            if row.role == "server":
                states = counts.setdefault((row.address, row.port), {})
                states[row.state] = states.get(row.state, 0) + row.sockets
        found = [
            Service(*at, states.get("TIME-WAIT", 0), states.get("ESTABLISHED", 0)) for at, states in counts.items()
        ]
        return sorted(found, key=lambda service: (-service.time_wait, -service.established, service[:2]))

    def grew(self, counter: str) -> int | None:
        """Return by how much a counter moved within the interval; None where only one look was taken."""
        return self.snapshot.moved.get(counter, 0) if self.snapshot.interval_s else None
