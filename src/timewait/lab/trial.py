"""A scenario put to one world: `Trial` is what is asked, `Result` what was seen there.

Kernel trials run side by side, each with namespaces and an agent process of its own.  A trial that breaks is a result
that says so; the others go on.
"""

import time
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack, closing
from types import MappingProxyType
from typing import BinaryIO, Final, NamedTuple

from timewait.clock import Duration
from timewait.errors import TimewaitError
from timewait.lab import worlds
from timewait.lab.host import Host
from timewait.lab.scenario import BRIDGE, ENGINE, LINUX, Observation, Scenario, Settings, Stage
from timewait.trace import Trace

# The settings that what is seen here depends on.
SETTINGS: Final = tuple(
    f"net.ipv4.{name}"
    for name in (
        *("tcp_timestamps", "tcp_tw_reuse", "tcp_tw_reuse_delay", "tcp_rfc1337", "tcp_fin_timeout"),
        *("tcp_max_tw_buckets", "ip_local_port_range"),
    )
)
# Kernel trials alive at a time: most of a trial's life is waiting.
_AT_ONCE: Final = 16


class Trial(NamedTuple):
    """A scenario, its parameters, and where to run it; `profile` and `seed` are the engine's."""

    scenario: Scenario
    settings: Settings
    world: str
    profile: str = LINUX
    seed: int = 0
    engine: str = ""
    """Which host of a bridge is the engine."""

    @property
    def stack(self) -> str:
        """What documents call the stack that is asked about: the profile's name; the running kernel is Linux."""
        return self.profile if self.world == ENGINE or self.engine == self.scenario.hosts[0] else LINUX


def trials(scenario: Scenario, world: str, settings: Settings, profile: str = LINUX, seed: int = 0) -> list[Trial]:
    """Return the trials of a scenario in a world: in the bridge world each host is the engine once."""
    at = scenario.hosts if world == BRIDGE else ("",)
    return [Trial(scenario, settings, world, profile, seed, engine) for engine in at]


class Result(NamedTuple):
    """What a trial showed.  `error`: why it could not be carried through."""

    trial: Trial
    circumstances: dict[str, str]
    observations: tuple[Observation, ...]
    error: Exception | None
    took: Duration
    sysctls: Mapping[str, str] = MappingProxyType({})
    """Those that matter here, of the first host before the scenario changed any."""
    trace: Trace | None = None
    """All that happened, where it was recorded: on a network always."""

    @property
    def kernel(self) -> str:
        """The version of the kernel that answered, "6.18.44-name"; empty in the engine world."""
        return self.circumstances.get("kernel", "").partition(" ")[2]

    @property
    def trouble(self) -> str:
        """The error as one line; empty where there is none."""
        if self.error is None or isinstance(self.error, TimewaitError):
            return self.error.what if self.error else ""
        return f"{type(self.error).__name__}: {self.error}"

    @property
    def astray(self) -> list[Observation]:
        """The observations that a document of this very stack foretold otherwise."""
        return [each for each in self.observations if each.as_foretold(self.trial.stack) is False]


def _circumstances(trial: Trial, stage: Stage) -> dict[str, str]:
    """Return what all hosts' results depend on."""
    found: dict[str, str] = {}
    for host in stage.hosts:
        found |= host.circumstances()
    found["world"] = trial.world
    if trial.engine:
        found["engine"] = trial.engine
    return found


class Trials:
    """Trials under way."""

    def __init__(self, capture: BinaryIO | None = None, *, traced: bool = False) -> None:
        """`capture`: where the segments are written, as pcapng, a section a trial; `traced`: record hosts alone too."""
        self._capture = capture
        self._traced = traced or capture is not None
        self._live: set[Host] = set()
        self._stopped = False

    def perform(self, trial: Trial) -> Result:
        """Run one trial."""
        began = time.monotonic_ns()
        circumstances: dict[str, str] = {}
        observations: tuple[Observation, ...] = ()
        sysctls: dict[str, str] = {}
        error: Exception | None = None
        trace: Trace | None = None
        try:
            with ExitStack() as ends:
                stage = worlds.stage(
                    trial.scenario,
                    trial.world,
                    ends,
                    profile=trial.profile,
                    seed=trial.seed,
                    engine=trial.engine,
                    traced=self._traced,
                )
                for host in stage.hosts:
                    self._live.add(host)
                    ends.callback(self._live.discard, host)
                if self._stopped:  # they were not there yet to be interrupted with the others
                    raise KeyboardInterrupt
                asked = stage.hosts[0]
                circumstances = _circumstances(trial, stage)
                sysctls = {name: " ".join(value.split()) for name in SETTINGS if (value := asked.sysctl(name))}
                try:
                    observations = tuple(trial.scenario.run(stage, trial.settings))
                finally:
                    trace = stage.recorded
                    if stage.schedule:
                        circumstances["schedule"] = stage.schedule
                    if stage.unrecorded:
                        circumstances["record"] = f"misses {stage.unrecorded:,} packets: more passed than could be kept"
                    if self._capture is not None and trace is not None:
                        trace.write(self._capture)
        except Exception as caught:  # whatever a scenario does wrong is its own result, not the end of the others
            error = caught
        return Result(trial, circumstances, observations, error, time.monotonic_ns() - began, sysctls, trace)

    def perform_all(self, trials: Sequence[Trial], done: Callable[[Result], None] = lambda _: None) -> list[Result]:
        """Run them all and return their results in order; `done` hears of each that ends.

        The engine's one after the other, as they only compute; then the kernel's side by side, the longest first, and
        those last that want the machine for themselves.
        """
        found: dict[int, Result] = {}
        for at, trial in enumerate(trials):
            if trial.world == ENGINE:
                found[at] = self.perform(trial)
                done(found[at])
        waiting = [at for at in range(len(trials)) if at not in found]
        waiting.sort(key=lambda at: -trials[at].scenario.lasts)
        alone = [[at] for at in waiting if trials[at].scenario.alone]
        for together in ([at for at in waiting if [at] not in alone], *alone):
            with closing(self._side_by_side([(at, trials[at]) for at in together])) as results:
                for at, result in results:
                    found[at] = result
                    done(result)
        return [found[at] for at in range(len(trials))]

    def _side_by_side(self, trials: Sequence[tuple[int, Trial]]) -> Generator[tuple[int, Result], None, None]:
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            try:  # from the first submit() on: Ctrl-C may come while the others are still handed over
                jobs = {pool.submit(self._unless_stopped, trial): at for at, trial in trials}
                for job in as_completed(jobs):
                    yield jobs[job], job.result()
            except BaseException:
                self._stopped = True
                pool.shutdown(wait=False, cancel_futures=True)
                for host in list(self._live):
                    host.interrupt()  # type: ignore[attr-defined]  # both kinds of host have it
                raise

    def _unless_stopped(self, trial: Trial) -> Result:
        if self._stopped:
            raise KeyboardInterrupt
        return self.perform(trial)
