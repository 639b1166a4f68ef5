"""Jobs side by side in processes of their own, which end with this one."""

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from multiprocessing import get_context
from typing import Generic, TypeVar

from timewait.errors import UnavailableError
from timewait.system.netns import die_with

_Job = TypeVar("_Job")
_Result = TypeVar("_Result")


class Pool(Generic[_Job, _Result]):
    """Runs jobs in `width` processes; in this one if that is 1.  `what`: in words, for messages.

    The processes start at once, before whoever shows progress starts threads.  Ctrl-C is this process's alone; leaving
    the `with` ends the others.  `chunk`: jobs handed over at once, at most.
    """

    def __init__(
        self, run: Callable[[_Job], _Result], jobs: Sequence[_Job], width: int, what: str, *, chunk: int = 1
    ) -> None:
        self._run, self._jobs, self._what = run, jobs, what
        self._executor: ProcessPoolExecutor | None = None
        self._parts: dict[Future[list[_Result]], int] = {}
        chunk = min(chunk, max(1, len(jobs) // (4 * width)))
        if width > 1 and len(jobs) > 1:
            # An interrupt in the middle would leave a lock held, and the end of this process waiting for it.
            before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
            self._executor = ProcessPoolExecutor(min(width, len(jobs)), get_context("fork"), _prepare, (os.getpid(),))
            for start in range(0, len(jobs), chunk):
                self._parts[self._executor.submit(partial(_all, run), jobs[start : start + chunk])] = start
            try:
                signal.pthread_sigmask(signal.SIG_SETMASK, before)
            except KeyboardInterrupt:
                self._stop()
                raise

    def __enter__(self) -> "Pool[_Job, _Result]":
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        if kind is not None:
            self._stop()
        elif self._executor is not None:
            self._executor.shutdown()

    def _stop(self) -> None:
        """Kill the processes: what they were doing is of no use any more."""
        if self._executor is not None:
            for process in list((self._executor._processes or {}).values()):
                process.kill()
            self._executor.shutdown(wait=False, cancel_futures=True)

    def results(self) -> Iterator[tuple[int, _Result]]:
        """Yield each result as it comes, with its job's number.

        Raises:
            UnavailableError: a process died.
        """
        if self._executor is None:
            for number, job in enumerate(self._jobs):
                yield number, self._run(job)
            return
        try:
            for part in as_completed(self._parts):
                yield from enumerate(part.result(), self._parts[part])
        except BrokenProcessPool:
            raise UnavailableError(
                f"a process that ran {self._what} was killed", "too little memory? try again with --jobs 1"
            ) from None


def _prepare(parent: int) -> None:
    die_with(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _all(run: Callable[[_Job], _Result], jobs: Sequence[_Job]) -> list[_Result]:
    return [run(job) for job in jobs]
