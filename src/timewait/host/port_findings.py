"""Rules about a destination's ports: gone, nearly gone, or so many in use that each connect() has to search."""

from collections.abc import Iterator

from timewait.clock import MS, SECOND, readable
from timewait.endpoint import written
from timewait.host import advice, closers
from timewait.host.budget import NOBODY, Budget, took_last_first
from timewait.host.finding import Advice, Finding, Severity, figure
from timewait.host.history import Forecast, History, forecast, history, may_fill
from timewait.host.limits import search_ns
from timewait.host.look import Look
from timewait.host.snapshot import Owner

_MOST_NAMED = 3
_NO_PORT = Advice("set IP_BIND_ADDRESS_NO_PORT before bind(): the port is then chosen by connect()", "needs Linux 4.2")
_PASSED_OVER = (
    "connect() passes over a port that bind() owns, its TIME-WAIT included, whatever the destination; tcp_tw_reuse "
    "does not help"
)


def ports(look: Look) -> Iterator[Finding]:
    """Yield one finding for each destination whose ports run out, or are past the step."""
    for budget in look.budgets:
        limits = look.limits
        if budget.share < limits.ports_step and not may_fill(budget, limits.full_within_s):
            continue
        past = history(budget.waits, look.snapshot.span_ms, look.snapshot.hz)
        ahead = forecast(budget, past.now)
        if budget.share >= limits.ports_gone:
            yield _finding(look, budget, past, ahead, "ports-gone", Severity.CRITICAL)
        elif budget.share >= limits.ports_nearly_gone:
            yield _finding(look, budget, past, ahead, "ports-nearly-gone", Severity.CRITICAL)
        elif _soon(ahead, limits.full_within_s):  # a burst on an empty range may pass
            severity = Severity.CRITICAL if budget.share >= limits.ports_step else Severity.WARNING
            yield _finding(look, budget, past, ahead, "ports-running-out", severity)
        elif budget.share >= limits.ports_step:
            yield _finding(look, budget, past, ahead, "search-step", Severity.WARNING)


def bound_ports(look: Look) -> Iterator[Finding]:
    """Ports that bind() to port 0 chose: it knows no destination, so one pool serves all (inet_csk_get_port).

    Its TIME-WAITs also block their ports for every connect() (__inet_hash_connect passes over owned buckets).
    """
    size = look.pool.size
    for crowd in look.snapshot.crowds:
        if not size or not look.bound_first(crowd):
            continue
        share = crowd.ports / size
        if share < look.limits.ports_step:
            continue
        scarce = share >= look.limits.ports_nearly_gone
        yield Finding(
            "bind-before-connect",
            Severity.CRITICAL if scarce else Severity.WARNING,
            crowd.local,
            f"{crowd.ports:,} of {size:,} ports of this address in use, all destinations together",
            (
                (
                    "why",
                    (
                        f"{crowd.sockets:,} sockets towards several destinations have {crowd.ports:,} different ports: "
                        "bind() to port 0 chose them, before the destination was known"
                    ),
                ),
                ("harm", "bind() fails with EADDRINUSE when they are gone; connect() without bind() finds none either"),
            ),
            ("ports of one destination (each has its own budget; see destinations in --json)",),
            (
                _NO_PORT,
                Advice("leave bind() out where the source address does not matter"),
                Advice("keep connections open and use them again"),
                advice.not_these("tcp_tw_reuse (it does not apply to ports that bind() chose)", advice.NOT_FIN_TIMEOUT),
            ),
            {"local": crowd.local, "sockets": crowd.sockets, "ports": crowd.ports, "pool": size},
        )


def _soon(ahead: Forecast, within_s: float) -> bool:
    return ahead.full_in_s is not None and ahead.full_in_s <= within_s


