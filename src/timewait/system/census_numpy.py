"""The census with numpy: the same keys, made by array arithmetic and counted by sorting.

Worth its import from some hundred thousand sockets on; `census.take` decides.
"""

import os
from collections.abc import Collection, Iterable, Iterator
from sys import byteorder
from typing import Any

from timewait.system.census import NUMBER_SHIFT, Census
from timewait.system.sock_diag import (
    DESTINATION,
    DESTINATION_PORT,
    EXPIRES,
    FAMILY,
    SOURCE,
    SOURCE_PORT,
    STATE,
    TIMER,
    TIMER_TIME_WAIT,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from timewait.system.census import Listener
    from timewait.system.sock_diag import Run

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # its threads cost more to start than all we do
import numpy as np  # noqa: E402 - after the setting

_AF_INET = 2


class NumpyCensus(Census):
    """Counts runs of records with numpy; whatever is not plain goes to `Census`."""

    def __init__(
        self, listening: "Iterable[Listener]", pool: Collection[int] | None = None, late: Collection[int] = ()
    ) -> None:
        """Take what `Census` takes."""
        super().__init__(listening, pool, late)
        self._arrays: dict[int, list[Any]] = {}  # by state: keys, one array a run
        self._dtypes: dict[int, Any] = {}  # by length of a record
        self._layout = np.dtype([("address", "u4"), ("port", "u2"), ("left", "u1"), ("mark", "u1")])
        # Where only the least and the most time left are wanted: an order that sorts by destination first.
        order = ["left", "mark", "port", "address"]
        sizes = {"left": "u1", "mark": "u1", "port": "u2", "address": "u4"}
        names = order if byteorder == "little" else order[::-1]
        self._sorting = np.dtype([(name, sizes[name]) for name in names])
        self._is_sure = np.zeros(1 << 16, dtype=bool)
        self._is_sure[list(self._sure)] = True
        self._is_unsure = np.zeros(1 << 16, dtype=bool)
        self._is_unsure[list(self._unsure)] = True
        self._is_outside = np.frombuffer(bytes(self._outside) or bytes(1 << 16), dtype="u1")

    def add(self, run: "Run") -> None:
        """Count the records of one run."""
        if not self._add_array(run):
            super().add(run)

    def _records(self, run: "Run") -> Any:
        """Return the fields of a run's records that matter, as an array of structures over its buffer."""
        buffer, start, end, length = run
        if length not in self._dtypes:
            self._dtypes[length] = np.dtype(
                {
                    "names": ["kind", "local", "peer", "source", "destination", "expires"],
                    "formats": ["u4", "u2", "u2", "u4", "u4", "u4"],
                    "offsets": [FAMILY, SOURCE_PORT, DESTINATION_PORT, SOURCE, DESTINATION, EXPIRES],
                    "itemsize": length,
                }
            )
        return np.frombuffer(buffer, dtype=self._dtypes[length], count=(end - start) // length, offset=start)

    def _add_array(self, run: "Run") -> bool:
        """Count a run that is plain, see `_plain_state`; return False where it is not."""
        buffer, start, _, _ = run
        state = buffer[start + STATE]
        if buffer[start + FAMILY] != _AF_INET or buffer[start + TIMER] != TIMER_TIME_WAIT:
            return False
        records = self._records(run)
        kind, expires = records["kind"], records["expires"]
        if not (kind == kind[0]).all() or expires.max() > 0xFFFF:
            return False
        local = records["local"]
        if self._unsure and self._is_unsure[local].any():
            return False
        self._counter(state)
        server = self._is_sure[local]
        marks = server
        if self._pool is not None:
            try:
                numbers = self._numbers_of(records["source"]) << NUMBER_SHIFT
            except OverflowError:
                return False
            marks = np.where(server, 1, self._is_outside[local] | numbers)
        keys = np.empty(len(records), dtype=self._sorting if self._pool is None else self._layout)
        keys["address"] = np.where(server, records["source"], records["destination"])
        keys["port"] = np.where(server, local, records["peer"])
        keys["left"] = expires >> (10 if self._pool is None else 8)
        keys["mark"] = marks
        self._arrays.setdefault(state, []).append(keys.view("u8"))
        return True

    def _numbers_of(self, addresses: Any) -> Any:
        """Return the number of each address; OverflowError beyond what a mark can hold."""
        if (addresses == addresses[0]).all():
            return np.uint8(self._numbers[int(addresses[0])])
        known, which = np.unique(addresses, return_inverse=True)
        return np.array([self._numbers[address] for address in known.tolist()], dtype="u1")[which]

    def _key_counts(self) -> Iterator[tuple[int, int, int]]:
        yield from super()._key_counts()
        for state, arrays in self._arrays.items():
            keys = np.concatenate(arrays)
            keys, counts = self._ends(keys) if self._pool is None else np.unique(keys, return_counts=True)
            for key, count in zip(keys.tolist(), counts.tolist(), strict=True):
                yield state, key, count

    def _ends(self, keys: Any) -> tuple[Any, Any]:
        """Return two keys a destination, with the least and the most time left, that share its count."""
        keys.sort()
        destinations = keys & np.uint64(0xFFFF_FFFF_FFFF_FF00)  # all but the time left
        first = np.flatnonzero(np.append(True, destinations[1:] != destinations[:-1]))
        last = np.append(first[1:], len(keys)) - 1
        chosen = keys[np.concatenate((first, last))].view(self._sorting)
        ends = np.empty(len(chosen), dtype=self._layout)
        for name in ("address", "port", "left", "mark"):
            ends[name] = chosen[name]
        return ends.view("u8"), np.concatenate((last - first, np.ones(len(last), dtype=first.dtype)))
