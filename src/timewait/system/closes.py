"""Who closes TCP connections, first or second, while it happens: the tracepoint sock:inet_sock_set_state.

Three moves are asked for, all made by a process that calls close() or shutdown(): ESTABLISHED or SYN-RECEIVED to
FIN-WAIT-1 closes first; CLOSE-WAIT to LAST-ACK closes second, so the other end was first (tcp_close_state, net/ipv4/
tcp.c).  A process that is killed closes in its own name too.  A move that an interrupt made has no process.

The record has no network namespace.  That of the process that closes is taken: the kernel tells it of each process
that is made or moves (PERF_RECORD_NAMESPACES), /proc of those that were there before.
"""

import os
import time
from collections.abc import Iterator
from struct import Struct
from typing import Final, NamedTuple

from timewait.errors import UnavailableError
from timewait.system.owners import command_of, control_group_of, printable
from timewait.system.sock_diag import MAPPED
from timewait.system.tracepoint import Forked, Hit, Layout, Lost, Moved, Named, Record, Tracepoint, layout

EVENT: Final = "sock/inet_sock_set_state"
# include/net/tcp_states.h: 1 ESTABLISHED, 3 SYN_RECV, 4 FIN_WAIT1, 8 CLOSE_WAIT, 9 LAST_ACK.
_FIN_WAIT_1: Final = 4
_CONDITION: Final = (
    "protocol == 6 && ((newstate == 4 && (oldstate == 1 || oldstate == 3)) || (oldstate == 8 && newstate == 9))"
)
_FIELDS: Final = {"newstate": 4, "sport": 2, "dport": 2, "family": 2, "saddr_v6": 16, "daddr_v6": 16}
_INT: Final = Struct("=i")
_SHORT: Final = Struct("=H")
_AF_INET, _AF_INET6 = 2, 10
# Between two looks at the rings.
_PAUSE_S: Final = 0.05


class Close(NamedTuple):
    """A connection's end that sent its FIN.  Addresses are 16 bytes, IPv4 in the first four; `first`: before the other.

    `namespace`: the inode of the closer's network namespace, 0 where it cannot be told; `pid` is 0 likewise.
    """

    first: bool
    family: int
    local: bytes
    local_port: int
    remote: bytes
    remote_port: int
    pid: int
    namespace: int


class Processes:
    """Which command, control group and network namespace a process has, or had before it ended."""

    def __init__(self) -> None:
        self._commands: dict[int, str] = {}
        self._groups: dict[int, str] = {}
        self._namespaces: dict[int, int] = {}  # by thread
        for entry in os.scandir("/proc"):
            if entry.name.isdecimal():
                self._meet(int(entry.name))

    def _meet(self, pid: int) -> None:
        self._commands[pid] = command_of(pid)
        self._groups[pid] = control_group_of(pid)
        if namespace := _namespace(f"/proc/{pid}/ns/net"):
            self._namespaces[pid] = namespace

    def learn(self, record: Record) -> None:
        """Take in what the kernel tells of processes."""
        match record:
            case Named(pid=pid, command=command):
                self._commands[pid] = printable(command)
            case Forked(pid=pid, parent=parent) if pid != parent:
                self._commands[pid] = self._commands.get(parent, "")
                self._groups[pid] = self._groups.get(parent, "")
            case Moved(tid=tid, namespace=namespace):
                self._namespaces[tid] = namespace

    def namespace(self, pid: int, tid: int) -> int:
        """Return the inode of a thread's network namespace; 0 where it cannot be told."""
        found = self._namespaces.get(tid)
        if found is None:
            found = _namespace(f"/proc/{pid}/task/{tid}/ns/net") or self._namespaces.get(pid, 0)
            self._namespaces[tid] = found
        return found

    def command(self, pid: int) -> str:
        """Return a process's command, the last one it had."""
        return command_of(pid) or self._commands.get(pid, "")

    def control_group(self, pid: int) -> str:
        """Return a process's control group; of one that came and went its parent's, which it most likely shared."""
        return control_group_of(pid) or self._groups.get(pid, "")


def _namespace(path: str) -> int:
    try:
        return os.stat(path).st_ino
    except OSError:
        return 0


class Watch:
    """Sees every close on the machine from its making until `close`.  Needs root."""

    def __init__(self) -> None:
        """Start to see.  Raises `UnavailableError` where this user may not, or the kernel has no such event."""
        known = layout(EVENT)
        check(known)
        self._fields = known.fields
        self._tracepoint = Tracepoint(known, _CONDITION)
        self.lost = 0
        self.processes = Processes()

    def closes(self, seconds: float) -> Iterator[Close]:
        """Yield every close within so many seconds from now."""
        self._hits()  # of what went before only the processes are of use
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            time.sleep(min(_PAUSE_S, left))
            for hit in self._hits():
                yield self._close(hit)

    def _hits(self) -> list[Hit]:
        """Return the closes since the last call, having learned what stands beside them."""
        found = []
        for record in self._tracepoint.read():
            if isinstance(record, Hit):
                found.append(record)
            elif isinstance(record, Lost):
                self.lost += record.records
            else:
                self.processes.learn(record)
        return found

    def _close(self, hit: Hit) -> Close:
        ends = read_close(self._fields, hit.record)
        if hit.interrupted or hit.pid <= 0:
            return Close(*ends, 0, 0)
        return Close(*ends, hit.pid, self.processes.namespace(hit.pid, hit.tid))

    def close(self) -> None:
        """Stop."""
        self._tracepoint.close()


def check(known: Layout) -> None:
    """Raise `UnavailableError` unless the event has the fields that are read, each of its size."""
    for name, size in _FIELDS.items():
        if known.fields.get(name, (0, 0))[1] != size:
            raise UnavailableError(f"this kernel's {EVENT} has no field {name} of {size} bytes", "tracing needs 4.16")


def read_close(fields: dict[str, tuple[int, int]], record: bytes) -> tuple[bool, int, bytes, int, bytes, int]:
    """Return (first, family, local address, port, remote address, port) of an event's record."""
    parts = {name: record[at : at + size] for name, (at, size) in fields.items() if name in _FIELDS}
    if any(len(parts[name]) < size for name, size in _FIELDS.items()):
        raise UnavailableError(f"the kernel's {EVENT} is only {len(record)} bytes long")
    (new,) = _INT.unpack(parts["newstate"])
    (here,), (there,) = _SHORT.unpack(parts["sport"]), _SHORT.unpack(parts["dport"])
    (family,) = _SHORT.unpack(parts["family"])
    local, remote = parts["saddr_v6"], parts["daddr_v6"]
    if family not in (_AF_INET, _AF_INET6):
        raise UnavailableError(f"the kernel's {EVENT} tells of the unknown address family {family}")
    if local.startswith(MAPPED) and remote.startswith(MAPPED):
        family, local, remote = _AF_INET, local[12:] + bytes(12), remote[12:] + bytes(12)
    return new == _FIN_WAIT_1, family, local, here, remote, there
