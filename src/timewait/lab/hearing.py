"""A claim heard: the scenarios of its points run in every world, each point held to what they saw.

What decides a point is what the running kernel showed; where no kernel looked at it, the engine; else both together,
each at one end of a bridge.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from timewait.lab import catalog
from timewait.lab.claim import Claim, Point, Ruling, joined, ruling
from timewait.lab.scenario import BRIDGE, ENGINE, KERNEL, Observation
from timewait.lab.trial import Result, Trial, Trials
from timewait.lab.trial import trials as each_way


class Seen(NamedTuple):
    """What one world showed of a point; `observation` is None where its scenario could not be carried through."""

    result: Result
    observation: Observation | None

    def bears_out(self, point: Point) -> bool | None:
        """Whether it is as the claim has it; None where nothing was seen."""
        return None if self.observation is None else point.foreseen(self.observation.value)


class Evidence(NamedTuple):
    """A point, and what each world showed of it: the kernel first."""

    point: Point
    seen: tuple[Seen, ...]

    @property
    def bears_out(self) -> bool | None:
        """Whether the claim is right in this point: the first world that saw anything decides."""
        return next((so for each in self.seen if (so := each.bears_out(self.point)) is not None), None)

    @property
    def divided(self) -> bool:
        """Whether the worlds answer differently."""
        return len({each.bears_out(self.point) for each in self.seen} - {None}) > 1


class Hearing(NamedTuple):
    """A claim with its evidence, and its parts'."""

    claim: Claim
    evidence: tuple[Evidence, ...]
    parts: "tuple[Hearing, ...]"

    @property
    def ruling(self) -> Ruling:
        """What follows from the evidence."""
        if self.parts:
            return joined([(part.claim.about, part.ruling) for part in self.parts])
        return ruling((each.point, each.bears_out) for each in self.evidence)

    @property
    def results(self) -> list[Result]:
        """Every result that it rests on, once."""
        own = [seen.result for each in self.evidence for seen in each.seen]
        found = [*own, *(result for part in self.parts for result in part.results)]
        return list({id(result): result for result in found}.values())


def trials_of(point: Point, worlds: Sequence[str], profile: str, seed: int = 0) -> list[Trial]:
    """Return the trials that show a point, the kernel's first."""
    scenario = catalog.get(point.scenario)
    settings = scenario.settings(point.settings)
    can = {*worlds} & {*point.worlds} & {*scenario.worlds}
    if point.profile:
        return [Trial(scenario, settings, ENGINE, point.profile, seed)] if ENGINE in worlds else []
    asked = [world for world in (KERNEL, ENGINE, BRIDGE) if world in can]
    return [trial for world in asked for trial in each_way(scenario, world, settings, profile, seed)]


def _key(trial: Trial) -> tuple[object, ...]:
    return trial.scenario.name, tuple(sorted(trial.settings.items())), trial.world, trial.profile, trial.engine


def trials(claims: Sequence[Claim], worlds: Sequence[str], profile: str, seed: int = 0) -> list[Trial]:
    """Return all that has to be run for these claims, each trial once."""
    points = [point for claim in claims for point in claim.every_point()]
    found = [trial for point in points for trial in trials_of(point, worlds, profile, seed)]
    return list({_key(trial): trial for trial in found}.values())


def hear(
    claims: Sequence[Claim],
    worlds: Sequence[str],
    profile: str,
    seed: int = 0,
    *,
    running: Trials | None = None,
    done: Callable[[Result], None] = lambda _: None,
) -> list[Hearing]:
    """Run what these claims need, side by side, and hold each claim to it."""
    results = (running or Trials()).perform_all(trials(claims, worlds, profile, seed), done)
    known = {_key(result.trial): result for result in results}

    def evidence(point: Point) -> Evidence:
        asked = [known[_key(trial)] for trial in trials_of(point, worlds, profile, seed)]
        return Evidence(point, tuple(Seen(result, _observation(result, point.observation)) for result in asked))

    def heard(claim: Claim) -> Hearing:
        return Hearing(claim, tuple(map(evidence, claim.points)), tuple(map(heard, claim.parts)))

    return [heard(claim) for claim in claims]


def _observation(result: Result, name: str) -> Observation | None:
    known: Mapping[str, Observation] = {each.name: each for each in result.observations}
    return known.get(name)
