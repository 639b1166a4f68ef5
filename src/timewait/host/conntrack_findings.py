"""Rules about connection tracking: its table near full, or holding closed connections longer than their sockets do.

net/netfilter/nf_conntrack_proto_tcp.c, tcp_timeouts: 120 s in TIME_WAIT where the socket has 60 s.
"""

from collections.abc import Iterator
from typing import Final

from timewait.host.advice import machine_setting, setting
from timewait.host.finding import Advice, Finding, Severity, figure
from timewait.host.look import Look

COUNT: Final = "net.netfilter.nf_conntrack_count"
MOST: Final = "net.netfilter.nf_conntrack_max"
WAIT: Final = "net.netfilter.nf_conntrack_tcp_timeout_time_wait"
_SOCKETS_S: Final = 60
_USUAL_WAIT_S: Final = 120


def conntrack(look: Look) -> Iterator[Finding]:
    """Yield the one finding that is due: entries near the limit, or held longer than need be on the way there."""
    snapshot = look.snapshot
    count, most = snapshot.number(COUNT), snapshot.number(MOST)
    if count is None or not most:
        return
    wait = snapshot.number(WAIT)
    if count >= look.limits.conntrack * most:
        steps = [machine_setting(snapshot, MOST, str(2 * most), "raise the limit", "some 300 bytes an entry")]
        yield _finding(look, "conntrack-nearly-full", Severity.WARNING, count, most, steps)
    elif wait is not None and wait > _SOCKETS_S and count >= look.limits.conntrack_longer * most:
        yield _finding(look, "conntrack-holds-longer", Severity.NOTE, count, most, [])


def _finding(look: Look, name: str, severity: Severity, count: int, most: int, steps: list[Advice]) -> Finding:
    snapshot = look.snapshot
    wait = snapshot.number(WAIT) or _USUAL_WAIT_S
    evidence = [("wait", f"closed connections stay {wait} s; above {figure(most / wait)} closes/s the table fills")]
    if wait > _SOCKETS_S:
        evidence.append(("why", f"that is longer than the {_SOCKETS_S} s of the sockets, which are done by then"))
        steps = [*steps, setting(snapshot, WAIT, str(_SOCKETS_S), "keep TIME-WAIT there no longer than the sockets do")]
    ruled_out = [f"the sockets' own limit ({look.minis:,} TIME-WAIT records)"] if not look.full_buckets else []
    return Finding(
        name,
        severity,
        "",
        f"{count:,} of {most:,} connection-tracking entries in use ({count / most:.0%})",
        (*evidence, ("harm", "new connections are dropped when it is full (see nf_conntrack: table full in dmesg)")),
        tuple(ruled_out),
        tuple(steps),
        {"entries": count, "limit": most, "time_wait_s": wait},
    )
