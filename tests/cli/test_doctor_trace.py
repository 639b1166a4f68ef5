"""`timewait doctor --trace`: who closes first, seen while it does; nothing left, whatever ends it."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from needs import OrdinaryUser, require_namespaces, require_tracing
from timewait.host.snapshot_file import anonymous, from_text
from timewait.lab.kernel import KernelHost
from troubles import SERVICE, narrow, spend


def start(*arguments: str) -> subprocess.Popen[str]:
    """Start the command and return once it traces: its perf descriptors are open."""
    process = subprocess.Popen(
        [sys.executable, "-m", "timewait", "doctor", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    until = time.monotonic() + 20
    while time.monotonic() < until and not traces(process.pid):
        time.sleep(0.01)
    time.sleep(0.5)  # it reads who runs here, then begins
    return process


def traces(pid: int) -> bool:
    try:
        return any("perf_event" in os.readlink(each) for each in Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return False


def test_every_close_of_this_namespace_is_counted_and_none_of_another(tmp_path: Path) -> None:
    require_namespaces()
    require_tracing()
    file = tmp_path / "host.json"
    with KernelHost() as host, KernelHost() as other:
        here, there = narrow(host, 200), other.listen(SERVICE).value
        process = start("--netns", str(host.pid), "--trace", "5", "--json", "--save", str(file))
        spend(host, here, 120)
        spend(other, there, 30)
        spend(host, here, 10, first="server")
        out, err = process.communicate(timeout=60)
        pid = host.pid
    assert (process.returncode, err) == (2, "")
    data = json.loads(out)
    trace = data["trace"]
    seen = {(each["role"], each["first"], each["second"]) for each in trace["closers"]}
    assert seen == {("client", 120, 10), ("server", 10, 120)}
    assert {each["pid"] for each in trace["closers"]} == {pid}
    assert trace["elsewhere"] >= 60
    assert trace["lost"] == 0
    assert f"(pid {pid}" in who(data)
    assert "closes first mostly (traced: 120 of 130 closes)" in who(data)
    saved = from_text(file.read_text(), "")
    assert saved.trace is not None
    assert saved.trace.closers[0].first == 120
    hidden = anonymous(saved, b"key").trace
    assert hidden is not None
    assert hidden.closers[0].command.startswith("p-")


def who(data: dict[str, Any]) -> str:
    text: str = next(line["text"] for line in data["findings"][0]["evidence"] if line["label"] == "who")
    return text


def test_the_screen_says_who_of_all_closes() -> None:
    require_namespaces()
    require_tracing()
    with KernelHost() as host:
        listener = host.listen(SERVICE).value
        process = start("--netns", str(host.pid), "--trace", "3")
        spend(host, listener, 7, first="server")
        text = " ".join(process.communicate(timeout=60)[0].split())
        pid = host.pid
    assert "traced 14 closes here in 3 s, 7 of them first" in text
    assert "127.0.0.1 -> 127.0.0.1:5432: the other end closes first (traced: 7 of 7 closes)" in text
    assert f"(pid {pid}" in text
    assert "closes first (traced: 7 of 7 closes)" in text.partition("service 127.0.0.1:5432: ")[2]


def test_nothing_stays_behind_when_it_is_killed() -> None:
    require_tracing()
    mounts = Path("/proc/self/mounts").read_text()
    process = start("--trace", "60")
    assert traces(process.pid)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=20)
    assert not traces(process.pid)
    assert Path("/proc/self/mounts").read_text() == mounts
    assert not children_of(process.pid)


def children_of(pid: int) -> list[str]:
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if fields[1] == str(pid):
            found.append(str(status))
    return found


def test_an_ordinary_user_is_told_that_it_needs_root(somebody: OrdinaryUser) -> None:
    done = somebody.run(["doctor", "--trace", "1"])
    assert (done.returncode, done.stdout) == (69, "")
    first, hint = done.stderr.splitlines()
    assert first.startswith("error: ")
    assert "root" in hint
