"""`Imported`: a workload from a configuration, what of it was not used, and what had to be chosen."""

import ipaddress
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from timewait.errors import UsageError
from timewait.plan.workload import Destination, Flow, Holding, Pool, Source, Workload

_ENDPOINT: Final = re.compile(r"(?:\[([0-9A-Fa-f:.]{2,45})\]|([^\[\]:/\s]{1,253}))(?::(\d{1,5}))?")
_TIME: Final = re.compile(r"(\d{1,9})\s*(us|ms|s|m|h|d|w|y)?", re.ASCII)
_UNITS: Final = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0, "y": 31557600.0}
MOST_UNUSED: Final = 200


class Unused(NamedTuple):
    """Something of the configuration that says nothing here, or nothing that is understood."""

    line: int
    text: str


class Asked(NamedTuple):
    """What a configuration does not say.  `rate`: requests a second of all flows together, None: not said;
    `hold`: seconds that a request takes, None: not said."""

    rate: float | None
    hold: float | None


class Imported(NamedTuple):
    """A workload and what was left out of it, in the order of the lines."""

    workload: Workload
    unused: tuple[Unused, ...]


class Endpoint(NamedTuple):
    """A server as a configuration names it."""

    host: str
    port: int


@dataclass(slots=True)
class Target:
    """What a source connects to: servers, and how connections to them are kept."""

    name: str
    servers: list[Endpoint] = field(default_factory=list)
    pool: Pool | None = None
    per_connection: float = 1.0


CHOSEN_HOLD: Final = 0.05


def endpoint(text: str, default: int) -> Endpoint | None:
    """Return host and port of `host`, `host:port` or `[v6]:port`; None where it is none."""
    found = _ENDPOINT.fullmatch(text)
    if not found:
        return None
    port = int(found[3]) if found[3] else default
    return Endpoint(found[1] or found[2], port) if 1 <= port <= 65535 else None


def seconds(text: str, unit: str) -> float | None:
    """Return a time in seconds as configurations write it, `unit` being meant where there is none; None for no time."""
    parts = list(_TIME.finditer(text))
    if not parts or "".join(part[0] for part in parts) != text:
        return None
    return sum(int(part[1]) * _UNITS[part[2] or unit] for part in parts)


def is_loopback(host: str) -> bool:
    """Return whether a name or address is the host itself."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def destination(target: Target) -> tuple[Destination, list[str]]:
    """Return the destination that servers make, and what had to be left out of it."""
    by_host: dict[str, set[int]] = {}
    for server in target.servers:
        by_host.setdefault(server.host, set()).add(server.port)
    ports = next(iter(by_host.values()))
    notes = []
    hosts = len(by_host)
    if any(each != ports for each in by_host.values()):
        hosts, ports = len(target.servers), {target.servers[0].port}
        notes.append(f"{target.name}: its servers have different ports; counted as {hosts} hosts with one port each")
    return (
        Destination(
            name=target.name,
            hosts=hosts,
            ports=tuple((port, port) for port in sorted(ports)),
            loopback=all(is_loopback(server.host) for server in target.servers),
        ),
        notes,
    )


def workload(title: str, source: Source, targets: Sequence[Target], asked: Asked, notes: Iterable[str]) -> Workload:
    """Return the workload of one source and its targets.  Raises `UsageError` where nothing says how often.

    The rate is shared evenly among the targets.
    """
    if not targets:
        raise UsageError(f"{title}: nothing is connected to", "see what was not used: that may name it otherwise")
    if asked.rate is None:
        raise UsageError(f"{title}: nothing says how many requests there are", "give the total: --rate 500/s")
    said = list(notes)
    if len(targets) > 1:
        said.append(f"chosen: the rate is shared evenly among {len(targets)} destinations")
    hold = CHOSEN_HOLD if asked.hold is None else asked.hold
    if asked.hold is None:
        said.append(f"chosen: a request takes {CHOSEN_HOLD * 1000:g} ms")
    made = [destination(target) for target in targets]
    return Workload(
        title=title,
        notes=(*said, *(note for _, more in made for note in more)),
        sources=(source,),
        destinations=tuple(each for each, _ in made),
        flows=tuple(
            Flow(
                source=source.name,
                destination=target.name,
                rate=float(f"{asked.rate / len(targets):.9g}"),
                holds=Holding(mean=hold),
                pool=target.pool if hold else None,
                per_connection=target.per_connection,
            )
            for target in targets
        ),
    )
