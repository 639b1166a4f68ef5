"""The engine against its peers and the kernel, as ratios from one run: python bench/engine.py [--quick] [--no-peer].

Of the engine as it stands, and after `make compiled` once more with PYTHONPATH=build/compiled.

pmd-pytcp is installed into a temporary folder (from the package index) and runs as a process of its own.  What the
table calls published was measured elsewhere by others or before, and is not run here.  Rounds are interleaved, each
figure is the median of its rounds; CPU seconds are those of the process the stack is in.  Needs /dev/net/tun.
"""

import argparse
import platform
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median

import in_memory
import over_tun
import pair
import pytcp
from timewait.errors import TimewaitError
from timewait.garbage import collect_rarely
from timewait.tcp import stack

# Published figures, not run here.  PyTCP 3 over TUN with a kernel's client, by the clock, one core
# busy: connections/s, MB/s received and sent.
PYTCP_3_CONNECTIONS = 340.0
PYTCP_3_RECEIVED = 3.3
PYTCP_3_SENT = 0.04
# ns-3 3.44, packet level: connection lifecycles, both ends, a CPU second; 100,000 never finish.
NS_3_LIFECYCLES = {1_000: 3258.0, 10_000: 1026.0, 16_384: 680.0}
NS_3_TARGETS = {1_000: 0.5, 10_000: 2.0, 16_384: 3.0}
MOST = 100_000

Rounds = dict[str, list[float]]


class Report:
    """Prints a line a ratio, and counts those below their target."""

    def __init__(self) -> None:
        self.missed = 0

    def title(self, text: str) -> None:
        print(f"\n{text}")

    def ratio(self, what: str, ours: float, peer: float, name: str, target: float) -> None:
        """Ours over the peer's; at least `target`."""
        self._line(what, f"{ours:>12,.1f}", f"{peer:>10,.2f} {name}", ours / peer, target, ours / peer >= target)

    def limit(self, what: str, ours: float, most: float, unit: str) -> None:
        """A figure that may be `most` at most."""
        verdict = self._verdict(ours <= most)
        print(f"  {what:<44}{ours:>12,.4g} {unit:<38} at most {most:>6,g}  {verdict}")

    def _line(self, what: str, ours: str, peer: str, ratio: float, target: float, good: bool) -> None:
        print(f"  {what:<44}{ours} : {peer:<36}{ratio:>9,.2f} x (>= {target:g})  {self._verdict(good)}")

    def _verdict(self, good: bool) -> str:
        self.missed += not good
        return "ok" if good else "BELOW"


def interleaved(rounds: int, measures: dict[str, Callable[[], float]]) -> dict[str, float]:
    """Run all measures in turn, so that whoever else uses the machine disturbs all alike; return medians."""
    found: Rounds = {name: [] for name in measures}
    for _ in range(rounds):
        for name, measure in measures.items():
            found[name].append(measure())
    return {name: median(values) for name, values in found.items()}


def socket_pair(report: Report, python: Path | None, quick: bool) -> None:
    report.title("Connections over a socket pair, accepted and closed a CPU second of the stack's process")
    measures: dict[str, Callable[[], float]] = {
        "engine": lambda: pair.rate(pair.engine_command(), 4_000 if quick else 20_000)
    }
    if python is None:
        print(f"  engine {interleaved(3, measures)['engine']:,.0f}; no peer, as asked")
        return
    command = [str(python), "-c", pytcp.SERVER]
    measures["peer"] = lambda: pair.rate(command, 500 if quick else 2_000, pair.PREFIX)
    found = interleaved(3 if quick else 5, measures)
    report.ratio("served, an empty table", found["engine"], found["peer"], f"pmd-pytcp {pytcp.VERSION}", 15)


