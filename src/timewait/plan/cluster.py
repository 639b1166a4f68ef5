"""A sweep's cells on a Dask cluster that somebody else runs: the extra `cluster`, imported only when one is named.

Dask gives a cell to another worker when the one that had it dies.  Cells cross as texts and numbers, and a cell's
result does not depend on where it was made.
"""

import contextlib
import logging
import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

from timewait import __version__
from timewait.errors import UnavailableError, UsageError
from timewait.plan.sweep import Task, run

_ADDRESS: Final = re.compile(r"(tcp|tls|ws|wss|ucx)://[^\s/]+:\d{1,5}")
# Seconds until a scheduler has to answer, and has to have a worker.
_PATIENCE: Final = 5
# How many workers may die over one cell before the cell is taken to be the cause.
_DEATHS: Final = 10


def version() -> str:
    """Return the version of this program, where it is asked."""
    return __version__


def results(tasks: Sequence[Task], address: str) -> Iterator[tuple[int, list[dict[str, Any]]]]:
    """Yield the rows of each task as they come, with its number.

    Raises `UnavailableError` where the extra is not installed, no scheduler or no worker answers, or a worker has
    another version of this program.
    """
    if not _ADDRESS.fullmatch(address):
        raise UsageError(f"{address!r} is no address of a Dask scheduler", "such as tcp://host:8786")
    try:
        import distributed
    except ImportError:
        raise UnavailableError(
            "--cluster needs Dask, which is not installed", "install timewait with the extra cluster: timewait[cluster]"
        ) from None
    # What it would say about workers that come and go is for who runs the cluster.
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    try:
        client = distributed.Client(address, timeout=_PATIENCE, set_as_default=False, name="timewait")
    except (OSError, TimeoutError):
        raise UnavailableError(
            f"no Dask scheduler answers at {address}", "start one: dask scheduler; and workers: dask worker tcp://..."
        ) from None
    futures: list[Any] = []
    try:
        _same_version(client, address)
        # The key says which cell it is; a scheduler that has the result of that very task still would give it again.
        keys = [f"timewait-{client.id}-{number}" for number in range(len(tasks))]
        futures = client.map(run, list(tasks), key=keys, retries=_DEATHS, pure=False)
        numbers = {future.key: number for number, future in enumerate(futures)}
        for future in distributed.as_completed(futures, loop=client.loop):
            try:
                rows = future.result()
            except distributed.scheduler.KilledWorker:
                raise UnavailableError(
                    "one cell was given to several workers, and all of them died",
                    "too little memory for so many workers? what is done is in the results file",
                ) from None
            except (OSError, TimeoutError, distributed.client.FutureCancelledError):
                raise UnavailableError(
                    f"the Dask scheduler at {address} is gone", "what is done is in the results file: run again"
                ) from None
            yield numbers[future.key], rows
    finally:
        with contextlib.suppress(Exception):
            client.cancel(futures, force=True)
        with contextlib.suppress(Exception):
            client.close(timeout=2)


def _same_version(client: Any, address: str) -> None:
    try:
        client.wait_for_workers(1, timeout=_PATIENCE)
    except TimeoutError:
        raise UnavailableError(
            f"the Dask scheduler at {address} has no worker", f"start one: dask worker {address}"
        ) from None
    try:
        versions = client.run(version)
    except Exception as error:
        raise UnavailableError(
            f"a worker cannot load timewait: {str(error) or type(error).__name__}",
            f"install timewait {__version__} where the workers run",
        ) from None
    for worker, theirs in versions.items():
        if theirs != __version__:
            raise UnavailableError(
                f"the worker {worker} has timewait {theirs}, not {__version__}",
                "the same version makes the same numbers",
            )
