"""The same budget of ports in SimPy, once with processes and once with callbacks; run by bench/lifecycles.py.

    python bench/lifecycles_simpy.py CONNECTS PORTS RATE HOLD WAIT SEED

Prints one line of JSON: lifecycles a CPU second of each, and the share that found no port.
"""

import json
import random
import sys
import time
from collections.abc import Iterator
from typing import Any

import simpy


def processes(connects: int, ports: int, rate: float, hold: float, wait: float, seed: int) -> tuple[float, float]:
    chance = random.Random(seed)
    world = simpy.Environment()
    state = [0, 0]

    def connection() -> Iterator[Any]:
        if state[0] == ports:
            state[1] += 1
            return
        state[0] += 1
        yield world.timeout(chance.expovariate(1 / hold) + wait)
        state[0] -= 1

    def source() -> Iterator[Any]:
        for _ in range(connects):
            yield world.timeout(chance.expovariate(rate))
            world.process(connection())

    world.process(source())
    began = time.process_time()
    world.run()
    return connects / (time.process_time() - began), state[1] / connects


def callbacks(connects: int, ports: int, rate: float, hold: float, wait: float, seed: int) -> tuple[float, float]:
    chance = random.Random(seed)
    world = simpy.Environment()
    state = [0, 0, connects]

    def close(_: Any) -> None:
        state[0] -= 1

    def connect(_: Any) -> None:
        if state[0] == ports:
            state[1] += 1
        else:
            state[0] += 1
            world.timeout(chance.expovariate(1 / hold) + wait).callbacks.append(close)
        state[2] -= 1
        if state[2]:
            world.timeout(chance.expovariate(rate)).callbacks.append(connect)

    world.timeout(chance.expovariate(rate)).callbacks.append(connect)
    began = time.process_time()
    world.run()
    return connects / (time.process_time() - began), state[1] / connects


def main() -> None:
    connects, ports = int(sys.argv[1]), int(sys.argv[2])
    rate, hold, wait = (float(word) for word in sys.argv[3:6])
    seed = int(sys.argv[6])
    found = {each.__name__: each(connects, ports, rate, hold, wait, seed) for each in (processes, callbacks)}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
