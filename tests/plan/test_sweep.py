"""Sweeps: what can be varied and how, the same numbers wherever a cell is simulated, and runs that are gone on with."""

import contextlib
import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from timewait.cli.group import run as cli
from timewait.errors import Exit, UnavailableError, UsageError
from timewait.plan import sweep as sweeps
from timewait.plan.sweep import Results, Sweep, Task, here, parse, play, run

TEXT = """
[[sources]]
name = "app"
port_range = [40000, 40199]
[[destinations]]
name = "db"
[[flows]]
source = "app"
destination = "db"
rate = "2/s"
holds = { mean = "20ms", distribution = "exponential" }
"""


def sweep(*varies: str, connects: int | None = 20_000, text: str = TEXT) -> Sweep:
    return Sweep(text, "app.toml", tuple(parse(each) for each in varies), connects, 1)


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "app.toml"
    path.write_text(TEXT)
    return str(path)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("rate=1..10", ("1/s", "2/s", "3/s", "4/s", "5/s", "6/s", "7/s", "8/s", "9/s", "10/s")),
        ("rate=100..500:200", ("100/s", "300/s", "500/s")),
        ("rate=100..450:200", ("100/s", "300/s")),
        ("rate=1..2#3", ("1/s", "1.5/s", "2/s")),
        ("rate=60..120/min#2", ("60/min", "120/min")),
        ("rate=5,6/min", ("5/s", "6/min")),
        ("pool=0,8,64", ("0", "8", "64")),
        ("holds=10ms,1s", ("10ms", "1s")),
        ("holds=0..1#2", ("0s", "1s")),
        ("tcp_tw_reuse=0,1", ("0", "1")),
        ("sources.hosts=1..3:1", ("1", "2", "3")),
        ("closes_first=client,server", ("client", "server")),
    ],
)
def test_values_are_lists_and_ranges(text: str, values: tuple[str, ...]) -> None:
    assert parse(text).values == values


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "says not what"),
        ("rate", "says not what"),
        ("rate=", "says not what"),
        ("raet=1,2", "did you mean 'rate'"),
        ("hosts=1,2", "sources.hosts"),
        ("rate=2..1", "goes down"),
        ("rate=1..2:0", "too short a step"),
        ("rate=1..2:0.000000001", "too short a step"),
        ("rate=1..2#1", "range of 1 values"),
        ("rate=1,,2", "empty value"),
    ],
)
def test_what_cannot_be_varied_is_refused(text: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(text)
    assert said in f"{caught.value.what} {caught.value.hint}"


def test_values_are_put_into_the_file_as_if_written_there() -> None:
    wanted = sweep("rate=3/s", "holds=1s", "tcp_tw_reuse=1", "pool=4", "closes_first=server", "sources.hosts=2")
    (task,) = wanted.tasks()
    document = sweeps.changed(task)
    assert document["flows"] == [
        {
            "source": "app",
            "destination": "db",
            "rate": "3/s",
            "holds": {"mean": "1s", "distribution": "exponential"},
            "pool": {"size": 4},
        }
    ]
    assert document["sources"][0]["sysctls"] == {"tcp_tw_reuse": 1}
    assert document["sources"][0]["hosts"] == 2
    assert document["destinations"][0]["closes_first"] == "server"


def test_a_combination_that_cannot_be_is_refused_before_anything_runs() -> None:
    with pytest.raises(UsageError, match="with rate = 0/s"):
        sweep("rate=0/s,2/s").tasks()
    with pytest.raises(UsageError, match="too many"):
        sweep("rate=1..2#1000", "sources.hosts=1..1000:1").tasks()
    with pytest.raises(UsageError, match="no middleboxes"):
        sweep("takes_over=true,false").tasks()


def test_more_load_fails_more() -> None:
    tasks = sweep("rate=2..5:1").tasks()
    shares = [row["failing"] for task in tasks for row in run(task)]
    assert shares == sorted(shares)
    assert shares[0] == 0
    assert shares[-1] > 0.3


def test_processes_give_the_same_numbers_as_this_one() -> None:
    tasks = sweep("rate=2..5:1", "tcp_tw_reuse=0,1").tasks()[:4]
    assert dict(here(tasks, 2)) == dict(enumerate(map(run, tasks)))


def test_a_cell_that_cannot_be_simulated_says_why() -> None:
    (task,) = sweep("rate=3/s", connects=50).tasks()
    (row,) = run(task)
    assert "too few" in row["error"]


class Counting:
    """Runs cells here, one after the other, and may be told to stop."""

    def __init__(self, most: int = 1000) -> None:
        self.done = 0
        self._most = most

    def __call__(self, tasks: Sequence[Task]) -> Iterator[tuple[int, list[dict[str, Any]]]]:
        for number, task in enumerate(tasks):
            if self.done == self._most:
                raise KeyboardInterrupt
            self.done += 1
            yield number, run(task)


def test_a_run_goes_on_where_another_was_interrupted(tmp_path: Path) -> None:
    wanted = sweep("rate=2..5:1")
    path = tmp_path / "rates.jsonl"
    with Results(path, wanted.fingerprint) as kept, pytest.raises(KeyboardInterrupt):
        play(wanted, kept, Counting(2))
    with open(path, "a") as half:  # as a killed run leaves it
        half.write('{"cell": "{\\"ra')
    told: list[int] = []
    again = Counting()
    with Results(path, wanted.fingerprint) as kept:
        play(wanted, kept, again, told.append)
        rows = dict(kept.rows)
    assert again.done == 2
    assert told == [2, 3, 4]
    assert rows == {task.cell.key: run(task) for task in wanted.tasks()}
    assert len(path.read_text().splitlines()) == 5
    # Other values of the same workload find what they share.
    more = Counting()
    with Results(path, sweep("rate=2..7:1").fingerprint) as kept:
        play(sweep("rate=2..7:1"), kept, more)
    assert more.done == 2


def test_results_of_something_else_are_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "rates.jsonl"
    with Results(path, sweep("rate=1,2").fingerprint), pytest.raises(UsageError, match="another sweep is writing"):
        Results(path, sweep("rate=1,2").fingerprint)
    with pytest.raises(UsageError, match="another workload"):
        Results(path, sweep("rate=1,2", connects=30_000).fingerprint)
    path.write_text("my diary\n")
    with pytest.raises(UsageError, match="line 1"):
        Results(path, "x")
    assert path.read_text() == "my diary\n"
    with pytest.raises(UnavailableError):
        Results(tmp_path / "no" / "folder", "x")


def test_the_table_the_csv_and_the_json_say_the_same(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = [
        "plan",
        "sweep",
        file,
        "--vary",
        "rate=2,5",
        "--vary",
        "tcp_tw_reuse=0,1",
        "--connects",
        "20000",
        "--jobs",
        "1",
    ]
    shown = []
    for more in ([], ["--csv"], ["--json"]):
        assert cli([*words, *more]) == Exit.OK
        shown.append(capsys.readouterr())
    rows = list(csv.DictReader(io.StringIO(shown[1].out)))
    cells = json.loads(shown[2].out)["cells"]
    assert len(rows) == len(cells) == 4
    for row, cell in zip(rows, cells, strict=True):
        assert {name: row[name] for name in ("rate", "tcp_tw_reuse")} == cell["values"]
        assert float(row["failing"]) == cell["rows"][0]["failing"]
    table = shown[0].out.splitlines()
    assert table[0].split()[:2] == ["RATE", "TCP_TW_REUSE"]
    assert [line.split()[0] for line in table[1:5]] == ["2/s", "2/s", "5/s", "5/s"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--vary", "rate=1,2", "--vary", "rate=3"], "varied twice"),
        (["--vary", "rate=1,2", "--csv", "--json"], "both"),
    ],
)
def test_options_that_contradict_each_other(file: str, words: list[str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        cli(["plan", "sweep", file, *words])


@pytest.mark.parametrize("content", [None, b"\xff\xfe", b"x" * (2 << 20), b"[[flows]"])
def test_files_that_are_none_are_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "bad.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UsageError):
        cli(["plan", "sweep", str(path), "--vary", "rate=1,2"])


# -- a real scheduler and workers, each a process of its own ---------------------------------------------------------


@contextlib.contextmanager
def process(*words: str, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with open(log, "wb") as out, subprocess.Popen([sys.executable, "-m", *words], stdout=out, stderr=out) as started:
        try:
            yield started
        finally:
            started.kill()


@pytest.fixture
def scheduler(tmp_path: Path) -> Iterator[str]:
    where = tmp_path / "scheduler.json"
    words = ["distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--no-show"]
    with process(*words, "--scheduler-file", str(where), log=tmp_path / "scheduler.log"):
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError, ValueError):
                yield json.loads(where.read_text())["address"]
                return
            time.sleep(0.05)
        pytest.fail("the scheduler did not start: " + (tmp_path / "scheduler.log").read_text()[-500:])


def worker(address: str, name: str, folder: Path) -> contextlib.AbstractContextManager[subprocess.Popen[bytes]]:
    words = ["--host", "127.0.0.1", "--nthreads", "1", "--no-nanny", "--no-dashboard", "--name", name]
    words += ["--local-directory", str(folder / name)]
    return process("distributed.cli.dask_worker", address, *words, log=folder / f"{name}.log")


def on_cluster(address: str, file: str, *words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "timewait", "plan", "sweep", file, "--vary", "rate=2..5#12", "--cluster", address]
    return subprocess.Popen([*command, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_cluster_gives_the_same_though_a_worker_is_killed(scheduler: str, file: str, tmp_path: Path) -> None:
    path = tmp_path / "rates.jsonl"
    words = ["--connects", "300000", "--results", str(path), "--csv"]
    with worker(scheduler, "one", tmp_path) as one, worker(scheduler, "two", tmp_path) as two:
        with on_cluster(scheduler, file, *words) as running:
            deadline = time.monotonic() + 100
            while not path.exists() or path.read_text().count("\n") < 3:  # a head and two cells
                assert running.poll() is None, running.communicate()
                assert time.monotonic() < deadline
                time.sleep(0.01)
            os.kill(one.pid, signal.SIGKILL)
            out, err = running.communicate(timeout=100)
        assert running.returncode == Exit.OK, err
        assert one.wait(10) == -signal.SIGKILL
        assert two.poll() is None
    with contextlib.redirect_stdout(io.StringIO()) as ours:
        cli(["plan", "sweep", file, "--vary", "rate=2..5#12", "--connects", "300000", "--csv", "--jobs", "1"])
    assert out == ours.getvalue()
    assert path.read_text().count("\n") == 13


def test_a_scheduler_without_workers_or_none_at_all_is_said(
    scheduler: str, file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from timewait.plan import cluster

    with on_cluster("tcp://127.0.0.1:1", file) as nobody, on_cluster(scheduler, file) as idle:
        for running, said in ((nobody, "no Dask scheduler answers at tcp://127.0.0.1:1"), (idle, "has no worker")):
            _, err = running.communicate(timeout=100)
            assert running.returncode == Exit.UNAVAILABLE
            assert said in err
            assert "Traceback" not in err
    with pytest.raises(UsageError, match="no address"):
        next(cluster.results([], "nonsense://x"))
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(UnavailableError, match="needs Dask"):
        next(cluster.results([], scheduler))
