"""Whether another process's socket may share its port: SO_REUSEADDR, SO_REUSEPORT.

No dump tells: the INET_DIAG attributes have neither flag (include/uapi/linux/inet_diag.h), and /proc/net/tcp has no
column for it.  So the socket itself is asked, through a copy of its descriptor (pidfd_getfd(2), Linux 5.6), which is
closed again at once.  Needs what ptrace(2) needs (PTRACE_MODE_ATTACH_REALCREDS): root, or the process's own user where
Yama lets him.
"""

import ctypes
import os
import socket
from typing import Final

_SYS_PIDFD_GETFD: Final = 438  # one number on every architecture: include/uapi/asm-generic/unistd.h
_LIBC = ctypes.CDLL(None, use_errno=True)


def shares_port(pid: int, inode: int) -> bool | None:
    """Return whether the socket with this inode has SO_REUSEADDR or SO_REUSEPORT; None where it cannot be asked."""
    number = _descriptor(pid, inode)
    if number is None:
        return None
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
    with socket.socket(fileno=copy) as asked:
        if os.fstat(copy).st_ino != inode:
            return None  # the descriptor was given to another file meanwhile
        return any(asked.getsockopt(socket.SOL_SOCKET, flag) for flag in (socket.SO_REUSEADDR, socket.SO_REUSEPORT))


def _descriptor(pid: int, inode: int) -> int | None:
    wanted = f"socket:[{inode}]"
    try:
        with os.scandir(f"/proc/{pid}/fd") as entries:
            for entry in entries:
                if os.readlink(entry.path) == wanted:
                    return int(entry.name)
    except OSError:
        pass
    return None
