"""`Budget`: the ports that this host may use from one local address towards one remote address and port.

net/ipv4/inet_hashtables.c, __inet_hash_connect: the ephemeral range, less reserved ports, less ports that a listener or
another explicit bind() owns (a bucket with fastreuse >= 0 is passed over whatever the destination).
"""

from collections.abc import Iterable
from typing import NamedTuple

from timewait.endpoint import written
from timewait.host.limits import LIFE_MS, Limits, timing
from timewait.host.snapshot import Cells, Listening, Population, Snapshot
from timewait.system.census import CELL_MS

_NOW_CELL = (LIFE_MS - 2000) // CELL_MS
# RFC 9293 3.3.2, figure 5: the states on either way out.  CLOSING is both ways at once.
_CLOSED_HERE = frozenset({"FIN-WAIT-1", "FIN-WAIT-2", "CLOSING", "TIME-WAIT"})
_CLOSED_THERE = frozenset({"CLOSE-WAIT", "LAST-ACK"})
NOBODY = ("", "", 0)  # where a destination would stand
DEFAULT_RANGE = (32768, 60999)  # net/ipv4/af_inet.c, inet_init_net


class Pool(NamedTuple):
    """The ephemeral ports of a namespace: what the range holds, and what is taken out of it."""

    low: int
    high: int
    reserved: int  # of the range, net.ipv4.ip_local_reserved_ports
    listening: tuple[int, ...]  # ports of the range that a listener owns, reserved ones left out

    @property
    def size(self) -> int:
        """How many ports one destination may use."""
        return max(0, self.high - self.low + 1 - self.reserved - len(self.listening))


def pool_of(sysctls: dict[str, str], listeners: Iterable[Listening]) -> Pool:
    """Return the namespace's pool of ephemeral ports."""
    low, high = _range(sysctls.get("net.ipv4.ip_local_port_range", ""))
    reserved = {port for port in read_ports(sysctls.get("net.ipv4.ip_local_reserved_ports", "")) if low <= port <= high}
    owned = {row.port for row in listeners if low <= row.port <= high} - reserved
    return Pool(low, high, len(reserved), tuple(sorted(owned)))


def ports_of(sysctls: dict[str, str]) -> set[int]:
    """Return the ports that connect() may choose, those of listeners included."""
    low, high = _range(sysctls.get("net.ipv4.ip_local_port_range", ""))
    return set(range(low, high + 1)) - read_ports(sysctls.get("net.ipv4.ip_local_reserved_ports", ""))


def late_ports(sysctls: dict[str, str]) -> set[int]:
    """Return the ports of the pool that connect() tries only when all others are taken; bind() to port 0 begins there.

    net/ipv4/inet_hashtables.c, __inet_hash_connect: those of the other parity than the lower bound's;
    net/ipv4/inet_connection_sock.c, inet_csk_find_open_port: the other way round.  None where the kernel goes by
    another step (ip_local_port_step_width).
    """
    if sysctls.get("net.ipv4.ip_local_port_step_width", "0") != "0":
        return set()
    low, high = _range(sysctls.get("net.ipv4.ip_local_port_range", ""))
    return set(range(low + 1, high + 1, 2)) - read_ports(sysctls.get("net.ipv4.ip_local_reserved_ports", ""))


def _range(text: str) -> tuple[int, int]:
    low, _, high = text.strip().partition(" ")
    return (int(low), int(high)) if _is_port(low) and _is_port(high) else DEFAULT_RANGE


def read_ports(text: str) -> set[int]:
    """Read a list of ports such as `8080,9000-9010`: proc_do_large_bitmap, kernel/sysctl.c."""
    found: set[int] = set()
    for part in filter(None, text.strip().split(",")):
        first, _, last = part.partition("-")
        if _is_port(first) and _is_port(last or first):
            found.update(range(int(first), int(last or first) + 1))
    return found


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 5 and int(text) <= 65535


