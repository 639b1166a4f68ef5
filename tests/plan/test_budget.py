"""Ports in the order of Linux's search: held to a plain loop over all ports, and to the compiled twin."""

import importlib.util

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from timewait.clock import SECOND
from timewait.plan.budget import FIRST, NONE, SECOND_HALF, TIE, Budget, Connects
from timewait.plan.draws import Life, Pace
from timewait.plan.setting import Flow, Setting

needs_numba = pytest.mark.skipif(importlib.util.find_spec("numba") is None, reason="numba is not installed")
# (half, ports in use, met a wait, and then the port)
Row = tuple[int, int, bool]


def plain(run: Connects, first: int, second: int) -> list[Row]:
    """Look at every port for every connect, in the order of __inet_hash_connect(), net/ipv4/inet_hashtables.c."""
    ports = first + second
    frees, ends = [0] * ports, [0] * ports
    cursor = 0
    found: list[Row] = []
    for row in zip(*(column.tolist() for column in run), strict=True):
        now, _, free_at, end, step, start = row
        now += TIE
        cursor = start if start >= 0 else cursor
        used = sum(1 for each in frees if each > now)
        for half, base, size in ((FIRST, 0, first), (SECOND_HALF, first, second)):
            walk = (walked for walked in range(size) if frees[base + (cursor + walked) % size] <= now)
            walked = next(walk, None)
            if walked is not None:
                port = base + (cursor + walked) % size
                found.append((half, used, ends[port] > now))
                frees[port], ends[port] = free_at, end
                cursor += max(walked, step) + 1
                break
        else:
            found.append((NONE, used, False))
    return found


def all_of(scene: Setting, connects: int, seed: int) -> Connects:
    parts = list(scene.draw(seed, connects))
    return Connects(*(np.concatenate(column) for column in zip(*parts, strict=True)))


scenes = st.builds(
    lambda rate, hold, kind, first, second, blocked, more, random, lost: Setting(
        flows=(Flow(Pace(rate=rate, random=random), Life(mean=hold, kind=kind)),),
        first=first,
        second=second,
        blocked=blocked,
        wait=blocked + more,
        rounding=2.0,
        lost=lost,
    ),
    rate=st.floats(0.05, 20),
    hold=st.sampled_from([0.0, 0.01, 1.0, 30.0]),
    kind=st.sampled_from(["constant", "exponential", "pareto"]),
    first=st.integers(1, 20),
    second=st.integers(0, 20),
    blocked=st.sampled_from([0.0, 1.0, 10.0]),
    more=st.sampled_from([0.0, 5.0, 60.0]),
    random=st.booleans(),
    lost=st.sampled_from([0.0, 0.3]),
)


@given(scene=scenes, seed=st.integers(0, 2**32 - 1))
@settings(max_examples=150, deadline=None)
def test_every_decision_is_that_of_a_plain_loop(scene: Setting, seed: int) -> None:
    run = all_of(scene, 400, seed)
    expected = plain(run, scene.first, scene.second)
    ports = Budget(scene.first, scene.second, named=scene.named)
    decided = [ports.decide(run.part(begin, begin + 150)) for begin in range(0, 400, 150)]
    ours = [
        row for part in decided for row in zip(part.half.tolist(), part.used.tolist(), part.met.tolist(), strict=True)
    ]
    assert [row[:2] for row in ours] == [row[:2] for row in expected]
    if scene.named:  # whether a wait is met depends on the port
        assert ours == expected


@needs_numba
@given(scene=scenes, seed=st.integers(0, 2**32 - 1))
@settings(max_examples=100, deadline=None)
def test_the_compiled_ports_decide_the_same(scene: Setting, seed: int) -> None:
    from timewait.plan.budget_numba import CompiledBudget

    run = all_of(scene, 3000, seed)
    one = Budget(scene.first, scene.second, named=scene.named)
    other = CompiledBudget(
        scene.first, scene.second, named=scene.named, gap=SECOND / scene.rate, life=scene.busy * SECOND
    )
    for begin, end in ((0, 1), (1, 1), (1, 700), (700, 3000)):
        part = run.part(begin, end)
        for ours, theirs in zip(one.decide(part), other.decide(part), strict=True):
            assert np.array_equal(np.asarray(ours), np.asarray(theirs))
        if end:
            now = int(run.times[end - 1]) + 1
            assert one.look(now) == other.look(now)


@pytest.mark.parametrize("named", [False, True])
def test_a_look_counts_what_is_open_and_what_waits(named: bool) -> None:
    """Three connections: one waits and may be taken, one waits, one is open."""
    second = SECOND
    times = np.array([0, 1, 2], np.int64) * second
    closes = np.array([1, 5, 9], np.int64) * second
    run = Connects(
        times, closes, closes + second, closes + 60 * second, np.zeros(3, np.uint8), np.full(3, -1, np.int32)
    )
    if not named:
        run = run._replace(ends=run.frees)
    ports = Budget(4, 0, named=named)
    ports.decide(run)
    look = ports.look(round(5.5 * second))
    assert look.used == 2
    assert look.open == 1
    assert look.waiting == (2 if named else 1)


def test_linux_takes_ports_of_the_first_parity_until_they_are_gone() -> None:
    """Measured on 6.18, range 4096: the first odd port was that of connection 2048, counting from 0."""
    scene = Setting(
        flows=(Flow(Pace(rate=100, random=False), Life(mean=0)),), first=2048, second=2048, blocked=60, wait=60
    )
    half = Budget(2048, 2048, named=False).decide(all_of(scene, 5000, 1)).half
    assert (half[:2048] == FIRST).all()
    assert (half[2048:4096] == SECOND_HALF).all()
    assert (half[4096:] == NONE).all()
