"""`Snapshot`: one look at a network namespace, as a value.  `snapshot_file` saves it and hides its names."""

from typing import NamedTuple, TypeAlias

from timewait.system.census import NO_TIMER, NOT_HELD

Cells: TypeAlias = tuple[tuple[int, int], ...]  # (time left in units of 256 ms, how many), the shortest first


class Population(NamedTuple):
    """Sockets alike in state, role, ends and kind of port.

    `address`, `port`: the destination, the end that was connected to.  `local`: a client's own address, "" for a
    server.  `in_pool`: the client's port is of the ephemeral range and not reserved.  `cells`: how many by time left,
    in units of 256 ms, the shortest first; empty for full sockets.  `not_held`: full sockets without a process.
    `late`: the port is of the half of the range that connect() tries last.
    """

    state: str
    role: str
    local: str
    address: str
    port: int
    in_pool: bool
    sockets: int
    not_held: int
    cells: Cells
    late: bool = False


class Listening(NamedTuple):
    """A listening socket."""

    address: str
    port: int
    v6_only: bool


class Crowd(NamedTuple):
    """Client sockets of one local address towards several destinations, and how many different ports they have."""

    local: str
    sockets: int
    ports: int


class Bound(NamedTuple):
    """Ephemeral ports that bind() owns for certain: connect() passes them over, whatever the destination.

    Held by sockets towards one destination; by bound sockets that are not connected where that is "", "" and 0.
    """

    local: str
    address: str
    port: int
    ports: tuple[int, ...]


class Unclear(NamedTuple):
    """How many ephemeral ports bind() or connect() may have chosen: nothing tells.

    Held towards one destination alone; where several hold the same ports that is "", "" and 0.
    """

    local: str
    address: str
    port: int
    ports: int


class OwnRange(NamedTuple):
    """A range of ports that live sockets towards a destination have of their own, and how many of it are in use there.

    IP_LOCAL_PORT_RANGE, Linux 6.3.
    """

    address: str
    port: int
    low: int
    high: int
    used: int


class Owner(NamedTuple):
    """A process with live sockets to one destination, or of one service here (`local` is "" then).

    With "", "" and 0: one whose sockets own ports through bind(), see `Bound`.
    """

    local: str
    address: str
    port: int
    pid: int
    command: str
    cgroup: str
    sockets: int
    files: int  # open descriptors
    most_files: int  # RLIMIT_NOFILE; 0 where it could not be read


class Restart(NamedTuple):
    """A service whose port is held by sockets in TIME-WAIT.

    `running`: somebody listens there.  `reuse`: whether the listener has SO_REUSEADDR or SO_REUSEPORT; None where it is
    gone or may not be asked.  `left_ms`: the longest time left among them.
    """

    address: str
    port: int
    running: bool
    reuse: bool | None
    sockets: int
    left_ms: int


class Closer(NamedTuple):
    """A process that closed connections while that was traced: `first` before the other end, `second` after it.

    `role`, `local`, `address`, `port` as in `Population`.
    """

    role: str
    local: str
    address: str
    port: int
    pid: int
    command: str
    cgroup: str
    first: int
    second: int


class Trace(NamedTuple):
    """Every close in this namespace within so many seconds, by who made it; the busiest first."""

    seconds: float
    closers: tuple[Closer, ...]
    elsewhere: int  # closes in other namespaces
    unplaced: int  # closes of which no process or no namespace could be told
    lost: int  # records that found no room in the kernel's buffer


class Snapshot(NamedTuple):
    """One look at one network namespace."""

    taken_ns: int  # since the epoch, when the dump of TIME-WAIT began
    span_ms: int  # how long it took; a time left may be younger by so much
    uptime_s: float
    kernel: str
    hz: int  # of the kernel's timer; 0 where it does not tell
    namespace: str  # as asked for; "" is the caller's own
    populations: tuple[Population, ...]
    listeners: tuple[Listening, ...]
    counters: dict[str, int]
    sysctls: dict[str, str]
    owners: tuple[Owner, ...] = ()
    crowds: tuple[Crowd, ...] = ()  # counted only where a local address is near the size of the pool
    restarts: tuple[Restart, ...] = ()  # where TIME-WAIT stands on a service's port
    absent: tuple[str, ...] = ()  # local addresses in use that the host no longer has
    interval_s: float = 0.0  # between two readings of the counters; 0 for one reading
    moved: dict[str, int] = {}  # noqa: RUF012 - never changed; what the counters did in that time
    missing: tuple[str, ...] = ()  # what could not be read, and why
    recycle_in: tuple[str, ...] = ()  # files for the machine's start that set tcp_tw_recycle, on a kernel without it
    trace: Trace | None = None  # None where none was asked for
    bound: tuple[Bound, ...] = ()
    unclear: tuple[Unclear, ...] | None = None  # None where nobody looked
    ranges: tuple[OwnRange, ...] = ()  # asked for only where the ports in use look like it

    def number(self, name: str) -> int | None:
        """Return a sysctl that is one whole number; None where the host has none or it is something else."""
        try:
            return int(self.sysctls[name])
        except (KeyError, ValueError):
            return None

    def counter(self, name: str) -> int:
        """Return a counter; 0 where it never moved."""
        return self.counters.get(name, 0)


def split(lefts: dict[int, int]) -> tuple[int, int, Cells]:
    """Return (count, not held, cells) of a census's counts by time left."""
    cells = sorted(lefts.items())
    while cells and cells[0][0] in (NO_TIMER, NOT_HELD):  # both below any time
        del cells[0]
    return sum(lefts.values()), lefts.get(NOT_HELD, 0), tuple(cells)
