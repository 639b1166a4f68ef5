"""What a snapshot counted, as the groups that `sockets --group` shows of a live host."""

from timewait.endpoint import Endpoint
from timewait.host.snapshot import Population, Snapshot
from timewait.system.census import CELL_MS, NO_TIMER, UNIT_MS, Group


def groups(snapshot: Snapshot, states: set[str], by: str, *, role: str = "", to: Endpoint | None = None) -> list[Group]:
    """Return groups by "destination", "role" or "state", the largest first, of the sockets in `states`.

    `role`: only this role; `to`: only clients of this destination, for a snapshot does not keep a server's peers.
    """
    found: dict[tuple[str, str, str, int], Group] = {}
    for row in snapshot.populations:
        if row.state not in states or (role and row.role != role) or (to and not _goes(row, to)):
            continue
        key = (row.state, "", "", 0)
        if by == "role":
            key = (row.state, row.role, "", 0)
        elif by == "destination":
            key = (row.state, row.role, row.address, row.port)
        times = [cell * CELL_MS // UNIT_MS for cell, _ in row.cells]
        if key not in found:
            found[key] = Group(*key)
        found[key].add(row.sockets, times[0] if times else NO_TIMER, times[-1] if times else NO_TIMER)
    return sorted(found.values(), key=lambda group: (-group.count, group.state, group.role, group.address, group.port))


def _goes(row: Population, to: Endpoint) -> bool:
    return row.role == "client" and row.address == to.address and to.port in (0, row.port)
