"""SO_REUSEADDR and SO_REUSEPORT of sockets that other processes hold."""

import os
import socket
import subprocess
import sys

import pytest

from timewait.system.port_sharing import sharing

HOLD = """
import socket, sys
s = socket.socket()
for name in sys.argv[1:]:
    s.setsockopt(socket.SOL_SOCKET, getattr(socket, name), 1)
import os
print(os.fstat(s.fileno()).st_ino, flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("flags", [[], ["SO_REUSEADDR"], ["SO_REUSEPORT"], ["SO_REUSEADDR", "SO_REUSEPORT"]])
def test_another_process_is_asked(flags: list[str]) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, *flags], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        inode = int(holder.stdout.readline())
        found = sharing([inode, inode + 1_000_000_000]).get(inode)
        holder.communicate("")
    if found is None and os.geteuid():
        pytest.skip("this user may not ask other processes (Yama)")
    assert found is bool(flags)


def test_a_socket_that_nobody_holds_is_not_known() -> None:
    with socket.socket() as own:
        inode = os.fstat(own.fileno()).st_ino
    assert sharing([inode]) == {}


def test_no_copy_is_kept() -> None:
    with socket.socket() as own:
        before = len(os.listdir("/proc/self/fd"))
        assert set(sharing([os.fstat(own.fileno()).st_ino]).values()) <= {False}
        assert len(os.listdir("/proc/self/fd")) == before
