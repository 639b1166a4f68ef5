"""Counts who closes first in a network namespace: `system.closes` by destination and process."""

from collections import Counter
from types import TracebackType
from typing import Self, TypeAlias

from timewait.host.snapshot import Closer, Trace
from timewait.system import census, netns
from timewait.system.closes import Close, Watch
from timewait.system.sock_diag import address_text

# Role, family, own address (b"" for a server), destination's address and port, process id.
_Key: TypeAlias = tuple[str, int, bytes, bytes, int, int]


class Tracer:
    """Watches from its making on.  Make it before entering the namespace, for its privileges may end there."""

    def __init__(self, namespace: str) -> None:
        """`namespace` as `--netns` takes it, "" for this process's own.  Raises `UsageError`, `UnavailableError`."""
        self._inode = netns.identity(namespace)
        self._watch = Watch()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._watch.close()

    def run(self, seconds: float) -> Trace:
        """Count for so many seconds; this process is in the namespace now, whose listeners tell a service's end."""
        book = census.Census(census.listeners())
        counts: dict[bool, Counter[_Key]] = {True: Counter(), False: Counter()}
        elsewhere = unplaced = 0
        for close in self._watch.closes(seconds):
            if close.namespace == self._inode:
                counts[close.first][_key(close, book)] += 1
            elif close.namespace:
                elsewhere += 1
            else:
                unplaced += 1
        found = [self._closer(key, counts[True][key], counts[False][key]) for key in counts[True] | counts[False]]
        found.sort(key=lambda closer: (-closer.first, -closer.second, closer))
        return Trace(seconds, tuple(found), elsewhere, unplaced, self._watch.lost)

    def _closer(self, key: _Key, first: int, second: int) -> Closer:
        role, family, own, address, port, pid = key
        local = address_text(family, own) if own else ""
        known = self._watch.processes
        about = (pid, known.command(pid), known.control_group(pid))
        return Closer(role, local, address_text(family, address), port, *about, first, second)


def _key(close: Close, book: census.Census) -> _Key:
    if book.listens(close.family, close.local, close.local_port):
        return "server", close.family, b"", close.local, close.local_port, close.pid
    return "client", close.family, close.local, close.remote, close.remote_port, close.pid
