"""`timewait plan`: reads well at 80 columns, says the same as data, and refuses what cannot be meant."""

import csv
import io
import json
from pathlib import Path

import pytest

from timewait.cli.group import run
from timewait.errors import Exit, UsageError
from timewait.plan import presets
from timewait.plan.forecast import Route, forecast


def test_a_design_that_cannot_be_carried_says_so_first(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["plan", "--rate", "500/s"]) == Exit.FAILED
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= 80
    verdict = next(line for line in shown.splitlines() if line.startswith("verdict"))
    assert "does not carry it" in verdict
    for remedy in ("100 requests", "the server closes first", "tcp_tw_reuse=1", "delay 100 ms", "ports 1024 to 65535"):
        assert remedy in shown


def test_one_that_is_carried(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["plan", "--rate", "6k/min"]) == Exit.OK
    assert "carries it" in capsys.readouterr().out


def test_remedies_that_do_nothing_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    run(["plan", "--rate", "500/s", "--closer", "server", "--set", "ip_local_port_range=1024 65535"])
    shown = capsys.readouterr().out
    assert "tcp_tw_reuse" not in shown
    assert "ports 1024" not in shown
    assert "the server closes first\n" not in shown


@pytest.mark.parametrize(
    ("profile", "remedy", "safe", "word"),
    [
        ("linux", "server-closes", True, "newer"),
        ("lwip", "server-closes", False, "no SYN out of TIME-WAIT"),
        ("freebsd", "server-closes", False, "sequence numbers alone"),
        ("linux", "tw-reuse", True, "PAWS"),
    ],
)
def test_whether_a_remedy_is_safe_follows_from_the_profile(
    profile: str, remedy: str, safe: bool, word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run(["plan", "--rate", "500/s", "--profile", profile, "--json"])
    (route,) = json.loads(capsys.readouterr().out)["routes"]
    found = {each["key"]: each for each in route["remedies"]}
    assert found[remedy]["safe"] == safe
    assert word in found[remedy]["why"]
    assert ("tw-reuse" in found) == (profile == "linux")


def test_json_has_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    run(["plan", "--rate", "500/s", "--arrivals", "constant", "--json"])
    document = json.loads(capsys.readouterr().out)
    assert document["routes"][0]["ports"] == 28232
    assert {remedy["key"] for remedy in document["routes"][0]["remedies"]} >= {"tw-reuse"}
    assert any("60 s" in each for each in document["assumptions"])


def test_csv_has_a_row_for_each_route_and_remedy(capsys: pytest.CaptureFixture[str]) -> None:
    run(["plan", "--preset", "farm", "--csv"])
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert {row["route"] for row in rows} == {route.name for route in _routes("farm")}
    assert {"", "pool"} <= {row["remedy"] for row in rows}
    assert all(float(row["highest"] or "inf") > 0 for row in rows)


def _routes(name: str) -> tuple[Route, ...]:
    return forecast(presets.get(name)).routes


@pytest.mark.parametrize("name", presets.NAMES)
def test_a_preset_prints_as_a_file_that_plans_the_same(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(["plan", "preset", name])
    printed = capsys.readouterr().out
    assert "chosen" in printed  # says where its numbers are from
    (tmp_path / "mine.toml").write_text(printed)
    run(["plan", "--preset", name, "--all"])
    one = capsys.readouterr().out
    run(["plan", str(tmp_path / "mine.toml"), "--all"])
    assert capsys.readouterr().out == one
    assert max(map(len, one.splitlines())) <= 80


def test_the_presets_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    run(["plan", "preset"])
    shown = capsys.readouterr().out
    assert all(name in shown for name in presets.NAMES)
    with pytest.raises(UsageError, match="prox") as caught:
        run(["plan", "preset", "prox"])
    assert "did you mean proxy?" in caught.value.hint


def test_a_simulation_stands_beside_the_closed_form(capsys: pytest.CaptureFixture[str]) -> None:
    few = ["--set", "ip_local_port_range=40000 40299", "--simulate", "100000", "--seed", "3"]
    run(["plan", "--rate", "5/s", *few, "--json"])
    (route,) = json.loads(capsys.readouterr().out)["routes"]
    failing = route["simulated"]["failing"]
    assert abs(failing["mean"] - route["failing"]) < 2 * failing["half"]
    run(["plan", "--rate", "5/s", *few])
    shown = capsys.readouterr().out
    assert "seed 3" in shown
    assert max(map(len, shown.splitlines())) <= 80


def test_growth_says_when_it_stops_carrying(capsys: pytest.CaptureFixture[str]) -> None:
    run(["plan", "--rate", "200/s", "--growth", "5%/month"])
    assert "in 16." in capsys.readouterr().out  # ln(448 / 200) / ln 1.05 = 16.5


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--rate", "-5"], "'-5'"),
        (["--rate", "5/fortnight"], "fortnight"),
        (["--rate", "0"], "0"),
        (["--rate", "5", "--hold", "5 parsecs"], "parsecs"),
        (["--rate", "5", "--hold", "5"], "'5' has no unit"),
        (["--rate", "10s"], "a duration, not a rate"),
        (["--rate", "5", "--hold", "5/s"], "a rate, not a duration"),
        (["--rate", "5", "--to", "0"], "0 hosts"),
        (["--rate", "5", "--per-connection", "0.5"], "0.5"),
        (["--rate", "5", "--set", "tcp_tw_reus=1"], "tcp_tw_reus"),
        (["--rate", "5", "--set", "tcp_tw_reuse"], "tcp_tw_reuse"),
        (["--rate", "5", "--set", "ip_local_port_range=60000 50000"], "60000 50000"),
        (["--rate", "5", "--profile", "plan9"], "plan9"),
        (
            ["--rate", "5", "--set", "ip_local_port_range=40000 40001", "--set", "ip_local_reserved_ports=40000-40001"],
            "40000",
        ),
        (["--rate", "5", "--growth", "5%"], "5%"),
        (["--rate", "5", "--pool", "8"], "pool"),
        (["--rate", "5", "--json", "--csv"], "--csv"),
        (["--rate", "5", "--preset", "proxy"], "--preset"),
        (["--preset", "proxy", "--to", "5"], "--to"),
        (["--preset", "proxy", "--route", "a -> b"], "a -> b"),
        (["--preset", "nothing"], "nothing"),
        (["/nowhere/mine.toml"], "/nowhere/mine.toml"),
        (["/bin/true"], "/bin/true"),
        (["presett"], "presett"),
        (["import", "squid", "/nowhere"], "'squid'"),
        ([], "nothing says"),
        (["--rate", "5", "--simulate", "1000000000000"], "1,000,000,000,000"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_the_value(arguments: list[str], word: str) -> None:
    with pytest.raises(UsageError) as caught:
        run(["plan", *arguments])
    assert word in caught.value.what
    assert caught.value.hint


def test_a_day_of_a_fleet(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["plan", "fleet", "--preset", "farm", "--route", "web -> database"]
    assert run([*words, "--for", "2h", "--json"]) == Exit.OK
    (found,) = json.loads(capsys.readouterr().out)["fleets"]
    # The first two of its day's hours: 0.5 and 0.4 of a curve whose mean is 24.6 / 24.
    assert found["connects"] == pytest.approx(8000 * 3600 * 0.9 / (24.6 / 24), rel=0.01)
    assert [each["hosts"] for each in found["stretches"]] == [50] * 24
    assert run([*words, "--for", "2h", "--members", "1h:50,1h:5"]) == Exit.OK
    shown = capsys.readouterr().out.splitlines()
    assert max(map(len, shown)) <= 100
    assert shown[-1].endswith("(95 %)")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "a workload FILE"),
        (["--preset", "farm", "--route", "x -> y"], "there is no"),
        (["--preset", "farm", "--members", "50"], "no list"),
        (["--preset", "farm", "--for", "3650d", "--step", "1ms"], "would take"),
        (["--preset", "farm", "--for", "1"], "has no unit"),
    ],
)
def test_fleets_that_cannot_be_meant(words: list[str], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        run(["plan", "fleet", *words])
    assert said in f"{caught.value.what} {caught.value.hint}"


def test_lost_last_acks_make_waits_longer(capsys: pytest.CaptureFixture[str]) -> None:
    used = []
    for lost in ("0", "0.5"):
        words = ["plan", "--rate", "40/s", "--simulate", "100000", "--lost", lost, "--json"]
        run(words)
        found = json.loads(capsys.readouterr().out)["routes"][0]["simulated"]
        used.append(found["used"]["mean"])
    # Half a chance of 0.2 s more, a quarter of 0.6, an eighth of 1.4 and so on, up to eight times: 0.8 s.
    assert used[1] - used[0] == pytest.approx(40 * 0.8, rel=0.2)


def test_a_server_that_closes_first_behind_a_nat_is_no_safe_remedy(capsys: pytest.CaptureFixture[str]) -> None:
    """Each host has its own clock, and the server sees one address."""
    run(["plan", "--preset", "nat-gateway", "--json"])
    (route,) = json.loads(capsys.readouterr().out)["routes"]
    (found,) = [each for each in route["remedies"] if each["key"] == "server-closes"]
    assert not found["safe"]
    assert found["refused"] > 0.1
