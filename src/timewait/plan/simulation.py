"""The same model played event by event: what the closed form leaves out, and a check on it where both apply.

Exact, of one budget: who finds a port, in which half of the search, whose wait is cut short.  How sure each number is
comes from batch means over a run that has settled.  numpy is imported with this module; who only wants the closed form
does not pay for it.
"""

import importlib.util
import math
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

import numpy as np

from timewait.clock import SECOND
from timewait.errors import UsageError
from timewait.plan import paths
from timewait.plan.budget import NONE, SECOND_HALF, Budget, Connects, Decided, Look
from timewait.plan.draws import Life, Pace
from timewait.plan.paths import PortSet
from timewait.plan.setting import Flow, Setting
from timewait.plan.statistics import BATCHES, Interval, batch_mean, correlated, counted, ratio
from timewait.plan.workload import Workload

TYPE_CHECKING = False
if TYPE_CHECKING:
    from timewait.plan.budget_numba import CompiledBudget

MOST: Final = 10**10
# Connects from which on it pays to wait for the compiler.
_WORTH_COMPILING: Final = 3_000_000
# Connects a second, measured on one core: compiled, in numpy by counting, in numpy port by port.
_SPEEDS: Final = (15e6, 4e6, 0.8e6)
# How often a batch is looked at, at most, and how many connects there are between two looks, at least.
_LOOKS: Final = 64
_BETWEEN: Final = 2000
# A batch that lasts no longer than this times a port's being in use is not on its own, whatever its mean looks like.
_APART: Final = 3
# With fewer failures than this, batches say nothing: most have none.
_FEW: Final = 3 * BATCHES


class Simulated(NamedTuple):
    """What a run showed, of one budget, once settled.

    `used`: ports in use as each connect found them; `beyond_half`: the share of connects that found the whole first
    half in use; `open`, `waiting`: connections and waits at any moment; `met`: the share of connects that took a port
    whose wait was still on record, here or at the server; `correlated`: batches hang together, so the intervals are too
    narrow; `settling`: connects left out at the start.
    """

    connects: int
    seed: int
    failing: Interval
    used: Interval
    beyond_half: Interval | None
    first_failure: float | None
    open: Interval
    waiting: Interval
    met: Interval
    settling: int
    correlated: bool


class Estimate(NamedTuple):
    """What a run would take: CPU seconds, and whether it would be compiled."""

    seconds: float
    compiled: bool


def of_ports(ports: PortSet, wait: float, late: float, *, wheel: bool = False, lost: float = 0.0) -> Setting:
    """Return the budget of a set of ports that a workload makes.

    `wait`: of the record that is kept after the close, `late`: what its timer adds on average; `wheel`: that is
    spread, as it is on a kernel, and not its mean each time.
    Connections of pools that are always open take their ports out of it.
    """
    real = wait if wheel else wait + late
    flows = tuple(
        Flow(
            Pace(rate=stream.rate, random=stream.random, shape=stream.shape),
            Life(mean=stream.holds.mean, kind=stream.holds.distribution, spread=stream.holds.spread),
            min(stream.blocked, real),
        )
        for stream in ports.streams
        if stream.rate
    )
    if not flows:
        raise UsageError(
            f"{ports.whose} opens no connections{' to ' + ports.towards if ports.towards else ''}: nothing to simulate",
            "its pool carries all requests",
        )
    standing = round(sum(stream.standing for stream in ports.streams))
    first = ports.ports if ports.first_half is None else ports.first_half
    return Setting(
        flows=flows,
        first=max(1, first - standing),
        second=ports.ports - first - max(0, standing - first + 1),
        blocked=real,
        wait=real,
        rounding=2 * late if wheel else 0.0,
        lost=lost,
    )


