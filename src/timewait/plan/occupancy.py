"""`Course`: how many ports are in use at which time, were there enough: exact means, in closed form.

With random arrivals whose rate changes, the number in use has a Poisson distribution of that mean (Eick, Massey and
Whitt 1993, M_t/G/infinity).  How often none is free then is Erlang's formula for that mean (Jagerman 1975, the modified
offered load), an approximation that is exact where the rate is steady.  It knows nothing of connects that are turned
away, so beyond the ports a fluid takes its place.
"""

import math
from bisect import bisect_right
from collections.abc import Iterator
from functools import lru_cache
from itertools import accumulate
from statistics import NormalDist
from typing import Final, NamedTuple

from timewait.plan.paths import PortSet, Shape, Stream
from timewait.plan.workload import Holding

# Parts of equal probability that a distribution of holding times is replaced by.
_PARTS: Final = 8
# Moments of a period that are looked at; a prime, so as not to step in time with bursts.
MOMENTS: Final = 499
# A fluid is worked out in so many steps a period at most, and a stretch of one rate, or a wait, in so many at least.
_MOST_STEPS: Final = 20_000
_FINE: Final = 60
# A rate that stays for so many times as long as a port is in use is as good as steady.
_SETTLES: Final = 20
_EVER: Final = -math.inf


class Moment(NamedTuple):
    """`load`: ports in use, were there enough; `rates`: of each stream, connects a second."""

    at: float
    load: float
    rates: tuple[float, ...]


@lru_cache(maxsize=256)
def lasting(holds: Holding) -> tuple[float, ...]:
    """Return holding times, each as likely as the others, whose mean is the distribution's."""
    if holds.distribution == "constant" or not holds.mean:
        return (holds.mean,)
    units = [_quantile(holds, (number + 0.5) / _PARTS) for number in range(_PARTS)]
    scale = holds.mean * _PARTS / math.fsum(units)
    return tuple(unit * scale for unit in units)


def _quantile(holds: Holding, share: float) -> float:
    """Return what so large a share of holding times is below, of a mean of about 1.  As `draws.Life` draws them."""
    if holds.distribution == "exponential":
        return -math.log1p(-share)
    if holds.distribution == "uniform":
        return 2 * share
    if holds.distribution == "lognormal":
        sigma = math.sqrt(math.log1p(holds.spread**2))
        return math.exp(NormalDist().inv_cdf(share) * sigma - sigma**2 / 2)
    index = 1 + math.sqrt(1 + 1 / holds.spread**2)
    return float((1 - share) ** (-1 / index) * (index - 1) / index)


class _Arrived:
    """How many units of a mean rate of 1 have come by a time; the shape goes on for ever, both ways."""

    def __init__(self, shape: Shape) -> None:
        self.ends = [0.0, *accumulate(length for length, _ in shape)]
        self.sums = [0.0, *accumulate(length * factor for length, factor in shape)]
        self.factors = [factor for _, factor in shape]

    def by(self, at: float) -> float:
        """Return the units that came from time 0 to `at`, less than none before 0."""
        if not self.factors:
            return at
        turns, rest = divmod(at, self.ends[-1])
        part = min(bisect_right(self.ends, rest) - 1, len(self.factors) - 1)
        return turns * self.sums[-1] + self.sums[part] + (rest - self.ends[part]) * self.factors[part]

    def factor(self, at: float) -> float:
        """Return the rate's factor at a time."""
        if not self.factors:
            return 1.0
        return self.factors[min(bisect_right(self.ends, at % self.ends[-1]) - 1, len(self.factors) - 1)]


