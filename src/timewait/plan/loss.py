"""How often nothing is free: Erlang's loss formula for random arrivals, counting for periodic ones.

A port is a server in the sense of queueing theory, busy while its connection is open and while it waits.  Nothing
queues: who finds no port fails.
"""

import math
from typing import Final

_TINY: Final = 1e-300


def erlang_b(load: float, servers: int) -> float:
    """Return the share of random arrivals that find all `servers` busy; `load` = arrivals a second x seconds each.

    Erlang 1917.  It holds for any distribution of the busy time (M/G/c/c).  The inverse as a sum, from all busy down:
    no term is negative, so nothing cancels; it ends where terms no longer count, or the result is 0 to a float.
    """
    if load <= 0:
        return 0.0
    term = inverse = 1.0
    for server in range(servers, 0, -1):
        term *= server / load
        inverse += term
        if inverse > 1 / _TINY:
            return 0.0
        if server < load and term < inverse * 1e-17:
            break
    return 1.0 / inverse


def share_above(load: float, servers: int, most: int) -> float:
    """Return the share of time in which more than `most` of `servers` are busy, for random arrivals.

    The number busy has the Poisson distribution cut off at `servers`; summed from its own peak, so that nothing
    underflows.
    """
    if load <= 0 or most >= servers:
        return 0.0
    peak = min(servers, int(load))
    weights = {peak: 1.0}
    for number in range(peak, 0, -1):
        weights[number - 1] = weights[number] * number / load
        if weights[number - 1] < 1e-18:
            break
    for number in range(peak, servers):
        weights[number + 1] = weights[number] * load / (number + 1)
        if weights[number + 1] < 1e-18:
            break
    above = math.fsum(weight for number, weight in weights.items() if number > most)
    return above / math.fsum(weights.values())


def ticks(rate: float, busy: float) -> int:
    """Return how many arrivals at a fixed pace a port is busy for, its own included: so many are busy at once."""
    return max(1, math.ceil(round(rate * busy, 9)))


def periodic(rate: float, busy: float, servers: int) -> float:
    """Return the share of arrivals that fail where they come at a fixed pace and each is busy equally long.

    A port taken at one tick is free at the first tick `busy` seconds later: it serves one arrival in so many ticks.
    """
    return max(0.0, 1.0 - servers / ticks(rate, busy))


def sustainable(busy: float, servers: int, arrivals: float, chance: float = 0.05) -> float:
    """Return the highest rate of random arrivals at which `arrivals` seconds pass without one failure.

    That is: with a chance of at least 1 - `chance`, taking failures as independent.  By bisection.
    """
    if busy <= 0:
        return math.inf
    allowed = -math.log1p(-chance)
    low, high = 0.0, servers / busy
    for _ in range(60):
        middle = (low + high) / 2
        if middle * arrivals * erlang_b(middle * busy, servers) <= allowed:
            low = middle
        else:
            high = middle
        if high - low < 1e-4 * high:
            break
    return low
