"""`Setting`: one budget of ports and what comes to it, with chance drawn from one seed."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from timewait.clock import SECOND
from timewait.plan.budget import TIE, Connects
from timewait.plan.draws import Life, Pace, Times

# net/core/secure_seq.c: EPHEMERAL_PORT_SHUFFLE_PERIOD, 10 s.
_JUMP: Final = 10 * SECOND
# net/ipv4/inet_hashtables.c: get_random_u32_below(8).
_STEPS: Final = 8
# include/net/tcp.h: TCP_RTO_MIN, HZ / 5, the first repetition of a FIN on a short way; each later one takes twice that.
_RTO: Final = SECOND // 5
_MOST_REPEATS: Final = 8


# Of each connect, the number of its flow; one number where it is that of all.
_Whose: TypeAlias = NDArray[np.int64]


class Flow(NamedTuple):
    """Connects that come at a pace, and for how long each connection is open.

    `blocked`: seconds after the close until connect() may take the port, where that is not the setting's: 0 where the
    other end closes first.
    """

    pace: Pace
    hold: Life
    blocked: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """`first`, `second`: ports in each half of the search; where no port is harder to find the second is 0.

    `blocked`: seconds after the close until connect() may take the port; `wait`: until the record of the wait is gone,
    `rounding`: what a timer's wheel adds to that at most, evenly spread (and to `blocked`, where that is the wait);
    `lost`: the chance that the last ACK is lost, so that the repeated FIN starts the wait anew.
    """

    flows: tuple[Flow, ...]
    first: int
    second: int
    blocked: float
    wait: float
    rounding: float = 0.0
    lost: float = 0.0

    @property
    def ports(self) -> int:
        """Of both halves."""
        return self.first + self.second

    @property
    def rate(self) -> float:
        """Connects a second, on average."""
        return sum(flow.pace.rate for flow in self.flows)

    @property
    def held(self) -> float:
        """Mean seconds that a connection is open."""
        return sum(flow.pace.rate * flow.hold.mean for flow in self.flows) / self.rate

    @property
    def highest(self) -> float:
        """Connects a second, at their most."""
        return sum(flow.pace.rate * max((factor for _, factor in flow.pace.shape), default=1.0) for flow in self.flows)

    def blocked_by(self, flow: Flow) -> float:
        """Return the seconds for which a port is blocked after a connection of this flow, without the wheel's part."""
        return self.blocked if flow.blocked is None else flow.blocked

    @property
    def busy(self) -> float:
        """Mean seconds that a port is in use for one connection."""
        whole = 0.0
        for flow in self.flows:
            blocked = self.blocked_by(flow)
            late = self.rounding / 2 if blocked >= self.wait else 0.0
            whole += flow.pace.rate * (flow.hold.mean + blocked + late)
        return whole / self.rate

    @property
    def named(self) -> bool:
        """Whether it matters which port is taken: a wait may still be on record when its port is used again."""
        return any(self.blocked_by(flow) < self.wait for flow in self.flows)

    @property
    def settles(self) -> float:
        """Seconds after which an empty start is forgotten."""
        longest = max(flow.hold.longest for flow in self.flows)
        return max(3 * self.busy, longest + max(self.blocked, self.wait if self.named else 0.0) + self.rounding)

    def thinner(self, share: float) -> "Setting":
        """Return the same with this share of the rate."""
        flows = tuple(flow._replace(pace=replace(flow.pace, rate=flow.pace.rate * share)) for flow in self.flows)
        return replace(self, flows=flows)

    @property
    def period(self) -> float:
        """Seconds after which the rate repeats itself; 0 where it is steady.  The longest, of several flows."""
        return max(flow.pace.period for flow in self.flows)

    def busiest(self, seconds: float) -> "Setting":
        """Return the same at its highest rate, where the rate's period is longer than this; else the same."""
        flows = []
        for flow in self.flows:
            pace = flow.pace
            if pace.period > seconds:
                pace = replace(pace, rate=pace.rate * max(factor for _, factor in pace.shape), shape=())
            flows.append(flow._replace(pace=pace))
        return replace(self, flows=tuple(flows))

    def draw(self, seed: int, connects: int | None = None) -> Iterator[Connects]:
        """Yield the connects in order, some ten thousand at a time.  Whatever is random has a stream of its own."""
        waits, search, *streams = np.random.SeedSequence(seed).spawn(2 + 2 * len(self.flows))
        random, steps = np.random.default_rng(waits), np.random.default_rng(search)
        epoch = -1
        for times, closes, whose in _merged(self.flows, streams, connects):
            frees, ends = self._ends(random, closes, whose)
            # A port is in use for a moment at least, so that none is its own successor.
            frees = np.maximum(frees, times + (TIE + 1))
            taken = np.zeros(len(times), np.uint8)
            starts = np.full(len(times), -1, np.int32)
            if self.named:
                taken = steps.integers(0, _STEPS, len(times), np.uint8)
                epochs = times // _JUMP
                jumps = np.flatnonzero(np.concatenate(([epochs[0] != epoch], epochs[1:] != epochs[:-1])))
                starts[jumps] = steps.integers(0, 1 << 30, len(jumps))
                epoch = int(epochs[-1])
            yield Connects(times, closes, frees, np.maximum(ends, frees), taken, starts)

    def _ends(self, random: np.random.Generator, closes: Times, whose: _Whose) -> tuple[Times, Times]:
        """Return when ports can be taken again, and when their waits are over by themselves."""
        ends = closes + round(self.wait * SECOND)
        if self.rounding:
            ends += np.rint(random.random(len(closes)) * (self.rounding * SECOND)).astype(np.int64)
        later: Times | int = 0
        if self.lost:
            repeats = np.minimum(random.geometric(1 - self.lost, len(closes)) - 1, _MOST_REPEATS)
            later = ((1 << repeats) - 1) * _RTO
            ends += later
        if not self.named:
            return ends, ends
        blocked = np.array([round(self.blocked_by(flow) * SECOND) for flow in self.flows])[whose]
        # A timestamp on the repeated FIN makes the wait, and so the delay before it is taken over, start anew.
        frees = closes + blocked + np.where(blocked > 0, later, 0)
        return np.where(blocked >= round(self.wait * SECOND), ends, frees), ends


