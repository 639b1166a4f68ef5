"""Takes a `Snapshot` of this process's network namespace, through `system`.  Reads only.

The socket table is dumped twice, TIME-WAIT apart from the rest: records of one length and kind are counted several
times faster, and a dump that the kernel filters costs a third of one that it writes.
"""

import _socket as socket
import math
import os
import time

from timewait.endpoint import Endpoint
from timewait.errors import TimewaitError
from timewait.host import bound
from timewait.host.budget import NOBODY, Budget, Pool, budgets, late_ports, pool_of, ports_of, took_last_first
from timewait.host.history import may_fill
from timewait.host.limits import Limits
from timewait.host.restarts import restarts
from timewait.host.snapshot import Crowd, Listening, Owner, OwnRange, Population, Snapshot, split
from timewait.system import census, counters, machine, owners, sysctl
from timewait.system.netlink import DumpState
from timewait.system.sock_diag import ALL_STATES, LISTEN, STATES, TIME_WAIT, address_text, state_mask
from timewait.system.socket_table import stream

TYPE_CHECKING = False
if TYPE_CHECKING:
    from timewait.system.census import Kind

SYSCTLS = (
    *("net.ipv4.ip_local_port_range", "net.ipv4.ip_local_reserved_ports", "net.ipv4.tcp_tw_reuse"),
    *("net.ipv4.tcp_tw_reuse_delay", "net.ipv4.tcp_tw_recycle", "net.ipv4.tcp_timestamps", "net.ipv4.tcp_rfc1337"),
    *("net.ipv4.tcp_fin_timeout", "net.ipv4.tcp_max_tw_buckets", "net.ipv4.tcp_max_orphans"),
    *("net.ipv4.ip_local_port_step_width", "net.ipv4.ip_autobind_reuse"),
    *("net.ipv4.tcp_invalid_ratelimit", "net.ipv4.tcp_ehash_entries"),
    *("net.netfilter.nf_conntrack_count", "net.netfilter.nf_conntrack_max", "net.netfilter.nf_conntrack_buckets"),
    *(f"net.netfilter.nf_conntrack_tcp_timeout_{state}" for state in ("time_wait", "fin_wait", "close_wait")),
    "net.netfilter.nf_conntrack_tcp_timeout_established",
    "fs.file-nr",
)
_RECYCLE = "net.ipv4.tcp_tw_recycle"
_COUNTERS = ("Tcp.", "TcpExt.", "sockstat.TCP.", "sockstat6.TCP6.")
# Above so many the last of them is not looked up: /proc is read once, but the socket table for each.
_MOST_OWNED = 10
# Sockets towards one destination that are asked for a range of their own.
_MOST_ASKED = 200
# Rows are made of no more sockets than that: some 3 us each.
_MOST_LISTED = 200_000
_ALWAYS_LISTED = 20_000
# Counting in detail costs the standard library twice what a plain count does, so numpy pays earlier.
_NUMPY_PAYS_FROM = census.NUMPY_PAYS_FROM // 2


def take(namespace: str = "", *, interval_s: float = 0.0, limits: Limits | None = None) -> Snapshot:
    """Look at this process's network namespace once; `namespace` is what the caller calls it.

    `interval_s`: read the counters again after so long.  What this user may not read is listed in `missing`.
    """
    missing: list[str] = []
    before = _counters()
    began = time.monotonic()
    values = _sysctls(missing)
    listening = census.listeners()
    pool, late = ports_of(values), late_ports(values)
    many = before.get("sockstat.TCP.tw", 0) >= _NUMPY_PAYS_FROM
    rest = ALL_STATES & ~state_mask(LISTEN, TIME_WAIT)
    kinds = census.take(rest, pool=pool, late=late, listening=listening).in_detail()
    taken, dump_began = time.time_ns(), time.monotonic()
    waiting = census.take(state_mask(TIME_WAIT), pool=pool, late=late, listening=listening, many=many)
    span = time.monotonic() - dump_began
    kinds.update(waiting.in_detail())
    moved: dict[str, int] = {}
    after = before
    if interval_s > 0:
        time.sleep(max(0.0, interval_s - (time.monotonic() - began)))
        after = _counters()
        moved = counters.moved(before, after)
    looked = Snapshot(
        taken_ns=taken,
        span_ms=math.ceil(span * 1000),
        uptime_s=machine.uptime(),
        kernel=os.uname().release,
        hz=machine.timer_hz(),
        namespace=namespace,
        populations=tuple(_population(kind, lefts) for kind, lefts in kinds.items()),
        listeners=tuple(Listening(address_text(family, own), port, v6) for family, own, port, v6 in listening),
        counters={name: value for name, value in after.items() if value},
        sysctls=values,
        interval_s=time.monotonic() - began if interval_s > 0 else 0.0,
        moved=moved,
        recycle_in=() if namespace or _RECYCLE in values else tuple(sysctl.files_that_set(_RECYCLE)),
    )
    looked = looked._replace(restarts=restarts(looked, limits or Limits(), missing))
    looked, binding = _with_bound(looked, budgets(looked), limits or Limits(), missing)
    looked = _with_ranges(looked, budgets(looked), limits or Limits())
    return _with_owners(looked, budgets(looked), binding, limits or Limits(), missing)


