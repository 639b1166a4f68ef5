"""`timewait states` and `timewait profiles`: complete, readable at 80 columns, and the same as data."""

import json
from dataclasses import fields

import pytest

from timewait.cli.group import run
from timewait.errors import Exit, UsageError
from timewait.report.values import DURATIONS, value_text
from timewait.tcp import profiles
from timewait.tcp.profile import Profile
from timewait.tcp.states import ROWS, Event, State


def lines(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    assert run(list(arguments)) == Exit.OK
    return capsys.readouterr().out.splitlines()


@pytest.mark.parametrize(
    "arguments",
    [
        ["states"],
        ["states", "--all"],
        ["profiles"],
        ["profiles", "linux", "freebsd"],
        ["profiles", "linux", "linux-4.0", "freebsd", "lwip", "--diff"],
        ["profiles", *profiles.names()],
        ["profiles", "linux", "--why"],
    ],
)
def test_it_fits_80_columns(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    assert max(map(len, lines(capsys, *arguments))) <= 80


def test_every_state_of_the_rfc_has_its_block(capsys: pytest.CaptureFixture[str]) -> None:
    """RFC 9293 section 3.3.2."""
    first = [line.split()[0] for line in lines(capsys, "states") if line and not line.startswith(" ")]
    assert first == ["STATE", *(str(state) for state in State)]


def test_one_state_alone_with_all_pairs(capsys: pytest.CaptureFixture[str]) -> None:
    shown = lines(capsys, "states", "time-wait", "--all")
    text = "\n".join(shown)
    assert "LISTEN " not in text
    assert "(ignored)" in text
    assert "(impossible)" in text


def test_json_has_every_pair_once(capsys: pytest.CaptureFixture[str]) -> None:
    pairs = json.loads("\n".join(lines(capsys, "states", "--json")))["pairs"]
    assert len({(pair["state"], pair["event"]) for pair in pairs}) == len(pairs) == len(State) * len(Event)


def test_the_diagram_has_an_edge_a_row(capsys: pytest.CaptureFixture[str]) -> None:
    shown = lines(capsys, "states", "--dot")
    assert shown[0].startswith("digraph")
    assert sum("->" in line for line in shown) == len(ROWS)


def test_an_unknown_state_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match="TIMEWAIT") as caught:
        run(["states", "timewait"])
    assert "TIME-WAIT" in caught.value.hint


def test_the_overview_has_every_profile(capsys: pytest.CaptureFixture[str]) -> None:
    first = [line.split()[0] for line in lines(capsys, "profiles") if line and not line.startswith(" ")]
    assert set(profiles.names()) <= set(first)


def test_a_difference_is_shown_and_what_is_equal_is_not(capsys: pytest.CaptureFixture[str]) -> None:
    """Linux ends TIME-WAIT for a RST at RCV.NXT, FreeBSD ignores it (RFC 1337); both wait 60 s."""
    shown = {line.split()[0]: line for line in lines(capsys, "profiles", "linux", "freebsd", "--diff") if line.split()}
    assert shown["tw_rst"].split() == ["tw_rst", "exact", "ignore"]
    assert "time_wait" not in shown


def test_a_profile_differs_from_itself_in_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert lines(capsys, "profiles", "linux", "linux", "--diff") == ["No value differs."]


def test_why_shows_the_source_below_the_value(capsys: pytest.CaptureFixture[str]) -> None:
    shown = lines(capsys, "profiles", "linux", "--why")
    at = next(at for at, line in enumerate(shown) if line.startswith("time_wait "))
    assert "TCP_TIMEWAIT_LEN" in shown[at + 1]


def test_json_has_values_texts_and_sources(capsys: pytest.CaptureFixture[str]) -> None:
    data = json.loads("\n".join(lines(capsys, "profiles", "--json")))
    assert [each["name"] for each in data["profiles"]] == list(profiles.names())
    linux = next(each for each in data["profiles"] if each["name"] == "linux")
    wait = linux["values"]["time_wait"]
    assert (wait["value"], wait["text"]) == (60_000_000_000, "60 s")
    assert "TCP_TIMEWAIT_LEN" in wait["source"]


def test_settings_name_the_value_they_change(capsys: pytest.CaptureFixture[str]) -> None:
    shown = [line.split() for line in lines(capsys, "profiles", "linux", "--settings")]
    assert ["net.ipv4.tcp_tw_reuse", "2", "reuse_ephemeral"] in shown


@pytest.mark.parametrize("arguments", [["--diff"], ["linux", "--diff"], ["--why"], ["linx"]])
def test_what_cannot_be_meant_is_refused_with_a_way_on(arguments: list[str]) -> None:
    with pytest.raises(UsageError) as caught:
        run(["profiles", *arguments])
    assert caught.value.hint


def test_every_large_number_is_known_as_a_duration_or_is_none() -> None:
    """A duration that is not listed would be printed as a count of nanoseconds."""
    names = {field.name for field in fields(Profile)}
    assert names >= DURATIONS
    for name in profiles.names():
        profile = profiles.get(name)
        for field in names - DURATIONS - {"isn_constant"}:
            value = getattr(profile, field)
            assert not isinstance(value, int) or value < 1_000_000_000, field


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("time_wait", 60_000_000_000, "60 s"),
        ("tw_ack_interval", 0, "0 s"),
        ("tw_limit", None, "no limit"),
        ("window_scale", None, "off"),
        ("ephemeral_range", (32768, 60999), "32768-60999"),
        ("syn_layout", (("mss",), ("sack", "ts")), "mss, sack+ts"),
        ("sack", True, "yes"),
    ],
)
def test_values_are_written_as_people_read_them(name: str, value: object, text: str) -> None:
    assert value_text(name, value) == text
