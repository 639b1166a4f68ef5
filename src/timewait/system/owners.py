"""Which processes hold which sockets: /proc/PID/fd, proc(5).  Costs a pass over every descriptor of the machine."""

import contextlib
import os
import re
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from timewait.system.containers import chosen

_SOCKET = re.compile(r"socket:\[(\d+)\]$")


class Holder(NamedTuple):
    """A process that holds some of the sockets asked for."""

    pid: int
    command: str
    cgroup: str
    inodes: tuple[int, ...]
    files: int
    most_files: int


def holders(inodes: Collection[int]) -> tuple[list[Holder], int]:
    """Return the processes that hold sockets with these inodes, and how many processes could not be looked into."""
    wanted = set(inodes)
    if not wanted:
        return [], 0
    found, closed = [], 0
    for entry in os.scandir("/proc"):
        if not entry.name.isdecimal():
            continue
        try:
            links = _links(entry.path)
        except PermissionError:
            closed += 1
            continue
        except OSError:
            continue  # it ended meanwhile
        own = {int(match[1]) for link in links if (match := _SOCKET.match(link))} & wanted
        if own:
            pid = int(entry.name)
            limit = _most_files(_text(pid, "limits"))
            found.append(Holder(pid, command_of(pid), control_group_of(pid), tuple(sorted(own)), len(links), limit))
    return found, closed


def _links(folder: str) -> list[str]:
    """Return what a process's descriptors refer to; those that it closes meanwhile are left out."""
    found = []
    with os.scandir(f"{folder}/fd") as entries:
        for each in entries:
            with contextlib.suppress(FileNotFoundError):
                found.append(os.readlink(each.path))
    return found


def command_of(pid: int) -> str:
    """Return a process's name, "" once it has ended.  It chose that itself: control characters are replaced."""
    return printable(_text(pid, "comm").removesuffix("\n"))


def control_group_of(pid: int) -> str:
    """Return a process's control group, "" once it has ended."""
    return printable(chosen(_text(pid, "cgroup")))


def printable(text: str) -> str:
    """Return text that cannot move a terminal's cursor."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _text(pid: int, name: str) -> str:
    try:
        return Path(f"/proc/{pid}/{name}").read_text(errors="replace")
    except OSError:
        return ""


def _most_files(text: str) -> int:
    match = re.search(r"^Max open files\s+(\d+)", text, re.MULTILINE)
    return int(match[1]) if match else 0
