"""Commands of the user's: bounded, passed on, and gone afterwards."""

import time
from pathlib import Path

import pytest

from timewait.clock import MS, SECOND
from timewait.errors import UsageError
from timewait.system.command import run


def test_output_is_kept_and_passed_on_in_order() -> None:
    passed: list[bytes] = []
    done = run("sh -c 'echo one; echo two >&2; exit 3'", 10 * SECOND, passed.append)
    assert (done.status, done.output) == (3, "one\ntwo\n")
    assert b"".join(passed) == b"one\ntwo\n"


def test_a_command_that_does_not_end_is_ended_with_what_it_started() -> None:
    done = run("sh -c 'sleep 600 & echo $!; wait'", 300 * MS, lambda data: None)
    assert done.status is None
    until = time.monotonic() + 20  # SIGKILL is on its way; a busy machine may take a moment
    while running(done.output.strip()):
        assert time.monotonic() < until


def running(pid: str) -> bool:
    """Return whether a process does anything yet; nobody may be there to reap it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def test_a_child_left_in_the_background_is_not_waited_for() -> None:
    done = run("sh -c 'sleep 5 & echo gone'", 60 * SECOND, lambda data: None)
    assert (done.status, done.output) == (0, "gone\n")
    assert done.took < 4 * SECOND


def test_only_the_end_of_much_output_is_kept() -> None:
    done = run("head -c 1000000 /dev/zero", 10 * SECOND, lambda data: None)
    assert len(done.output) == 64 * 1024


@pytest.mark.parametrize("line", ["", "'", "/no/such/program", "/etc"])
def test_what_cannot_be_run_is_a_usage_error(line: str) -> None:
    with pytest.raises(UsageError):
        run(line, SECOND, lambda data: None)
