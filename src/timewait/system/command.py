"""Runs a command that the user named, for a bounded time, and keeps what it said.

Its output is passed on as it comes.  Who reads it for errors is somebody else.
"""

import os
import selectors
import shlex
import signal
import subprocess
import time
from collections.abc import Callable
from typing import Final, NamedTuple

from timewait.clock import SECOND, Duration
from timewait.errors import UsageError

_KEPT: Final = 64 * 1024  # of what it said, the end
_LOOK_UP: Final = 0.2  # seconds of silence after which to see whether it has ended


class Run(NamedTuple):
    """A command that has ended.  `status` is None where it was still running at the limit and was ended."""

    status: int | None
    output: str
    took: Duration


def run(command: str, limit: Duration, pass_on: Callable[[bytes], object]) -> Run:
    """Run a command, without a shell, for `limit` ns at most.  Raises `UsageError` where it cannot be started.

    Where it has not ended at the limit, or this program is interrupted, it is ended with all that it started.
    """
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise UsageError(f"{command!r} is not a command: {error}", "quote it as for a shell") from None
    if not words:
        raise UsageError("--errno-from has no command", "write it as --errno-from 'curl http://192.0.2.7/'")
    began = time.monotonic_ns()
    try:
        process = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
        )
    except OSError as error:
        raise UsageError(
            f"{words[0]!r} cannot be run: {error.strerror}", "name a program, not a line of shell"
        ) from None
    try:
        output = _read(process, began + limit, pass_on)
        left = max(0.0, (began + limit - time.monotonic_ns()) / SECOND)
        try:
            status: int | None = process.wait(left)
        except subprocess.TimeoutExpired:
            status = None
        return Run(status, output.decode(errors="replace"), time.monotonic_ns() - began)
    finally:
        _end(process)


def _read(process: "subprocess.Popen[bytes]", deadline: int, pass_on: Callable[[bytes], object]) -> bytes:
    assert process.stdout is not None
    kept = b""
    with process.stdout as pipe, selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)
        while (left := deadline - time.monotonic_ns()) > 0:
            if not selector.select(min(left / SECOND, _LOOK_UP)):
                if process.poll() is not None:
                    break  # what it left running in the background holds the pipe
                continue
            data = os.read(pipe.fileno(), _KEPT)
            if not data:
                break
            pass_on(data)
            kept = (kept + data)[-_KEPT:]
    return kept


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End the command's own session, where anything of it still runs."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
