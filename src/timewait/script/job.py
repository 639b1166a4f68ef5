"""`Job`: one script to run and how; `run` makes the world, plays the script and returns how it ended.

Both cross to other processes.  Worlds are imported when they are made.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from timewait.clock import Duration
from timewait.errors import TimewaitError, UsageError
from timewait.script.outcome import Outcome
from timewait.script.syntax import Script
from timewait.script.world import UnknownCommandError, World


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What to run: a file, in a world (`engine` or `kernel`), with what the command line said of it.

    `defines`: names for #ifdef, with their values or "".  `tolerance`: instead of the script's own, in nanoseconds.
    """

    path: str
    world: str = "engine"
    profile: str = "linux"
    defines: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)
    tolerance: Duration | None = None
    strict: bool = False
    allow_shell: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """How a job ended: with an outcome, or with an error (what was wrong, a hint): the script cannot be read, or asks
    for what its world has not."""

    path: str
    outcome: Outcome | None = None
    error: tuple[str, str] | None = None

    @property
    def passed(self) -> bool:
        """Whether everything was as the script says."""
        return self.outcome is not None and self.outcome.failure is None


def run(job: Job) -> Result:
    """Run one script."""
    from timewait.script import grammar
    from timewait.script.play import play

    try:
        script = grammar.load(job.path, {**own_names(job), **job.defines})
        world = _world(job, script)
        try:
            outcome = play(script, world, strict=job.strict, tolerance=job.tolerance)
        finally:
            world.close()
    except TimewaitError as error:
        return Result(path=job.path, error=(error.what, error.hint))
    except Exception as error:  # one script's trouble is not the others'
        at = error.__traceback__
        while at is not None and at.tb_next is not None:
            at = at.tb_next
        where = f"{at.tb_frame.f_code.co_name}, line {at.tb_lineno}" if at is not None else "?"
        fault = f"{job.path}: a fault of timewait itself: {type(error).__name__} in {where}: {error}"
        return Result(path=job.path, error=(fault, "please report it, with the script"))
    return Result(path=job.path, outcome=outcome)


def check_settings(profile: str, settings: Mapping[str, str]) -> None:
    """Raise `UsageError` where the engine with this profile has no such setting, or cannot act on its value."""
    from timewait.script.engine_world import EngineWorld

    try:
        EngineWorld(Script(name="", lines=()), profile=profile, settings=settings)
    except UnknownCommandError as error:
        raise UsageError(error.what, error.hint) from None


def own_names(job: Job) -> dict[str, str]:
    """Return what is defined without being asked for: the stack's own name, as its profile and its title write it."""
    if job.world == "kernel":
        return {"linux": "", "Linux": ""}
    from timewait.tcp import profiles

    profile = profiles.get(job.profile)
    return dict.fromkeys((profile.name, profile.name.split("-")[0], profile.title.split()[0].rstrip(",")), "")


def _world(job: Job, script: Script) -> World:
    if job.world == "kernel":
        from timewait.script.kernel_world import KernelWorld

        kernel: World = KernelWorld(
            script, allow_shell=job.allow_shell, folder=Path(job.path).parent, settings=job.settings
        )
        return kernel
    from timewait.script.engine_world import EngineWorld

    return EngineWorld(script, profile=job.profile, settings=job.settings)
