"""The rules: each looks at a snapshot and yields what it finds.  Pure; `RULES` is all of them, in order of reading."""

from collections.abc import Callable, Iterator
from typing import Final

from timewait.clock import SECOND, readable
from timewait.endpoint import written
from timewait.host import advice, closers
from timewait.host.advice import setting
from timewait.host.budget import budget
from timewait.host.conntrack_findings import conntrack
from timewait.host.finding import Advice, Finding, Severity, figure
from timewait.host.folklore_findings import BUCKETS, DEFAULT_BUCKETS, folklore
from timewait.host.history import forecast
from timewait.host.limits import Limits
from timewait.host.look import Look
from timewait.host.port_findings import bound_ports, explicit_binds, own_ranges, owned_ports, ports
from timewait.host.restart_findings import restarts
from timewait.host.snapshot import Snapshot

_OVERFLOW: Final = "TcpExt.TCPTimeWaitOverflow"
_PAWS: Final = "TcpExt.PAWSTimewait"
# Answers of a TIME-WAIT, or of a half-dead connection, to a SYN: tcp_timewait_state_process, tcp_send_challenge_ack.
_REFUSALS: Final = ("PAWSTimewait", "TCPACKSkippedTimeWait", "TCPChallengeACK")
_LAST_PORT: Final = 65535


def _not_ports(look: Look) -> tuple[str, ...]:
    """Return that ports are not what is short, where that is so."""
    share = look.budgets[0].share if look.budgets else 0.0
    return () if share >= look.limits.ports_step else (f"a shortage of ports ({share:.0%} of the fullest budget)",)


def full_fin_wait_2(look: Look) -> Iterator[Finding]:
    """Orphans that stay full sockets: tcp_fin_timeout or TCP_LINGER2 above 60 s (net/ipv4/tcp.c, __tcp_close)."""
    orphans = sum(row.not_held for row in look.snapshot.populations if row.state == "FIN-WAIT-2")
    if orphans < look.limits.fin_wait_2:
        return
    timeout = look.snapshot.number("net.ipv4.tcp_fin_timeout")
    steps = [Advice("have the other end close; it has received the FIN and not answered with its own")]
    if timeout is not None and timeout > 60:
        why = f"net.ipv4.tcp_fin_timeout = {timeout}: an orphan stays full for {timeout - 60} s, then 60 s as a record"
        steps.insert(0, setting(look.snapshot, "net.ipv4.tcp_fin_timeout", "60", "let orphans become small at once"))
    else:
        why = "net.ipv4.tcp_fin_timeout is not above 60, so the program sets TCP_LINGER2 above 60"
        steps.insert(0, Advice("set TCP_LINGER2 to 60 or less in the program, or not at all"))
    yield Finding(
        "fin-wait-2-full",
        Severity.WARNING,
        "",
        f"{orphans:,} orphans in FIN-WAIT-2 are full sockets",
        (
            ("what", f"closed here, not closed there; some 2.3 kB each instead of 256 bytes: {orphans * 2304:,} bytes"),
            ("why", why),
        ),
        ("TIME-WAIT (these have not reached it)", "a leak here (no process holds them)"),
        tuple(steps),
        {"orphans": orphans, "fin_timeout_s": timeout},
    )


def close_wait_leak(look: Look) -> Iterator[Finding]:
    """Connections that the other end has closed and the program here has not."""
    held: dict[tuple[str, str, int], dict[str, int]] = {}
    unaccepted: dict[tuple[str, str, int], int] = {}
    for row in look.snapshot.populations:
        at = (row.role, row.address, row.port)
        states = held.setdefault(at, {})
        states[row.state] = states.get(row.state, 0) + row.sockets
        if row.state == "CLOSE-WAIT":
            unaccepted[at] = unaccepted.get(at, 0) + row.not_held
    for (role, address, port), states in held.items():
        count = states.get("CLOSE-WAIT", 0)
        if count < look.limits.close_wait or count <= states.get("ESTABLISHED", 0):
            continue
        waiting = unaccepted[role, address, port]
        evidence = [("what", "the other end has closed; the program here has not called close()")]
        held_by = [row for row in look.snapshot.owners if (row.address, row.port) == (address, port)]
        held_by = [row for row in held_by if bool(row.local) == (role == "client")]
        if held_by:
            evidence.insert(0, ("who", closers.holders(held_by)))
        if waiting:
            evidence.append(("queue", f"{waiting:,} of them were never accepted: the program does not call accept()"))
        yield Finding(
            "close-wait-leak",
            Severity.WARNING,
            f"{'service' if role == 'server' else 'towards'} {written(address, port)}",
            f"{count:,} connections in CLOSE-WAIT, {states.get('ESTABLISHED', 0):,} ESTABLISHED",
            tuple(evidence),
            ("TIME-WAIT (CLOSE-WAIT never becomes one)", "any sysctl (no timeout ends CLOSE-WAIT)"),
            (Advice("mend the program: close what has reached the end of its stream; until then restart it"),),
            {"close_wait": count, "established": states.get("ESTABLISHED", 0), "not_accepted": waiting},
        )


