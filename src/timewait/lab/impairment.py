"""`Impairment`: what a link does to packets besides carrying them, decided by a seed.

Knows fates only, no clock: `lab.bridge` asks for the fate of each packet and sees to it.
"""

from collections.abc import Callable
from random import Random
from typing import TypeAlias

from timewait.clock import MS, Duration

# Of an IP packet, and whether it comes from the kernel: how long the link keeps it, or None where it is lost.
Fate: TypeAlias = Callable[[bytes, bool], Duration | None]


class Impairment:
    """How often what befalls a packet, in either direction alike; shares from 0 to 1.  An instance is a `Fate`.

    A packet held back is overtaken by those that follow within `hold`, which is how tc-netem(8) reorders.
    """

    def __init__(
        self, *, loss: float = 0.0, reordering: float = 0.0, hold: Duration = MS, delay: Duration = 0, seed: int = 0
    ) -> None:
        self.loss = loss
        self.reordering = reordering
        self.hold = hold
        self.delay = delay
        self.lost = 0
        self.held = 0
        self._chance = Random(seed).random

    def __call__(self, packet: bytes, from_kernel: bool) -> Duration | None:
        """Return how long the link keeps this packet, or None where it is lost."""
        if self._chance() < self.loss:
            self.lost += 1
            return None
        if self._chance() < self.reordering:
            self.held += 1
            return self.delay + self.hold
        return self.delay
