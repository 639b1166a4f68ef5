"""Worlds' observations of one scenario, side by side: each cell agrees, is known to differ, or wants explaining."""

from collections.abc import Iterator
from typing import NamedTuple

from timewait.lab.scenario import Known, Observation
from timewait.lab.trial import Result


class Cell(NamedTuple):
    """One observation in every world that was compared, None where one did not make it; `known`: that they differ."""

    name: str
    seen: tuple[Observation | None, ...]
    known: Known | None

    @property
    def agrees(self) -> bool:
        """Whether all saw the same as the first, as near as the observation says."""
        first = self.seen[0]
        return first is not None and all(each is not None and first.agrees(each) for each in self.seen)

    @property
    def unexplained(self) -> bool:
        """Whether they differ and the catalogue does not list it."""
        return not self.agrees and self.known is None


class Agreement(NamedTuple):
    """One scenario's results in the worlds that are compared: the first is the one that the others are held to."""

    results: tuple[Result, ...]

    @property
    def ran(self) -> tuple[Result, ...]:
        """Those that could be carried through."""
        return tuple(result for result in self.results if result.error is None)

    @property
    def cells(self) -> list[Cell]:
        """Every observation that a world made, in order; none where there are no two worlds to compare."""
        return list(self._cells()) if len(self.ran) > 1 else []

    def _cells(self) -> Iterator[Cell]:
        seen = [{each.name: each for each in result.observations} for result in self.ran]
        scenario = self.ran[0].trial.scenario
        kernel = next((result.kernel for result in self.ran if result.kernel), "")
        for name in dict.fromkeys(name for one in seen for name in one):
            known = scenario.known_difference(name, kernel)
            yield Cell(name, tuple(one.get(name) for one in seen), known)

    @property
    def explained(self) -> bool:
        """Whether all ran and no cell differs without a reason."""
        return len(self.ran) == len(self.results) and not any(cell.unexplained for cell in self.cells)
