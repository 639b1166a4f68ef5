"""Which ephemeral ports bind() owns, as far as anything tells: those, connect() passes over whatever the destination.

net/ipv4/inet_hashtables.c, __inet_hash_connect: a port whose bucket has fastreuse or fastreuseport from 0 on is passed
over; only connect() itself makes buckets with -1.  No dump tells of buckets.  What tells of their owners:

- bound and not connected: a dump of its own (TCP_BOUND_INACTIVE, Linux 6.8);
- live, the port named in bind(): SOCK_BINDPORT_LOCK, for which the dump has a filter (INET_DIAG_BC_AUTO);
- live with IP_BIND_ADDRESS_NO_PORT and no port named: connect() chose it;
- any other socket, in TIME-WAIT above all: by inference alone.  bind() to port 0 gives no two sockets of one address
  the same port (unless ip_autobind_reuse = 1), so what several destinations share, connect() chose.
"""

from collections.abc import Iterable
from typing import NamedTuple, TypeAlias

from timewait.host.budget import NOBODY
from timewait.host.snapshot import Bound, Unclear
from timewait.system.netlink import DumpState
from timewait.system.sock_diag import ALL_STATES, BOUND_INACTIVE, LISTEN, TIME_WAIT, state_mask
from timewait.system.socket_table import stream

Destination: TypeAlias = tuple[str, str, int]


class Held(NamedTuple):
    """A client's port: where it goes, and whether connect() is known to have chosen it."""

    at: Destination
    port: int
    no_port: bool


def owned(usable: set[int]) -> tuple[tuple[Bound, ...], set[int]]:
    """Return the ports, of those `usable`, that bind() owns for certain, and the sockets (inodes) that hold them."""
    found: dict[Destination, set[int]] = {}
    inodes: set[int] = set()
    for row in stream(ALL_STATES & ~state_mask(LISTEN, TIME_WAIT), DumpState(), named=True):
        if row.local.port in usable:
            found.setdefault((row.local.address, row.peer.address, row.peer.port), set()).add(row.local.port)
            inodes.add(row.inode)
    for row in stream(state_mask(BOUND_INACTIVE), DumpState()):
        if row.local.port in usable:
            found.setdefault(NOBODY, set()).add(row.local.port)
            inodes.add(row.inode)
    return tuple(Bound(*at, tuple(sorted(ports))) for at, ports in sorted(found.items())), inodes - {0}


def held(usable: set[int]) -> list[Held]:
    """List the clients with ports of those `usable`; some 3 us a socket of the whole table."""
    return [
        Held((row.local.address, row.peer.address, row.peer.port), row.local.port, row.no_port)
        for row in stream(ALL_STATES & ~state_mask(LISTEN), DumpState())
        if row.local.port in usable
    ]


def unclear(clients: Iterable[Held], owned_already: set[int], *, binds_share: bool) -> tuple[Unclear, ...]:
    """Return how many ports nothing tells of, by destination.  `binds_share`: ip_autobind_reuse = 1.

    A destination that is reached from one port alone tells nothing: it may be a peer of a service that has gone.
    """
    ports: dict[Destination, set[int]] = {}
    goes: dict[int, set[Destination]] = {}
    chosen = set(owned_already)
    for at, port, no_port in clients:
        ports.setdefault(at, set()).add(port)
        goes.setdefault(port, set()).add(at)
        if no_port:
            chosen.add(port)
    found: dict[Destination, int] = {}
    for port, where in goes.items():
        if port in chosen:
            continue
        locals_of_clients = [at[0] for at in where if len(ports[at]) > 1]
        if not binds_share and len(set(locals_of_clients)) < len(locals_of_clients):
            continue
        at = next(iter(where)) if len(where) == 1 else NOBODY
        found[at] = found.get(at, 0) + 1
    return tuple(Unclear(*at, count) for at, count in sorted(found.items()))
