"""Segments a second that the network forwards between two kernels on one core: plain segments, each one by itself.

One kernel sends bulk to the other, with offload off, so that each segment passes the network alone; the network, both
kernels' work and the two programs are held to one core.  Counted are all segments, ACKs too; the ones of the text alone
stand beside them.
"""

import contextlib
import math
import os
import subprocess
import sys
import time
from collections.abc import Iterator

from timewait.clock import MS, SECOND
from timewait.lab.live import LiveNetwork, Port
from timewait.lab.networked import NetworkedHost
from timewait.sim.link import PERFECT, Conditions

SENDER = """
import socket, sys
sock = socket.create_connection((sys.argv[1], int(sys.argv[2])))
sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 22)
piece = bytes(1 << 20)
while True:
    sock.sendall(piece)
"""
RECEIVER = """
import socket, sys
listener = socket.create_server((sys.argv[1], int(sys.argv[2])))
print("ready", flush=True)
sock, _ = listener.accept()
buffer = bytearray(1 << 20)
while sock.recv_into(buffer):
    pass
"""
TARGET = 50_000


@contextlib.contextmanager
def network(conditions: Conditions, traced: bool) -> Iterator[tuple[LiveNetwork, NetworkedHost, NetworkedHost]]:
    live = LiveNetwork()
    if not traced:
        live.trace = None
    with contextlib.closing(live), contextlib.ExitStack() as ends:
        hosts = [
            ends.enter_context(NetworkedHost(live, name, [(f"192.0.2.{number}", 24)]))
            for number, name in enumerate(("sender", "receiver"), 1)
        ]
        live.link(live.ends["sender"], live.ends["receiver"], conditions)
        yield live, hosts[0], hosts[1]


def forwarded(conditions: Conditions = PERFECT, *, traced: bool = False, seconds: float = 2.0) -> float:
    """Segments a second, both directions together."""
    with network(conditions, traced) as (live, sender, receiver), contextlib.ExitStack() as programs:
        ports = [end for end in live.ends.values() if isinstance(end, Port)]
        at = ["192.0.2.2", "9000"]
        server = programs.enter_context(
            receiver.start([sys.executable, "-I", "-S", "-c", RECEIVER, *at], stdout=subprocess.PIPE)
        )
        programs.callback(server.kill)
        assert server.stdout is not None
        server.stdout.readline()
        client = programs.enter_context(sender.start([sys.executable, "-I", "-S", "-c", SENDER, *at]))
        programs.callback(client.kill)
        live.run(SECOND // 2)
        before = sum(port.received for port in ports)
        began = time.monotonic()
        live.run(round(seconds * SECOND))
        took = time.monotonic() - began
        return (sum(port.received for port in ports) - before) / took


def main() -> None:
    core = min(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {core})
    print("segments a second between two kernels, plain, everything on one core")
    worst = math.inf
    for words, conditions, traced in (
        ("a perfect link", PERFECT, False),
        ("a delay of 1 ms", Conditions(delay=MS), False),
        ("a perfect link, recorded", PERFECT, True),
        ("a delay of 1 ms, recorded", Conditions(delay=MS), True),
    ):
        rate = forwarded(conditions, traced=traced)
        worst = min(worst, rate)
        print(f"  {words:<26}{rate:>12,.0f}")
    print(f"  target                    {TARGET:>12,}" + ("" if worst >= TARGET else "   MISSED"))
    sys.exit(worst < TARGET)


if __name__ == "__main__":
    main()
