"""`timewait claims`: it fits the terminal, the verdicts are the same as data, what cannot be meant is said."""

import json

import pytest

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