def bucket_overflow(look: Look) -> Iterator[Finding]:
    """More TIME-WAITs than tcp_max_tw_buckets: now, certain at this rate, or in the past."""
    most = look.snapshot.number(BUCKETS)
    if most is None:
        return
    total, since, grew = look.minis, look.snapshot.counter(_OVERFLOW), look.grew(_OVERFLOW)
    whole = budget(("", "", 0), max(1, most), {"TIME-WAIT": total}, 0, look.cells, look.cells, hz=look.snapshot.hz)
    ahead = forecast(whole, look.history.now)
    now = bool(grew) or (since > 0 and total >= look.limits.buckets * most)
    if now:
        severity, text = Severity.WARNING, f"{total:,} of {most:,} TIME-WAIT records, and it overflows"
    elif total >= look.limits.buckets * most and total:
        severity, text = Severity.WARNING, f"{total:,} of {most:,} TIME-WAIT records"
    elif ahead.full_in_s is not None:
        within = readable(round(ahead.full_in_s * SECOND))
        severity, text = Severity.WARNING, f"{total:,} of {most:,} TIME-WAIT records; overflows in {within}"
    elif since:
        severity, text = Severity.NOTE, f"overflowed {since:,} times so far; {total:,} of {most:,} records now"
    else:
        return
    # What overflowed has left no trace to count, so the rate seen is the least that it can be.
    wanted = max(DEFAULT_BUCKETS, 2 * most, round(2 * whole.wait_s * look.history.now))
    yield Finding(
        "bucket-overflow",
        severity,
        "",
        text,
        (
            ("count", f"{_OVERFLOW} = {since:,} so far" + (f", {grew:,} within the interval" if grew else "")),
            (
                "rate",
                (
                    f"{figure(look.history.now)} closes/s or more now; above {figure(whole.sustains)}/s the limit "
                    f"is reached (limit / {whole.wait_s:.1f} s)"
                ),
            ),
            (
                "harm",
                (
                    "the newest connection closes without TIME-WAIT; one in FIN-WAIT-2 disappears, and data that comes "
                    "late is answered with RST"
                ),
            ),
        ),
        _not_ports(look),
        (
            setting(
                look.snapshot,
                BUCKETS,
                str(wanted),
                "raise the limit",
                f"256 to 512 bytes each: {wanted * 512 >> 20} MB",
            ),
            Advice("close fewer connections: keep them open"),
        ),
        {"records": total, "limit": most, "overflows": since, "full_in_s": ahead.full_in_s},
    )


def paws_in_time_wait(look: Look) -> Iterator[Finding]:
    """Segments refused in TIME-WAIT for an old timestamp: often two clients behind one NAT address (RFC 7323 5)."""
    since, grew = look.snapshot.counter(_PAWS), look.grew(_PAWS)
    if max(grew or 0, since if grew is None else 0) < look.limits.paws:
        return
    when = f"{since:,} so far" if grew is None else f"{grew:,} in {figure(look.snapshot.interval_s)} s"
    server = look.count("TIME-WAIT", "server")
    recycles = look.snapshot.number("net.ipv4.tcp_tw_recycle")
    yield Finding(
        "paws-time-wait",
        Severity.NOTE if grew is None else Severity.WARNING,
        "",
        f"segments with old timestamps meet TIME-WAIT: {when}",
        (
            ("count", f"{_PAWS} = {since:,} so far; server-side TIME-WAIT now {server:,}"),
            (
                "why",
                (
                    "clients behind one NAT address use the same port with different clocks; each such SYN is refused "
                    "and starts the minute again"
                ),
            ),
        ),
        (*_not_ports(look), *(() if recycles else ("tcp_tw_recycle (not on here)",))),
        (
            Advice("let the client close first, or have the NAT use more addresses or ports"),
            *(
                (advice.look_again(look.snapshot, "is it rising?", "timewait doctor --interval 10"),)
                if grew is None
                else ()
            ),
            advice.not_these("switching timestamps off (every other way of reuse goes with them)"),
        ),
        {"since_boot": since, "in_interval": grew},
    )


