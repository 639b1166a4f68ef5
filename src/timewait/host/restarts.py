"""Which services could not be started again now, as far as the kernel tells: collected for a snapshot.

bind() passes over a TIME-WAIT only if the socket that it was, and the new one, both had SO_REUSEADDR, or both had
SO_REUSEPORT (net/ipv4/inet_connection_sock.c, inet_bind_conflict); an accepted socket has the flags of its listener.
The flags of a socket that listens can be asked for; those of one that is gone cannot.
"""

from timewait.clock import MS
from timewait.host.budget import pool_of
from timewait.host.limits import Limits
from timewait.host.snapshot import Population, Restart, Snapshot
from timewait.system.census import CELL_MS
from timewait.system.netlink import DumpState
from timewait.system.sock_diag import TIME_WAIT, state_mask
from timewait.system.socket_table import Socket, listeners, stream

_EVERY = ("0.0.0.0", "::")
# A client's port may meet two services that are gone; more than that is a destination of this host's.
_SAME_PEER = 2
# Rows are made of no more sockets than that: some 3 us each.
_MOST_LISTED = 200_000


def restarts(snapshot: Snapshot, limits: Limits, missing: list[str]) -> tuple[Restart, ...]:
    """Return the services, running or gone, whose port is held by sockets in TIME-WAIT.

    Those that run are looked into only where TIME-WAIT stands on their port; those that are gone only outside the
    ephemeral range, where no client of this host was given the port.
    """
    return (*_running(snapshot, limits, missing), *_gone(snapshot, limits, missing))


def _running(snapshot: Snapshot, limits: Limits, missing: list[str]) -> list[Restart]:
    served = [row for row in snapshot.populations if (row.state, row.role) == ("TIME-WAIT", "server")]
    if not served:
        return []
    asked: dict[tuple[str, int], tuple[list[Socket], int, int]] = {}
    for row in listeners():
        mine = [waits for waits in served if _holds(waits, row)]
        count = sum(waits.sockets for waits in mine)
        if count >= limits.restart:
            left = max(waits.cells[-1][0] for waits in mine if waits.cells)
            at = (row.local.address, row.local.port)
            asked.setdefault(at, ([], count, (left + 1) * CELL_MS))[0].append(row)
    flags = _flags({row.inode for rows, _, _ in asked.values() for row in rows}, missing)
    return [
        Restart(*at, True, _any([flags.get(row.inode) for row in rows]), count, left)
        for at, (rows, count, left) in sorted(asked.items())
    ]


def _holds(waits: Population, listener: Socket) -> bool:
    """Return whether bind() of the listener's address and port would meet these TIME-WAITs."""
    own = listener.local
    if waits.port != own.port:
        return False
    if own.address in _EVERY:
        return own.is_ipv6 or ":" not in waits.address
    return own.address == waits.address


def _flags(inodes: set[int], missing: list[str]) -> dict[int, bool]:
    """Return for each socket whether it shares its port, as far as its process may be asked."""
    if not inodes:
        return {}
    from timewait.system.port_sharing import sharing

    found = sharing(inodes)
    if unknown := len(inodes) - len(found):
        missing.append(f"SO_REUSEADDR of {unknown:,} listening sockets: this user may not ask their processes")
    return found


def _any(flags: list[bool | None]) -> bool | None:
    return None if None in flags else any(flags)


def _gone(snapshot: Snapshot, limits: Limits, missing: list[str]) -> list[Restart]:
    """Find ports outside the range on which several wait, each for a peer that nobody else here waits for.

    That is how a service's connections look once nobody listens: clients' ports are all different, where a
    destination that this host connected to has many sockets on one port.
    """
    waiting = [row for row in snapshot.populations if (row.state, row.role) == ("TIME-WAIT", "client")]
    outside = [row for row in waiting if not row.in_pool]
    peers = {(row.address, row.port) for row in outside if row.sockets <= _SAME_PEER}
    if len(peers) < limits.restart:
        return []
    if sum(row.sockets for row in outside) > _MOST_LISTED:
        missing.append(f"services that are gone: not looked for above {_MOST_LISTED:,} sockets outside the range")
        return []
    pool = pool_of(snapshot.sysctls, ())
    held: dict[tuple[str, int], list[int]] = {}
    listening = {row.port for row in snapshot.listeners}
    for row in stream(state_mask(TIME_WAIT), DumpState(), outside=(pool.low, pool.high)):
        own = row.local
        if row.peer in peers and own.port not in listening and not pool.low <= own.port <= pool.high:
            held.setdefault(own, []).append((row.time_left or 0) // MS)
    return [
        Restart(*at, False, None, len(lefts), max(lefts))
        for at, lefts in sorted(held.items())
        if len(lefts) >= limits.restart
    ]
