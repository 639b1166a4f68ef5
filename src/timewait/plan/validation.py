"""`Trial`: a plan scaled down and run for real, and what the simulation foretold of that very run.

The range of ports shrinks to a few hundred and the rate with it, so ports fill up as fast as they would; nothing that
takes time is changed, since the kernel's minute cannot be.  What is foretold is the run itself: from an empty start,
equally long, looked at equally often, with other chances.  Where connects come at random the kernel's run is one draw
of many, so the interval is that of single runs, not of their mean, and wide enough for all numbers at once.
"""

import math
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from timewait.clock import MS, SECOND
from timewait.errors import UnavailableError, UsageError
from timewait.lab.host import InterruptedCallError
from timewait.lab.kernel import KernelHost
from timewait.plan import paths, simulation
from timewait.plan.budget import NONE, SECOND_HALF, Connects, Decided
from timewait.plan.demand import Binding
from timewait.plan.draws import Times
from timewait.plan.setting import Setting
from timewait.plan.workload import Workload
from timewait.system.load import OK, SLOW, Plan

PORTS: Final = 300
# Enough connects for a run to show something, where the range can be made wide enough for them.
_CONNECTS: Final = 200
# With fewer there is nothing to see.
_TOO_FEW: Final = 5
# What one process connects and closes a second, on a schedule, with room to spare.
MOST_RATE: Final = 2000.0
MOST_SECONDS: Final = 3600.0
_LOW: Final = 40000
_LAST: Final = 65535
_SERVER: Final = "127.0.0.2"
_CLIENT: Final = ("127.0.0.1",)
# Behind a NAT clients need ports for a minute each, and the NAT may have more than one of them has.
_BEHIND: Final = ("127.0.1.1", "127.0.1.2", "127.0.1.3", "127.0.1.4")
_NAT: Final = "127.0.0.9"
_PORT: Final = 80
_LOOKS: Final = 40
_SLICE: Final = SECOND // 4
# Runs that are simulated; of a steady pace only the timers are left to chance.
_RUNS: Final = 400
_STEADY_RUNS: Final = 20
TOLERANCE: Final = 0.05
# Six numbers are to be within their intervals in 95 % of all trials: each is in 1 - 0.05/6 (Bonferroni), half a side.
_TAIL: Final = 0.05 / 6 / 2
_COARSE: Final = 2
# The schedule was kept if of a hundred connects one was later than this share of the time that a port is out of use.
_LATE: Final = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """`scale`: ports here over ports of the plan; `seconds`: how long it runs; `seed`: of the run on the kernel.

    `clients`: of each of the setting's flows, whether its clients close first.  `nat`: the ports are a NAT's,
    and clients have enough of their own.  `differs`: what is run otherwise than the plan has it, in words.
    """

    setting: Setting
    clients: tuple[bool, ...]
    by_bind: bool
    timestamps: bool
    scale: float
    seconds: float
    seed: int
    parity: bool
    nat: bool
    differs: tuple[str, ...] = ()

    @property
    def steady(self) -> bool:
        """Whether connects come as a clock ticks, and last equally long."""
        return all(not flow.pace.random and flow.hold.kind == "constant" for flow in self.setting.flows)

    @property
    def low(self) -> int:
        """The first port of the range here, an even one, as Linux's own is."""
        return min(_LOW, (_LAST + 1 - self.setting.ports) & ~1)

    @property
    def sysctls(self) -> dict[str, str]:
        """What is set in the namespace, and nowhere else."""
        scene = self.setting
        flows = zip(self.clients, scene.flows, strict=True)
        taken_over = not self.nat and any(mine and scene.blocked_by(flow) < scene.wait for mine, flow in flows)
        own = f"{self.low} {self.low + scene.ports - 1}"
        return {
            "net.ipv4.ip_local_port_range": "1024 65535" if self.nat else own,
            "net.ipv4.tcp_timestamps": str(int(self.timestamps)),
            # Both ends are on loopback here; where the plan's are not, 2 would be more than they get.
            "net.ipv4.tcp_tw_reuse": str(int(taken_over)),
            **({"net.ipv4.tcp_tw_reuse_delay": str(round(self.setting.blocked * 1000))} if taken_over else {}),
        }


