"""`rtest --world engine` and `--world both`: what is printed, which options go together, exit statuses."""

import json
from pathlib import Path

import pytest

from needs import require_namespaces
from timewait.cli.group import run
from timewait.errors import Exit, UsageError
from timewait.lab.engine import EngineHost
from timewait.wire import packet, pcapng
from timewait.wire.segment import SYN


def out(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().out


def test_the_run_reads_as_in_the_kernel_world(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["rtest", "44400", "c", "--world", "engine", "--timestamps", "off"]) == Exit.FAILED
    shown = out(capsys)
    assert shown.startswith("Will initiate client close\nconnecting...\nconnecting...\nconnect: ")
    assert "1 connect succeeded, then number 2 failed: EADDRNOTAVAIL from connect()" in shown
    assert "engine, profile linux, seed 0" in shown


def test_the_rule_is_quoted_from_the_profile_with_its_source(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["rtest", "44400", "c", "--world", "engine", "--profile", "linux-4.0", "--count", "2"]) == Exit.OK
    shown = " ".join(out(capsys).split())
    assert "profile linux-4.0: reuse_bound = yes (read" in shown


def test_another_stack_is_not_explained_by_linux(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["rtest", "44400", "c", "--world", "engine", "--profile", "freebsd", "--count", "2"]) == Exit.FAILED
    shown = out(capsys)
    assert "rule      never-taken-over" in shown
    assert "tcp_tw_reuse" not in shown
    assert "Linux: " not in shown


def test_the_trace_shows_every_segment(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["rtest", "44400", "c", "--world", "engine", "--count", "1", "--trace"]) == Exit.OK
    shown = out(capsys)
    assert "SYN     seq=0" in shown
    assert "TIME-WAIT until" in shown


def test_the_capture_holds_the_run(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "run.pcapng"
    run(["rtest", "44400", "s", "--world", "engine", "--count", "3", "--capture", str(file)])
    with file.open("rb") as opened:
        segments = [packet.parse(record.data) for record in pcapng.read(opened)]
    assert sum(segment.flags == SYN for segment in segments) == 3


def test_json_is_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    run(["rtest", "44400", "c", "--world", "engine", "--seed", "7", "--count", "2", "--json", "--trace"])
    data = json.loads(out(capsys))
    assert data["circumstances"] == {"world": "engine", "profile": "linux", "seed": "7"}
    assert data["explanation"]["rule"]["profile"]["reuse_bound"]["value"] == "yes"
    assert any("SYN,ACK" in line for line in data["trace"])


def test_the_matrix_has_36_cells(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["rtest", "--matrix", "--world", "engine", "--json"]) == Exit.OK
    data = json.loads(out(capsys))
    assert len(data["cells"]) == 36
    assert sum(cell["ok"] for cell in data["cells"]) == 12 + 6 + 2


@pytest.mark.parametrize(
    "arguments",
    [
        ["44400", "c", "--profile", "linux"],
        ["44400", "c", "--seed", "1"],
        ["44400", "c", "--trace"],
        ["44400", "c", "--world", "engine", "--here"],
        ["44400", "c", "--world", "engine", "--profile", "linx"],
        ["--matrix", "--world", "engine", "--trace"],
    ],
)
def test_options_that_do_not_go_together_are_refused(arguments: list[str]) -> None:
    with pytest.raises(UsageError) as caught:
        run(["rtest", *arguments])
    assert caught.value.hint


class StubbornHost(EngineHost):
    """Stands in for a kernel that answers otherwise: its connections have no timestamps."""

    def set_sysctl(self, name: str, value: str) -> None:
        super().set_sysctl(name, "0" if name.endswith("timestamps") else value)

    def circumstances(self) -> dict[str, str]:
        return {"world": "kernel", "kernel": "Linux 0.0", "stack": "private namespace"}


@pytest.fixture
def stubborn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("timewait.lab.kernel.KernelHost", lambda private: StubbornHost.alone("linux"))


@pytest.mark.usefixtures("stubborn")
def test_cells_that_differ_are_marked(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["rtest", "--matrix", "--world", "both"]) == Exit.FAILED
    shown = out(capsys)
    assert "DIFFERS: kernel EADDRNOTAVAIL t, engine ok B" in shown
    assert "28 of 36 cells agree; the others: DIFFERS" in shown


@pytest.mark.usefixtures("stubborn")
def test_a_run_that_differs_is_marked(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["rtest", "44400", "c", "--timestamps", "on", "--world", "both", "--count", "5"]) == Exit.FAILED
    lines = [line.split() for line in out(capsys).splitlines()]
    assert ["1", "ok", "ok"] in lines
    assert ["2", "EADDRNOTAVAIL", "t", "ok", "B", "DIFFERS"] in lines
    assert ["3-5", "-", "ok", "B", "DIFFERS"] in lines


def test_the_engine_agrees_with_this_kernel_in_every_cell(capsys: pytest.CaptureFixture[str]) -> None:
    require_namespaces()
    assert run(["rtest", "--matrix", "--world", "both", "--json"]) == Exit.OK
    data = json.loads(out(capsys))
    assert [cell for cell in data["cells"] if not cell["agrees"]] == []
    assert data["agree"] == 36