def over_the_device(report: Report, quick: bool) -> None:
    report.title("Over TUN with a kernel's client, a CPU second (PyTCP 3: published figures, not run here)")
    size, large, count = (20_000_000, 200_000_000, 4_000) if quick else (60_000_000, 600_000_000, 20_000)
    by_the_clock: list[float] = []

    def connections() -> float:
        speed = over_tun.connections(count)
        by_the_clock.append(speed.wall)
        return speed.cpu

    found = interleaved(
        3,
        {
            "connections": connections,
            "loopback": lambda: over_tun.loopback_connections(count),
            "received": lambda: over_tun.bulk_received(size, False).cpu,
            "received, offload": lambda: over_tun.bulk_received(large, True).cpu,
            "sent": lambda: over_tun.bulk_sent(size, False).cpu,
            "sent, offload": lambda: over_tun.bulk_sent(size * 2, True).cpu,
        },
    )
    report.ratio("connections", found["connections"], PYTCP_3_CONNECTIONS, "PyTCP 3, published", 10)
    report.ratio("connections, both by the clock", median(by_the_clock), found["loopback"], "kernel's loopback", 0.12)
    report.ratio("received, MB/s", found["received"], PYTCP_3_RECEIVED, "PyTCP 3, published", 5)
    report.ratio("received with offload, MB/s", found["received, offload"], PYTCP_3_RECEIVED, "PyTCP 3, published", 60)
    report.ratio("sent, MB/s", found["sent"], PYTCP_3_SENT, "PyTCP 3, published", 200)
    report.ratio("sent with offload, MB/s", found["sent, offload"], PYTCP_3_SENT, "PyTCP 3, published", 200)


def virtual_time(report: Report, quick: bool) -> None:
    report.title("Lifecycles in virtual time, both ends, all alive at once, a CPU second (ns-3 3.44: published)")
    most = MOST // 5 if quick else MOST
    counts = (*NS_3_LIFECYCLES, most)
    measures: dict[str, Callable[[], float]] = {
        str(count): partial(in_memory.lifecycle_rate, count) for count in counts
    }
    found = interleaved(1 if quick else 3, measures)
    for count, published in NS_3_LIFECYCLES.items():
        report.ratio(f"{count:,} connections", found[str(count)], published, "ns-3, not run here", NS_3_TARGETS[count])
    report.ratio(f"{most:,} connections", found[str(most)], found["1000"], "the engine at 1,000", 0.8)


def tables(report: Report, quick: bool) -> None:
    count = MOST // 5 if quick else MOST
    report.title(f"{count:,} TIME-WAIT records, and idle connections")
    found = in_memory.waiting(count, 2_000 if quick else 4_000, 9)
    report.limit("memory of a record", found.octets, 512, "octets")
    report.limit("idle, asked 1,000 times a second", found.idle_cores, 0.01, "of a core")
    report.ratio("accepted a CPU second, records present", found.full_rate, found.empty_rate, "an empty stack", 0.9)
    print(f"  all forgotten when their time is up, in {found.forget_seconds:.2f} CPU seconds")
    report.limit("memory of an idle connection", in_memory.connection_octets(10_000), 4096, "octets")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="smaller counts, for a look; the ratios are noisier")
    parser.add_argument("--no-peer", action="store_true", help="install and run nothing from the package index")
    arguments = parser.parse_args()
    collect_rarely()
    name = platform.uname()
    how = "pure Python" if stack.__file__.endswith(".py") else "compiled by mypyc"
    print(f"{name.system} {name.release}, Python {platform.python_version()}, profile linux, the engine {how}")
    report = Report()
    with tempfile.TemporaryDirectory(prefix="timewait-bench-") as folder:
        python = None if arguments.no_peer else pytcp.install(Path(folder) / "peer")
        socket_pair(report, python, arguments.quick)
    try:
        over_the_device(report, arguments.quick)
    except TimewaitError as error:
        print(f"  skipped: {error.what}\n  hint: {error.hint}")
    virtual_time(report, arguments.quick)
    tables(report, arguments.quick)
    print(f"\n{report.missed} below target" if report.missed else "\nall targets met")
    sys.exit(1 if report.missed and not arguments.quick else 0)


if __name__ == "__main__":
    main()