class Budget(NamedTuple):
    """One destination's budget and what uses it."""

    local: str
    address: str
    port: int
    size: int
    by_state: dict[str, int]  # ports in use, by the state that holds them
    orphans: int  # of those, full sockets that no process holds
    cells: Cells  # TIME-WAIT and orphaned FIN-WAIT-2 records by time left, 256 ms each
    waits: Cells  # of those, true TIME-WAIT
    reuse_after_ms: int | None  # a TIME-WAIT this old may be taken over by connect(); None: never
    used: int  # ports in use, whatever the state
    reusable: int  # of those, what connect() may take over now, the peer having used timestamps
    late: int  # of the used ones, those that connect() tries last
    late_now: int  # of those, what went into TIME-WAIT within the last two seconds
    hz: int  # of the kernel's timer, which tells how much longer than 60 s a wait lasts; 0 where unknown
    blocked: int = 0  # ports that `size` lacks, as bind() owns them and no socket to this destination holds them
    unclear: int | None = 0  # ports held towards others that bind() may own; None where nobody looked

    @property
    def name(self) -> str:
        """Local address and destination."""
        return f"{self.local} -> {written(self.address, self.port)}"

    @property
    def closes_first(self) -> str:
        """Return who does, as far as the sockets of now tell: "this host", "the other end", "both", or ""."""
        ours = bool(_CLOSED_HERE.intersection(self.by_state))
        theirs = bool(_CLOSED_THERE.intersection(self.by_state))
        return "both" if ours and theirs else "this host" if ours else "the other end" if theirs else ""

    @property
    def headroom(self) -> int:
        """Ports that a new connection may still use, at most."""
        return max(0, self.size - self.used) + self.reusable

    @property
    def headroom_least(self) -> int | None:
        """The same, should bind() own every port of which nothing tells; None where nobody looked."""
        if self.unclear is None:
            return None
        return max(0, self.size - self.used - self.unclear) + self.reusable

    @property
    def share(self) -> float:
        """Part of the budget that is not free, from 0 to 1."""
        return min(1.0, (self.used - self.reusable) / self.size) if self.size else 1.0

    @property
    def sustains(self) -> float:
        """Connects a second that this destination carries for ever, if each leaves a TIME-WAIT here."""
        return self.size / self.wait_s

    @property
    def wait_s(self) -> float:
        """How long a port is gone after a close, the mean."""
        return timing(self.hz).life_s if self.reuse_after_ms is None else self.reuse_after_ms / 1000

    @property
    def next_free_ms(self) -> tuple[int, int] | None:
        """The least and the most time until the next port comes back by itself; None where none is waiting."""
        if not self.cells:
            return None
        left = self.cells[0][0] * CELL_MS
        return left, left + CELL_MS + timing(self.hz).late_most_ms


def took_last_first(budget: Budget, limits: Limits) -> bool:
    """Return whether ports that connect() tries last are in use while many of the others are free.

    Then something else chose them: bind(), or a range of the sockets' own, which goes by no parity (Linux 6.8).
    """
    return budget.late >= limits.explicit_now and budget.used - budget.late <= limits.explicit_first * budget.size


