"""How several examined namespaces are shown together: the worst container first, the worst namespace first in it."""

import textwrap
from collections.abc import Iterator
from itertools import groupby
from typing import Any, NamedTuple

from timewait.host.finding import Finding, Severity
from timewait.host.limits import Limits
from timewait.host.snapshot import Snapshot
from timewait.report import doctor
from timewait.system.containers import container, shown
from timewait.system.places import Place

_MOST_PIDS = 5


class Examined(NamedTuple):
    """A namespace with its findings, the worst first."""

    place: Place
    snapshot: Snapshot
    found: list[Finding]

    @property
    def rank(self) -> tuple[int, int]:
        """How bad it is: the worst severity, -1 without findings, and how many findings have it."""
        worst = max((finding.severity for finding in self.found), default=-1)
        return worst, sum(finding.severity == worst for finding in self.found)

    @property
    def group(self) -> str:
        """Those that stand together: a container or pod, else a control group."""
        held = container(self.place.cgroup)
        return held.group if held else self.place.cgroup


def _container(place: Place) -> dict[str, str | None] | None:
    held = container(place.cgroup)
    return held and {"runtime": held.runtime, "name": held.name, "pod": held.pod or None}


def in_order(examined: list[Examined]) -> list[Examined]:
    """Return the namespaces by container, that with the worst one first."""
    worst: dict[str, tuple[int, int]] = {}
    for each in examined:
        worst[each.group] = max(each.rank, worst.get(each.group, (-1, 0)))

    def key(each: Examined) -> tuple[int, int, str, int, int, int]:
        most, many = worst[each.group]
        return -most, -many, each.group, -each.rank[0], -each.rank[1], each.place.inode

    return sorted(examined, key=key)


def screen(examined: list[Examined], missing: list[str], width: int, everything: bool = False) -> Iterator[str]:
    """Yield the lines: a heading and the usual screen for each namespace, then what was not seen."""
    for name, group in groupby(in_order(examined), key=lambda each: each.group):
        members = list(group)
        if len(members) > 1:
            yield f"== {name or 'no container'}: {len(members)} network namespaces"
            yield ""
        for each in members:
            yield from textwrap.wrap(f"== {heading(each)}", width, subsequent_indent="   ", break_on_hyphens=False)
            yield from doctor.screen(each.snapshot, each.found, width, everything)
            yield ""
    for text in missing:
        yield from doctor.wrapped("missing", text, width)
    yield f"{len(examined)} network namespace{'s' if len(examined) != 1 else ''} examined"


def heading(each: Examined) -> str:
    """Return what tells a namespace from the others: its name, its inode, who lives there, in which container."""
    place = each.place
    text = f"namespace {name_of(each)} (net:[{place.inode}])"
    if place.pids:
        count = len(place.pids)
        text += f": {count:,} process{'es' if count != 1 else ''}"
        text += f", the first {place.command} (pid {place.pids[0]})" if place.command else ""
    else:
        text += ": no process"
    unit = shown(place.cgroup)
    return f"{text}, {unit}" if unit else text


def name_of(each: Examined) -> str:
    """Return what `--netns` takes; for the caller's own, what people say."""
    return each.snapshot.namespace or "of this shell"


def check_line(examined: list[Examined], limits: Limits) -> str:
    """Return the line of a monitoring plugin for the worst of them."""
    worst = in_order(examined)[0]
    line = doctor.check_line(worst.snapshot, worst.found, limits)
    where = f"the worst of {len(examined)} namespaces, {name_of(worst)}"
    state, _, rest = line.partition(" - ")
    return f"{state} - {where}: {rest}"


def data(examined: list[Examined], missing: list[str]) -> dict[str, Any]:
    """Return everything as data for JSON: `namespaces` in the order of the screen, each as `doctor` gives one."""
    ordered = in_order(examined)
    worst = max((each.rank[0] for each in ordered), default=-1)
    return {
        "schema_version": doctor.SCHEMA_VERSION,
        "command": "doctor",
        "severity": "OK" if worst < 0 else Severity(worst).name,
        "missing": missing,
        "namespaces": [
            {
                "inode": each.place.inode,
                "name": each.place.name or None,
                "container": _container(each.place),
                "cgroup": each.place.cgroup or None,
                "processes": len(each.place.pids),
                "pids": list(each.place.pids[:_MOST_PIDS]),
                "process": each.place.command or None,
                **doctor.content(each.snapshot, each.found),
            }
            for each in ordered
        ],
    }
