"""Opens for each request: from a trace, from the counter, from the last TIME-WAITs."""

import json
import subprocess
import sys

import pytest

from timewait.endpoint import Endpoint
from timewait.host.limits import Limits
from timewait.host.look import Look
from timewait.host.reuse import Demand, reuse
from timewait.host.snapshot import Closer, Snapshot, Trace
from timewait.host.snapshot_file import from_text
from troubles import HOSTS

DATABASE = Endpoint("127.0.0.1", 5432)


def seen(**changes: object) -> Look:
    host: Snapshot = from_text((HOSTS / "quiet.json").read_text(), "")
    return Look(host._replace(**changes), Limits())  # type: ignore[arg-type]  # fields of a Snapshot


def closer(role: str, port: int, first: int, second: int) -> Closer:
    return Closer(role, "127.0.0.1" if role == "client" else "", "127.0.0.1", port, 1, "p", "", first, second)


def test_a_trace_counts_closes_of_either_order_and_of_clients_alone() -> None:
    those = (closer("client", 5432, 30, 10), closer("client", 80, 5, 0), closer("server", 5432, 9, 9))
    look = seen(trace=Trace(4.0, those, 0, 0, 0))
    found = reuse(look, Demand(DATABASE, 100.0))
    assert (found.opens_per_s, found.opens_per_request, found.source) == (10.0, 0.1, "trace")
    assert reuse(look, Demand(None, 100.0)).opens_per_s == 45 / 4


def test_an_interval_counts_all_destinations_together_and_none_alone() -> None:
    look = seen(interval_s=2.0, moved={"Tcp.ActiveOpens": 50})
    assert reuse(look, Demand(None, 100.0))[2:] == (25.0, "counters")
    assert reuse(look, Demand(DATABASE, 100.0)).source == "history"


def test_one_look_tells_by_its_time_waits() -> None:
    """The recorded host closed three connections just before the look: 3 within the 5 s that are called now."""
    found = reuse(seen(), Demand(DATABASE, 6.0))
    assert (found.opens_per_s, found.source) == (0.6, "history")
    assert reuse(seen(), Demand(Endpoint("127.0.0.1", 80), 6.0)).opens_per_s == 0


def doctor(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "timewait", "doctor", "--from", str(HOSTS / "quiet.json"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize(
    ("demand", "words"),
    [
        ("127.0.0.1:5432=0.6", "for 0.6 requests/s, 1 for each: connections are not used again"),
        ("12", "all destinations: at least 0.6 opens/s (from the last TIME-WAITs) for 12 requests/s, 0.05 for each"),
        ("12", "a connection carries at most 20 of them"),
        ("127.0.0.1:80=5", "0 opens/s (from the last TIME-WAITs) for 5 requests/s: they are kept, or the other end"),
    ],
)
def test_the_screen_says_whether_connections_are_used_again(demand: str, words: str) -> None:
    assert words in " ".join(doctor("--requests-per-second", demand).stdout.split())


def test_json_lists_them() -> None:
    done = doctor("--json", "--requests-per-second", "12", "--requests-per-second", "127.0.0.1:5432=6")
    both, one = json.loads(done.stdout)["reuse"]
    assert (both["address"], both["requests_per_s"], both["source"]) == (None, 12.0, "history")
    assert (one["address"], one["port"], one["opens_per_request"]) == ("127.0.0.1", 5432, pytest.approx(0.1, abs=0.01))


@pytest.mark.parametrize(
    ("demand", "words"),
    [
        ("0", "'0' is not a number"),
        ("-3", "is not a number"),
        ("nan", "'nan' is not a number"),
        ("inf", "is not a number"),
        ("x", "is not a number"),
        ("10.0.0.1=5", "'10.0.0.1' names no port"),
        ("localhost:80=5", "'localhost:80'"),
    ],
)
def test_a_demand_that_cannot_be_meant_is_refused(demand: str, words: str) -> None:
    done = doctor("--requests-per-second", demand)
    assert (done.returncode, done.stdout) == (64, "")
    assert words in done.stderr
    assert "\nhint:  " in done.stderr
