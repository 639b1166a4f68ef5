"""A folder of packet scripts in virtual time: python bench/scripts.py [--scripts N] [--jobs N] [--target SECONDS].

The scripts are written here, 40 lines each: a handshake, data both ways, a close from either side, on turns of IPv4 and
IPv6.  Every one has to pass; the figure is the wall clock of `timewait script FOLDER`, start of the program included.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

LINES = 40


def script(number: int) -> str:
    """Return a script of 40 lines; what is sent and who closes first depend on `number`."""
    version, mss = (("ipv4", 1460), ("ipv6", 1440))[number % 2]
    text = [f"--ip_version={version}", "`sysctl -w net.ipv4.tcp_timestamps=0`", *_opened(mss)]
    size = 100 + number % 900
    sent = 1
    while len(text) < LINES - 9:
        text += [
            f"+0.01 write(4, ..., {size}) = {size}",
            f"+0.00 > P. {sent}:{sent + size}({size}) ack 1",
            f"+0.01 < . 1:1(0) ack {sent + size} win 32767",
        ]
        sent += size
    text += _closed_by_stack(sent) if number % 4 < 2 else _closed_by_peer(sent)
    text += [f"// {number}: a line of its own" for _ in range(LINES - len(text))]
    return "\n".join(text) + "\n"


def _opened(mss: int) -> Iterator[str]:
    yield "0.00 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3"
    yield "+0.00 setsockopt(3, SOL_SOCKET, SO_REUSEADDR, [1], 4) = 0"
    yield "+0.00 bind(3, ..., ...) = 0"
    yield "+0.00 listen(3, 1) = 0"
    yield f"+0.10 < S 0:0(0) win 32767 <mss {mss},sackOK,nop,nop>"
    yield f"+0.00 > S. 0:0(0) ack 1 <mss {mss},nop,nop,sackOK>"
    yield "+0.05 < . 1:1(0) ack 1 win 32767"
    yield "+0.00 accept(3, ..., ...) = 4"


def _closed_by_stack(sent: int) -> Iterator[str]:
    yield "+0.00 close(4) = 0"
    yield f"+0.00 > F. {sent}:{sent}(0) ack 1"
    yield f"+0.05 < . 1:1(0) ack {sent + 1} win 32767"
    yield f"+0.05 < F. 1:1(0) ack {sent + 1} win 32767"
    yield f"+0.00 > . {sent + 1}:{sent + 1}(0) ack 2"
    yield f"+30 < F. 1:1(0) ack {sent + 1} win 32767"
    yield f"+0.00 > . {sent + 1}:{sent + 1}(0) ack 2"
    yield "+0.00 close(3) = 0"


def _closed_by_peer(sent: int) -> Iterator[str]:
    yield f"+0.05 < F. 1:1(0) ack {sent} win 32767"
    yield f"* > . {sent}:{sent}(0) ack 2"
    yield "+0.10 read(4, ..., 1000) = 0"
    yield "+0.00 close(4) = 0"
    yield f"+0.00 > F. {sent}:{sent}(0) ack 2"
    yield f"+0.05 < . 2:2(0) ack {sent + 1} win 32767"
    yield "+0.00 close(3) = 0"


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--scripts", type=int, default=1000)
    arguments.add_argument("--jobs", type=int, default=2)
    arguments.add_argument("--target", type=float, default=20.0, help="seconds")
    asked = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for number in range(asked.scripts):
            Path(folder, f"{number:05}.pkt").write_text(script(number))
        command = [sys.executable, "-m", "timewait", "script", folder, "--jobs", str(asked.jobs), "--json"]
        began = time.monotonic()
        done = subprocess.run(command, capture_output=True, text=True)
        taken = time.monotonic() - began
    if done.returncode not in (0, 1):
        print(done.stderr, file=sys.stderr)
        return done.returncode
    found = json.loads(done.stdout)
    for one in found["scripts"]:
        if not one["passed"]:
            print(f"failed: {one}", file=sys.stderr)
            break
    print(
        f"{asked.scripts:,} scripts of {LINES} lines, --jobs {asked.jobs}: {taken:.1f} s"
        f" (target {asked.target:g} s), {found['passed']:,} passed"
    )
    return 0 if found["failed"] == 0 and taken <= asked.target else 1


if __name__ == "__main__":
    sys.exit(main())
