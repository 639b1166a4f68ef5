"""How much CPU time `timewait doctor` costs on a full host, as a ratio against `ss -tan` in one run.

500,000 sockets in TIME-WAIT towards 200 destinations, 5,000 live ones, in a private network namespace.

    python bench/doctor.py [--size 500000] [--rounds 5]
"""

import argparse
import os
import resource
import shutil
import socket
import statistics
import sys
import time

import sockets as common  # bench/sockets.py: fills a namespace, measures whole processes
from timewait.system import netns, sysctl

LIVE = 5000


def live(count: int) -> list[socket.socket]:
    """Open so many connections, both ends counted, and keep them."""
    listener = socket.create_server(("127.0.0.1", 7000), backlog=1024)
    kept = [listener]
    for _ in range(count // 2):
        client = socket.create_connection(("127.0.0.1", 7000))
        kept += [client, listener.accept()[0]]
    return kept


def measure(rounds: int) -> None:
    ss = shutil.which("ss")
    if ss is None:
        raise SystemExit("install iproute2: apt-get install iproute2")
    ours, theirs, peaks = [], [], []
    start = common.waiting()
    for number in range(rounds):
        if common.waiting() < 0.95 * start:
            print(f"(the first sockets go after a minute: {number} of {rounds} rounds were in time)")
            break
        cpu, peak = doctor()
        ours.append(cpu)
        peaks.append(peak)
        theirs.append(common.whole_cpu([ss, "-tan"])[0])
    ratio = statistics.median(a / b for a, b in zip(ours, theirs, strict=True))
    print(f"{start:,} sockets in TIME-WAIT ({common.waiting():,} at the end); CPU time, medians of {rounds}")
    print(f"  ss -tan                  {statistics.median(theirs) * 1e3:8.1f} ms")
    print(f"  timewait doctor          {statistics.median(ours) * 1e3:8.1f} ms")
    print(f"  ... to ss                {ratio:8.2f}")
    print(f"  ... peak memory          {max(peaks):8.0f} MB", flush=True)


def doctor() -> tuple[float, float]:
    """CPU seconds and peak memory in MB; whatever it finds."""
    return common.whole_cpu([sys.executable, "-m", "timewait", "doctor"], worst=2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=500_000)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    pid = os.fork()  # a namespace of its own, gone with its process
    if pid == 0:
        netns.make_private()
        sysctl.allow_writing()
        began = time.monotonic()
        doctor()
        print(f"quiet host: {time.monotonic() - began:.2f} s whole", flush=True)
        sysctl.write("net.ipv4.tcp_max_tw_buckets", str(4 * asked.size))
        sysctl.write("net.ipv4.ip_local_port_range", "1100 65000")
        resource.setrlimit(resource.RLIMIT_NOFILE, (2 * LIVE, 2 * LIVE))
        kept = live(LIVE)
        common.fill(asked.size)
        measure(asked.rounds)
        del kept
        os._exit(0)
    os.waitpid(pid, 0)


if __name__ == "__main__":
    main()
