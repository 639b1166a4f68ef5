"""Connections over a socket pair: a stack in a process of its own serves, a client made of bare packets opens.

The client is the same for every stack: SYN, ACK with FIN, and an ACK for the server's FIN; some in flight at once.
What counts is the CPU time of the stack's process alone, every thread of it.
"""

import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from timewait.wire import packet
from timewait.wire.segment import ACK, FIN, RST, SYN, MaximumSegmentSize, Segment
from timewait.wire.seq import MASK

CLIENT = bytes([192, 0, 2, 1])
SERVER = bytes([192, 0, 2, 2])
IN_FLIGHT = 32
OPENING = (MaximumSegmentSize(1460),)
# What stands before each packet of pmd-pytcp's: the header that a TUN device without IFF_NO_PI has.
PREFIX = b"\x00\x00\x08\x00"


def serve(descriptor: int) -> None:
    """Be the engine's process: accept, wait for the end, close."""
    from timewait.endpoint import Endpoint
    from timewait.garbage import collect_rarely
    from timewait.lab.bridge import Bridge
    from timewait.lab.program import Program
    from timewait.system.tun import Tun
    from timewait.tcp import profiles
    from timewait.tcp.stack import Stack

    collect_rarely()
    device = Tun(descriptor, "pair", 1500, False)
    bridge = Bridge(device, Stack(profiles.get("linux"), [SERVER]))
    bridge.programs.serve(Endpoint("192.0.2.2", 80), Program)
    print("ready", flush=True)
    bridge.run(lambda: False, limit=1 << 60)


def cpu_seconds(pid: int) -> float:
    """CPU time of all threads of a process, to the nanosecond (/proc/PID/task/TID/schedstat)."""
    return sum(int(path.read_text().split()[0]) for path in Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1e9


@contextlib.contextmanager
def server(command: list[str], theirs: socket.socket) -> Iterator[int]:
    """Run a server until the block ends; yield its process id once it is ready."""
    number = theirs.fileno()
    with subprocess.Popen([*command, str(number)], pass_fds=[number], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            if "ready" not in process.stdout.readline():
                raise SystemExit(f"error: the server of {command[0]} did not start")
            yield process.pid
        finally:
            process.kill()


def rate(command: list[str], count: int, prefix: bytes = b"") -> float:
    """Connections per CPU second of the server's process."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    theirs.setblocking(False)
    with ours, theirs, server(command, theirs) as pid:
        drive(ours, min(count // 10, 500), prefix, 1024)  # warm up
        before = cpu_seconds(pid)
        drive(ours, count, prefix, 4096)
        return count / (cpu_seconds(pid) - before)


def drive(wire: socket.socket, count: int, prefix: bytes, first_port: int) -> None:
    """Open and close `count` connections; a packet that goes missing is sent again after a while."""

    def send(port: int, flags: int, seq: int, ack: int = 0) -> None:
        options = OPENING if flags & SYN else ()
        segment = Segment(CLIENT, port, SERVER, 80, seq & MASK, ack & MASK, flags, 64_000, options)
        wire.send(prefix + packet.build(segment))

    started = finished = 0
    open_ports: dict[int, int] = {}  # and the last number the server sent
    while finished < count:
        while started < count and len(open_ports) < IN_FLIGHT:
            port = first_port + started % 56_000
            open_ports[port] = -1
            send(port, SYN, 1000)
            started += 1
        data = receive(wire, f"the server went silent after {finished} of {count} connections")[len(prefix) :]
        if data[0] >> 4 != 4 or data[9] != 6:
            continue
        segment = packet.parse(data)
        port, flags = segment.destination_port, segment.flags
        if flags & SYN and open_ports.get(port) == -1:
            open_ports[port] = 0
            send(port, ACK, 1001, segment.seq + 1)
            send(port, ACK | FIN, 1001, segment.seq + 1)
        elif flags & (FIN | RST) and port in open_ports:
            if flags & FIN:
                send(port, ACK, 1002, segment.seq + 1)
            del open_ports[port]
            finished += 1


def receive(wire: socket.socket, complaint: str) -> bytes:
    """Receive without ever sleeping: to wake a sleeper would cost the stack's process more than all of its TCP."""
    deadline = time.monotonic() + 3
    while True:
        try:
            return wire.recv(2000, socket.MSG_DONTWAIT)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise SystemExit(f"error: {complaint}") from None


def engine_command() -> list[str]:
    return [sys.executable, __file__]


if __name__ == "__main__":
    serve(int(sys.argv[1]))
