"""`timewait doctor --netns all`: every namespace that shows, the worst first."""

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from needs import OrdinaryUser, require_namespaces
from timewait.errors import UnavailableError
from timewait.host.finding import Finding, Severity
from timewait.host.snapshot_file import from_text
from timewait.lab.kernel import KernelHost
from timewait.report.everywhere import Examined, in_order, screen
from timewait.system.places import Place, enter, places
from troubles import HOSTS, gone, past_the_step, quiet


def doctor(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "timewait", "doctor", "--netns", "all", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def inode(pid: int) -> int:
    return Path(f"/proc/{pid}/ns/net").stat().st_ino


def test_each_namespace_has_its_findings_and_the_worst_is_first() -> None:
    require_namespaces()
    with KernelHost() as full, KernelHost() as step, KernelHost() as calm:
        past_the_step(step)
        gone(full)
        quiet(calm)
        done = doctor("--json")
        numbers = {inode(host.pid): str(host.pid) for host in (full, step, calm)}
        screens = doctor().stdout
        line = doctor("--check").stdout
    data: dict[str, Any] = json.loads(done.stdout)
    assert (done.returncode, data["severity"], data["schema_version"]) == (2, "CRITICAL", 1)
    ours = [each for each in data["namespaces"] if each["inode"] in numbers]
    assert [each["inode"] for each in ours] == list(numbers)
    assert [[found["id"] for found in each["findings"]] for each in ours] == [["ports-gone"], ["search-step"], []]
    assert [each["host"]["namespace"] for each in ours] == list(numbers.values())
    own = next(each for each in data["namespaces"] if each["host"]["namespace"] is None)
    assert own["inode"] == inode(os.getpid())
    assert own["processes"] > 0
    headings = [text for text in screens.splitlines() if text.startswith("== namespace ")]
    places = [next(at for at, text in enumerate(headings) if f"net:[{each}]" in text) for each in numbers]
    assert places == sorted(places)
    assert line.startswith("TIMEWAIT CRITICAL - the worst of ")
    assert line.count("\n") == 1


def test_nobody_stays_in_a_namespace_when_it_is_killed() -> None:
    require_namespaces()
    command = [sys.executable, "-m", "timewait", "doctor", "--netns", "all", "--interval", "60"]
    with KernelHost(), subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        until = time.monotonic() + 20
        # Two at least: in this namespace and in the private one.  Each is ready once it waits for its interval.
        while len(children := living_children(process.pid)) < 2 and time.monotonic() < until:
            time.sleep(0.01)
        time.sleep(1)
        assert len(living_children(process.pid)) >= len(children) >= 2
        children = living_children(process.pid)
        process.kill()
        process.wait()
        until = time.monotonic() + 5
        while any(map(alive, children)) and time.monotonic() < until:
            time.sleep(0.01)
        assert not any(map(alive, children))


def living_children(pid: int) -> list[int]:
    found = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal()]
    return [child for child in found if alive(child) and status(child)[1] == str(pid)]


def alive(pid: int) -> bool:
    """Whether a process is there and more than an entry that nobody has asked for yet (state Z, proc(5))."""
    return status(pid)[0] not in ("Z", "X", "")


def status(pid: int) -> list[str]:
    """Return the state, the parent, ... of a process; the state is "" where it has gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ["", ""]


def test_a_namespace_that_went_is_refused_and_its_number_is_not_taken_for_it() -> None:
    """The process id may be somebody else's by now: here it is this very process, in another namespace."""
    with pytest.raises(UnavailableError, match="went away"):
        enter(Place(1, "", (1, 999_999_999), "gone", ""))


def test_every_process_of_this_user_is_in_one_place() -> None:
    found, _ = places()
    (own,) = [place for place in found if os.getpid() in place.pids]
    assert own.inode == inode(os.getpid())
    assert len({place.inode for place in found}) == len(found)


