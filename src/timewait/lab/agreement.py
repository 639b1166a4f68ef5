"""Two worlds' observations of one scenario, side by side: each cell agrees, is known to differ, or wants explaining."""

from collections.abc import Iterator
from typing import NamedTuple

from timewait.lab.scenario import Known, Observation
from timewait.lab.trial import Result


class Cell(NamedTuple):
    """One observation in two worlds; None where that world did not make it."""

    name: str
    kernel: Observation | None
    engine: Observation | None
    known: Known | None

    @property
    def agrees(self) -> bool:
        """Whether both saw the same, as near as the observation says."""
        return self.kernel is not None and self.engine is not None and self.kernel.agrees(self.engine)

    @property
    def unexplained(self) -> bool:
        """Whether they differ and the catalogue does not list it."""
        return not self.agrees and self.known is None


class Agreement(NamedTuple):
    """One scenario in the kernel and the engine."""

    kernel: Result
    engine: Result

    @property
    def cells(self) -> list[Cell]:
        """Every observation that either world made, in order."""
        return list(self._cells())

    def _cells(self) -> Iterator[Cell]:
        seen = [{each.name: each for each in result.observations} for result in self]
        scenario = self.kernel.trial.scenario
        for name in dict.fromkeys([*seen[0], *seen[1]]):
            known = scenario.known_difference(name, self.kernel.kernel)
            yield Cell(name, seen[0].get(name), seen[1].get(name), known)

    @property
    def explained(self) -> bool:
        """Whether both ran, no cell differs without a reason, and both saw what is foretold of them."""
        ran = self.kernel.error is None and self.engine.error is None
        return ran and not any(cell.unexplained for cell in self.cells)