class Course:
    """What comes to a set of ports and how many it has in use, at any time."""

    def __init__(self, ports: PortSet) -> None:
        self.streams = ports.streams
        self.standing = math.fsum(stream.standing for stream in ports.streams)
        self.period = max((math.fsum(length for length, _ in stream.shape) for stream in ports.streams), default=0.0)
        self._arrived = [_Arrived(stream.shape) for stream in ports.streams]

    @property
    def longest(self) -> float:
        """Seconds after which an empty start is forgotten, nearly."""
        return max((max(lasting(stream.holds)) + stream.blocked for stream in self.streams), default=0.0)

    @property
    def slow(self) -> bool:
        """Whether the rate stays as it is for so long that ports settle each time."""
        shortest = min((length for stream in self.streams for length, _ in stream.shape), default=math.inf)
        return shortest >= _SETTLES * self.longest

    def at(self, time: float, since: float = _EVER) -> Moment:
        """Return what there is at a time, if connects came from `since` on: for ever, or from an empty start."""
        load = self.standing
        rates = []
        for stream, arrived in zip(self.streams, self._arrived, strict=True):
            load += self._in_use(stream, arrived, time, since)
            rates.append(stream.rate * arrived.factor(time))
        return Moment(time, load, tuple(rates))

    def _in_use(self, stream: Stream, arrived: _Arrived, time: float, since: float) -> float:
        now = arrived.by(time)
        lives = lasting(stream.holds)
        come = math.fsum(now - arrived.by(max(since, time - life - stream.blocked)) for life in lives)
        return stream.rate * come / len(lives)

    def moments(self) -> Iterator[Moment]:
        """Yield one period, or the one moment that there is where the rate is steady."""
        if not self.period:
            yield self.at(0.0)
            return
        for number in range(MOMENTS):
            yield self.at(self.period * number / MOMENTS)

    def limited(self, ports: int) -> list[tuple[Moment, float]]:
        """Return (what there is, the share of connects that is turned away) over one period, with so many ports.

        As a fluid: in each step connects get what ports are free or come back in it, shared evenly.  From an empty
        start, until it repeats itself.
        """
        shortest = min(length for stream in self.streams for length, _ in (stream.shape or ((self.period, 1.0),)))
        longest = max(self.longest, 1e-9)
        step = max(self.period / _MOST_STEPS, min(shortest, longest, self.period / MOMENTS * _FINE) / _FINE)
        count = round(self.period / step)
        step = self.period / count
        turns = math.ceil(3 * longest / self.period) + 1
        late = [
            [max(1, round((life + stream.blocked) / step)) for life in lasting(stream.holds)] for stream in self.streams
        ]
        came = [[stream.rate * arrived.factor(at * step) for at in range(count)] for stream, arrived in self._both()]
        taken: list[list[float]] = [[] for _ in self.streams]
        used, found = self.standing, []
        for at in range(count * turns):
            back = 0.0
            for own, delays in zip(taken, late, strict=True):
                back += sum(own[at - delay] for delay in delays if at >= delay) / len(delays)
            rates = [own[at % count] for own in came]
            wanted = sum(rates) * step
            used -= back * step
            share = 1.0 if wanted <= ports - used or not wanted else max(0.0, ports - used) / wanted
            for own, rate in zip(taken, rates, strict=True):
                own.append(rate * share)
            used += wanted * share
            if at >= count * (turns - 1):
                found.append((Moment((at % count) * step, used, tuple(rates)), 1 - share))
        return found

    def _both(self) -> Iterator[tuple[Stream, "_Arrived"]]:
        yield from zip(self.streams, self._arrived, strict=True)

    def full_in(self, ports: int) -> float | None:
        """Return after how many seconds from an empty start so many ports are in use; None: never."""
        last = self.longest + self.period
        if self.period:
            steps = [last * number / MOMENTS for number in range(1, MOMENTS + 1)]
            last = next((at for at in steps if self.at(at, 0.0).load > ports), math.inf)
            first = last - steps[0]
        else:
            first = 0.0
        if math.isinf(last) or self.at(last, 0.0).load <= ports * (1 + 1e-12):
            return None
        for _ in range(60):
            middle = (first + last) / 2
            if self.at(middle, 0.0).load > ports:
                last = middle
            else:
                first = middle
        return last