def _counters() -> dict[str, int]:
    return {name: value for name, value in counters.counters().items() if name.startswith(_COUNTERS)}


def _sysctls(missing: list[str]) -> dict[str, str]:
    found = {}
    for name in SYSCTLS:
        try:
            value = sysctl.read(name)
        except TimewaitError as error:
            missing.append(error.what)
            continue
        if value is not None:
            found[name] = " ".join(value.split())
    return found


def _population(kind: "Kind", lefts: dict[int, int]) -> Population:
    state, family, address, port, role, local, half = kind
    own = address_text(socket.AF_INET6, local) if local else ""
    where = (address_text(family, address), port, half != census.OUTSIDE)
    return Population(STATES[state], role, own, *where, *split(lefts), late=half == census.LATE)


def _with_bound(
    snapshot: Snapshot, every: list[Budget], limits: Limits, missing: list[str]
) -> tuple[Snapshot, set[int]]:
    """Tell ports that bind() owns from those that connect() chose; return the inodes of what owns them as well.

    A large table is only looked through where that may matter.
    """
    sockets = sum(row.sockets for row in snapshot.populations)
    pressed = any(_pressed(budget, limits) for budget in every)
    if sockets > _MOST_LISTED and not pressed:
        return snapshot, set()
    pool = pool_of(snapshot.sysctls, snapshot.listeners)
    usable = ports_of(snapshot.sysctls).difference(pool.listening)
    owned, inodes = bound.owned(usable)
    snapshot = snapshot._replace(bound=owned)
    if sockets > _MOST_LISTED:
        missing.append(f"who chose the ports that connections hold: not looked at above {_MOST_LISTED:,} sockets")
        return snapshot, inodes
    if sockets > _ALWAYS_LISTED and sum(budget.used for budget in every) < limits.ports_step * pool.size:
        return snapshot, inodes
    clients = bound.held(usable)
    known = {port for row in owned for port in row.ports}
    share = snapshot.number("net.ipv4.ip_autobind_reuse") == 1
    return snapshot._replace(
        unclear=bound.unclear(clients, known, binds_share=share), crowds=_crowds(clients, pool.size, limits)
    ), inodes


def _crowds(clients: list[bound.Held], size: int, limits: Limits) -> tuple[Crowd, ...]:
    """Count different ports where the clients of one address, all destinations together, come near the pool's size.

    Ports that bind() chose are all different; ports that connect() chose are shared among destinations.
    """
    ports: dict[str, list[int]] = {}
    towards: dict[str, set[tuple[str, str, int]]] = {}
    for at, port, _ in clients:
        ports.setdefault(at[0], []).append(port)
        towards.setdefault(at[0], set()).add(at)
    return tuple(
        Crowd(local, len(own), len(set(own)))
        for local, own in sorted(ports.items())
        if len(towards[local]) > 1 and limits.ports_step <= len(own) / max(1, size) <= 1
    )


def _with_ranges(snapshot: Snapshot, every: list[Budget], limits: Limits) -> Snapshot:
    """Ask live sockets for ranges of their own where ports run short, or where connect() would have taken others."""
    asked = dict.fromkeys(
        Endpoint(budget.address, budget.port)
        for budget in every
        if _pressed(budget, limits) or took_last_first(budget, limits)
    )
    found = [
        OwnRange(*to, low, high, used)
        for to, narrowed in own_ranges(*list(asked)[:_MOST_OWNED]).items()
        for (low, high), used in narrowed.items()
    ]
    return snapshot._replace(ranges=tuple(found))


def _pressed(budget: Budget, limits: Limits) -> bool:
    return budget.share >= limits.ports_step or may_fill(budget, limits.full_within_s)


