"""What sockets of other processes may do with ports: share one (SO_REUSEADDR, SO_REUSEPORT), a range of their own.

No dump tells: struct inet_diag_sockopt has other options (include/uapi/linux/inet_diag.h, INET_DIAG_SOCKOPT), and
/proc/net/tcp has no column for them.  So the socket itself is asked, through a copy of its descriptor (pidfd_getfd(2),
Linux 5.6), which is closed again at once.  Needs what ptrace(2) needs (PTRACE_MODE_ATTACH_REALCREDS): root, or the
process's own user where Yama lets him.
"""

import contextlib
import ctypes
import os
import socket
import sys
from collections.abc import Callable, Collection, Iterator
from typing import Final, TypeVar

_SYS_PIDFD_GETFD: Final = 438  # one number on every architecture: include/uapi/asm-generic/unistd.h
_IP_LOCAL_PORT_RANGE: Final = 51  # include/uapi/linux/in.h, since 6.3: the low bound in the lower half
_LIBC = ctypes.CDLL(None, use_errno=True)


Answer = TypeVar("Answer")


def sharing(inodes: Collection[int]) -> dict[int, bool]:
    """Return for each socket whether it has SO_REUSEADDR or SO_REUSEPORT; left out where it cannot be asked."""
    return _ask(inodes, _shares)


def ranges(inodes: Collection[int]) -> dict[int, tuple[int, int]]:
    """Return for each socket the bounds of its own port range, 0 for one that it has not set.

    Left out where it cannot be asked.
    """
    return _ask(inodes, _range)


def _shares(asked: socket.socket) -> bool:
    return any(asked.getsockopt(socket.SOL_SOCKET, flag) for flag in (socket.SO_REUSEADDR, socket.SO_REUSEPORT))


def _range(asked: socket.socket) -> tuple[int, int]:
    try:
        bounds = int.from_bytes(asked.getsockopt(socket.IPPROTO_IP, _IP_LOCAL_PORT_RANGE, 4), sys.byteorder)
    except OSError:  # an older kernel: there are no such ranges
        bounds = 0
    return bounds & 0xFFFF, bounds >> 16


def _ask(inodes: Collection[int], question: Callable[[socket.socket], Answer]) -> dict[int, Answer]:
    """Read the descriptors of one process after the other until all sockets are found; return their answers."""
    wanted = {f"socket:[{inode}]": inode for inode in inodes}
    found: dict[int, Answer] = {}
    for pid, number, link in _sockets():
        if len(found) == len(wanted):
            break
        if (inode := wanted.get(link)) is not None and inode not in found:
            copy = _copied(pid, number, inode)
            if copy is not None:
                with socket.socket(fileno=copy) as asked:
                    found[inode] = question(asked)
    return found


def _sockets() -> Iterator[tuple[int, int, str]]:
    """Yield (process, descriptor, what it refers to) of every process that may be looked into."""
    with os.scandir("/proc") as processes:
        for process in processes:
            if not process.name.isdecimal():
                continue
            try:
                with os.scandir(f"{process.path}/fd") as entries:
                    for entry in entries:
                        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
                            yield int(process.name), int(entry.name), os.readlink(entry.path)
            except OSError:
                continue  # it ended meanwhile, or is another user's


def _copied(pid: int, number: int, inode: int) -> int | None:
    """Return a copy of another process's descriptor, None where it may not be had or is no longer that socket."""
    try:
        process = os.pidfd_open(pid)
    except OSError:
        return None
    try:
        copy = _LIBC.syscall(_SYS_PIDFD_GETFD, process, number, 0)
    finally:
        os.close(process)
    if copy < 0:
        return None
    if os.fstat(copy).st_ino != inode:  # the number was given to another file meanwhile
        os.close(copy)
        return None
    return int(copy)