def own_ranges(look: Look) -> Iterator[Finding]:
    """Sockets that have narrowed their range of ports, and have used it up: the namespace's budget does not show it."""
    for row in look.snapshot.ranges:
        size = row.high - row.low + 1
        waiting = [budget for budget in look.budgets if (budget.address, budget.port) == row[:2]]
        used = max(0, row.used - sum(budget.reusable for budget in waiting))
        if used < look.limits.ports_nearly_gone * size:
            continue
        owners = [owner for owner in look.snapshot.owners if owner[1:3] == row[:2]]
        yield Finding(
            "own-range",
            Severity.CRITICAL,
            f"clients of {written(row.address, row.port)}",
            f"{used:,} of {size:,} ports of the sockets' own range in use",
            (
                *((("who", closers.holders(owners)),) if owners else ()),
                ("range", f"{row.low} {row.high}: the program sets IP_LOCAL_PORT_RANGE; live sockets were asked"),
                ("harm", "connect() fails with EADDRNOTAVAIL when they are gone, whatever the namespace has left"),
            ),
            (f"the namespace's range ({look.pool.low} {look.pool.high}, {look.pool.size:,} ports)",),
            (
                Advice("have the program ask for a wider range, or for none"),
                Advice("keep connections open and use them again"),
                *advice.reuse(look.snapshot),
                advice.not_these("net.ipv4.ip_local_port_range (the socket's own is narrower)", advice.NOT_FIN_TIMEOUT),
            ),
            {"address": row.address, "port": row.port, "low": row.low, "high": row.high, "used": used},
        )


def owned_ports(look: Look) -> Iterator[Finding]:
    """Ports of live sockets that bind() owns for certain: connect() passes them over, whatever the destination."""
    count, size = len(look.taken.ports), look.pool.size
    if count < max(look.limits.bound_ports, look.limits.explicit_binds * size):
        return
    idle = look.taken.idle
    owners = [owner for owner in look.snapshot.owners if owner[:3] == NOBODY]
    scarce = count >= look.limits.ports_nearly_gone * size
    yield Finding(
        "explicit-binds",
        Severity.CRITICAL if scarce else Severity.WARNING,
        "",
        f"{count:,} of {size:,} ports are taken from every destination by bind()",
        (
            *((("who", closers.holders(owners)),) if owners else ()),
            ("what", f"{idle:,} bound and not connected, {count - idle:,} connected from a port named in bind()"),
            ("harm", _PASSED_OVER),
        ),
        ("a guess (live sockets tell; what waits may hold more)",),
        (
            Advice("bind no port, or only just before connect()"),
            _NO_PORT,
            advice.not_these("tcp_tw_reuse (it does not apply to ports that bind() chose)", advice.NOT_FIN_TIMEOUT),
        ),
        {"local": None, "ports": count, "first_half": None, "not_connected": idle, "pool": size},
    )


def explicit_binds(look: Look) -> Iterator[Finding]:
    """Ports that bind() chose and that TIME-WAIT holds: connect() passes them over, whatever the destination.

    The kernel keeps no word of that in a TIME-WAIT record.  But connect() takes a port of the half of the range that it
    tries last only when the other half is taken, and bind() to port 0 begins there (`late_ports`).  So what has just
    been closed there, while the first half is mostly free, another call chose.  Ports that bind() took in the first
    half do not show: the count is the least.
    """
    crowded = {crowd.local for crowd in look.snapshot.crowds if look.bound_first(crowd)}
    ranged = {row[:2] for row in look.snapshot.ranges}
    held: dict[str, list[Budget]] = {}
    for budget in look.budgets:
        if (
            budget.local not in crowded
            and budget.late_now >= look.limits.explicit_now
            and took_last_first(budget, look.limits)
            and (budget.address, budget.port) not in ranged
        ):
            held.setdefault(budget.local, []).append(budget)
    for local, those in held.items():
        count = sum(budget.late for budget in those)
        if count < max(look.limits.bound_ports, look.limits.explicit_binds * look.pool.size):
            continue
        first = sum(budget.used - budget.late for budget in those)
        where = ", ".join(written(budget.address, budget.port) for budget in those[:_MOST_NAMED])
        yield Finding(
            "explicit-binds",
            Severity.WARNING,
            local,
            f"{count:,} of {look.pool.size:,} ports are taken from every destination by bind()",
            (
                ("where", f"clients of {where}" + (" ..." if len(those) > _MOST_NAMED else "")),
                (
                    "why",
                    (
                        f"they are of the half of the range that connect() tries last, and of the other half only "
                        f"{first:,} are in use: bind() chose them, to port 0 or by number"
                    ),
                ),
                ("harm", _PASSED_OVER),
                (
                    "doubt",
                    "sockets with IP_LOCAL_PORT_RANGE use both halves as well, and harm nobody: no record tells them",
                ),
            ),
            ("connect() itself (it would have taken the other half)", "a full range (see destinations in --json)"),
            (
                _NO_PORT,
                Advice("leave bind() out where neither source address nor port matters"),
                advice.not_these("tcp_tw_reuse (it does not apply to ports that bind() chose)", advice.NOT_FIN_TIMEOUT),
            ),
            {"local": local, "ports": count, "first_half": first, "not_connected": None, "pool": look.pool.size},
        )


