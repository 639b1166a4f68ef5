"""A kernel host and an engine on one TUN device, and the programs that tests run on either."""

import contextlib
import hashlib
import os
import random
import subprocess
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from ipaddress import ip_address
from pathlib import Path
from typing import Any, NamedTuple

from needs import require_tun
from timewait.clock import MS, SECOND
from timewait.endpoint import Endpoint, written
from timewait.lab.bridge import Bridge
from timewait.lab.kernel import KernelHost
from timewait.lab.program import Program
from timewait.lab.programs import Channel
from timewait.sim.link import PERFECT, Conditions
from timewait.system.tun import TunSetup
from timewait.tcp import profiles
from timewait.tcp.connection import Options
from timewait.tcp.events import Errno
from timewait.tcp.stack import Stack


class Family(NamedTuple):
    """The two ends of the link in one version of IP; addresses of documentation (RFC 5737, RFC 3849)."""

    kernel: str
    engine: str

    def url(self, path: str = "") -> str:
        return f"http://{written(self.engine, 80)}/{path}"


V4 = Family("192.0.2.1", "192.0.2.2")
V6 = Family("2001:db8::1", "2001:db8::2")
# What befalls 1 % of the packets in either direction: they are lost, or late by up to a millisecond.
ROUGH = Conditions(loss=0.01, reordering=0.01, lateness=MS)
BULK = Options(send_buffer=1 << 20, receive_buffer=1 << 20)


class World(NamedTuple):
    """Both hosts.  `host.idle` carries packets, so a call on the kernel's host looks blocking and is not."""

    host: KernelHost
    bridge: Bridge

    @contextlib.contextmanager
    def running(self, *command: str, **options: Any) -> Iterator[subprocess.Popen[bytes]]:
        """Run a program in the kernel's namespace for as long as the block lasts."""
        with self.host.start(command, stdin=subprocess.DEVNULL, **options) as process:
            try:
                yield process
            finally:
                process.kill()

    def output(self, command: Sequence[str], limit: int = 60) -> str:
        """Run a program to its end, which has to be a good one, and return what it printed."""
        with self.running(*command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            handle = os.pidfd_open(process.pid)
            try:
                ended = self.bridge.wait_for(handle, limit=limit * SECOND)
            finally:
                os.close(handle)
            assert ended, f"{command[0]} did not end within {limit} s"
            out, complaints = process.communicate()
        assert process.returncode == 0, complaints.decode()
        return out.decode()


@contextlib.contextmanager
def world(
    *, offload: bool = False, conditions: Conditions = PERFECT, seed: int = 0, traced: bool = False
) -> Iterator[World]:
    require_tun()
    with KernelHost() as host:
        device = host.open_tun(TunSetup([(V4.kernel, 24), (V6.kernel, 64)], offload=offload))
        with contextlib.closing(device):
            addresses = [ip_address(family.engine).packed for family in (V4, V6)]
            stack = Stack(profiles.get("linux"), addresses, secret=b"tests", chance=random.Random(1))
            bridge = Bridge(device, stack, conditions=conditions, seed=seed, traced=traced)
            host.idle = bridge.wait_for
            yield World(host, bridge)


@cache
def body(size: int) -> bytes:
    return random.Random(size).randbytes(size)


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class Web(Program):
    """A web server that answers every request with the same body, then closes."""

    def __init__(self, content: bytes) -> None:
        self.content = memoryview(content)
        self.left = memoryview(b"")
        self.request = b""

    def received(self, channel: Channel, data: bytes) -> None:
        self.request += data
        if self.request.endswith(b"\r\n\r\n"):
            head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(self.content)}\r\nConnection: close\r\n\r\n"
            channel.send(head.encode())
            self.left = self.content
            self.writable(channel)

    def writable(self, channel: Channel) -> None:
        while self.left:
            taken = channel.send(bytes(self.left[: 1 << 18]))
            self.left = self.left[taken:]
            if not taken:
                return
        if self.request:
            channel.close()


class Fetch(Program):
    """A web client: one request, then the response's status line and the hash of its body."""

    def __init__(self, host: str, path: str, done: Callable[["Fetch"], None] | None = None) -> None:
        self.request = f"GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()
        self.status = ""
        self.size = 0
        self.over = False
        self.error: Errno | None = None
        self._head = b""
        self._hash = hashlib.sha256()
        self._done = done

    def opened(self, channel: Channel) -> None:
        channel.send(self.request)

    def received(self, channel: Channel, data: bytes) -> None:
        if not self.status:
            self._head += data
            head, blank, data = self._head.partition(b"\r\n\r\n")
            if not blank:
                return
            self.status = head.split(b"\r\n")[0].decode()
        self.size += len(data)
        self._hash.update(data)

    def ended(self, channel: Channel) -> None:
        channel.close()
        self._finish()

    def failed(self, channel: Channel, error: Errno) -> None:
        self.error = error
        self._finish()

    def _finish(self) -> None:
        self.over = True
        if self._done is not None:
            self._done(self)

    @property
    def digest(self) -> str:
        return self._hash.hexdigest()


def fetch(bridge: Bridge, at: Endpoint, path: str, limit: int = 60) -> Fetch:
    """Fetch with the engine; try again while nobody listens yet."""
    while True:
        program = Fetch(at.address, path)
        bridge.programs.connect(at, program, options=BULK)
        assert bridge.run(lambda: program.over, limit=limit * SECOND), "the fetch did not end"  # noqa: B023
        if program.error is not Errno.ECONNREFUSED:
            return program
        bridge.run(lambda: False, limit=SECOND // 50)


def served(folder: Path, size: int) -> tuple[str, str]:
    """Put a file of `size` into a folder; return its name and its hash."""
    content = body(size)
    (folder / "file").write_bytes(content)
    return "file", digest(content)