def settings_of(workload: Workload, *, wheel: bool = False) -> Iterator[tuple[PortSet, Setting]]:
    """Yield each set of ports that connections of a workload compete for, with its setting.

    Where bind() chooses the port, a source has one set for all its destinations, and it is yielded once.
    """
    seen = set()
    for source, destination in paths.routes(workload):
        ports = paths.of_source(workload, source, destination)
        if (ports.whose, ports.towards) not in seen and any(stream.rate for stream in ports.streams):
            seen.add((ports.whose, ports.towards))
            found = paths.limits_of(source, destination)
            yield ports, of_ports(ports, found.wait, found.late, wheel=wheel)
    for box in workload.middleboxes:
        for destination in workload.destinations:
            behind = paths.of_middlebox(workload, box, destination)
            if behind is not None and any(stream.rate for stream in behind.streams):
                yield behind, of_ports(behind, box.time_wait, 0.0, wheel=wheel)


def compiler() -> bool:
    """Return whether decisions can be compiled: numba is installed."""
    return importlib.util.find_spec("numba") is not None


def estimate(scene: Setting, connects: int, compiled: bool | None = None) -> Estimate:
    """Say what a run of so many connects would take on one core of a machine like ours."""
    if compiled is None:
        compiled = connects >= _WORTH_COMPILING and compiler()
    speed = _SPEEDS[0] if compiled else _SPEEDS[2] if scene.named else _SPEEDS[1]
    return Estimate(connects / speed, compiled)


def budget(scene: Setting, compiled: bool) -> "Budget | CompiledBudget":
    """Return the empty ports of a setting."""
    if not compiled:
        return Budget(scene.first, scene.second, named=scene.named)
    try:
        from timewait.plan.budget_numba import CompiledBudget
    except (ImportError, RuntimeError):  # numba does not fit this numpy, or finds no place to keep what it compiles
        return Budget(scene.first, scene.second, named=scene.named)

    gap, life = SECOND / scene.rate, SECOND * scene.busy
    return CompiledBudget(scene.first, scene.second, named=scene.named, gap=gap, life=life)


def play(
    scene: Setting,
    *,
    connects: int,
    seed: int,
    compiled: bool | None = None,
    tell: Callable[[int], None] = lambda _: None,
) -> Simulated:
    """Play `connects` connects from an empty start; `tell` hears how many are done.

    `compiled`: by numba or not; None: where it is installed and pays.  The numbers are the same.  Raises `UsageError`
    where so many connects are too few to say anything, or too many.
    """
    ahead = estimate(scene, connects, compiled)
    course = _Course(scene, connects, seed)
    if connects > MOST:
        raise UsageError(
            f"{connects:,} connects would take about {_readable(ahead.seconds)}",
            f"at most {MOST:,}; for more of them, by cohorts: timewait plan fleet",
        )
    ports = budget(scene, ahead.compiled)
    tally = _Tally(course.looks)
    done = 0
    for part, look, decided in course.run(ports):
        done += len(part.times)
        tally.add(course, part, look, decided)
        tell(done)
    return tally.result(course, connects, seed)


class _Course:
    """How a run is divided: settling, then batches of equal time, each looked at equally often."""

    def __init__(self, scene: Setting, connects: int, seed: int) -> None:
        self.scene, self.connects, self.seed = scene, connects, seed
        whole = connects / scene.rate
        period = scene.period
        settling = math.ceil(scene.settles / period) * period if period else scene.settles
        batch = (whole - settling) / BATCHES
        if period:
            batch = math.floor(batch / period) * period
        if batch <= 0 or batch * scene.rate < 10:
            least = (settling + BATCHES * max(period, 10 / scene.rate)) * scene.rate
            raise UsageError(
                f"{connects:,} connects are too few: the first {math.ceil(settling * scene.rate):,} are needed "
                "to settle" + (f", and each of {BATCHES} batches has to last {_readable(period)}" if period else ""),
                f"try {10 ** math.ceil(math.log10(max(least, 10) * 2)):,}",
            )
        self.looks = max(1, min(_LOOKS, int(batch * scene.rate / _BETWEEN)))
        self.settling = round(settling * SECOND)
        self.between = round(batch * SECOND / self.looks)
        self.span = self.between * self.looks
        self.busy = scene.busy * SECOND

    def edges(self) -> Iterator[int]:
        """Yield when it is looked: at the end of settling, then evenly, to the end of the last batch."""
        yield self.settling
        for number in range(1, BATCHES * self.looks + 1):
            yield self.settling + number * self.between

    def run(self, ports: "Budget | CompiledBudget") -> Iterator[tuple[Connects, tuple[int, Look] | None, Decided]]:
        """Yield the connects, decided, in parts that cross no edge; with the look at a part's end, if it is one."""
        edges = self.edges()
        edge = next(edges, None)
        for run in self.scene.draw(self.seed, self.connects):
            begin = 0
            while begin < len(run.times):
                end = len(run.times) if edge is None else int(np.searchsorted(run.times, edge))
                part = run.part(begin, end)
                decided = ports.decide(part)
                look = None
                if edge is not None and end < len(run.times):
                    look = edge, ports.look(edge)
                    edge = next(edges, None)
                yield part, look, decided
                begin = end