class Taken:
    """What bind() takes from every destination: ports that it owns for certain, and ports that it may own."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.pool = pool_of(snapshot.sysctls, snapshot.listeners)
        self._bound: dict[tuple[str, str, int], set[int]] = {}
        usable = ports_of(snapshot.sysctls).difference(self.pool.listening) if snapshot.bound else set()
        for row in snapshot.bound:
            self._bound.setdefault(row[:3], set()).update(usable.intersection(row.ports))
        self.ports: set[int] = set().union(*self._bound.values())
        self.idle = len(self._bound.get(NOBODY, ()))  # bound and not connected
        self._unclear: dict[tuple[str, str, int], int] | None = None
        if snapshot.unclear is not None:
            self._unclear = {row[:3]: row.ports for row in snapshot.unclear}
        self._all_unclear = sum((self._unclear or {}).values())

    def blocked(self, at: tuple[str, str, int] | None) -> int:
        """Return how many ports a destination lacks for certain; None is one that nobody goes to yet."""
        return len(self.ports) - (len(self._bound.get(at, ())) if at else 0)

    def size(self, at: tuple[str, str, int] | None) -> int:
        """Return how many ports a destination may use, those included that it uses already."""
        return max(0, self.pool.size - self.blocked(at))

    def unclear(self, at: tuple[str, str, int] | None) -> int | None:
        """Return how many more it may lack; None where nobody looked."""
        if self._unclear is None:
            return None
        return self._all_unclear - (self._unclear.get(at, 0) if at else 0)


def budgets(snapshot: Snapshot) -> list[Budget]:
    """Return the budget of every destination that clients here use, the fullest first."""
    taken = Taken(snapshot)
    rows: dict[tuple[str, str, int], list[Population]] = {}
    for row in snapshot.populations:
        if row.role == "client" and row.in_pool and row.state != "LISTEN":
            rows.setdefault((row.local, row.address, row.port), []).append(row)
    found = [
        _budget(at, taken.size(at), own, reuse_delay(snapshot, at[0], at[1]), snapshot.hz)._replace(
            blocked=taken.blocked(at), unclear=taken.unclear(at)
        )
        for at, own in rows.items()
    ]
    return sorted(found, key=lambda budget: (-budget.share, -budget.used, budget.name))


def _budget(at: tuple[str, str, int], size: int, rows: list[Population], reuse_after_ms: int | None, hz: int) -> Budget:
    by_state: dict[str, int] = {}
    for row in rows:
        by_state[row.state] = by_state.get(row.state, 0) + row.sockets
    waits = merged(row for row in rows if row.state == "TIME-WAIT")
    timed = waits if all(row.state == "TIME-WAIT" for row in rows if row.cells) else merged(rows)
    orphans = sum(row.not_held for row in rows)
    late = [row for row in rows if row.late]
    now = sum(count for row in late if row.state == "TIME-WAIT" for cell, count in row.cells if cell >= _NOW_CELL)
    found = budget(at, size, by_state, orphans, timed, waits, reuse_after_ms, hz)
    return found._replace(late=sum(row.sockets for row in late), late_now=now)


def merged(rows: Iterable[Population]) -> Cells:
    """Return the times left of several populations together."""
    timed = [row.cells for row in rows if row.cells]
    if len(timed) == 1:
        return timed[0]
    found: dict[int, int] = {}
    for cells in timed:
        for cell, count in cells:
            found[cell] = found.get(cell, 0) + count
    return tuple(sorted(found.items()))


def budget(
    at: tuple[str, str, int],
    size: int,
    by_state: dict[str, int],
    orphans: int = 0,
    cells: Cells = (),
    waits: Cells = (),
    reuse_after_ms: int | None = None,
    hz: int = 0,
) -> Budget:
    """Return a budget with its sums."""
    reusable = 0
    if reuse_after_ms is not None:
        oldest = LIFE_MS - reuse_after_ms
        reusable = sum([count for cell, count in waits if (cell + 1) * CELL_MS <= oldest])
    return Budget(
        *at, size, by_state, orphans, cells, waits, reuse_after_ms, sum(by_state.values()), reusable, 0, 0, hz
    )


def reuse_delay(snapshot: Snapshot, local: str, remote: str) -> int | None:
    """Return after how many ms connect() may take over a TIME-WAIT between these addresses; None: never.

    net/ipv4/tcp_ipv4.c, tcp_twsk_unique: tcp_tw_reuse = 2 for loopback alone; timestamps are needed.  Before 6.14 the
    delay was one to two whole seconds.
    """
    mode = snapshot.number("net.ipv4.tcp_tw_reuse")
    if not mode or snapshot.number("net.ipv4.tcp_timestamps") == 0:
        return None
    if mode == 2 and not (_is_loopback(local) or _is_loopback(remote)):
        return None
    delay = snapshot.number("net.ipv4.tcp_tw_reuse_delay")
    return 2000 if delay is None else delay


def _is_loopback(address: str) -> bool:
    return address == "::1" or address.startswith("127.")