def slow_connects(look: Look) -> Iterator[Finding]:
    """SYNs sent again while TIME-WAIT refuses SYNs, both within the interval: connects that take long and then work."""
    again = look.grew("TcpExt.TCPSynRetrans") or 0
    refused = {name: look.grew(f"TcpExt.{name}") or 0 for name in _REFUSALS}
    if min(again, sum(refused.values())) < look.limits.slow_connects:
        return
    moved = ", ".join(f"{name} +{count:,}" for name, count in refused.items() if count)
    hangs = look.snapshot.number("net.ipv4.tcp_rfc1337") == 1
    steps = [
        Advice("let the client's port be chosen by connect(), not by bind(): another pair, and nothing waits there"),
        Advice("keep connections open, so that pairs come round again later"),
        advice.not_these("the accept queue or SYN backlog (ListenOverflows has its own counter)"),
    ]
    if look.snapshot.number("net.ipv4.tcp_timestamps") == 0:
        steps.insert(0, advice.timestamps_on(look.snapshot))
    if hangs:
        steps.insert(0, setting(look.snapshot, "net.ipv4.tcp_rfc1337", "0", "let RST clear what refuses"))
    cost = "some 10 ms"
    if hangs:
        cost = "about a minute where the service has tcp_rfc1337 = 1, as this host has: the RST does not clear it"
    full = look.grew("TcpExt.ListenOverflows") or 0
    yield Finding(
        "slow-connects",
        Severity.WARNING,
        "",
        f"{again:,} SYNs sent again in {figure(look.snapshot.interval_s)} s, while TIME-WAIT refuses SYNs",
        (
            ("count", f"TCPSynRetrans +{again:,}; {moved}"),
            (
                "why",
                (
                    "a SYN that meets a TIME-WAIT with a newer timestamp or sequence number is answered with an ACK; "
                    f"the client answers with RST and sends it again: {cost}"
                ),
            ),
            *((("also", f"ListenOverflows +{full:,}: a service here does not accept fast enough"),) if full else ()),
        ),
        () if full else ("a full accept queue (ListenOverflows +0)",),
        tuple(steps),
        {"syns_sent_again": again, "refused": refused},
    )


def timestamps_off(look: Look) -> Iterator[Finding]:
    """No timestamps: connect() takes over no TIME-WAIT, and servers refuse some reconnects (137 s, 275 s)."""
    if look.snapshot.number("net.ipv4.tcp_timestamps") != 0:
        return
    hangs = look.snapshot.number("net.ipv4.tcp_rfc1337") == 1
    clients = look.count("TIME-WAIT", "client")
    yield Finding(
        "timestamps-off",
        Severity.WARNING if clients or hangs else Severity.NOTE,
        "",
        "net.ipv4.tcp_timestamps = 0",
        (
            ("harm", "connect() can take over no TIME-WAIT, whatever tcp_tw_reuse says, nor by an explicit bind()"),
            (
                "trap",
                "a client that comes back over the same ports after 137 to 275 s is refused at first"
                + (": with tcp_rfc1337 = 1 for about a minute" if hangs else ", some 10 ms long"),
            ),
        ),
        _not_ports(look),
        (advice.timestamps_on(look.snapshot),),
        {"client_time_wait": clients},
    )


def rfc1337_on(look: Look) -> Iterator[Finding]:
    """tcp_rfc1337 = 1: RST no longer ends TIME-WAIT, which also keeps a refused client waiting."""
    if look.snapshot.number("net.ipv4.tcp_rfc1337") != 1:
        return
    stamps = look.snapshot.number("net.ipv4.tcp_timestamps") != 0
    yield Finding(
        "rfc1337-on",
        Severity.NOTE if stamps else Severity.WARNING,
        "",
        "net.ipv4.tcp_rfc1337 = 1",
        (
            (
                "harm",
                (
                    "where a SYN meets a TIME-WAIT that refuses it, or a service that is down, the client's RST no "
                    "longer clears it: 10 ms become 67 s, for peers without timestamps"
                ),
            ),
            ("good", "an old duplicate can no longer cut a TIME-WAIT short (RFC 1337, hazard 1)"),
        ),
        ("timestamps (they are on here)",) if stamps else _not_ports(look),
        (
            setting(
                look.snapshot,
                "net.ipv4.tcp_rfc1337",
                "0",
                "switch it off, unless every peer uses timestamps",
                "RST ends TIME-WAIT again, as RFC 9293 3.10.7.4 has it",
            ),
        ),
    )


