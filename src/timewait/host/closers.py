"""What a trace says of one destination or service: who closed first, in how many of all closes."""

from timewait.host.snapshot import Closer, Owner, Trace
from timewait.system.containers import shown

_MOST_NAMED = 3


def closers(trace: Trace, role: str, local: str, address: str, port: int) -> list[Closer]:
    """Return who closed connections to a destination, or of a service (`local` is "" then), the busiest first."""
    return [closer for closer in trace.closers if closer[:4] == (role, local, address, port)]


def destinations(trace: Trace) -> list[list[Closer]]:
    """Return all closers, those of one destination or service together, the one with most closes first."""
    found: dict[tuple[str, str, str, int], list[Closer]] = {}
    for closer in trace.closers:
        found.setdefault((closer.role, closer.local, closer.address, closer.port), []).append(closer)
    return sorted(found.values(), key=lambda those: -total(those))


def total(those: list[Closer]) -> int:
    """Return how many closes these are."""
    return sum(closer.first + closer.second for closer in those)


def said(those: list[Closer]) -> str:
    """Return who closed first, as a sentence's part: `nginx (pid 812) closes first (traced: 412 of 412 closes)`."""
    every, firsts = total(those), [closer for closer in those if closer.first]
    if not every:
        return "no close traced"
    if not firsts:
        return f"the other end closes first (traced: {every:,} of {every:,} closes)"
    first = sum(closer.first for closer in firsts)
    alike: dict[tuple[str, str], list[Closer]] = {}  # a program that is started for each request has many numbers
    for closer in firsts:
        alike.setdefault((closer.command, closer.cgroup), []).append(closer)
    groups = sorted(alike.values(), key=lambda group: -sum(closer.first for closer in group))
    who = _names(groups[0]) if len(groups) == 1 else "this host"
    mostly = "" if first == every else " at times" if first * 2 < every else " mostly"
    text = f"{who} closes first{mostly} (traced: {first:,} of {every:,} closes)"
    if len(groups) == 1:
        return text
    shares = [f"{_names(group)} {sum(closer.first for closer in group):,}" for group in groups[:_MOST_NAMED]]
    rest = [f"{len(groups) - _MOST_NAMED} more"] if len(groups) > _MOST_NAMED else []
    return f"{text}: {', '.join(shares + rest)}"


def _names(alike: list[Closer]) -> str:
    """Return the name of a process, or of several with the same command in the same control group."""
    if len(alike) == 1:
        return name(alike[0])
    return f"{alike[0].command or 'processes'} ({len(alike):,} processes{_unit(alike[0].cgroup)})"


def holders(owners: list[Owner]) -> str:
    """Return who holds live sockets, those with the most first: `nginx (pid 812): 12 live, and 4 more processes`."""
    ranked = sorted(owners, key=lambda owner: (-owner.sockets, owner.pid))
    named = ", ".join(f"{name(owner)}: {owner.sockets:,} live" for owner in ranked[:_MOST_NAMED])
    return named + (f", and {len(ranked) - _MOST_NAMED} more processes" if len(ranked) > _MOST_NAMED else "")


def name(process: Closer | Owner) -> str:
    """Return a process's command, number, and the last part of its control group: a unit, a container, a pod."""
    return f"{process.command or 'a process'} (pid {process.pid}{_unit(process.cgroup)})"


def _unit(cgroup: str) -> str:
    unit = shown(cgroup)
    return f", {unit}" if unit else ""
