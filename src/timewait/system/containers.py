"""Which container a control group is: what docker, containerd, CRI-O, podman, Kubernetes, nspawn and LXC call theirs.

/proc/PID/cgroup has a line for each hierarchy (cgroups(7)); /proc is all that is read, no runtime is asked.  With
cgroup v1 beside an empty v2 the line of v2 may name the service that started the container (containerd.service), so any
line that names a container is preferred.
"""

import re
from functools import lru_cache
from typing import NamedTuple

_ID = "[0-9a-f]{12,64}"
_UID = "[0-9a-f]{8}(?:[-_][0-9a-f]{4}){3}[-_][0-9a-f]{12}|[0-9a-f]{32}"  # a static pod's is a hash without dashes
# systemd's unit of a pod, or the folder that the cgroupfs driver makes.
_POD = re.compile(rf"(?:^|-)pod({_UID})(?:\.slice)?(?::.*)?$")
_RUNTIMES = {"cri-containerd": "containerd", "crio": "cri-o", "libpod": "podman"}
# A part of a path, by who names it so.  Not crio-conmon, libpod-conmon, lxc.monitor: those stay outside.
_PARTS = (
    re.compile(rf"^(?P<by>docker|cri-containerd|crio|libpod|nerdctl)-(?P<id>{_ID})(?:\.scope)?$"),
    re.compile(rf":(?P<by>cri-containerd|crio|docker|nerdctl):(?P<id>{_ID})$"),
    re.compile(r"^(?P<by>systemd-nspawn)@(?P<id>.+)\.service$"),
    re.compile(r"^(?P<by>machine)-(?P<id>.+)\.scope$"),
    re.compile(r"^(?P<by>lxc)\.payload\.(?P<id>.+)$"),
)
_BARE = re.compile("^[0-9a-f]{64}$")
_SHORT = 12  # of a container's id, as the runtimes' own listings show it


class Container(NamedTuple):
    """A container: the runtime, where its name tells that, its id or name, and the pod's UID where it is in one."""

    runtime: str
    name: str
    pod: str

    @property
    def group(self) -> str:
        """What is one container or one pod: they share a network namespace."""
        return f"pod {self.pod}" if self.pod else self.shown

    @property
    def shown(self) -> str:
        """A word for it: `docker 0f1e2d3c4b5a`, `containerd 0f1e2d3c4b5a, pod UID`."""
        return f"{self.runtime} {self.name}" + (f", pod {self.pod}" if self.pod else "")


@lru_cache(4096)
def container(path: str) -> Container | None:
    """Return the container that a control group belongs to, the innermost; None where its name tells of none."""
    found, pod, before = None, "", ""
    for part in path.split("/"):
        if match := _POD.search(part):
            pod = match[1].replace("_", "-")
        if named := _named(part, before, pod):
            found = named
        before = part
    return found


def _named(part: str, before: str, pod: str) -> Container | None:
    for pattern in _PARTS:
        if match := pattern.search(part):
            by, name = match["by"], match["id"]
            name = name[:_SHORT] if re.fullmatch(_ID, name) else _unescaped(name)
            return Container(_RUNTIMES.get(by, by), name, pod)
    if before == "lxc" and part:
        return Container("lxc", part, pod)
    if _BARE.match(part):  # the cgroupfs drivers: the folder above may be the runtime's
        return Container(before if before in ("docker", "libpod") else "container", part[:_SHORT], pod)
    return None


def _unescaped(name: str) -> str:
    r"""Return a unit's name as it was, `\x2d` for a dash: systemd-escape(1)."""
    return re.sub(r"\\x([0-9a-f]{2})", lambda match: chr(int(match[1], 16)), name)


def chosen(text: str) -> str:
    """Return the path, of those in a /proc/PID/cgroup, that says most: see above."""
    lines = [line.split(":", 2) for line in text.splitlines() if line.count(":") >= 2]
    order = sorted(lines, key=lambda line: (line[0] != "0", line[1] != "name=systemd"))  # stable: then as listed
    paths = [path for _, _, path in order]
    for path in paths:
        if container(path):
            return path
    return next((path for path in paths[:2] if path != "/"), paths[0] if paths else "")


def shown(path: str) -> str:
    """Return a short name for a control group: its container, or its last part, a unit; "" for the root."""
    held = container(path)
    return held.shown if held else path.rstrip("/").rpartition("/")[2]