def _finding(look: Look, budget: Budget, past: History, ahead: Forecast, name: str, severity: Severity) -> Finding:
    owners = [owner for owner in look.snapshot.owners if owner[:3] == (budget.local, budget.address, budget.port)]
    evidence = [("ports", _held(budget)), *_blocked(look, budget), ("who", _who(look, budget, owners))]
    evidence += _rates(look, budget, past, ahead)
    if name == "search-step":
        low, high = (readable(cost) for cost in search_ns(budget.size))
        evidence.append(
            (
                "why",
                (
                    "beyond half the range connect() searches all ports of one parity first, each time: "
                    f"that adds {low} to {high} of CPU (__inet_hash_connect)"
                ),
            )
        )
    if budget.reuse_after_ms is not None:
        evidence.append(
            (
                "reuse",
                (
                    f"{budget.reusable:,} of these waits are over {readable(budget.reuse_after_ms * MS)} old and can "
                    "be taken over, if the other end uses timestamps; the rates below are then a lower bound"
                ),
            )
        )
    troubled, ruled_out = _neighbours(look, budget, owners)
    evidence += [("also", text) for text in troubled]
    return Finding(
        name,
        severity,
        budget.name,
        f"{budget.used:,} of {budget.size:,} ports in use ({_mostly(budget)})",
        tuple(evidence),
        tuple(ruled_out),
        advice.for_ports(look.snapshot, budget, look.pool),
        _numbers(budget, past, ahead),
        tuple(second.estimate for second in past.seconds),
    )


def _mostly(budget: Budget) -> str:
    """Return the state that holds most of the ports, and when the first of them comes back by itself."""
    state, count = max(budget.by_state.items(), key=lambda pair: pair[1])
    text = f"{count:,} {state}"
    return f"{text}; the next one leaves in {_seconds(*budget.next_free_ms)}" if budget.next_free_ms else text


def _seconds(least_ms: int, most_ms: int) -> str:
    return f"{least_ms / 1000:.1f} to {most_ms / 1000:.1f} s"


def _held(budget: Budget) -> str:
    states = sorted(budget.by_state.items(), key=lambda pair: -pair[1])
    text = ", ".join(f"{count:,} {state}" for state, count in states)
    if states[0][0] != "TIME-WAIT":
        text += f"; most are not in TIME-WAIT but in {states[0][0]}"
    return text


def _blocked(look: Look, budget: Budget) -> Iterator[tuple[str, str]]:
    """Yield what the budget lacks because of bind(), and what it may lack besides."""
    text = []
    if budget.blocked:
        idle = look.taken.idle
        text.append(
            f"the budget lacks {budget.blocked:,} ports that bind() owns: {idle:,} bound and not connected, "
            f"{budget.blocked - idle:,} named for other destinations"
        )
    if budget.unclear and budget.headroom:
        text.append(
            f"of {budget.unclear:,} ports held towards others nothing tells whether bind() chose them: "
            f"{budget.headroom_least:,} to {budget.headroom:,} are free here"
        )
    if text:
        yield "blocked", "; ".join(text)


def _who(look: Look, budget: Budget, owners: list[Owner]) -> str:
    trace = look.snapshot.trace
    those = closers.closers(trace, "client", *budget[:3]) if trace else []
    if those:
        return f"{closers.said(those)}; role client"
    verb = "close" if budget.closes_first == "both" else "closes"
    first = f"{budget.closes_first} {verb} first" if budget.closes_first else "nobody has closed yet"
    if trace and budget.closes_first:
        first += f", but nobody did within the {figure(trace.seconds)} s traced"
    if not owners:
        closed = any(text.startswith("owners ") for text in look.snapshot.missing)
        reason = "no process that may be looked into" if closed else "no process"
        reason += " holds a socket to it now" + ("" if trace else " (who it was: --trace 10)")
        return f"role client, {first}; {reason}"
    return f"{closers.holders(owners)}; role client, {first}"