class Numbers(NamedTuple):
    """What one run came to.  `first_failure` is in seconds, infinite where there was none; rates are per second.

    `carried`: connects that worked a second; `sustained`: the same in the second half; `waiting`: TIME-WAIT, mean of
    the second half; `beyond_half`: the share of connects that found the first half of the ports in use.
    """

    carried: float
    sustained: float
    failing: float
    first_failure: float
    waiting: float
    beyond_half: float


class Row(NamedTuple):
    """One number, foretold and measured.  `low`, `high`: between these it has to be; `error`: relative to foretold."""

    name: str
    foretold: float
    low: float
    high: float
    measured: float

    @property
    def error(self) -> float:
        """Relative; 0 where both are the same, infinite where only one is a number."""
        if self.measured == self.foretold:
            return 0.0
        return (self.measured - self.foretold) / self.foretold if self.foretold else math.inf

    @property
    def holds(self) -> bool:
        """Whether what was measured is where it was foretold to be."""
        return self.low <= self.measured <= self.high


class Validated(NamedTuple):
    """How a trial ended.  `late`: seconds that one connect in a hundred came late; `kept`: the schedule was kept, so
    that the rows say something of the forecast; `strange`: connects that failed otherwise than for want of a port."""

    trial: Trial
    rows: tuple[Row, ...]
    late: float
    kept: bool
    strange: int
    kernel: str

    @property
    def holds(self) -> bool:
        """Whether every number is where it was foretold to be."""
        return all(row.holds for row in self.rows)


class Trials(NamedTuple):
    """Trials by the name of their set of ports; `left_out`: those sets that open hardly a connection meanwhile."""

    run: dict[str, Trial]
    left_out: tuple[str, ...]


def trial(
    scene: Setting,
    *,
    clients: tuple[bool, ...],
    by_bind: bool = False,
    timestamps: bool = True,
    nat: bool = False,
    ports: int | None = None,
    seconds: float | None = None,
    seed: int = 1,
    differs: tuple[str, ...] = (),
) -> Trial:
    """Scale a setting down to what this kernel can show.  Raises `UsageError` where it cannot."""
    if seconds is None:
        seconds = _long_enough(scene)
    if not 0 < seconds <= MOST_SECONDS:
        raise UsageError(f"a run of {seconds:g} s cannot be", f"up to {MOST_SECONDS:g} s")
    if ports is None:
        wanted = scene.ports * _CONNECTS / (scene.rate * seconds)
        ports = min(scene.ports, max(PORTS, math.ceil(wanted)))
    ports += ports % 2 if scene.second else 0
    scale = min(1.0, ports / scene.ports)
    if scene.rate * scale > MOST_RATE:
        ports = math.floor(scene.ports * MOST_RATE / scene.rate / 2) * 2
        scale = ports / scene.ports
        if ports < 2:
            raise UsageError(
                f"{scene.rate:,.0f} connects/s to {scene.ports:,} ports cannot be scaled down far enough",
                f"one process makes up to {MOST_RATE:,.0f} connects/s",
            )
    first = ports // 2 if scene.second else ports
    small = replace(scene.thinner(scale), first=first, second=ports - first)
    return Trial(
        setting=small,
        clients=clients,
        by_bind=by_bind,
        timestamps=timestamps,
        nat=nat,
        scale=scale,
        seconds=seconds,
        seed=seed,
        parity=bool(scene.second),
        differs=differs,
    )


