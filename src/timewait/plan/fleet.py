"""`Fleet`: many hosts alike behind a balancer, by numbers only: cohorts of connects instead of single ones.

Time goes in steps.  In each, every host gets a number of connects, as many of them as there are ports are carried, and
the cohort gives its ports back when its time is over.  That is exact up to the order within a step, and the same work
whether a step has ten connects or ten thousand: a day of 10,000 hosts takes minutes.  Hosts come and go.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from timewait.clock import SECOND
from timewait.errors import UsageError
from timewait.plan.draws import Life
from timewait.plan.paths import PortSet
from timewait.plan.setting import Setting
from timewait.plan.statistics import BATCHES, Interval, ratio

# A port is in use for so many steps, at least.
_STEPS: Final = 60
# A cohort whose holding time is random gives its ports back in so many parts, alike in size on average.
_PARTS: Final = 8
# Hosts times steps a second, measured on one core, and the most that is begun.
_SPEED: Final = 8e6
MOST: Final = 10**12


class Balance(StrEnum):
    """How connects are handed out: each to a host by chance, or to one after the other."""

    RANDOM = "random"
    ROUND_ROBIN = "round-robin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """`rate`: connects a second of all hosts together; `ports`: of the budget that each host has.

    `members`: (seconds, hosts) in turn, again and again: how many there are; who joins comes without any port in use.
    `shape`: (seconds, factor) in turn, again and again, the mean factor being 1, for the rate.
    """

    rate: float
    members: tuple[tuple[float, int], ...]
    ports: int
    blocked: float
    hold: Life
    balance: Balance = Balance.RANDOM
    shape: tuple[tuple[float, float], ...] = ()

    def __post_init__(self) -> None:
        """Refuse what cannot be.  Raises `UsageError` with the value."""
        if not self.members or any(length <= 0 or hosts < 1 for length, hosts in self.members):
            raise UsageError(
                "a fleet has no hosts at some time", "each stretch lasts some time and has one host at least"
            )
        if self.rate <= 0 or self.ports < 1 or self.busy <= 0:
            raise UsageError(
                f"{self.rate:g} connects/s, {self.ports} ports, each in use for {self.busy:g} s, cannot be",
                "all of them have to be more than nothing",
            )

    @property
    def most(self) -> int:
        """Hosts there are at most."""
        return max(hosts for _, hosts in self.members)

    @property
    def busy(self) -> float:
        """Mean seconds that a port is in use for one connection."""
        return self.blocked + self.hold.mean


class Stretch(NamedTuple):
    """What went on in one part of the time, of all hosts together; `fullest`: the most ports in use on any host."""

    begins: float
    hosts: int
    connects: int
    failed: int
    used: float
    fullest: int


class Played(NamedTuple):
    """What a fleet came to.  `used`: ports in use on a host, mean; `stretches`: of equal length, in order."""

    connects: int
    seed: int
    step: float
    failing: Interval
    used: float
    fullest: int
    stretches: tuple[Stretch, ...]


def of_ports(
    ports: PortSet,
    scene: Setting,
    members: tuple[tuple[float, int], ...] | None = None,
    balance: Balance = Balance.RANDOM,
) -> Fleet:
    """Return the fleet of all sets of ports alike, each taken as a host.

    Raises `UsageError` where connections of several kinds share the ports: cohorts are of one kind.
    """
    flow, *others = scene.flows
    if any(each[1:] != flow[1:] or each.pace.shape != flow.pace.shape for each in others):
        raise UsageError(
            f"{ports.whose} has connections of several kinds on the same ports, and cohorts are of one",
            "timewait plan FILE --simulate 1000000 plays them one by one",
        )
    return Fleet(
        rate=scene.rate * ports.count,
        members=members or ((1.0, ports.count),),
        ports=scene.ports,
        blocked=scene.blocked_by(flow),
        hold=flow.hold,
        balance=balance,
        shape=flow.pace.shape,
    )


def step_of(fleet: Fleet) -> float:
    """Return how long a step lasts, unless one is asked for: ports are in use for a whole number of them."""
    return fleet.busy / _STEPS


def estimate(fleet: Fleet, seconds: float, step: float) -> float:
    """Return the CPU seconds that a run would take."""
    return fleet.most * seconds / step / _SPEED


def play(
    fleet: Fleet,
    *,
    seconds: float,
    seed: int,
    step: float | None = None,
    stretches: int = 24,
    tell: Callable[[float], None] = lambda _: None,
) -> Played:
    """Play a fleet from an empty start; `tell` hears how many seconds are done.

    `failing` leaves the first stretch out, in which it settles.  Raises `UsageError` where it would take too long.
    """
    step = step_of(fleet) if step is None else step
    if not 0 < step <= fleet.busy or not 0 < seconds < math.inf:
        raise UsageError(
            f"{seconds:g} s in steps of {step:g} s cannot be played", f"a step is at most {fleet.busy:g} s here"
        )
    if fleet.most * seconds / step > MOST:
        raise UsageError(
            f"{fleet.most:,} hosts for {seconds:g} s in steps of {step:g} s would take about "
            f"{estimate(fleet, seconds, step) / 3600:,.0f} h",
            "longer steps, fewer hosts (all are alike) or less time",
        )
    random = np.random.default_rng(seed)
    parts = _Parts(fleet, step, random)
    steps = math.ceil(seconds / step)
    # Batches are whole parts of stretches, so that there are enough of them for an interval.
    cells = _Cells(steps, stretches)
    hosts = np.zeros(fleet.most, np.int64)
    ring = np.zeros((parts.longest + 1, fleet.most), np.int64)
    used = hosts.copy()
    members = 0
    for number in range(steps):
        now = number * step
        active = _at(fleet.members, now)
        if active != members:
            # Who leaves takes along what it had; who joins has nothing yet.
            ring[:, active:] = 0
            used[active:] = 0
            members = int(active)
        rate = fleet.rate * (_at(fleet.shape, now) if fleet.shape else 1.0)
        come = _arrivals(fleet, random, rate * step, members)
        slot = number % len(ring)
        freed = ring[slot, :members]
        here = used[:members]
        carried = come - _failed(fleet, random, come, freed, fleet.ports - here)
        # What was in use as the step began, and as it ends.
        before = int(here.sum())
        here += carried - freed
        ring[slot, :members] = 0
        parts.put(ring, number, carried)
        asked, worked = int(come.sum()), int(carried.sum())
        cells.add(number, members, asked, asked - worked, (before + int(here.sum())) / 2, int(here.max()))
        if number % 256 == 0:
            tell(now)
    tell(seconds)
    return cells.result(fleet, step, seed)


def _at(course: tuple[tuple[float, float], ...], now: float) -> float:
    """Return what holds at a moment of a course that goes round."""
    if len(course) == 1:
        return course[0][1]
    rest = now % math.fsum(length for length, _ in course)
    for length, value in course:
        if rest < length:
            return value
        rest -= length
    return course[-1][1]


def _arrivals(fleet: Fleet, random: np.random.Generator, mean: float, hosts: int) -> NDArray[np.int64]:
    if fleet.balance is Balance.RANDOM:
        return random.poisson(mean / hosts, hosts)
    whole = int(random.poisson(mean))
    shares = np.full(hosts, whole // hosts, np.int64)
    shares[: whole % hosts] += 1
    # It goes on where it left off; where that is matters to nobody else.
    return np.roll(shares, int(random.integers(hosts)))


def _failed(
    fleet: Fleet,
    random: np.random.Generator,
    come: NDArray[np.int64],
    freed: NDArray[np.int64],
    room: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Return how many connects of a step find no port, where more may come than there is room at its beginning.

    Ports come back while others are taken, in an order that a cohort does not know.  Taken as a random walk between its
    known ends, a Brownian bridge, its highest point is drawn (by inversion: the chance that it passes m on the way from
    0 to x is exp(-2 m (m - x) / variance)); what stands above the room is what failed.  One after the other, as round
    robin has it, nothing is left to chance.
    """
    failed = np.zeros(len(come), np.int64)
    tight = np.flatnonzero(come > room)
    if len(tight):
        net = (come[tight] - freed[tight]).astype(np.float64)
        variance = (come[tight] + freed[tight]) if fleet.balance is Balance.RANDOM else np.zeros(len(tight))
        highest = (net + np.sqrt(net**2 + 2 * variance * random.standard_exponential(len(tight)))) / 2
        above = np.floor(np.maximum(0.0, highest - room[tight]) + random.random(len(tight)))
        failed[tight] = np.clip(above, np.maximum(0, net - room[tight]), come[tight])
    return failed


