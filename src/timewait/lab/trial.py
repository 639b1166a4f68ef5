"""A scenario put to one world: `Trial` is what is asked, `Result` what was seen there.

Kernel trials run side by side, each with namespaces and an agent process of its own.  A trial that breaks is a result
that says so; the others go on.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from types import MappingProxyType
from typing import Any, BinaryIO, Final, NamedTuple

from timewait.clock import Duration
from timewait.errors import TimewaitError
from timewait.lab.engine import EngineHost
from timewait.lab.host import Host
from timewait.lab.kernel import KernelHost
from timewait.lab.scenario import ENGINE, LINUX, Observation, Scenario, Settings, Stage

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

    @property
    def stack(self) -> str:
        """What documents call the stack that answers: the profile's name; the running kernel is Linux."""
        return self.profile if self.world == ENGINE else LINUX

    def host(self, *, traced: bool = False) -> Any:
        """Return a host of this world."""
        return EngineHost.alone(self.profile, self.seed, traced=traced) if self.world == ENGINE else KernelHost()


class Result(NamedTuple):
    """What a trial showed.  `error`: why it could not be carried through."""

    trial: Trial
    circumstances: dict[str, str]
    observations: tuple[Observation, ...]
    error: Exception | None
    took: Duration
    sysctls: Mapping[str, str] = MappingProxyType({})
    """Those that matter here, of the first host before the scenario changed any."""

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


class Trials:
    """Trials under way."""

    def __init__(self, capture: BinaryIO | None = None) -> None:
        """`capture`: where the segments of engine trials are written, as pcapng, a section a host."""
        self._capture = capture
        self._live: set[Host] = set()
        self._stopped = False

    def perform(self, trial: Trial) -> Result:
        """Run one trial."""
        began = time.monotonic_ns()
        circumstances: dict[str, str] = {}
        observations: tuple[Observation, ...] = ()
        sysctls: dict[str, str] = {}
        error: Exception | None = None
        try:
            with ExitStack() as ends:
                hosts = []
                for _ in range(trial.scenario.hosts):
                    host = ends.enter_context(trial.host(traced=self._capture is not None))
                    hosts.append(host)
                    self._live.add(host)
                    ends.callback(self._live.discard, host)
                    if self._stopped:  # it was not there yet to be interrupted with the others
                        raise KeyboardInterrupt
                circumstances = hosts[0].circumstances()
                sysctls = {name: " ".join(value.split()) for name in SETTINGS if (value := hosts[0].sysctl(name))}
                observations = tuple(trial.scenario.run(Stage(hosts), trial.settings))
                if self._capture is not None:
                    for host in hosts:
                        host.network.trace.write(self._capture)
        except Exception as caught:  # whatever a scenario does wrong is its own result, not the end of the others
            error = caught
        return Result(trial, circumstances, observations, error, time.monotonic_ns() - began, sysctls)

    def perform_all(self, trials: Sequence[Trial], done: Callable[[Result], None] = lambda _: None) -> list[Result]:
        """Run them all and return their results in order; `done` hears of each that ends.

        The engine's one after the other, as they only compute; then the kernel's side by side, the longest first.
        """
        found: dict[int, Result] = {}
        for at, trial in enumerate(trials):
            if trial.world == ENGINE:
                found[at] = self.perform(trial)
                done(found[at])
        waiting = [at for at in range(len(trials)) if at not in found]
        waiting.sort(key=lambda at: -trials[at].scenario.lasts)
        for at, result in self._side_by_side([(at, trials[at]) for at in waiting]):
            found[at] = result
            done(result)
        return [found[at] for at in range(len(trials))]

    def _side_by_side(self, trials: Sequence[tuple[int, Trial]]) -> Iterator[tuple[int, Result]]:
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            jobs = {pool.submit(self._unless_stopped, trial): at for at, trial in trials}
            try:
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
