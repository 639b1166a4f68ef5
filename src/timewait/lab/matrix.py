"""The founding experiment in every combination of the settings that people argue about, side by side.

36 cells: timestamps {on, off} x tcp_tw_reuse {0, 1, 2} x binding {explicit, ephemeral} x {the server closes; the
client closes and reconnects at once; the client closes and reconnects after 1.1 s}.  Each cell is a host of its own.
A stack whose tcp_tw_reuse has fewer values, or that has no such setting, has fewer cells.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import AbstractContextManager
from typing import Any, Final, NamedTuple

from timewait.clock import MS, Duration
from timewait.lab.catalog.reconnect import Attempt, Binding, Closer, Parameters, Record, run
from timewait.lab.host import Host

PAUSE: Final = 1100 * MS  # a little over the default net.ipv4.tcp_tw_reuse_delay of 1 s
# (who closes, pause before the next connect): the columns.
ENDINGS: Final[tuple[tuple[Closer, Duration], ...]] = ((Closer.SERVER, 0), (Closer.CLIENT, 0), (Closer.CLIENT, PAUSE))
# The values that net.ipv4.tcp_tw_reuse has on today's Linux.
REUSE: Final[tuple[int | None, ...]] = (0, 1, 2)
_AT_ONCE: Final = 12  # hosts alive at a time: most of a cell's life is waiting, its start is not


class Cell(NamedTuple):
    """One combination and what it showed."""

    parameters: Parameters
    record: Record

    @property
    def decided(self) -> Attempt:
        """The reconnect that the cell is about."""
        return self.record.attempts[-1]


def combinations(port: int, *, ipv6: bool = False, reuse: tuple[int | None, ...] = REUSE) -> list[Parameters]:
    """Return the combinations, rows first, in the order in which a table shows them."""
    return [
        Parameters(
            port=port,
            closer=closer,
            count=2,
            interval=pause,
            binding=binding,
            timestamps=timestamps,
            tw_reuse=tw_reuse,
            ipv6=ipv6,
        )
        for timestamps in (True, False)
        for tw_reuse in reuse
        for binding in (Binding.EXPLICIT, Binding.EPHEMERAL)
        for closer, pause in ENDINGS
    ]


def cells(
    make: Callable[[], AbstractContextManager[Host]],
    port: int,
    *,
    ipv6: bool = False,
    reuse: tuple[int | None, ...] = REUSE,
    done: Callable[[], None] = lambda: None,
) -> list[Cell]:
    """Run all cells, several at a time, each on a host from `make`; `done` hears of each one that ends."""
    asked = combinations(port, ipv6=ipv6, reuse=reuse)
    # The slow ones first, so that nothing waits for them at the end.
    order = sorted(range(len(asked)), key=lambda at: -asked[at].interval)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        jobs = {pool.submit(_cell, make, asked[at]): at for at in order}
        found: dict[int, Cell] = {}
        try:
            for job in as_completed(jobs):
                found[jobs[job]] = job.result()
                done()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return [found[at] for at in range(len(asked))]


def _cell(make: Callable[[], AbstractContextManager[Host]], parameters: Parameters) -> Cell:
    with make() as host:
        return Cell(parameters, run(host, parameters, _silent))


def _silent(step: str, data: dict[str, Any]) -> None:
    """Hear nothing: a table tells it all."""


def lines(found: list[Cell]) -> Iterator[list[Cell]]:
    """Yield the cells of each line of the table."""
    for at in range(0, len(found), len(ENDINGS)):
        yield found[at : at + len(ENDINGS)]