def _rates(look: Look, budget: Budget, past: History, ahead: Forecast) -> Iterator[tuple[str, str]]:
    yield (
        "rate",
        (
            f"{figure(past.now)} closes/s now{_band(past)}; mean {figure(past.mean)}, worst 10 s "
            f"{figure(past.worst)}; this destination carries {figure(budget.sustains)} for ever"
        ),
    )
    if unseen := _unseen(look):
        yield "unseen", f"the rates are the least: {' and '.join(unseen)} left nothing to count"
    if ahead.already:
        free = budget.next_free_ms
        yield "ahead", f"full; the next port comes back in {_seconds(*free)}" if free else "full"
    elif ahead.full_in_s is not None:
        yield "ahead", f"full in {readable(round(ahead.full_in_s * SECOND))} at the present rate"
    else:
        yield "ahead", f"settles at {ahead.settles_at:,} of {budget.size:,} at the present rate"


def _band(past: History) -> str:
    least, most = past.band
    return f" ({figure(least)} to {figure(most)})" if figure(least) != figure(most) else ""


def _unseen(look: Look) -> list[str]:
    """Return the closes of this namespace that no TIME-WAIT tells of."""
    kinds = {"TWRecycled": "{:,} that connect() took over", "TCPTimeWaitOverflow": "{:,} above tcp_max_tw_buckets"}
    found = []
    for name, words in kinds.items():
        grew = look.grew(f"TcpExt.{name}")
        count = look.snapshot.counter(f"TcpExt.{name}") if grew is None else grew
        if count:
            found.append(words.format(count) + (" so far" if grew is None else ""))
    return found


def _neighbours(look: Look, budget: Budget, owners: list[Owner]) -> tuple[list[str], list[str]]:
    """Return (troubles that stand beside this one, troubles that it was checked not to be)."""
    troubled: list[str] = []
    ruled_out: list[str] = []

    def judge(bad: bool, trouble: str, not_it: str) -> None:
        (troubled if bad else ruled_out).append(trouble if bad else not_it)

    files = [owner.files / owner.most_files for owner in owners if owner.most_files]
    if files:
        full = max(files)
        judge(
            full >= look.limits.files,
            f"file descriptors of a process are {full:.0%} used",
            f"file descriptors ({full:.0%})",
        )
    waiting = budget.by_state.get("CLOSE-WAIT", 0)
    many = look.limits.held_otherwise * budget.used
    judge(waiting > many, f"{waiting:,} of the ports are held in CLOSE-WAIT", "CLOSE-WAIT leak")
    judge(budget.orphans > many, f"{budget.orphans:,} ports are held by full orphans", "orphans in FIN-WAIT-2")
    count = look.snapshot.number("net.netfilter.nf_conntrack_count")
    most = look.snapshot.number("net.netfilter.nf_conntrack_max")
    if count is not None and most:
        judge(
            count / most >= look.limits.conntrack,
            f"conntrack is {count / most:.0%} full",
            f"conntrack ({count / most:.0%})",
        )
    reserved = look.pool.reserved + len(look.pool.listening)
    width = max(1, look.pool.high - look.pool.low + 1)
    judge(
        reserved * 2 > width,
        f"{reserved:,} of {width:,} ports of the range are reserved or listening",
        f"reserved ports ({reserved:,})",
    )
    judge(budget.local in look.snapshot.absent, f"the host no longer has {budget.local}", "missing address")
    return troubled, ruled_out


def _numbers(budget: Budget, past: History, ahead: Forecast) -> dict[str, object]:
    return {
        **numbers(budget, past, ahead),
        "reusable": budget.reusable,
        "closes_each_second": [
            {"least": second.least, "estimate": round(second.estimate, 2), "most": second.most}
            for second in past.seconds
        ],
    }


def numbers(budget: Budget, past: History, ahead: Forecast) -> dict[str, object]:
    """Return what is known of a destination, for programs."""
    return {
        "local": budget.local,
        "address": budget.address,
        "port": budget.port,
        "budget": budget.size,
        "used": budget.used,
        "by_state": budget.by_state,
        "closes_first": budget.closes_first or None,
        "headroom": budget.headroom,
        "headroom_least": budget.headroom_least,
        "blocked": budget.blocked,
        "closes_per_s_now": round(past.now, 3),
        "closes_per_s_mean": round(past.mean, 3),
        "closes_per_s_worst_10_s": round(past.worst, 3),
        "sustains_per_s": round(budget.sustains, 3),
        "full": ahead.already,
        "full_in_s": None if ahead.full_in_s is None else round(ahead.full_in_s, 3),
        "settles_at": ahead.settles_at,
        "next_free_ms": None if budget.next_free_ms is None else list(budget.next_free_ms),
    }
