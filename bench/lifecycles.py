"""How many connection lifecycles a CPU second `timewait plan` simulates, beside what one would write by hand.

    python bench/lifecycles.py [--connects N]

One budget of Linux's default range, connects at random, connections open for a random time and then a minute in
TIME-WAIT, somewhat more of them than the ports carry.  Each way of doing it is one process of its own; what counts is
its CPU time, chance and statistics included.  Each says which share failed: it is the same model, or no comparison.

Peers: SimPy with processes and with callbacks (in an environment of its own, build/simpy), heapq, and a deque, which
can only do connections of one length.  Targets are held at the end; the exit status says whether all are met.
"""

import argparse
import heapq
import json
import random
import resource
import subprocess
import sys
import time
import venv
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

SIMPY = "4.1.2"
PORTS, RATE, HOLD, WAIT, SEED = 28232, 450.0, 5.0, 61.3, 1
HELD = 50_000_000
Found = dict[str, float]


def by_heapq(connects: int) -> Found:
    """Ports counted, connections of random length: a heap of when they give their port back."""
    chance = random.Random(SEED)
    free_at: list[float] = []
    now, failed = 0.0, 0
    for _ in range(connects):
        now += chance.expovariate(RATE)
        while free_at and free_at[0] <= now:
            heapq.heappop(free_at)
        if len(free_at) == PORTS:
            failed += 1
        else:
            heapq.heappush(free_at, now + chance.expovariate(1 / HOLD) + WAIT)
    return {"failing": failed / connects}


def by_heapq_and_search(connects: int) -> Found:
    """The same with each port told apart, found in the order of Linux's search, as a careful program would."""
    chance = random.Random(SEED)
    free_at: list[tuple[float, int]] = []
    first = PORTS // 2
    free = bytearray(b"\1") * PORTS
    left = [first, PORTS - first]
    now, failed, place = 0.0, 0, 0
    for _ in range(connects):
        now += chance.expovariate(RATE)
        while free_at and free_at[0][0] <= now:
            port = heapq.heappop(free_at)[1]
            free[port] = 1
            left[port >= first] += 1
        if left[0]:
            low, high = 0, first
        elif left[1]:
            low, high = first, PORTS
        else:
            failed += 1
            continue
        begin = low + place % (high - low)
        port = free.find(1, begin, high)
        walked = port - begin
        if port < 0:
            port = free.find(1, low, begin)
            walked = port - begin + high - low
        place += max(walked, chance.randrange(8)) + 1
        free[port] = 0
        left[port >= first] -= 1
        heapq.heappush(free_at, (now + chance.expovariate(1 / HOLD) + WAIT, port))
    return {"failing": failed / connects}


def by_deque(connects: int) -> Found:
    """Connections of one length: they end in the order in which they began."""
    chance = random.Random(SEED)
    free_at: deque[float] = deque()
    now, failed = 0.0, 0
    for _ in range(connects):
        now += chance.expovariate(RATE)
        while free_at and free_at[0] <= now:
            free_at.popleft()
        if len(free_at) == PORTS:
            failed += 1
        else:
            free_at.append(now + HOLD + WAIT)
    return {"failing": failed / connects}


def _play(connects: int, *, compiled: bool, named: bool) -> Found:
    from timewait.plan import simulation
    from timewait.plan.draws import Life, Pace
    from timewait.plan.setting import Flow, Setting

    flow = Flow(Pace(rate=RATE), Life(mean=HOLD, kind="exponential"))
    # Ports are told apart where a wait outlasts the port's being blocked.
    scene = Setting(
        flows=(flow,), first=PORTS // 2, second=PORTS // 2, blocked=WAIT, wait=WAIT + (1e-6 if named else 0.0)
    )
    if compiled:  # the compiler is no part of it, nor is loading what it made
        simulation.play(scene, connects=200_000, seed=0, compiled=True)
    began = time.process_time()
    found = simulation.play(scene, connects=connects, seed=SEED, compiled=compiled)
    return {"failing": found.failing.mean, "half": found.failing.half, "cpu": time.process_time() - began}


def held(connects: int) -> Found:
    """As many connections open or waiting at once as `connects`, each with its own time to end."""
    from timewait.clock import SECOND
    from timewait.plan.budget_numba import CompiledBudget
    from timewait.plan.draws import Life, Pace
    from timewait.plan.setting import Flow, Setting

    rate = connects / (WAIT + HOLD)
    scene = Setting(
        flows=(Flow(Pace(rate=rate), Life(mean=HOLD, kind="exponential")),),
        first=connects,
        second=0,
        blocked=WAIT,
        wait=WAIT,
    )
    ports = CompiledBudget(connects, 0, named=False, gap=SECOND / rate, life=scene.busy * SECOND, open_too=False)
    most = done = 0
    began = time.process_time()
    for run in scene.draw(SEED):
        most = max(most, int(ports.decide(run).used.max()))
        done += len(run.times)
        if done > 3 * connects:
            break
    spent = time.process_time() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {"most": most, "octets": peak, "cpu": spent, "connects": done}


