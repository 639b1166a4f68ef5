"""The engine over a TUN device with a kernel's client: connections, and bulk in both directions; and the kernel alone.

The engine runs in this process, so its CPU time is this process's; the clients are processes in the namespace.
"""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

from timewait.clock import SECOND
from timewait.endpoint import Endpoint
from timewait.lab.bridge import Bridge
from timewait.lab.kernel import KernelHost
from timewait.lab.program import Program
from timewait.lab.programs import Channel
from timewait.system.tun import TunSetup
from timewait.tcp import profiles
from timewait.tcp.connection import Options
from timewait.tcp.stack import Stack

ENGINE = Endpoint("192.0.2.2", 80)
BUFFERS = Options(receive_buffer=4 << 20, send_buffer=4 << 20)
PIECE = bytes(1 << 18)

# Opens and closes; the server closes first.  Arguments: address, port, how many, how many at once.
CONNECTIONS = """
import select, socket, sys, time
address, port, count, at_once = sys.argv[1], *map(int, sys.argv[2:])
poll, open_sockets, started, done = select.epoll(), {}, 0, 0
began = time.monotonic()
while done < count:
    while started < count and len(open_sockets) < at_once:
        sock = socket.socket()
        sock.setblocking(False)
        sock.connect_ex((address, port))
        open_sockets[sock.fileno()] = sock
        poll.register(sock, select.EPOLLIN)
        started += 1
    for number, _ in poll.poll():
        sock = open_sockets.pop(number)
        assert sock.recv(1) == b""
        sock.close()
        done += 1
print(time.monotonic() - began)
"""
LOOPBACK = """
import socket, sys
listener = socket.create_server(("127.0.0.1", 80), backlog=4096)
print("ready", flush=True)
while True:
    listener.accept()[0].close()
"""
SENDER = """
import socket, sys, time
piece, left = bytes(1 << 20), int(sys.argv[3])
sock = socket.create_connection((sys.argv[1], int(sys.argv[2])))
began = time.monotonic()
while left > 0:
    sock.sendall(piece[:left])
    left -= len(piece)
sock.shutdown(socket.SHUT_WR)
assert sock.recv(1) == b""
print(time.monotonic() - began)
"""
RECEIVER = """
import socket, sys, time
buffer, left = bytearray(1 << 20), int(sys.argv[3])
sock = socket.create_connection((sys.argv[1], int(sys.argv[2])))
began = time.monotonic()
while left > 0:
    got = sock.recv_into(buffer)
    assert got
    left -= got
print(time.monotonic() - began)
"""


class Speed(NamedTuple):
    """How much was done a second: by the clock, and by the CPU time of the stack's process."""

    wall: float
    cpu: float


class _Closes(Program):
    def opened(self, channel: Channel) -> None:
        channel.close()


class _Source(Program):
    def __init__(self, size: int) -> None:
        self.left = size

    def opened(self, channel: Channel) -> None:
        self.writable(channel)

    def writable(self, channel: Channel) -> None:
        while self.left:
            taken = channel.send(PIECE[: self.left])
            self.left -= taken
            if not taken:
                return
        channel.close()


@contextlib.contextmanager
def _bridge(offload: bool = False) -> Iterator[tuple[KernelHost, Bridge]]:
    with (
        KernelHost() as host,
        contextlib.closing(host.open_tun(TunSetup([("192.0.2.1", 24)], offload=offload))) as device,
    ):
        yield host, Bridge(device, Stack(profiles.get("linux"), [bytes([192, 0, 2, 2])]))


def _run(host: KernelHost, bridge: Bridge | None, program: str, *arguments: object) -> tuple[float, float]:
    """Run a client to its end; return the seconds it measured and the CPU seconds of this process meanwhile."""
    command = [sys.executable, "-I", "-S", "-c", program, *map(str, arguments)]
    with host.start(command, stdout=subprocess.PIPE) as process:
        before = time.process_time()
        if bridge is not None:
            handle = os.pidfd_open(process.pid)
            bridge.wait_for(handle, limit=300 * SECOND)
            os.close(handle)
        out, _ = process.communicate()
        spent = time.process_time() - before
    if process.returncode:
        raise SystemExit("error: a client in the namespace failed")
    return float(out), spent


def connections(count: int, at_once: int = 32) -> Speed:
    """Connections a second that the engine serves to a kernel's client."""
    with _bridge() as (host, bridge):
        bridge.programs.serve(ENGINE, _Closes)
        wall, cpu = _run(host, bridge, CONNECTIONS, *ENGINE, count, at_once)
        return Speed(count / wall, count / cpu)


def loopback_connections(count: int, at_once: int = 32) -> float:
    """The same client against a server of the same kernel, over loopback: connections a second by the clock."""
    with KernelHost() as host:
        server = host.start([sys.executable, "-I", "-S", "-c", LOOPBACK], stdout=subprocess.PIPE)
        with server:
            assert server.stdout is not None
            server.stdout.readline()
            wall, _ = _run(host, None, CONNECTIONS, "127.0.0.1", 80, count, at_once)
            server.kill()
        return count / wall


def bulk_received(size: int, offload: bool) -> Speed:
    """Megabytes a second that the engine receives."""
    return _bulk(size, offload, Program, SENDER)


def bulk_sent(size: int, offload: bool) -> Speed:
    """Megabytes a second that the engine sends."""
    return _bulk(size, offload, lambda: _Source(size), RECEIVER)


def _bulk(size: int, offload: bool, make: Callable[[], Program], client: str) -> Speed:
    with _bridge(offload) as (host, bridge):
        bridge.programs.serve(ENGINE, make, options=BUFFERS)
        wall, cpu = _run(host, bridge, client, *ENGINE, size)
        return Speed(size / wall / 1e6, size / cpu / 1e6)
