"""`timewait plan`: reads well at 80 columns, says the same as data, and refuses what cannot be meant."""

import json

import pytest

from timewait.cli.group import run
from timewait.errors import Exit, UsageError


def test_a_design_that_cannot_be_carried_says_so_first(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["plan", "--rate", "500/s"]) == Exit.FAILED
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= 80
    verdict = next(line for line in shown.splitlines() if line.startswith("verdict"))
    assert "does not carry it" in verdict
    for remedy in ("a pool", "let the server close first", "tcp_tw_reuse=1", "ports 1024 to 65535"):
        assert remedy in shown


def test_one_that_is_carried(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["plan", "--rate", "6k/min"]) == Exit.OK
    assert "carries it" in capsys.readouterr().out


def test_remedies_that_do_nothing_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    run(["plan", "--rate", "500/s", "--closer", "server", "--set", "ip_local_port_range=1024 65535"])
    shown = capsys.readouterr().out
    assert "tcp_tw_reuse" not in shown
    assert "ports 1024" not in shown
    assert "let the server" not in shown


def test_json_has_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    run(["plan", "--rate", "500/s", "--arrivals", "constant", "--json"])
    document = json.loads(capsys.readouterr().out)
    assert document["forecast"]["ports"] == 28232
    assert {remedy["name"] for remedy in document["remedies"]} >= {"tcp_tw_reuse=1"}


def test_a_simulation_stands_beside_the_closed_form(capsys: pytest.CaptureFixture[str]) -> None:
    few = ["--set", "ip_local_port_range=40000 40299", "--simulate", "100000", "--seed", "3"]
    run(["plan", "--rate", "5/s", *few, "--json"])
    document = json.loads(capsys.readouterr().out)
    failing = document["simulated"]["failing"]
    assert abs(failing["mean"] - document["forecast"]["failing"]) < 2 * failing["half"]
    run(["plan", "--rate", "5/s", *few])
    shown = capsys.readouterr().out
    assert "seed 3" in shown
    assert max(map(len, shown.splitlines())) <= 80


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--rate", "-5"], "'-5'"),
        (["--rate", "5/fortnight"], "fortnight"),
        (["--rate", "0"], "0"),
        (["--rate", "5", "--hold", "5 parsecs"], "parsecs"),
        (["--rate", "5", "--to", "0"], "0 destinations"),
        (["--rate", "5", "--per-connection", "0.5"], "0.5"),
        (["--rate", "5", "--set", "tcp_tw_reus=1"], "tcp_tw_reus"),
        (["--rate", "5", "--set", "tcp_tw_reuse"], "tcp_tw_reuse"),
        (["--rate", "5", "--set", "ip_local_port_range=60000 50000"], "60000 50000"),
        (["--rate", "5", "--profile", "plan9"], "plan9"),
        (
            ["--rate", "5", "--set", "ip_local_port_range=40000 40001", "--set", "ip_local_reserved_ports=40000-40001"],
            "40000",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused_with_the_value(arguments: list[str], word: str) -> None:
    with pytest.raises(UsageError) as caught:
        run(["plan", *arguments])
    assert word in caught.value.what
    assert caught.value.hint
