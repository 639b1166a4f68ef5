"""Which sockets of other processes may share their port: SO_REUSEADDR, SO_REUSEPORT.

No dump tells: struct inet_diag_sockopt has other options (include/uapi/linux/inet_diag.h, INET_DIAG_SOCKOPT), and
/proc/net/tcp has no column for it.  So the socket itself is asked, through a copy of its descriptor (pidfd_getfd(2),
Linux 5.6), which is closed again at once.  Needs what ptrace(2) needs (PTRACE_MODE_ATTACH_REALCREDS): root, or the
process's own user where Yama lets him.
"""

import contextlib
import ctypes
import os
import socket
from collections.abc import Collection, Iterator
from typing import Final

_SYS_PIDFD_GETFD: Final = 438  # one number on every architecture: include/uapi/asm-generic/unistd.h
_LIBC = ctypes.CDLL(None, use_errno=True)


def sharing(inodes: Collection[int]) -> dict[int, bool]:
    """Return for each socket whether it has SO_REUSEADDR or SO_REUSEPORT; left out where it cannot be asked.

    Reads the descriptors of one process after the other until all are found.
    """
    wanted = {f"socket:[{inode}]": inode for inode in inodes}
    found: dict[int, bool] = {}
    for pid, number, link in _sockets():
        if len(found) == len(wanted):
            break
        if (inode := wanted.get(link)) is not None and inode not in found:
            flag = _shares(pid, number, inode)
            if flag is not None:
                found[inode] = flag
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


def _shares(pid: int, number: int, inode: int) -> bool | None:
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
    with socket.socket(fileno=copy) as asked:
        return any(asked.getsockopt(socket.SOL_SOCKET, flag) for flag in (socket.SO_REUSEADDR, socket.SO_REUSEPORT))
