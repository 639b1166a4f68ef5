"""`timewait lab`: what it prints fits the terminal, is the same as data, and what cannot be meant is said."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from needs import OrdinaryUser, require_namespaces, require_tun
from processes import children
from timewait.cli.group import run
from timewait.errors import Exit, UsageError
from timewait.lab import catalog
from timewait.wire.pcapng import read


def lines(capsys: pytest.CaptureFixture[str], *arguments: str, status: int = Exit.OK) -> list[str]:
    assert run(["lab", *arguments]) == status
    return capsys.readouterr().out.splitlines()


def test_the_list_has_every_scenario_and_fits_80_columns(capsys: pytest.CaptureFixture[str]) -> None:
    shown = lines(capsys, "list")
    assert [line.split()[0] for line in shown[1:] if not line.startswith(" ")] == catalog.names()
    assert max(map(len, shown)) <= 80


@pytest.mark.parametrize("name", catalog.names())
def test_a_scenario_and_its_result_fit_80_columns(capsys: pytest.CaptureFixture[str], name: str) -> None:
    assert max(map(len, lines(capsys, "show", name))) <= 80
    if "engine" in catalog.get(name).worlds:
        assert max(map(len, lines(capsys, "run", name, "--world", "engine"))) <= 80


def test_a_tag_chooses(capsys: pytest.CaptureFixture[str]) -> None:
    data = json.loads("\n".join(lines(capsys, "list", "--tag", "H19", "--json")))
    assert "server-closes" in [each["name"] for each in data["scenarios"]]
    assert all("H19" in each["tags"] for each in data["scenarios"])


def test_a_tag_is_said_and_completed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert lines(capsys, "list", "--tag", "H19")[0] == "H19: SYN above RCV.NXT may reopen (RFC 9293 MAY-2)"
    with pytest.raises(UsageError) as error:
        run(["lab", "list", "--tag", "reuze"])
    assert "reuse" in error.value.hint
    for words, expected in (
        ("lab list --tag fin-w", "fin-wait-2"),
        ("lab run half-c", "half-close"),
        ("claims 16.1", "16.14"),
    ):
        monkeypatch.setenv("COMP_WORDS", f"timewait {words}")
        monkeypatch.setenv("COMP_CWORD", str(len(words.split())))
        done = subprocess.run(
            [sys.executable, "-m", "timewait"],
            env={**os.environ, "_TIMEWAIT_COMPLETE": "bash_complete"},
            capture_output=True,
            text=True,
            timeout=30,
        )
        assert f"plain,{expected}" in done.stdout.splitlines(), (words, done.stdout, done.stderr)


def test_a_parameter_is_heard(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("run", "server-closes", "--world", "engine", "--set", "ports=8", "--set", "connects=20", "--json")
    (result,) = json.loads("\n".join(lines(capsys, *arguments)))["results"]
    assert result["parameters"] == {"ports": 8, "connects": 20}
    values = {each["name"]: each["value"] for each in result["observations"]}
    assert values["in TIME-WAIT at the server's"] == 4


def test_another_stack_may_depart_from_the_rfc_and_that_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("run", "time-wait-length", "--world", "engine", "--profile", "freebsd")
    text = "\n".join(lines(capsys, *arguments, status=Exit.FAILED))
    assert "60 s !" in text
    assert "not as foretold" in text


def test_the_segments_are_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "half.pcapng"
    lines(capsys, "run", "half-close", "--world", "engine", "--pcap", str(file))
    with file.open("rb") as capture:
        assert len(list(read(capture))) >= 7


def test_a_kernels_loopback_is_recorded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """RFC 9293 figure 12: FIN, ACK, FIN, ACK, seen by a kernel alone; the state of each end as it was asked for."""
    require_namespaces()
    file = tmp_path / "half.pcapng"
    shown = lines(capsys, "run", "half-close", "--world", "kernel", "--trace", "--pcap", str(file))
    drawn = [line for line in shown if "--" in line]
    flags = [
        next(word for word in line.split() if word in ("SYN", "SYN,ACK", "ACK", "PSH,ACK", "FIN,ACK")) for line in drawn
    ]
    assert flags == ["SYN", "SYN,ACK", "ACK", "FIN,ACK", "ACK", "PSH,ACK", "ACK", "FIN,ACK", "ACK"]
    assert any("TIME-WAIT #" in line for line in shown)
    assert any("send(): EPIPE" in line for line in shown)
    with file.open("rb") as capture:
        assert len(list(read(capture))) == len(drawn)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "half-closed"], "half-closed"),
        (["show", "nothing-like-it-at-all"], "nothing-like-it-at-all"),
        (["run", "half-close", "--set", "count"], "KEY=VALUE"),
        (["run", "half-close", "--set", "count=3"], "no parameter 'count'"),
        (["run", "reconnect", "--set", "count=3", "--set", "count=4"], "twice"),
        (["run", "reconnect", "--set", "count=three"], "'three'"),
        (["run", "reconnect", "half-close", "--set", "count=3"], "one scenario"),
        (["run", "cost-of-connect", "--world", "engine"], "cannot be shown by the engine"),
        (["run", "half-close", "--world", "bridge"], "cannot be shown by the bridge"),
        (["run", "half-close", "--world", "engine", "--pcap", "/no/where/x"], "/no/where/x"),
        (["run", "half-close", "--world", "engine", "--profile", "beos"], "beos"),
        (["run"], "NAME"),
        (["list", "--tag", "nonsense"], "nonsense"),
        (["compare", "--tag", "nonsense"], "nonsense"),
        (["compare", "--tag", "half-open", "--world", "bridge"], "bridge"),
    ],
)
def test_what_cannot_be_meant_is_said(arguments: list[str], words: str) -> None:
    with pytest.raises(UsageError) as error:
        run(["lab", *arguments])
    assert words in error.value.what
    assert error.value.hint


def test_the_worlds_are_compared(capsys: pytest.CaptureFixture[str]) -> None:
    require_namespaces()
    shown = lines(capsys, "compare", "--tag", "half-close")
    assert max(map(len, shown)) <= 80
    assert any(re.fullmatch(r"(\d+) of \1 cells agree", line) for line in shown)
    shown = lines(capsys, "compare", "--tag", "half-open", "--profile", "freebsd", status=Exit.FAILED)
    assert "  engine   EADDRINUSE" in shown


def test_across_a_bridge_it_is_compared_too(capsys: pytest.CaptureFixture[str]) -> None:
    require_tun()
    shown = lines(capsys, "compare", "--tag", "retransmission")
    assert max(map(len, shown)) <= 80
    assert shown[0].split()[4:] == ["KERNEL", "ENGINE", "SERVER", "CLIENT"]
    ends = {line.split()[0]: line.split()[-2:] for line in shown[1:3]}
    assert ends == {"fin-before-ours-left": ["-", "-"], "lost-fin": ["6/6", "6/6"]}
    # Its tail loss probe makes the kernel send one FIN more, wherever the kernel is the client.
    assert any(re.fullmatch(r"  bridge +\d \(client\); \d \(server\)", line) for line in shown)
    run(["lab", "compare", "--tag", "retransmission", "--world", "bridge", "--json"])
    (alone,) = json.loads(capsys.readouterr().out)["scenarios"]
    assert (alone["scenario"], alone["engine"], sorted(alone["bridge"])) == ("lost-fin", None, ["client", "server"])
    # How many a kernel sends depends on its round trips, which are longer on a busy machine: one more or less.
    (fins,) = [cell for cell in alone["cells"] if cell["observation"] == "FINs in all"]
    assert fins["engine"] is None
    assert sorted(fins["bridge"]) == ["client", "server"]
    assert min(fins["kernel"], *fins["bridge"].values()) > 3, "the first, and as many again as the scenario allows"


def test_both_worlds_stand_side_by_side(capsys: pytest.CaptureFixture[str]) -> None:
    require_namespaces()
    shown = lines(capsys, "run", "half-close", "unread-data")
    assert max(map(len, shown)) <= 80
    assert sum("ENGINE LINUX" in line and "KERNEL" in line for line in shown) == 2


def test_an_ordinary_user_can_compare(somebody: OrdinaryUser) -> None:
    require_namespaces()
    done = somebody.run(["lab", "compare", "--tag", "half-close"])
    assert (done.returncode, done.stderr) == (Exit.OK, "")


def test_an_ordinary_users_kernel_is_recorded_too(somebody: OrdinaryUser) -> None:
    require_namespaces()
    done = somebody.run(["lab", "run", "half-close", "--world", "kernel", "--trace"])
    assert (done.returncode, done.stderr) == (Exit.OK, "")
    assert "FIN,ACK" in done.stdout


def test_ctrl_c_ends_it_at_once_and_leaves_no_agent() -> None:
    require_namespaces()
    asked = subprocess.Popen(
        [sys.executable, "-m", "timewait", "lab", "run", "exhaustion", "time-wait-length", "--world", "kernel"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    deadline = time.monotonic() + 30
    while len(children(asked.pid)) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    agents = children(asked.pid)
    assert len(agents) == 2
    asked.send_signal(signal.SIGINT)
    out, _ = asked.communicate(timeout=30)
    assert (asked.returncode, out.strip()) == (130, "")
    assert not [pid for pid in agents if os.path.exists(f"/proc/{pid}")]


def test_the_exchange_is_drawn(capsys: pytest.CaptureFixture[str]) -> None:
    """RFC 9293 figure 12 and 3.10.7.4: a lost last ACK, the FIN again, and TIME-WAIT anew."""
    shown = lines(capsys, "run", "lost-last-ack", "--world", "engine", "--trace")
    assert max(map(len, shown)) <= 80
    drawn = shown[next(at for at, line in enumerate(shown) if "times in seconds" in line) :]
    lost = next(at for at, line in enumerate(drawn) if "lost on the way" in line)
    assert "TIME-WAIT #-- ACK" in drawn[lost - 1]
    assert "FIN,ACK" in next(line for line in drawn[lost + 1 :] if "--" in line)
    with pytest.raises(UsageError):
        lines(capsys, "run", "half-close", "--trace", "--json")
