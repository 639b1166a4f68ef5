"""`timewait script`: what a user sees, and what the exit status says."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from xml.etree import ElementTree

import pytest

from timewait.cli.group import run
from timewait.errors import UsageError
from timewait.wire import capture

# RFC 9293 figure 6 and section 3.6: opened, closed by us, TIME-WAIT.
GOOD = """--ip_version=ipv4
 0.00 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
+0.00 fcntl(3, F_SETFL, O_RDWR | O_NONBLOCK) = 0
+0.00 connect(3, ..., ...) = -1 EINPROGRESS (Operation now in progress)
+0.00 > S 0:0(0) <...>
+0.10 < S. 0:0(0) ack 1 win 32767 <mss 1460>
+0.00 > . 1:1(0) ack 1
+0.00 close(3) = 0
+0.00 > F. 1:1(0) ack 1
+0.10 < F. 1:1(0) ack 2 win 32767
+0.00 > . 2:2(0) ack 2
"""
BAD = GOOD.replace("2:2(0) ack 2", "2:2(0) ack 3")


def folder(where: Path, **scripts: str) -> str:
    for name, text in scripts.items():
        file = where / f"{name.replace('__', '/')}.pkt"
        file.parent.mkdir(exist_ok=True, parents=True)
        file.write_text(text)
    return str(where)


def test_a_script_that_passes_is_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["script", folder(tmp_path, good=GOOD)]) == 0
    assert capsys.readouterr().out.startswith("1 script: all passed in ")


def test_a_difference_is_told_in_packetdrills_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """packetdrill's run_packet.c: script packet and actual packet one above the other."""
    assert run(["script", folder(tmp_path, bad=BAD), "--profile", "rfc9293"]) == 1
    told = capsys.readouterr().out.splitlines()
    assert told[0].startswith(
        f"{tmp_path}/bad.pkt:11: error handling packet: live packet field tcp_ack_seq: expected: 3 "
    )
    assert told[1].startswith("script packet: 0.2")
    assert told[1].endswith(". 2:2(0) ack 3")
    assert told[2].startswith("actual packet: 0.2")
    assert ". 2:2(0) ack 2" in told[2]
    assert told[3].startswith("1 script: 0 passed, 1 failed in ")


def test_a_script_that_cannot_be_read_does_not_stop_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = folder(tmp_path, a="0 > S 0:0(0) <sackok>\n", b=GOOD, sub__c=GOOD)
    assert run(["script", where, "-v", "--jobs", "2"]) == 1
    told = capsys.readouterr().out.splitlines()
    assert told[:3] == [
        f"{where}/a.pkt:1:15: unknown option sackok",
        "    0 > S 0:0(0) <sackok>",
        "                  ^",
    ]
    assert [line.split()[1] for line in told if line.startswith("OK ")] == [f"{where}/b.pkt", f"{where}/sub/c.pkt"]
    assert told[-1].startswith("3 scripts: 2 passed, 1 failed in ")


def test_results_as_data_and_for_integration(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = folder(tmp_path / "in", a=GOOD, b=BAD, c="\x00")
    assert run(["script", where, "--json", "--junit", str(tmp_path / "r.xml"), "--pcap", str(tmp_path / "p")]) == 1
    said = json.loads(capsys.readouterr().out)
    assert (said["schema_version"], said["command"], said["passed"], said["failed"]) == (1, "script", 1, 2)
    assert [one["passed"] for one in said["scripts"]] == [True, False, False]
    assert said["scripts"][1]["failure"]["line"] == 11
    assert "error" in said["scripts"][2]
    root = ElementTree.parse(tmp_path / "r.xml").getroot()
    assert (root.get("tests"), root.get("failures"), root.get("errors")) == ("3", "1", "1")
    assert [len(case) for case in root.iter("testcase")] == [0, 1, 1]
    (good,) = (tmp_path / "p").rglob("a.pcapng")
    with good.open("rb") as file:
        packets = [record.data for record in capture.read(file)]
    flags = [packet[33] & 0x3F for packet in packets]  # after 20 octets of IPv4, RFC 9293 3.1
    assert flags == [2, 0x12, 0x10, 0x11, 0x11, 0x10]


def test_names_for_conditions(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = "#ifdef FreeBSD\n" + GOOD + "#else\n#ifdef MINE\n" + GOOD + "#else\n" + BAD + "#endif\n#endif\n"
    where = folder(tmp_path, a=text)
    assert run(["script", where, "--profile", "freebsd"]) == 0
    assert run(["script", where, "--profile", "linux"]) == 1
    assert run(["script", where, "--define", "MINE"]) == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "which scripts"),
        (["/nowhere.pkt"], "there is no /nowhere.pkt"),
        (["{empty}"], "has no .pkt file below it"),
        (["{empty}", "--profile", "lunix"], "there is no profile lunix"),
        (["{empty}", "--set", "x"], "--set x lacks a value"),
        (["{empty}", "--set", "nosuch=1"], "profile linux has no setting nosuch"),
        (["{empty}", "--set", "net.ipv4.tcp_rfc1337=banana"], "net.ipv4.tcp_rfc1337 = banana is no number"),
        (["{empty}", "--profile", "freebsd", "--set", "net.ipv4.tcp_rfc1337=1"], "freebsd has no setting"),
        (["{empty}", "--define", "=3"], "lacks its name"),
        (["{empty}", "--allow-shell"], "--allow-shell is the kernel's"),
        (["{empty}", "--world", "kernel", "--profile", "linux"], "--profile is the engine's"),
        (["{empty}", "--jobs", "0"], "Invalid value for '--jobs'"),
    ],
)
def test_what_cannot_be_meant(tmp_path: Path, arguments: list[str], said: str) -> None:
    (tmp_path / "empty").mkdir()
    if "lacks" in said:
        (tmp_path / "empty/a.pkt").write_text(GOOD)
    with pytest.raises(UsageError) as caught:
        run(["script", *(part.replace("{empty}", str(tmp_path / "empty")) for part in arguments)])
    assert said in caught.value.what
    assert caught.value.hint


def test_results_that_cannot_be_written_are_said_so(tmp_path: Path) -> None:
    where = folder(tmp_path, a=GOOD)
    for option in ("--junit", "--pcap"):
        with pytest.raises(UsageError, match="cannot be written"):
            run(["script", where, option, "/proc/nothing/x"])


def children(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_whatever_ends_it_leaves_no_process(tmp_path: Path, how: signal.Signals) -> None:
    where = folder(tmp_path, **{f"s{number}": GOOD + "+0 > . 1:1(0)\n" * 500 for number in range(400)})
    command = [sys.executable, "-m", "timewait", "script", where, "--jobs", "2"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as program:
        for _ in range(6000):
            workers = children(program.pid)
            if len(workers) == 2 or program.poll() is not None:
                break
            time.sleep(0.005)  # until its workers are there
        assert len(workers) == 2
        program.send_signal(how)
        _, complaint = program.communicate(timeout=30)
    assert program.returncode in (130, -signal.SIGKILL)
    assert "Traceback" not in complaint
    for _ in range(2000):
        if not any(os.path.exists(f"/proc/{worker}/exe") and children_alive(worker) for worker in workers):
            return
        time.sleep(0.005)
    pytest.fail("workers are left")


def children_alive(worker: str) -> bool:
    """Whether a process is there and no zombie of whoever adopted it."""
    try:
        return Path(f"/proc/{worker}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False