def test_namespaces_of_one_container_stand_together_behind_the_worst_of_them() -> None:
    snapshot = from_text((HOSTS / "quiet.json").read_text(), "")

    def examined(number: int, cgroup: str, *severities: Severity) -> Examined:
        found = [Finding("x", severity, "", "", ()) for severity in severities]
        return Examined(Place(number, "", (number,), "p", cgroup), snapshot, found)

    given = [
        examined(1, "/a"),
        examined(2, "/b", Severity.WARNING),
        examined(3, "/a", Severity.CRITICAL),
        examined(4, "/b"),
        examined(5, "/c", Severity.WARNING, Severity.WARNING),
    ]
    assert [each.place.inode for each in in_order(given)] == [3, 1, 5, 2, 4]
    text = "\n".join(screen(given, ["namespace 7: gone"], 80))
    assert text.index("== /a: 2 network namespaces") < text.index("net:[3]") < text.index("== /b: 2")
    assert text.endswith("missing namespace 7: gone\n5 network namespaces examined")


@contextlib.contextmanager
def control_groups(*names: str) -> Iterator[list[Path]]:
    """Make control groups with these names; skipped where this user may not, as in most containers."""
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    roots = [Path(mount[1]) for mount in mounts if mount[2] == "cgroup2"]
    made: list[Path] = []
    try:
        for name in names:
            made.append(roots[0] / name)
            made[-1].mkdir()
    except (IndexError, OSError):
        for folder in made[:-1]:
            folder.rmdir()
        pytest.skip("this user may not make control groups")
    yield made
    for folder in reversed(made):
        folder.rmdir()


def test_two_namespaces_of_one_pod_and_a_container_stand_under_their_names() -> None:
    """Real control groups with the names that CRI-O's and docker's systemd drivers give."""
    require_namespaces()
    digits = f"{os.getpid():064x}"
    uid = f"{os.getpid():08x}_1111_2222_3333_444444444444"
    first, second = (f"crio-{number}{digits[1:]}.scope" for number in "12")
    pod, alone = f"kubepods-besteffort-pod{uid}.slice", f"docker-{digits}.scope"
    with KernelHost() as one, KernelHost() as two, KernelHost() as three:
        hosts = [one, two, three]
        numbers = [inode(host.pid) for host in hosts]
        with control_groups(pod, f"{pod}/{first}", f"{pod}/{second}", alone) as (_, *groups):
            for host, group in zip(hosts, groups, strict=True):
                (group / "cgroup.procs").write_text(str(host.pid))
            gone(two)
            data = json.loads(doctor("--json").stdout)
            text = doctor().stdout
            for host in hosts:
                host.end()
            deadline = time.monotonic() + 10
            while any((group / "cgroup.procs").read_text() for group in groups) and time.monotonic() < deadline:
                time.sleep(0.01)
    seen = {each["inode"]: each["container"] for each in data["namespaces"]}
    plain = uid.replace("_", "-")
    assert [seen[number] for number in numbers] == [
        {"runtime": "cri-o", "name": f"1{digits[1:12]}", "pod": plain},
        {"runtime": "cri-o", "name": f"2{digits[1:12]}", "pod": plain},
        {"runtime": "docker", "name": digits[:12], "pod": None},
    ]
    lines = text.splitlines()
    heading = lines.index(f"== pod {plain}: 2 network namespaces")
    assert f"net:[{numbers[1]}]" in lines[heading + 2], "the worse one first"
    assert any(line.startswith("CRITICAL  ports-gone") for line in lines[heading + 3 : heading + 5])
    assert f"docker {digits[:12]}" in " ".join(text.split())
    assert max(map(len, lines)) <= 80 or "sysctl" in max(lines, key=len)


def test_an_ordinary_user_sees_his_own_and_is_told_what_is_missing(somebody: OrdinaryUser) -> None:
    done = somebody.run(["doctor", "--netns", "all", "--json"])
    data = json.loads(done.stdout)
    assert done.returncode in (0, 1, 2), done.stderr
    assert inode(os.getpid()) in [each["inode"] for each in data["namespaces"]]
    assert any("may not look into" in text for text in data["missing"])


@pytest.mark.parametrize("option", [["--save", "/tmp/x"], ["--anonymise"], ["--trace", "1"]])
def test_what_is_about_one_namespace_does_not_go_with_all(option: list[str]) -> None:
    done = doctor(*option)
    assert (done.returncode, done.stdout) == (64, "")
    assert "--netns all are many" in done.stderr
