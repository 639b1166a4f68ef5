"""The socket table as rows: one `Socket` for each record of the kernel's dump.

For a table of a million rows that only wants counting, see `census`.
"""

from collections.abc import Iterable, Iterator
from struct import Struct
from sys import byteorder
from typing import NamedTuple

from timewait.clock import MS, Duration
from timewait.endpoint import Endpoint
from timewait.system.netlink import DumpState, InterruptedDumpError, NetlinkError
from timewait.system.sock_diag import (
    INET_DIAG_SKV6ONLY,
    INET_DIAG_SOCKOPT,
    LISTEN,
    STATES,
    TIMER_TIME_WAIT,
    address_text,
    attribute,
    runs,
    state_mask,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from timewait.system.sock_diag import Run

# After the netlink header: family, state, timer; ports; addresses; interface, cookie; expires, receive and
# send queue, uid, inode.
_RECORD = Struct("=16x BBBx 2s2s 16s16s I8s IIIII".replace(" ", ""))
_ATTEMPTS = 4
# struct inet_diag_sockopt, the first bit field of the second byte.
_BIND_ADDRESS_NO_PORT = 0x01 if byteorder == "little" else 0x80


class Socket(NamedTuple):
    """One TCP socket of the kernel.

    `mini`: the record is a TIME-WAIT mini-socket (struct inet_timewait_sock): true TIME-WAIT, or an orphan in
    FIN-WAIT-2, which the kernel keeps as one too.  `time_left`: nanoseconds until a mini-socket goes, else None.
    `uid` and `inode` are 0 for a mini-socket, which has no owner.
    `no_port`: a full socket with IP_BIND_ADDRESS_NO_PORT.
    """

    state: str
    local: Endpoint
    peer: Endpoint
    mini: bool = False
    time_left: Duration | None = None
    receive_queue: int = 0
    send_queue: int = 0
    uid: int = 0
    inode: int = 0
    interface: int = 0
    cookie: bytes = bytes(8)
    v6_only: bool = False
    no_port: bool = False


def rows(run: "Run") -> Iterator[Socket]:
    """Yield the rows of one run.  Raises `NetlinkError` where a record cannot be one."""
    buffer, start, end, length = run
    for at in range(start, end, length):
        family, state, timer, sport, dport, source, destination, *rest = _RECORD.unpack_from(buffer, at)
        interface, cookie, expires, receive_queue, send_queue, uid, inode = rest
        if not 0 < state < len(STATES):
            raise NetlinkError(f"a record of the socket dump has the unknown state {state}")
        mini = timer == TIMER_TIME_WAIT
        yield Socket(
            STATES[state],
            Endpoint(address_text(family, source), int.from_bytes(sport, "big")),
            Endpoint(address_text(family, destination), int.from_bytes(dport, "big")),
            mini,
            expires * MS if mini else None,
            receive_queue,
            send_queue,
            uid,
            inode,
            interface,
            cookie,
            bool(attribute(buffer, at, length, INET_DIAG_SKV6ONLY)),
            not mini and bool(attribute(buffer, at, length, INET_DIAG_SOCKOPT, 1) & _BIND_ADDRESS_NO_PORT),
        )


def stream(
    mask: int,
    state: DumpState,
    *,
    local_port: int = 0,
    peer_port: int = 0,
    peer: str = "",
    outside: tuple[int, int] | None = None,
    named: bool = False,
) -> Iterator[Socket]:
    """Yield the sockets of this network namespace as the kernel hands them out; `state` tells of interruptions."""
    for run in runs(mask, state, local_port=local_port, peer_port=peer_port, peer=peer, outside=outside, named=named):
        yield from rows(run)


def sockets(mask: int, *, local_port: int = 0, peer_port: int = 0) -> list[Socket]:
    """Return the sockets of this network namespace in the states of `mask`; a port of 0 matches any.

    A dump that the kernel calls interrupted is taken again; after four in a row `InterruptedDumpError` says so.
    """
    for _ in range(_ATTEMPTS):
        state = DumpState()
        try:
            found = list(stream(mask, state, local_port=local_port, peer_port=peer_port))
        except InterruptedDumpError:
            continue
        if not state.interrupted:
            return found
    raise InterruptedDumpError(
        f"the socket table changed under each of {_ATTEMPTS} dumps",
        "try again, or narrow what is asked for (--state, --to)",
    )


def listeners() -> list[Socket]:
    """Return the listening sockets of this network namespace."""
    return sockets(state_mask(LISTEN))


class Listeners:
    """Which local ends are listening, to tell servers from clients: wildcards and dual-stack listeners included."""

    def __init__(self, listening: Iterable[Socket]) -> None:
        self.everywhere: set[int] = set()  # ports that a listener takes on every address of both families
        self.partly: dict[int, list[Socket]] = {}
        for row in listening:
            if row.local.address == "::" and not row.v6_only:
                self.everywhere.add(row.local.port)
            else:
                self.partly.setdefault(row.local.port, []).append(row)

    def covers(self, local: Endpoint) -> bool:
        """Return whether a connection to `local` would reach a listener."""
        if local.port in self.everywhere:
            return True
        return any(
            row.local.address == local.address
            or (row.local.address == "0.0.0.0" and not local.is_ipv6)
            or (row.local.address == "::" and local.is_ipv6)
            for row in self.partly.get(local.port, ())
        )

    def role(self, local: Endpoint) -> str:
        """Return "server" where the local port is listening, else "client"."""
        return "server" if self.covers(local) else "client"