def cohorts(_: int) -> Found:
    """Ten minutes of 10,000 hosts at 1,000 connects/s each, every port in use for 20 s."""
    from timewait.plan.draws import Life
    from timewait.plan.fleet import Fleet, play

    fleet = Fleet(
        rate=1e7, members=((1.0, 10_000),), ports=PORTS, blocked=20.0, hold=Life(mean=0.2, kind="exponential")
    )
    began = time.process_time()
    found = play(fleet, seconds=600.0, seed=SEED, step=1.0)
    return {"failing": found.failing.mean, "connects": found.connects, "cpu": time.process_time() - began}


WAYS: dict[str, Callable[[int], Found]] = {
    "heapq": by_heapq,
    "heapq, ports told apart": by_heapq_and_search,
    "deque, one length": by_deque,
    "numpy": lambda connects: _play(connects, compiled=False, named=False),
    "numpy, ports told apart": lambda connects: _play(connects, compiled=False, named=True),
    "numba": lambda connects: _play(connects, compiled=True, named=False),
    "numba, ports told apart": lambda connects: _play(connects, compiled=True, named=True),
    "numba, 50 million at once": held,
    "cohorts": cohorts,
}


def apart(name: str, connects: int) -> Found:
    """Do one way in a process of its own."""
    done = subprocess.run(
        [sys.executable, __file__, "--way", name, "--connects", str(connects)],
        capture_output=True,
        text=True,
        check=True,
    )
    found: Found = json.loads(done.stdout)
    return found


def simpy_found(connects: int) -> dict[str, list[float]]:
    """Return lifecycles a CPU second and the share that failed, of both ways of using SimPy."""
    folder = Path(__file__).parent.parent / "build/simpy"
    python = folder / "bin/python"
    if not python.exists():
        venv.create(folder, with_pip=True)
        subprocess.run(
            [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", f"simpy=={SIMPY}"],
            check=True,
            stderr=subprocess.DEVNULL,
        )
    script = Path(__file__).with_name("lifecycles_simpy.py")
    words = [str(value) for value in (connects, PORTS, RATE, HOLD, WAIT, SEED)]
    done = subprocess.run([str(python), str(script), *words], capture_output=True, text=True, check=True)
    found: dict[str, list[float]] = json.loads(done.stdout)
    return found


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    words.add_argument("--connects", type=int, default=20_000_000, help="for the fastest; slower ones get fewer")
    words.add_argument("--way", help=argparse.SUPPRESS)
    asked = words.parse_args()
    if asked.way:
        began = time.process_time()
        found = WAYS[asked.way](asked.connects)
        print(json.dumps({"cpu": time.process_time() - began, "connects": asked.connects} | found))
        return
    sys.exit(0 if report(asked.connects) else 1)


def report(connects: int) -> bool:
    """Print a line for each way, then the targets; return whether all are met."""
    speeds: dict[str, float] = {}
    lines: list[tuple[str, dict[str, Any]]] = []
    for kind, (speed, failing) in simpy_found(max(200_000, connects // 40)).items():
        lines.append((f"SimPy {SIMPY}, {kind}", {"speed": speed, "failing": failing}))
    share = {
        "heapq": 20,
        "heapq, ports told apart": 20,
        "deque, one length": 10,
        "numpy, ports told apart": 4,
        "numpy": 2,
    }
    for name in WAYS:
        count = HELD if "50 million" in name else connects // share.get(name, 1)
        found = apart(name, count)
        lines.append((name, found | {"speed": found["connects"] / found["cpu"]}))
    print(f"{'WAY':<28} {'LIFECYCLES/CPU-s':>17}  FAILED")
    for name, values in lines:
        speeds[name] = values["speed"]
        tail = f"{values['failing']:.2%}" if "failing" in values else ""
        if "octets" in values:
            tail = f"{values['most']:,.0f} at once, {values['octets'] / 2**20:,.0f} MiB in all"
            octets, most = values["octets"], values["most"]
        print(f"{name:<28} {values['speed']:>17,.0f}  {tail}")
    simpy = speeds[f"SimPy {SIMPY}, processes"]
    targets = (
        ("numba over SimPy processes", speeds["numba"] / simpy, 100),
        ("  the same, ports told apart", speeds["numba, ports told apart"] / simpy, 100),
        ("numpy over plain Python", speeds["numpy"] / speeds["heapq"], 4),
        ("  the same, ports told apart", speeds["numpy, ports told apart"] / speeds["heapq, ports told apart"], 4),
        ("million connections at once", most / 1e6, 50 * 0.995),
        ("  MiB left of one GiB for them", 1024 - octets / 2**20, 0),
        ("cohorts, 10^9 a CPU second", speeds["cohorts"] / 1e9, 1),
    )
    print()
    for name, value, target in targets:
        print(f"{name:<32} {value:>10,.1f}  target {target:g}{'' if value >= target else '  MISSED'}")
    return all(value >= target for _, value, target in targets)


if __name__ == "__main__":
    main()