class _Parts:
    """When the connects of a step give their ports back: in one part, or in several of a random holding time."""

    def __init__(self, fleet: Fleet, step: float, random: np.random.Generator) -> None:
        self._random = random
        lives = [fleet.busy]
        if fleet.hold.kind != "constant" and fleet.hold.mean:
            # Means of equal parts of the distribution, so that their mean is that of the whole.
            drawn = np.sort(fleet.hold.draw(np.random.default_rng(0), 1 << 16)) / SECOND
            means = drawn.reshape(_PARTS, -1).mean(axis=1)
            lives = [fleet.blocked + float(each) * fleet.hold.mean / float(means.mean()) for each in means]
        self._after = [max(1, round(life / step)) for life in lives]
        self.longest = max(self._after)

    def put(self, ring: NDArray[np.int64], number: int, carried: NDArray[np.int64]) -> None:
        left = carried
        for index, after in enumerate(self._after):
            last = index == len(self._after) - 1
            part = left if last else self._random.binomial(left, 1 / (len(self._after) - index))
            ring[(number + after) % len(ring), : len(carried)] += part
            left = left - part


class _Cells:
    """Sums over cells of equal length, some to a stretch."""

    def __init__(self, steps: int, stretches: int) -> None:
        self._stretches = max(2, min(stretches, steps))
        self._each = max(1, math.ceil(BATCHES / (self._stretches - 1)))
        self._count = self._stretches * self._each
        self._steps = steps
        # Connects, failed, sum of ports in use, sum of hosts, steps.
        self._sums = np.zeros((5, self._count))
        self._fullest = [0] * self._count

    def add(self, number: int, hosts: int, connects: int, failed: int, used: float, fullest: int) -> None:
        cell = number * self._count // self._steps
        self._sums[:, cell] += np.array([connects, failed, used, hosts, 1])
        self._fullest[cell] = max(self._fullest[cell], fullest)

    def result(self, fleet: Fleet, step: float, seed: int) -> Played:
        settled = self._sums[:, self._each :]
        stretches = []
        begins = 0.0
        for number in range(self._stretches):
            cells = slice(number * self._each, (number + 1) * self._each)
            connects, failed, used, hosts, steps = self._sums[:, cells].sum(axis=1)
            stretches.append(
                Stretch(
                    begins=begins,
                    hosts=round(hosts / steps),
                    connects=int(connects),
                    failed=int(failed),
                    used=used / hosts,
                    fullest=max(self._fullest[cells]),
                )
            )
            begins += steps * step
        return Played(
            connects=int(self._sums[0].sum()),
            seed=seed,
            step=step,
            failing=ratio(settled[1], settled[0]),
            used=float(settled[2].sum() / settled[3].sum()),
            fullest=max(self._fullest[self._each :]),
            stretches=tuple(stretches),
        )
