"""Every network namespace of the machine that /proc or /run/netns show: who lives there, and how to get in.

A namespace is known by the inode of its file, one for all processes in it (namespaces(7)).  What this user may not look
at is counted, not guessed.  Namespaces and processes go while one looks; nothing here holds one open for longer than a
look takes.
"""

import os
from typing import NamedTuple

from timewait.errors import UnavailableError
from timewait.system import netns
from timewait.system.owners import command_of, control_group_of


class Place(NamedTuple):
    """A network namespace.  Its lowest process id gives `command` and `cgroup`, "" the root; `ip netns` the `name`."""

    inode: int
    name: str
    pids: tuple[int, ...]
    command: str
    cgroup: str

    @property
    def spec(self) -> str:
        """What `--netns` takes to get here."""
        return self.name or str(self.pids[0])


def places() -> tuple[list[Place], int]:
    """Return every namespace that shows, by inode, and how many processes this user may not ask for theirs."""
    members, closed = _members()
    names = _names()
    found = []
    for inode in sorted(members.keys() | names.keys()):
        pids = tuple(sorted(members.get(inode, ())))
        about = (command_of(pids[0]), control_group_of(pids[0]).rstrip("/")) if pids else ("", "")
        found.append(Place(inode, names.get(inode, ""), pids, *about))
    return found, closed


def _members() -> tuple[dict[int, list[int]], int]:
    """Return process ids by namespace, and how many processes could not be looked at."""
    members: dict[int, list[int]] = {}
    closed = 0
    for entry in os.scandir("/proc"):
        if not entry.name.isdecimal():
            continue
        try:
            inode = os.stat(f"{entry.path}/ns/net").st_ino
        except PermissionError:
            closed += 1
        except OSError:
            continue  # it ended meanwhile
        else:
            members.setdefault(inode, []).append(int(entry.name))
    return members, closed


def _names() -> dict[int, str]:
    """Return the names that `ip netns` gave, by namespace; one whose file is no namespace (yet) is left out."""
    found: dict[int, str] = {}
    try:
        entries = sorted(os.scandir(netns.NAMED), key=lambda entry: entry.name)
    except OSError:
        return {}
    for entry in entries:
        try:
            same = os.stat(entry.path)
            if same.st_dev == os.stat("/proc/self/ns/net").st_dev:  # both on nsfs
                found.setdefault(same.st_ino, entry.name)
        except OSError:
            continue
    return found


def enter(place: Place) -> str:
    """Move this process into a namespace found before; return what `--netns` would take to get there.

    Its processes may have gone, and their numbers may be others' by now: only one that still is in this namespace will
    do.  Raises `UnavailableError` where none is left, or where this user may not enter.
    """
    ways = [(str(netns.NAMED / place.name), place.name)] if place.name else []
    ways += [(f"/proc/{pid}/ns/net", str(pid)) for pid in place.pids]
    for path, spec in ways:
        try:
            handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            if os.fstat(handle).st_ino == place.inode:
                netns.join(handle, spec)
                return spec
        finally:
            os.close(handle)
    raise UnavailableError(f"the network namespace {place.inode} went away meanwhile")