def _merged(
    flows: tuple[Flow, ...], seeds: list[np.random.SeedSequence], connects: int | None
) -> Iterator[tuple[Times, Times, _Whose]]:
    """Yield when connects of all flows come, when their connections close, and which flow each is of."""
    randoms = [np.random.default_rng(seed) for seed in seeds]
    arrivals = [flow.pace.draw(random, connects) for flow, random in zip(flows, randoms[::2], strict=True)]
    if len(flows) == 1:
        for times in arrivals[0]:
            yield times, times + flows[0].hold.draw(randoms[1], len(times)), np.zeros(1, np.int64)
        return
    empty = np.empty(0, np.int64)
    waiting = [(empty, empty) for _ in flows]
    done = 0
    while connects is None or done < connects:
        for number, flow in enumerate(flows):
            if not len(waiting[number][0]):
                times = next(arrivals[number], empty)
                waiting[number] = times, times + flow.hold.draw(randoms[2 * number + 1], len(times))
        # Up to here all flows are known.
        upto = min(int(times[-1]) for times, _ in waiting if len(times))
        cuts = [int(np.searchsorted(times, upto, side="right")) for times, _ in waiting]
        parts = [(times[:cut], closes[:cut]) for (times, closes), cut in zip(waiting, cuts, strict=True)]
        waiting = [(times[cut:], closes[cut:]) for (times, closes), cut in zip(waiting, cuts, strict=True)]
        times = np.concatenate([times for times, _ in parts])
        order = np.argsort(times, kind="stable")
        if connects is not None:
            order = order[: connects - done]
        done += len(order)
        whose = np.repeat(np.arange(len(flows)), cuts)
        yield times[order], np.concatenate([closes for _, closes in parts])[order], whose[order]
