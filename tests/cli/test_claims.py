"""`timewait claims`: it fits the terminal, the verdicts are the same as data, what cannot be meant is said."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from needs import require_namespaces
from pages import check
from processes import children
from timewait.cli.group import run
from timewait.errors import Exit, UsageError
from timewait.lab import claims


def lines(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    assert run(["claims", *arguments]) == Exit.OK
    return capsys.readouterr().out.splitlines()


def test_every_claim_is_heard_and_the_text_fits_80_columns(capsys: pytest.CaptureFixture[str]) -> None:
    shown = lines(capsys, "--world", "engine")
    assert max(map(len, shown)) <= 80
    numbers = [line.split()[0] for line in shown if line[:1].isdigit() and line[2:4] == "  "]
    assert numbers == [claim.number for claim in claims.every()]


@pytest.mark.parametrize("number", [claim.number for claim in claims.every()])
def test_a_claim_with_its_evidence_fits_80_columns(capsys: pytest.CaptureFixture[str], number: str) -> None:
    shown = lines(capsys, number, "--world", "engine")
    assert max(map(len, shown)) <= 80
    assert any(line.startswith(("+  ", "-  ")) for line in shown)


def test_the_list_fits_80_columns(capsys: pytest.CaptureFixture[str]) -> None:
    assert max(map(len, lines(capsys, "--list"))) <= 80


def test_the_data_have_verdict_and_evidence(capsys: pytest.CaptureFixture[str]) -> None:
    data = json.loads("\n".join(lines(capsys, "15", "4", "--world", "engine", "--json")))
    assert [each["number"] for each in data["claims"]] == ["15", "4"]
    assert [each["verdict"] for each in data["claims"]] == ["holds only if", "does not hold"]
    evidence = data["claims"][1]["evidence"][0]
    (seen,) = evidence["seen"]
    assert evidence["borne_out"] is seen["borne_out"] is False
    result = data["results"][seen["result"]]
    assert result["scenario"] == evidence["scenario"]
    assert {each["name"]: each["value"] for each in result["observations"]}[evidence["observation"]] == seen["value"]
    assert result["sysctls"]["net.ipv4.tcp_timestamps"] == "1"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(["99"], "'99'"), (["x"], "'x'"), (["1", "--profile", "beos"], "beos"), (["--world", "moon"], "moon")],
)
def test_what_cannot_be_meant_is_said(arguments: list[str], words: str) -> None:
    with pytest.raises(UsageError) as error:
        run(["claims", *arguments])
    assert words in error.value.what
    assert error.value.hint


def test_a_page_has_every_claim_its_verdict_and_its_evidence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "claims.html"
    lines(capsys, "--world", "engine", "--html", str(file))
    text = file.read_text(encoding="utf-8")
    assert len(text) < 2_000_000
    shown = check(text)
    for claim in claims.every():
        assert shown.words.count(f"{claim.number}. {claim.sentence}") == 2  # in the list, and above its evidence
    assert "Sequence diagram" in text


def test_a_page_of_one_claim_asks_it_in_its_title(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "claim.html"
    lines(capsys, "11", "--world", "engine", "--html", str(file))
    shown = check(file.read_text(encoding="utf-8"))
    assert shown.heads[0] == claims.get("11").sentence
    assert "holds only if" in " ".join(shown.words)
    assert "timewait claims 11 --world engine" in shown.words
    assert " ✗ connect(): EADDRNOTAVAIL" in shown.words


def test_a_bar_shows_what_takes_longer_than_a_second_and_ctrl_c_leaves_nothing() -> None:
    """Claim 3 waits for a minute on a kernel; the bar is for a terminal alone."""
    require_namespaces()
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "timewait", "claims", "3", "--world", "kernel"]
    began = time.monotonic()
    asked = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=theirs, env={**os.environ, "TERM": "xterm"})
    os.close(theirs)
    shown = b""
    while not re.search(rb"\d/\d", shown) and time.monotonic() < began + 30:
        shown += os.read(ours, 4096)
    assert time.monotonic() >= began + 1
    agents = children(asked.pid)
    asked.send_signal(signal.SIGINT)
    out, _ = asked.communicate(timeout=30)
    os.close(ours)
    assert re.search(rb"scenarios.*\d/\d", shown, re.DOTALL)
    assert (asked.returncode, out) == (130, b"")
    assert agents
    assert not [pid for pid in agents if os.path.exists(f"/proc/{pid}")]
