"""Takes a `Snapshot` of every network namespace that this user can enter, each in a child process of its own.

A child enters, looks, hands the snapshot up a pipe and ends; it is killed with this process.  This process itself stays
where it is.  What could not be entered, or went while one looked, is said and not left out.
"""

import os
import pickle
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from timewait.errors import TimewaitError
from timewait.host import collector
from timewait.host.limits import Limits
from timewait.host.snapshot import Snapshot
from timewait.system import netns
from timewait.system.places import Place, enter, places

# Children at once: with an interval each sleeps most of its time.
_AT_ONCE = 16


class Seen(NamedTuple):
    """A namespace and what was seen in it: `snapshot`, or in its place the `trouble` that kept one out."""

    place: Place
    snapshot: Snapshot | None
    trouble: str = ""


def take_all(*, interval_s: float = 0.0, limits: Limits | None = None) -> tuple[list[Seen], list[str]]:
    """Return every namespace seen, and what could not be looked at in words."""
    found, closed = places()
    missing = []
    if closed:
        way = "; run as root to see them all" if os.geteuid() else ""
        missing.append(f"namespaces of processes that this user may not look into: {closed:,} of them{way}")
    own = netns.identity("")
    seen = [
        each
        for at in range(0, len(found), _AT_ONCE)
        for each in _batch(found[at : at + _AT_ONCE], own, interval_s, limits or Limits())
    ]
    missing += [f"namespace {each.place.spec}: {each.trouble}" for each in seen if each.trouble]
    return seen, missing


def _batch(found: Sequence[Place], own: int, interval_s: float, limits: Limits) -> Iterator[Seen]:
    started = [(place, *_start(place, place.inode == own, interval_s, limits)) for place in found]
    for place, child, pipe in started:
        with open(pipe, "rb") as file:
            answer = file.read()
        os.waitpid(child, 0)
        try:
            snapshot, trouble = pickle.loads(answer)
        except (EOFError, pickle.UnpicklingError):
            snapshot, trouble = None, "the process that looked into it was ended"
        yield Seen(place, snapshot, trouble)


def _start(place: Place, is_own: bool, interval_s: float, limits: Limits) -> tuple[int, int]:
    """Start a child that looks into a namespace; return its process id and the pipe that its answer comes from."""
    reader, writer = os.pipe2(os.O_CLOEXEC)
    parent = os.getpid()
    child = os.fork()
    if child:
        os.close(writer)
        return child, reader
    status = 1
    try:
        with open(writer, "wb") as file:
            file.write(pickle.dumps(_look(place, is_own, interval_s, limits, parent)))
        status = 0
    finally:
        os._exit(status)


def _look(place: Place, is_own: bool, interval_s: float, limits: Limits, parent: int) -> tuple[Snapshot | None, str]:
    """Enter and look: in the child.  Return the snapshot, or why there is none."""
    try:
        spec = "" if is_own else enter(place)
        netns.die_with(parent)
        return collector.take(spec, interval_s=interval_s, limits=limits), ""
    except TimewaitError as error:
        return None, error.what
    except OSError as error:
        return None, str(error.strerror or error)
