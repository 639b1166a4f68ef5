"""The snapshot's file: what is written comes back; what is damaged is one clear error; names can be hidden."""

import json
from random import Random
from typing import Any

import pytest

from timewait.errors import UsageError
from timewait.host.budget import ports_of, read_ports
from timewait.host.findings import examine
from timewait.host.limits import Limits
from timewait.host.snapshot import Crowd, Listening, Owner, Population, Snapshot
from timewait.host.snapshot_file import anonymous, from_text, to_text
from timewait.report.doctor import check_line, data, screen
from troubles import HOSTS

SEEN = Snapshot(
    taken_ns=1_700_000_000_000_000_000,
    span_ms=3,
    uptime_s=12.5,
    kernel="6.18.0",
    hz=250,
    namespace="blue",
    populations=(
        Population("TIME-WAIT", "client", "192.0.2.1", "198.51.100.7", 443, True, 3, 0, ((1, 2), (233, 1))),
        Population("ESTABLISHED", "server", "", "2001:db8:1::1", 80, False, 2, 1, ()),
    ),
    listeners=(Listening("::", 80, True), Listening("127.0.0.1", 81, False)),
    counters={"TcpExt.TW": 9},
    sysctls={"net.ipv4.tcp_tw_reuse": "2"},
    owners=(Owner("192.0.2.1", "198.51.100.7", 443, 812, "daemon", "/kube/pod-5c84", 2, 10, 1024),),
    crowds=(Crowd("192.0.2.1", 60, 60),),
    absent=("192.0.2.9",),
    interval_s=1.5,
    moved={"TcpExt.TW": 2},
    missing=("fs.file-nr cannot be read: Permission denied",),
)


def test_what_is_written_comes_back() -> None:
    assert from_text(to_text(SEEN), "x") == SEEN


def test_a_port_takes_few_bytes() -> None:
    assert len(to_text(SEEN)) < 1300


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"format": "other"}, "is not a snapshot of timewait"),
        ({"schema_version": 99}, "schema_version 99"),
        ({"populations": [[1, 2]]}, "damaged"),
        ({"populations": [["TIME-WAIT", "client", "", "", 70000, True, 1, 0, []]]}, "70000 is not a port"),
        ({"populations": [["TIME-WAIT", "client", "", "", 7, True, 1, 0, [1]]]}, "damaged"),
        ({"counters": {"a": "b"}}, "damaged"),
        ({"sysctls": None}, "damaged"),
        ({"owners": [[1]]}, "damaged"),
        ({"owners": [["x", "127.0.0.1", 80, 1, "a", "b", 1, 1, 1]]}, "damaged"),
        ({"listeners": [["x", 80, False]]}, "damaged"),
        ({"crowds": [["300.0.0.1", 1, 1]]}, "damaged"),
        ({"absent": [16909060]}, "damaged"),
        ({"restarts": [["x", 80, True, False, 3, 100]]}, "damaged"),
        ({"restarts": [["127.0.0.1", 80, True]]}, "damaged"),
        ({"restarts": 5}, "damaged"),
    ],
)
def test_a_damaged_file_is_one_clear_error(change: dict[str, Any], words: str) -> None:
    text = json.dumps(json.loads(to_text(SEEN)) | change)
    with pytest.raises(UsageError, match=words) as caught:
        from_text(text, "host.json")
    assert caught.value.hint


ODD: tuple[Any, ...] = (
    *(None, True, -1, 0, 0.5, 2**64, -(2**70), 10**30, float("inf"), float("nan"), "", "x", "\x1b[31m", "9" * 5000),
    *([], {}, [[]], "1 2", "0 99999999999", "127.0.0.1", "::ffff:192.0.2.1", "fe80::1%eth0", 65536),
)


def altered(value: Any, chance: Random) -> Any:
    """Return the same with odd things in some places, and without some others."""
    if chance.random() < 0.01:
        return chance.choice(ODD)
    if isinstance(value, dict):
        return {name: altered(held, chance) for name, held in value.items() if chance.random() > 0.001}
    if isinstance(value, list):
        return [altered(held, chance) for held in value if chance.random() > 0.001]
    return value


@pytest.mark.parametrize("file", sorted(HOSTS.iterdir()), ids=lambda file: file.stem)
def test_an_altered_file_is_examined_or_refused_in_words(file: Any) -> None:
    whole, read = json.loads(file.read_text()), 0
    for seed in range(60):
        chance = Random(f"{file.stem} {seed}")
        one = {chance.choice(list(whole)): chance.choice(ODD)}
        try:
            seen = from_text(json.dumps(whole | one if seed % 4 else altered(whole, chance)), "host.json")
        except UsageError:
            continue
        read += 1
        for version in (seen, anonymous(seen, b"key")):
            found = examine(version)
            json.dumps(data(version, found), allow_nan=False)
            assert list(screen(version, found, 80))
            assert "\n" not in check_line(version, found, Limits())
    assert read


def test_a_file_nested_without_end_is_refused() -> None:
    with pytest.raises(UsageError, match="is not a snapshot"):
        from_text("[" * 200_000, "host.json")


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "\x00"])
def test_a_file_of_another_kind_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is not a snapshot"):
        from_text(text, "host.json")


def test_anonymous_names_hide_all_and_are_stable() -> None:
    hidden = anonymous(SEEN, b"key")
    text = to_text(hidden)
    for word in ("192.0.2", "198.51.100", "2001:db8:1::1", "daemon", "5c84", "blue"):
        assert word not in text
    assert "127.0.0.1" in text
    assert hidden == anonymous(SEEN, b"key")
    assert hidden != anonymous(SEEN, b"other")
    assert hidden.populations[0].local == hidden.owners[0].local
    assert hidden.populations[0].address == hidden.owners[0].address


@pytest.mark.parametrize("file", sorted(HOSTS.iterdir()), ids=lambda file: file.stem)
def test_hiding_names_changes_no_finding(file: Any) -> None:
    seen = from_text(file.read_text(), file.name)
    found, hidden = examine(seen), examine(anonymous(seen, b"key"))
    assert [(one.id, one.severity, one.headline) for one in found] == [
        (one.id, one.severity, one.headline) for one in hidden
    ]


def test_reserved_ports_are_read_as_the_kernel_prints_them() -> None:
    assert read_ports("") == set()
    assert read_ports("8080") == {8080}
    assert read_ports("8080,9000-9003\n") == {8080, 9000, 9001, 9002, 9003}
    settings = {"net.ipv4.ip_local_port_range": "9000 9005", "net.ipv4.ip_local_reserved_ports": "9001-9002,1"}
    assert ports_of(settings) == {9000, 9003, 9004, 9005}