def _with_owners(
    snapshot: Snapshot, every: list[Budget], binding: set[int], limits: Limits, missing: list[str]
) -> Snapshot:
    """Look up who holds sockets to the destinations, or of the services, in trouble, and only of those."""
    pressed = [budget for budget in every if _pressed(budget, limits)][:_MOST_OWNED]
    ranged = {row[:2] for row in snapshot.ranges}
    narrowed = [budget for budget in every if budget[1:3] in ranged]
    troubled = dict.fromkeys([*(budget[:3] for budget in pressed + narrowed), *_leaking(snapshot, limits)])
    held = [(at, _inodes(*at)) for at in troubled]
    if sum(len(row.ports) for row in snapshot.bound) >= limits.bound_ports:
        held.append((NOBODY, binding))
    if not held:
        return snapshot._replace(missing=tuple(missing))
    wanted = {inode for _, inodes in held for inode in inodes}
    found, closed = owners.holders(wanted)
    unknown = len(wanted.difference(*(holder.inodes for holder in found)))
    if unknown and closed:
        way = "; run as root to see those of other users" if os.geteuid() else ""
        missing.append(f"owners of {unknown:,} live sockets: {closed:,} processes could not be looked into{way}")
    return snapshot._replace(
        owners=tuple(
            Owner(*at, holder.pid, holder.command, holder.cgroup, count, holder.files, holder.most_files)
            for at, inodes in held
            for holder in found
            if (count := len(inodes.intersection(holder.inodes)))
        ),
        absent=tuple(sorted(local for local in {budget.local for budget in pressed} if not machine.has_address(local))),
        missing=tuple(missing),
    )


def _leaking(snapshot: Snapshot, limits: Limits) -> list[tuple[str, str, int]]:
    """Return where so many connections are in CLOSE-WAIT that it is worth a look at who holds them."""
    rows = [row for row in snapshot.populations if row.state == "CLOSE-WAIT" and row.sockets >= limits.close_wait]
    return [(row.local, row.address, row.port) for row in rows][:_MOST_OWNED]


def own_end(source: Endpoint, to: Endpoint | None) -> tuple[bool, dict[str, int], dict[str, int] | None]:
    """Return whether a local address is here, and how many sockets hold the local port, by state.

    The third counts those towards `to` alone; None where no whole pair was named.
    """
    held: dict[str, int] = {}
    pair: dict[str, int] = {}
    if source.port:
        for row in stream(ALL_STATES & ~state_mask(LISTEN), DumpState(), local_port=source.port):
            held[row.state] = held.get(row.state, 0) + 1
            if row.peer == to and row.local == source:
                pair[row.state] = pair.get(row.state, 0) + 1
    return machine.has_address(source.address), held, pair if to and to.port and source.port else None


def own_ranges(*destinations: Endpoint) -> dict[Endpoint, dict[tuple[int, int], int]]:
    """Return the port ranges that live sockets towards each have of their own, and how many ports of each are in use.

    Left out where there is no such socket, or none that may be asked.  net/ipv4/inet_connection_sock.c,
    inet_sk_get_local_port_range: a bound outside of the namespace's range is as none.
    """
    from timewait.system.port_sharing import ranges

    mask = ALL_STATES & ~state_mask(LISTEN)
    there = {to: list(stream(mask, DumpState(), peer=to.address, peer_port=to.port)) for to in destinations}
    live = [[row.inode for row in rows if row.inode][:_MOST_ASKED] for rows in there.values()]
    asked = ranges([inode for inodes in live for inode in inodes])
    pool = pool_of(_sysctls([]), ())
    found: dict[Endpoint, dict[tuple[int, int], int]] = {}
    for to, rows in there.items():
        bounds = {asked[row.inode] for row in rows if row.inode in asked}
        if bounds:
            used = {row.local.port for row in rows}
            narrowed = {_within(pool, *own) for own in bounds} - {(pool.low, pool.high)}
            found[to] = {(low, high): sum(low <= port <= high for port in used) for low, high in narrowed}
    return found


def _within(pool: Pool, own_low: int, own_high: int) -> tuple[int, int]:
    low = own_low if pool.low <= own_low <= pool.high else pool.low
    return low, own_high if low <= own_high <= pool.high else pool.high


def _inodes(local: str, address: str, port: int) -> set[int]:
    """Return the live sockets of a client's address towards a destination; of a service where `local` is ""."""
    mask = ALL_STATES & ~state_mask(LISTEN, TIME_WAIT)
    if not local:
        served = stream(mask, DumpState(), local_port=port)
        return {row.inode for row in served if row.inode and row.local.address == address}
    live = stream(mask, DumpState(), peer=address, peer_port=port)
    return {row.inode for row in live if row.inode and row.local.address == local}