class _Tally:
    """Sums over batches."""

    def __init__(self, looks: int) -> None:
        self.first_failure: int | None = None
        self.settling = 0
        self.last_failure = -(1 << 62)
        self.clusters = 0
        # Connects, failed, ports in use, beyond the first half, met a wait.
        self.sums = np.zeros((5, BATCHES))
        self.seen = np.zeros((3, BATCHES))

    def add(self, course: _Course, part: Connects, look: tuple[int, Look] | None, decided: Decided) -> None:
        if look is not None and (at := (look[0] - course.settling) // course.between - 1) >= 0:
            self.seen[:, at // course.looks] += look[1]
        if not len(part.times):
            return
        failed = decided.half == NONE
        failures = part.times[failed]
        if self.first_failure is None and len(failures):
            self.first_failure = int(failures[0])
        batch = (int(part.times[0]) - course.settling) // course.span
        if batch < 0:
            self.settling += len(failed)
            return
        if batch >= BATCHES:
            return
        beyond, met = np.count_nonzero(decided.half >= SECOND_HALF), np.count_nonzero(decided.met)
        self.sums[:, batch] += np.array([len(failed), len(failures), int(decided.used.sum()), int(beyond), int(met)])
        if len(failures):
            # Failures further apart than a port is in use have nothing to do with each other.
            before, self.last_failure = self.last_failure, int(failures[-1])
            if self.last_failure - before > course.busy:
                apart = np.diff(failures, prepend=before) > course.busy
                self.clusters += int(np.count_nonzero(apart))

    def result(self, course: _Course, connects: int, seed: int) -> Simulated:
        number, failed, used, beyond, met = self.sums
        failing = ratio(failed, number)
        if failed.sum() < _FEW or np.count_nonzero(failed) < BATCHES / 2:
            failing = self._rare(int(failed.sum()), int(number.sum()))
        _, still, waiting = (batch_mean(row / course.looks) for row in self.seen)
        shares = np.divide(used, number, out=np.zeros(BATCHES), where=number > 0)
        return Simulated(
            connects=connects,
            seed=seed,
            failing=failing,
            used=ratio(used, number),
            beyond_half=ratio(beyond, number),
            first_failure=None if self.first_failure is None else self.first_failure / SECOND,
            open=still,
            waiting=waiting,
            met=ratio(met, number),
            settling=self.settling,
            correlated=course.span < _APART * course.scene.busy * SECOND or correlated(shares),
        )

    def _rare(self, failed: int, connects: int) -> Interval:
        """Return the share of failures where there were hardly any: clusters of them are counted, as they come singly.

        The interval is the wider side of the count's, on both sides of what was seen.
        """
        mean = failed / connects
        size = failed / self.clusters if self.clusters else 1.0
        low, high = counted(self.clusters)
        return Interval(mean, max(mean - low * size / connects, high * size / connects - mean))


def _readable(seconds: float) -> str:
    for name, size in (("years", 365.25 * 86400), ("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:,.0f} {name}"
    return f"{seconds:.0f} s"
