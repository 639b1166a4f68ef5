"""How much CPU time `timewait sockets` costs on a full host, as ratios against `ss` and against a discarding dump.

Makes the sockets itself, in a private network namespace (tcp_max_tw_buckets is per namespace); runs everything side by
side in one run, several times in turn, and prints medians.  Not a test: a machine's speed is not a fact about code.

    python bench/sockets.py [--sizes 100000,500000,1000000] [--rounds 5]
"""

import argparse
import os
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

from timewait.system import counters, netns, sysctl
from timewait.system.netlink import DATAGRAM_SIZE, DumpSocket
from timewait.system.sock_diag import TIME_WAIT, dump_request, state_mask

PORT = 8000
WORKERS = 2
DESTINATIONS = 400
SERVER_SHARE = 8  # one connection in so many is closed by the server first

_listeners: list[socket.socket] = []


def fill(count: int) -> None:
    """Leave `count` sockets in TIME-WAIT: `WORKERS` processes, one wildcard listener each, many destinations."""
    share = count // WORKERS
    workers = []
    for number in range(WORKERS):
        listener = socket.socket()
        listener.bind(("0.0.0.0", PORT + number))
        listener.listen(128)
        _listeners.append(listener)  # stays open, so that its side of the connections is known for a server's
        pid = os.fork()
        if pid == 0:
            _fill_share(share, listener)
            os._exit(0)
        workers.append(pid)
    for pid in workers:
        os.waitpid(pid, 0)


def _fill_share(count: int, listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    for number in range(count):
        at = number % DESTINATIONS
        client = socket.socket()
        client.connect((f"127.1.{at // 200}.{at % 200 + 1}", port))
        server, _ = listener.accept()
        first, second = (server, client) if number % SERVER_SHARE == 0 else (client, server)
        first.close()
        second.close()


def waiting() -> int:
    """How many sockets are in TIME-WAIT now."""
    return counters.sockstat().get("sockstat.TCP.tw", 0)


def discard() -> int:
    """Dump TIME-WAIT and throw the bytes away: what the kernel alone costs."""
    source = DumpSocket()
    source.ask(dump_request(state_mask(TIME_WAIT)))
    buffer = memoryview(bytearray(DATAGRAM_SIZE))
    read = 0
    while (size := source.receive_into(buffer)) > 0:
        read += size
        if int.from_bytes(buffer[size - 16 : size - 14], sys.byteorder) == 3 or size < 64:  # NLMSG_DONE, 20 bytes
            break
    source.close()
    return read


def own_cpu(work: Callable[[], object]) -> float:
    """CPU seconds of a call in this process."""
    before = resource.getrusage(resource.RUSAGE_SELF)
    work()
    after = resource.getrusage(resource.RUSAGE_SELF)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def whole_cpu(command: list[str], worst: int = 0) -> tuple[float, float]:
    """CPU seconds and peak memory in MB of a whole process, whose exit status may be `worst` at most."""
    # Installed programs have their byte code beside them; where this machine's environment forbids it, it is made here.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    null = os.open(os.devnull, os.O_WRONLY)
    pid = os.posix_spawn(command[0], command, environment, file_actions=[(os.POSIX_SPAWN_DUP2, null, 1)])
    os.close(null)
    _, status, usage = os.wait4(pid, 0)
    if os.waitstatus_to_exitcode(status) not in range(worst + 1):
        raise SystemExit(f"{' '.join(command)} ended with status {status}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def warm(rounds: int) -> list[tuple[float, float]]:
    """(floor, dump and count) pairs in one process after a first, uncounted turn; printed by a child of its own."""
    from timewait.system import census

    def count() -> None:
        list(census.take(state_mask(TIME_WAIT), many=True).finish())

    count()
    return [(own_cpu(discard), own_cpu(count)) for _ in range(rounds)]


def one_size(count: int, rounds: int) -> None:
    """Fill, measure everything in turn, print one block."""
    began = time.monotonic()
    fill(count)
    filled = time.monotonic() - began
    ss = shutil.which("ss")
    if ss is None:
        raise SystemExit("install iproute2: apt-get install iproute2")
    start = waiting()
    ours, theirs, floors, peaks = [], [], [], []
    for _ in range(rounds):
        cpu, peak = whole_cpu([sys.executable, "-m", "timewait", "sockets", "--group", "destination"])
        ours.append(cpu)
        peaks.append(peak)
        theirs.append(whole_cpu([ss, "-tan", "state", "time-wait"])[0])
        floors.append(own_cpu(discard))
    output = subprocess.run(
        [sys.executable, __file__, "--warm", str(rounds)], check=True, capture_output=True, text=True
    )
    pairs = [tuple(map(float, line.split())) for line in output.stdout.splitlines()]
    end = waiting()
    ratio = statistics.median(a / b for a, b in zip(ours, theirs, strict=True))
    print(f"{start:,} sockets in TIME-WAIT ({end:,} at the end), made in {filled:.0f} s; CPU time, medians of {rounds}")
    for name, seconds in (
        ("discarding dump", statistics.median(floors)),
        ("ss -tan state time-wait", statistics.median(theirs)),
        ("timewait sockets --group destination", statistics.median(ours)),
    ):
        print(f"  {name:38} {seconds * 1e3:8.1f} ms")
    print(f"  {'... to ss':38} {ratio:8.2f}")
    print(f"  {'... peak memory':38} {max(peaks):8.0f} MB")
    print(f"  {'dump and count, warm, to the dump':38} {statistics.median(b / a for a, b in pairs):8.2f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="100000,500000,1000000")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--warm", type=int, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.warm:
        for floor, counted in warm(asked.warm):
            print(floor, counted)
        return
    for size in map(int, asked.sizes.split(",")):
        pid = os.fork()  # a namespace of its own for each size, gone with its process
        if pid == 0:
            netns.make_private()
            sysctl.allow_writing()
            sysctl.write("net.ipv4.tcp_max_tw_buckets", str(2 * size))
            sysctl.write("net.ipv4.ip_local_port_range", "10000 65000")
            one_size(size, asked.rounds)
            os._exit(0)
        os.waitpid(pid, 0)


if __name__ == "__main__":
    main()