def trials(workload: Workload, *, seconds: float | None = None, seed: int = 1) -> Trials:
    """Return a trial for each set of ports of a workload, by the name of it.

    A NAT is this kernel's, whatever the workload's does with ports that wait.  Of a rate that goes through a day the
    busiest part is run, and what opens hardly a connection is left out; both are said.  Raises `UsageError`
    for stacks that are not Linux, and for what is not run here.
    """
    found = {}
    left_out = []
    boxes = {box.name: box for box in workload.middleboxes}
    workload = replace(workload, middleboxes=tuple(replace(box, takes_over=True) for box in workload.middleboxes))
    for ports, scene in simulation.settings_of(workload, wheel=True):
        streams = [stream for stream in ports.streams if stream.rate]
        name = f"{ports.whose} -> {ports.towards or 'everywhere'}"
        source = None if ports.whose in boxes else workload.source(ports.whose)
        profile = None if source is None else paths.profile_of(source)
        if profile is not None and profile.name != "linux":
            raise UsageError(
                f"this kernel is Linux, and cannot show what {profile.name} does ({name})", "leave --validate out"
            )
        if source is not None and (source.socket_range or source.binding is Binding.EXPLICIT):
            raise UsageError(f"{name}: how its sockets choose ports is not run here", 'binding = "late" or "bind"')
        busiest = scene.busiest(seconds or _long_enough(scene))
        if busiest.rate * (seconds or _long_enough(busiest)) < _TOO_FEW:
            left_out.append(name)
            continue
        differs = []
        if busiest != scene:
            differs.append(f"the rate is the highest of its day, {busiest.rate / scene.rate:.3g} times the mean")
        if source is None and not boxes[ports.whose].takes_over:
            differs.append(
                "this kernel's NAT takes a port over that waits, the plan's does not (takes_over = false): "
                "the plan's needs more ports than are seen here"
            )
        found[name] = trial(
            busiest,
            clients=tuple(stream.by_client for stream in streams),
            by_bind=source is not None and source.binding is Binding.BIND,
            timestamps=profile is None or profile.timestamps,
            seconds=seconds,
            seed=seed,
            nat=source is None,
            differs=tuple(differs),
        )
    if not found:
        raise UsageError(
            "so few connections are opened that nothing would be seen on this kernel",
            "a longer run: --validate-for 10min",
        )
    return Trials(found, tuple(left_out))


def _long_enough(scene: Setting) -> float:
    """Return how long it takes until ports have come back some times; of the kernel's minute, until they begin to."""
    if any(scene.blocked_by(flow) >= scene.wait for flow in scene.flows):
        return 72.0
    return min(60.0, max(20.0, 5 * scene.busy))


def validate(what: Trial, tell: Callable[[float], None] = lambda _: None) -> Validated:
    """Run a trial on this kernel, in a namespace that is gone afterwards; `tell` hears how many seconds are done.

    Raises `UnavailableError` where namespaces or settings are not to be had.
    """
    run = _schedule(what)
    pool = (_NAT, what.low, what.low + what.setting.ports - 1) if what.nat else None
    sources = _BEHIND if what.nat else _CLIENT
    plan = Plan(sources, ((_SERVER, _PORT),), what.by_bind, _looks(what), pool)
    with KernelHost() as host:
        for name, value in what.sysctls.items():
            host.set_sysctl(name, value)
            if host.sysctl(name) is None:
                raise UnavailableError(f"this kernel has no {name}", "the plan needs it: leave tw_reuse out")
        host.load(plan, run.times.tobytes(), (run.closes - run.times).tobytes(), _clients(what, run))
        end = round(what.seconds * SECOND)
        for upto in range(_SLICE, end + _SLICE, _SLICE):
            host.load_run(min(upto, end))
            tell(min(upto, end) / SECOND)
        recorded = host.load_recorded()
        kernel = host.circumstances()["kernel"]
    errors = np.frombuffer(recorded.errors, np.int16)
    ports = np.frombuffer(recorded.ports, np.uint16).astype(np.int64)
    count = len(errors)
    odd = (ports - what.low) % 2 == 1
    half = np.where(errors != OK, NONE, np.where(odd & what.parity, SECOND_HALF, 0))
    waiting = [row[1] for row in recorded.looks]
    measured = _numbers(what, run.times[:count], half.astype(np.uint8), waiting)
    late = float(np.quantile(np.frombuffer(recorded.late, np.int64), 0.99)) / SECOND
    strange = int(np.count_nonzero(errors == SLOW))
    allowed = _LATE * max(what.setting.busy, 10 * MS / SECOND)
    kept = late <= allowed and count == len(run.times)
    return Validated(what, foretell(what, measured), late, kept, strange, kernel)


def validate_all(
    found: dict[str, Trial], tell: Callable[[float], None] = lambda _: None
) -> Iterator[tuple[str, Validated]]:
    """Run trials side by side, each in a namespace of its own, and yield them in order; see `validate`.

    `tell` hears how many seconds are done of the longest.
    """
    done = dict.fromkeys(found, 0.0)
    stopped = threading.Event()

    def one(name: str) -> Validated:
        def progress(seconds: float) -> None:
            if stopped.is_set():
                raise InterruptedCallError
            done[name] = seconds

        return validate(found[name], progress)

    with ThreadPoolExecutor(max(1, len(found))) as pool:
        futures = {name: pool.submit(one, name) for name in found}
        try:
            while wait(futures.values(), timeout=_SLICE / SECOND).not_done:
                tell(max(done.values()))
        except BaseException:
            stopped.set()
            raise
    for name, future in futures.items():
        yield name, future.result()


