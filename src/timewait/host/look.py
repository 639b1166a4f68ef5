"""`Look`: a snapshot with what several rules need of it, worked out once."""

from functools import cached_property

from timewait.host.budget import Budget, Pool, budgets, merged, pool_of
from timewait.host.history import History, history
from timewait.host.limits import Limits
from timewait.host.snapshot import Cells, Population, Snapshot


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
        return pool_of(self.snapshot.sysctls, self.snapshot.listeners)

    @cached_property
    def minis(self) -> int:
        """TIME-WAIT records of the kernel, orphans in FIN-WAIT-2 included: what tcp_max_tw_buckets limits."""
        return sum([count for row in self.snapshot.populations for _, count in row.cells])

    @cached_property
    def cells(self) -> Cells:
        """All true TIME-WAITs by time left."""
        return merged(self.waiting())

    @cached_property
    def history(self) -> History:
        """Closes per second of the whole namespace."""
        return history(self.cells, self.snapshot.span_ms)

    def waiting(self, role: str = "") -> list[Population]:
        """Return the populations in TIME-WAIT, of one role or of both."""
        return [row for row in self.snapshot.populations if row.state == "TIME-WAIT" and role in ("", row.role)]

    def count(self, state: str, role: str = "") -> int:
        """Return how many sockets are in a state."""
        rows = self.snapshot.populations
        return sum(row.sockets for row in rows if row.state == state and role in ("", row.role))

    def grew(self, counter: str) -> int | None:
        """Return by how much a counter moved within the interval; None where only one look was taken."""
        return self.snapshot.moved.get(counter, 0) if self.snapshot.interval_s else None
