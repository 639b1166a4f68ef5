"""The last minute from one look: each TIME-WAIT tells when it began, so closes per second, and what they lead to.

Age is 60 s less the time left, exact to a cell of 256 ms and a tick of the kernel.  What one look cannot show: sockets
whose wait was started again look younger; those taken over by tcp_tw_reuse or by a client that came back, assassinated,
or refused for want of buckets are gone.
"""

from typing import NamedTuple

from timewait.host.budget import Budget
from timewait.host.limits import LIFE_MS, NOW_SECONDS, PAST_SECONDS, timing
from timewait.host.snapshot import Cells
from timewait.system.census import CELL_MS


class Second(NamedTuple):
    """Closes within one second of the past: an estimate, and the band in which the truth lies."""

    least: int
    estimate: float
    most: int


class History(NamedTuple):
    """Closes per second, the latest second first."""

    seconds: tuple[Second, ...]

    @property
    def now(self) -> float:
        """Closes per second, mean of the last few."""
        return self._mean(0, NOW_SECONDS)

    @property
    def band(self) -> tuple[float, float]:
        """The least and the most that `now` can be."""
        latest = self.seconds[:NOW_SECONDS]
        return sum(second.least for second in latest) / NOW_SECONDS, sum(second.most for second in latest) / NOW_SECONDS

    @property
    def mean(self) -> float:
        """Closes per second over the whole minute."""
        return self._mean(0, len(self.seconds))

    @property
    def worst(self) -> float:
        """Closes per second in the worst ten seconds."""
        return max((self._mean(at, 10) for at in range(len(self.seconds) - 9)), default=0.0)

    def _mean(self, first: int, count: int) -> float:
        return sum(second.estimate for second in self.seconds[first : first + count]) / count


class Forecast(NamedTuple):
    """Where the present rate leads: full within `full_in_s`, or else the population settles at `settles_at`."""

    already: bool
    full_in_s: float | None
    settles_at: int


def history(cells: Cells, span_ms: int = 0, hz: int = 0) -> History:
    """Return the closes per second of the last minute from counts by time left, read within `span_ms`.

    `hz` of the kernel that wrote the times left, which its tick rounds; 0 where it is not known.
    """
    tick_ms = timing(hz).tick_ms
    least = [0] * PAST_SECONDS
    most = [0] * PAST_SECONDS
    estimate = [0.0] * PAST_SECONDS
    for cell, count in cells:
        # A cell holds times left from its start to just below its end; ages run the other way.
        youngest, oldest = max(0, LIFE_MS - (cell + 1) * CELL_MS), max(0, LIFE_MS - cell * CELL_MS)
        if not oldest:  # has more than 60 s left, by a tick
            oldest = 1
        first, last = max(0, youngest - span_ms - tick_ms) // 1000, (oldest - 1 + tick_ms) // 1000
        for second in range(first, min(last, PAST_SECONDS - 1) + 1):
            overlap = max(0, min(oldest, (second + 1) * 1000) - max(youngest, second * 1000))
            most[second] += count
            least[second] += count if first == last else 0
            estimate[second] += count * overlap / (oldest - youngest)
    return History(tuple(map(Second, least, estimate, most)))


def may_fill(budget: Budget, within_s: float) -> bool:
    """Return whether it is worth a closer look: could the latest closes, going on like that, fill the budget soon?"""
    from_cell = (LIFE_MS - (NOW_SECONDS + 1) * 1000) // CELL_MS
    latest = 0
    for cell, count in reversed(budget.waits):
        if cell < from_cell:
            break
        latest += count
    return budget.used - budget.reusable + latest / NOW_SECONDS * within_s >= budget.size


def forecast(budget: Budget, rate: float) -> Forecast:
    """Return what becomes of a budget at this many closes per second from now on.

    Ports that wait now come back one after the other, late by what the timer wheel adds; ports closed from now on
    come back after the last of those.
    """
    wait_s = budget.wait_s
    held = budget.used - sum(count for _, count in budget.cells)
    settles = round(held + rate * wait_s)
    taken = budget.used - budget.reusable
    if taken >= budget.size:
        return Forecast(True, 0.0, settles)
    if rate <= 0:
        return Forecast(False, None, settles)
    returns = sorted(_returns(budget))
    for at_s, count in [*returns, (wait_s, 0)]:
        full = (budget.size - taken) / rate
        if full <= at_s:
            return Forecast(False, full, settles)
        taken -= count
    return Forecast(False, None, settles)


def _returns(budget: Budget) -> list[tuple[float, int]]:
    """Return (seconds from now, how many) of the ports that wait now and are not free to take over yet."""
    found = []
    late_s = timing(budget.hz).life_s - LIFE_MS / 1000
    for cell, count in budget.cells:
        left_ms = cell * CELL_MS + CELL_MS / 2
        if budget.reuse_after_ms is None:
            found.append((left_ms / 1000 + late_s, count))
        elif (cell + 1) * CELL_MS > LIFE_MS - budget.reuse_after_ms:
            found.append((max(0.0, (left_ms - (LIFE_MS - budget.reuse_after_ms)) / 1000), count))
    return found