def foretell(what: Trial, measured: Numbers) -> tuple[Row, ...]:
    """Return each number beside what simulated runs of the same trial came to."""
    runs = _STEADY_RUNS if what.steady else _RUNS
    # Seeds of their own: the kernel's run must not foretell itself.
    found = np.array([_simulated(what, what.seed + 1 + number) for number in range(runs)])
    count = what.setting.rate * what.seconds
    rows = []
    for name, column, value in zip(Numbers._fields, found.T, measured, strict=True):
        if (name == "beyond_half" and not what.parity) or (name == "waiting" and what.nat):
            continue
        mean = float(np.mean(column)) if np.isfinite(column).all() else float(np.median(column))
        if what.steady:
            # Connects are counted in whole ones, so small shares and rates are as coarse as that.
            one = {"carried": 1 / what.seconds, "sustained": 2 / what.seconds}.get(name, 1 / count if count else 0.0)
            whole = _COARSE * one if name != "first_failure" else 0.0
            room = max(TOLERANCE * abs(mean), whole) if math.isfinite(mean) else 0.0
            low, high = max(0.0, min(mean - room, float(column.min()))), max(mean + room, float(column.max()))
        else:
            ordered = np.sort(column)
            low, high = float(ordered[int(_TAIL * runs)]), float(ordered[math.ceil((1 - _TAIL) * runs) - 1])
        rows.append(Row(name, mean, low, high, value))
    return tuple(rows)


def _schedule(what: Trial) -> Connects:
    """Return the connects of the kernel's run."""
    parts = []
    end = round(what.seconds * SECOND)
    # Ten standard deviations more than come at the highest rate.
    most = what.seconds * what.setting.highest
    for run in what.setting.draw(what.seed, math.ceil(most + 10 * math.sqrt(most) + 10)):
        count = int(np.searchsorted(run.times, end))
        parts.append(run.part(0, count))
        if count < len(run.times):
            break
    columns = zip(*parts, strict=True)
    times, closes, frees, ends, steps, starts = (np.concatenate(column) for column in columns)
    return Connects(times, closes, frees, ends, steps, starts)


def _clients(what: Trial, run: Connects) -> bytes:
    """Return an octet for each connect: whether its client closes first, so that its port is blocked after that."""
    if len(set(what.clients)) == 1:
        return bytes([what.clients[0]]) * len(run.times)
    return (run.frees - run.closes > MS).astype(np.uint8).tobytes()


def _looks(what: Trial) -> tuple[int, ...]:
    return tuple(round(what.seconds * SECOND * (number + 1) / (_LOOKS + 1)) for number in range(_LOOKS))


def _simulated(what: Trial, seed: int) -> Numbers:
    run = _schedule(replace(what, seed=seed))
    # Hundreds of short runs: worth the compiler's while, where there is one.
    ports = simulation.budget(what.setting, simulation.compiler())
    decided: list[Decided] = []
    waiting = []
    begin = 0
    for look in _looks(what):
        end = int(np.searchsorted(run.times, look))
        decided.append(ports.decide(run.part(begin, end)))
        waiting.append(ports.look(look).waiting)
        begin = end
    decided.append(ports.decide(run.part(begin, len(run.times))))
    return _numbers(what, run.times, np.concatenate([each.half for each in decided]), waiting)


def _numbers(what: Trial, times: Times, half: NDArray[np.uint8], waiting: list[int]) -> Numbers:
    failed = half == NONE
    later = times >= what.seconds * SECOND / 2
    first = np.flatnonzero(failed)
    return Numbers(
        carried=float(np.count_nonzero(~failed)) / what.seconds,
        sustained=float(np.count_nonzero(~failed & later)) / (what.seconds / 2),
        failing=float(failed.mean()) if len(failed) else 0.0,
        first_failure=float(times[first[0]]) / SECOND if len(first) else math.inf,
        waiting=float(np.mean(waiting[_LOOKS // 2 :])),
        beyond_half=float((half >= SECOND_HALF).mean()) if len(half) else 0.0,
    )