def listeners_in_range(look: Look) -> Iterator[Finding]:
    """Services on ports that connect() may choose: after a restart the port may be taken."""
    owned = look.pool.listening
    if not owned:
        return
    listed = ", ".join(map(str, owned[:10])) + (" ..." if len(owned) > 10 else "")
    old = look.snapshot.sysctls.get("net.ipv4.ip_local_reserved_ports", "").strip()
    wanted = ",".join(filter(None, [old, *map(str, owned)]))
    yield Finding(
        "listener-in-range",
        Severity.NOTE,
        "",
        f"services listen inside the ephemeral range: {listed}",
        (
            ("range", f"net.ipv4.ip_local_port_range = {look.pool.low} {look.pool.high}"),
            (
                "harm",
                (
                    "while such a service is down a client here may get its port; its TIME-WAIT then blocks bind() for "
                    "a minute, SO_REUSEADDR or not"
                ),
            ),
        ),
        (),
        (
            setting(
                look.snapshot,
                "net.ipv4.ip_local_reserved_ports",
                wanted,
                "reserve the ports (of services; ports that the kernel chose itself need nothing)",
            ),
        ),
        {"ports": list(owned)},
    )


def bounds_of_one_parity(look: Look) -> Iterator[Finding]:
    """An odd number of ports: the search for a free one goes in steps of two over an even number."""
    low, high = look.pool.low, look.pool.high
    if low >= high or (high - low) % 2:
        return
    name = "net.ipv4.ip_local_port_range"
    better = f"{low - 1} {high}" if high == _LAST_PORT else f"{low} {high + 1}"
    yield Finding(
        "range-parity",
        Severity.NOTE,
        "",
        f"the bounds of the ephemeral range are both {'odd' if low % 2 else 'even'}: each search leaves out a port",
        (
            ("range", f"{name} = {low} {high}"),
            (
                "harm",
                (
                    "connect() and bind() to port 0 search an even number of ports from a start of their own, so "
                    "one, another each time, is passed over: the last free one may not be found; the kernel logs it too"
                ),
            ),
        ),
        (),
        (setting(look.snapshot, name, better, "bounds of different parity"),),
        {"low": low, "high": high},
    )


def server_side(look: Look) -> Iterator[Finding]:
    """Many TIME-WAITs of a listening service: high, and harmless."""
    count = look.count("TIME-WAIT", "server")
    if count < look.limits.server_time_wait:
        return
    rows = sorted(look.waiting("server"), key=lambda row: -row.sockets)
    services = ", ".join(f"{written(row.address, row.port)} {row.sockets:,}" for row in rows[:3])
    most = look.snapshot.number(BUCKETS) or 0
    yield Finding(
        "server-time-wait",
        Severity.NOTE,
        "",
        f"server-side TIME-WAIT is high and harmless: {count:,}",
        (
            ("where", services + (" ..." if len(rows) > 3 else "")),
            (
                "why",
                (
                    "they use no ephemeral port: all share the listening one; a client that comes back from the same "
                    "port is let in at once (RFC 9293 3.6.1, RFC 6191); this host closes first, so its clients need "
                    "not wait"
                ),
            ),
            ("memory", f"{count * 256:,} bytes of kernel memory"),
        ),
        () if look.full_buckets else (f"the limit ({look.minis:,} of {most:,} records)",),
        (
            Advice("nothing"),
            Advice("a service that restarts needs SO_REUSEADDR on its listener, as almost all set it"),
            advice.not_these(advice.NOT_FIN_TIMEOUT, "tcp_tw_reuse (about connect() alone)", advice.NOT_BUCKETS),
        ),
        {"server_time_wait": count},
    )


RULES: Final[tuple[Callable[[Look], Iterator[Finding]], ...]] = (
    ports,
    own_ranges,
    bound_ports,
    owned_ports,
    explicit_binds,
    restarts,
    bucket_overflow,
    full_fin_wait_2,
    close_wait_leak,
    conntrack,
    slow_connects,
    paws_in_time_wait,
    timestamps_off,
    rfc1337_on,
    listeners_in_range,
    bounds_of_one_parity,
    folklore,
    server_side,
)


def examine(snapshot: Snapshot, limits: Limits | None = None) -> list[Finding]:
    """Return everything that the rules find in a snapshot, the worst first."""
    look = Look(snapshot, limits or Limits())
    found = [finding for rule in RULES for finding in rule(look)]
    return sorted(found, key=lambda finding: -finding.severity)
