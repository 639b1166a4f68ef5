"""The rule about services that cannot be started again, because TIME-WAIT holds their port."""

from collections.abc import Iterator

from timewait.clock import MS, readable
from timewait.endpoint import written
from timewait.host import advice
from timewait.host.finding import Advice, Finding, Severity
from timewait.host.limits import timing
from timewait.host.look import Look
from timewait.host.snapshot import Restart


def restarts(look: Look) -> Iterator[Finding]:
    """Yield one finding for each service that runs without SO_REUSEADDR, or that is gone and left TIME-WAITs."""
    for row in look.snapshot.restarts:
        if row.sockets < look.limits.restart or row.reuse:
            continue
        if row.running and row.reuse is None:
            continue  # not known, and said so where the snapshot lists what is missing
        yield _finding(look, row)


def _finding(look: Look, row: Restart) -> Finding:
    wait = readable(round((row.left_ms + timing(look.snapshot.hz).late_most_ms) / 1000) * 1000 * MS)
    if row.running:
        headline = f"a restart now cannot bind: {row.sockets:,} TIME-WAIT, and no SO_REUSEADDR"
        why = "the listener has neither SO_REUSEADDR nor SO_REUSEPORT, so neither had the connections that it accepted"
        ruled_out = ["SO_REUSEPORT (the listener has not that one either)"]
    else:
        headline = f"{row.sockets:,} TIME-WAIT hold the port of a service that is gone"
        why = (
            "bind() fails with EADDRINUSE unless the socket that is gone and the new one both have SO_REUSEADDR; "
            "whether the one that is gone had it, nothing tells any more"
        )
        ruled_out = ["another listener (nobody listens there)", "ports that connect() chose (not in the range)"]
    return Finding(
        "restart-blocked",
        Severity.WARNING,
        f"service {written(row.address, row.port)}",
        headline,
        (("why", why), ("ahead", f"the last of them goes within {wait}, if none is added")),
        tuple(ruled_out),
        (
            Advice(
                "set SO_REUSEADDR on the listener before bind(), as almost every server does",
                "counts from the second start on: what waits now was made without",
            ),
            Advice(f"for now: start it when they are gone, within {wait}"),
            advice.forget_time_wait(look.snapshot, row.port),
            *_which(look, row),
            advice.not_these("any sysctl (none lets bind() pass)", advice.NOT_FIN_TIMEOUT),
        ),
        {"address": row.address, "port": row.port, "running": row.running, "time_wait": row.sockets},
    )


def _which(look: Look, row: Restart) -> Iterator[Advice]:
    if not row.running:
        line = f"timewait explain EADDRINUSE --from {written(row.address, row.port)} --try"
        yield advice.look_again(look.snapshot, "which of the two lacks the flag?", line)
