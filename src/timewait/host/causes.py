"""Why a connect() or bind() fails or takes long: every cause known, judged for one host and one destination.

A symptom is a list of questions to a snapshot.  Each answer is confirmed, ruled out, or not decidable from outside the
program, with the evidence either way.  What a real call came to (`Attempt`), where the user asked for one, is evidence
like any other.
"""

import errno
from collections.abc import Callable
from enum import StrEnum
from typing import Final, NamedTuple

from timewait.clock import MS, Duration, readable
from timewait.endpoint import Endpoint
from timewait.host.budget import Budget
from timewait.host.look import Look
from timewait.system.attempt import Attempt

# RFC 6298 section 2.1: the first retransmission waits one second; the kernel's timer may be a little early.
_FIRST_TIMEOUT: Final = 900 * MS


class Verdict(StrEnum):
    """What a snapshot says about a cause."""

    CONFIRMED = "confirmed"
    RULED_OUT = "ruled out"
    OPEN = "not decidable"


class Cause(NamedTuple):
    """A possible cause, judged."""

    cause: str
    verdict: Verdict
    evidence: str
    finding: str = ""  # the finding of doctor that tells what to do about it


class Heard(NamedTuple):
    """A command that was run: the symptom that it names, None for none; its status, None where it had to be ended.

    `agrees`: whether that is the symptom that was asked about; None where the command alone tells.
    """

    symptom: str | None
    status: int | None
    took: Duration
    agrees: bool | None = None


class Question(NamedTuple):
    """What is asked about: the destination and the own end, as far as the user gave them.

    `source_here`: whether the own address is on this host; `standing`: how many sockets hold the own port, by state;
    `pair`: of those, the ones towards the destination.  None where nobody looked.  `tried`: the calls made, in order.
    `ranges`: ports in use of each range that live sockets there have of their own; None where none could be asked.
    `a_second`: it is about connects that take a whole second.  `route`: the own address that the kernel would take, or
    an errno; None where nobody asked it.  `heard`: what a command of the user's came to.
    """

    to: Endpoint | None = None
    source: Endpoint | None = None
    source_here: bool | None = None
    standing: dict[str, int] | None = None
    pair: dict[str, int] | None = None
    tried: tuple[Attempt, ...] = ()
    a_second: bool = False
    ranges: dict[tuple[int, int], int] | None = None
    route: tuple[str, str] | None = None
    heard: Heard | None = None

    def attempt(self, call: str) -> Attempt | None:
        """Return the first attempt that ended with this call."""
        return next((attempt for attempt in self.tried if attempt.call == call), None)

    @property
    def fixed(self) -> bool:
        """Whether the own port is given."""
        return self.source is not None and self.source.port != 0


def _matching(look: Look, asked: Question) -> list[Budget]:
    return [
        budget
        for budget in look.budgets
        if (asked.to is None or (budget.address == asked.to.address and asked.to.port in (0, budget.port)))
        and (asked.source is None or budget.local == asked.source.address)
    ]


def ports_in_use(look: Look, asked: Question) -> Cause:
    """Judge whether every port towards the destination is in use."""
    cause = "every local port towards the destination is in use"
    found = _matching(look, asked)
    if not found:
        return Cause(
            cause, Verdict.RULED_OUT, "no client socket here goes there" if asked.to else "no client sockets here"
        )
    worst = found[0]
    held = ", ".join(f"{count:,} {state}" for state, count in worst.by_state.items())
    evidence = f"{worst.name}: {worst.used:,} of {worst.size:,} ports in use ({held})"
    if worst.reusable:
        evidence += f"; {worst.reusable:,} may be taken over"
    attempt = asked.attempt("connect")
    if attempt and attempt.ok and not asked.fixed and asked.to and asked.to.port:
        return Cause(cause, Verdict.RULED_OUT, f"{evidence}; a connect() just now found a port")
    if worst.share >= look.limits.ports_gone:
        return Cause(cause, Verdict.CONFIRMED, evidence, "ports-gone")
    return Cause(cause, Verdict.RULED_OUT, evidence)


def taken_by_bind(look: Look, asked: Question) -> Cause:
    """Judge whether ports that bind() owns, for whatever destination, leave none or may leave none."""
    cause = "bind() owns the ports that are left, which connect() passes over, whatever the destination"
    matching = _matching(look, asked)
    at = matching[0][:3] if matching else None
    blocked, unclear = look.taken.blocked(at), look.taken.unclear(at)
    left = matching[0].headroom if matching else look.taken.size(at)
    evidence = f"{blocked:,} of {look.pool.size:,} ports of the range for certain"
    if unclear is None:
        evidence += "; this snapshot does not tell who chose the others"
    elif unclear:
        least = max(0, left - unclear)
        evidence += f"; of {unclear:,} held towards others nothing tells: {least:,} to {left:,} are free"
    attempt = asked.attempt("connect")
    if attempt and attempt.ok and not asked.fixed:
        return Cause(cause, Verdict.RULED_OUT, f"{evidence}; a connect() just now found a port")
    if blocked and not left:
        return Cause(cause, Verdict.CONFIRMED, evidence, "explicit-binds")
    maybe = unclear is not None and unclear >= left > 0
    return Cause(cause, Verdict.OPEN if maybe else Verdict.RULED_OUT, evidence, "explicit-binds" if maybe else "")


def bound_early(look: Look, asked: Question) -> Cause:
    """Judge whether bind() to port 0 has used up one pool for all destinations."""
    cause = "bind() to port 0 chose the ports, from one pool for all destinations"
    if asked.fixed:
        return Cause(cause, Verdict.RULED_OUT, "the port is named, so nothing chose it")
    attempt = asked.attempt("bind")
    if attempt and not asked.fixed and asked.source:
        if attempt.error == "EADDRINUSE":
            evidence = f"bind() of {asked.source.address} to port 0 just now: EADDRINUSE"
            return Cause(cause, Verdict.CONFIRMED, evidence, "bind-before-connect")
        if attempt.ok:
            return Cause(cause, Verdict.RULED_OUT, f"bind() of {asked.source.address} to port 0 just now found a port")
    for crowd in look.snapshot.crowds:
        if asked.source is not None and crowd.local != asked.source.address:
            continue
        evidence = f"{crowd.local}: {crowd.sockets:,} sockets on {crowd.ports:,} ports, of {look.pool.size:,}"
        if crowd.ports >= look.limits.ports_nearly_gone * look.pool.size and look.bound_first(crowd):
            return Cause(cause, Verdict.CONFIRMED, evidence, "bind-before-connect")
        return Cause(cause, Verdict.RULED_OUT, evidence)
    pressed = [budget for budget in look.budgets if budget.share >= look.limits.ports_step]
    if asked.source is not None:
        pressed = [budget for budget in pressed if budget.local == asked.source.address]
    if pressed:
        return Cause(cause, Verdict.OPEN, f"{pressed[0].name} alone uses the ports; nothing tells who chose them")
    return Cause(cause, Verdict.RULED_OUT, "no local address has half the range in use, all destinations together")


def small_pool(look: Look, asked: Question) -> Cause:
    """Judge whether reserved ports and listeners leave little of the range."""
    width = max(1, look.pool.high - look.pool.low + 1)
    evidence = (
        f"range {look.pool.low} {look.pool.high}: {width:,} ports, {look.pool.reserved:,} reserved, "
        f"{len(look.pool.listening):,} listening"
    )
    verdict = Verdict.CONFIRMED if look.pool.size * 2 < width else Verdict.RULED_OUT
    return Cause("reserved or listening ports take most of the range", verdict, evidence)


def source_missing(look: Look, asked: Question) -> Cause:
    """Judge whether the own address is on this host at all."""
    cause = "the source address is not on this host"
    if asked.source is None:
        return _routed(cause, asked)
    if asked.source.address in look.snapshot.absent or asked.source_here is False:
        return Cause(cause, Verdict.CONFIRMED, f"{asked.source.address} cannot be bound")
    if asked.source_here is None:
        return Cause(cause, Verdict.OPEN, "a saved snapshot does not tell of every address")
    return Cause(cause, Verdict.RULED_OUT, f"{asked.source.address} is here")


def _routed(cause: str, asked: Question) -> Cause:
    """Judge the address that the kernel takes where the program binds none."""
    if asked.route is None or asked.to is None:
        return Cause(cause, Verdict.OPEN, "name it with --from ADDR")
    address, error = asked.route
    if error == "EADDRNOTAVAIL":
        return Cause(cause, Verdict.CONFIRMED, f"the kernel finds none to go to {asked.to.address} from: {error}")
    if error:
        return Cause(cause, Verdict.OPEN, f"the kernel has no way to {asked.to.address}: {error}")
    return Cause(
        cause, Verdict.RULED_OUT, f"without bind() the kernel takes {address}; a program may bind another (--from ADDR)"
    )


def no_timestamps(look: Look, asked: Question) -> Cause:
    """Judge whether a port fixed by bind() waits because the old connection had no timestamps."""
    cause = "the program binds one port, and the old connection over it had no timestamps"
    attempt = asked.attempt("connect")
    if asked.fixed and asked.pair is not None and set(asked.pair) <= {"TIME-WAIT"}:
        waiting = asked.pair.get("TIME-WAIT", 0)
        if not waiting:
            return Cause(cause, Verdict.RULED_OUT, f"nothing waits between {asked.source} and {asked.to}")
        if attempt and attempt.error == "EADDRNOTAVAIL":
            # __inet_check_established: with the port fixed, ts_recent_stamp = 0 is the only reason to refuse.
            evidence = f"{asked.source} -> {asked.to} is in TIME-WAIT, and connect() just now: EADDRNOTAVAIL"
            return Cause(cause, Verdict.CONFIRMED, evidence, "timestamps-off")
        if attempt and attempt.ok:
            return Cause(cause, Verdict.RULED_OUT, "a connect() just now took the waiting pair over")
    if attempt and attempt.timestamps:
        return Cause(cause, Verdict.RULED_OUT, "both ends use timestamps: seen in the connect() just now")
    if look.snapshot.number("net.ipv4.tcp_timestamps") == 0:
        waits = sum(budget.by_state.get("TIME-WAIT", 0) for budget in _matching(look, asked))
        if waits:
            evidence = f"net.ipv4.tcp_timestamps = 0, and {waits:,} such connections wait"
            return Cause(cause, Verdict.CONFIRMED, evidence, "timestamps-off")
        return Cause(cause, Verdict.RULED_OUT, "timestamps are off, but nothing waits there")
    return Cause(cause, Verdict.OPEN, "timestamps are on here; whether the other end used them is not in the dump")


def live_pair(look: Look, asked: Question) -> Cause:
    """Judge whether connections that are not in TIME-WAIT hold the pair: those can never be taken over."""
    cause = "a connection over the same pair is still open or closing (FIN-WAIT, LAST-ACK, ...)"
    if asked.fixed and asked.pair is not None:
        held = ", ".join(f"{count:,} {state}" for state, count in sorted(asked.pair.items()))
        if not set(asked.pair) - {"TIME-WAIT"}:
            return Cause(cause, Verdict.RULED_OUT, f"{asked.source} -> {asked.to}: {held or 'no socket'}")
        return Cause(cause, Verdict.CONFIRMED, f"{asked.source} -> {asked.to}: {held}")
    found = [budget for budget in _matching(look, asked) if set(budget.by_state) - {"TIME-WAIT"}]
    if not found:
        return Cause(cause, Verdict.RULED_OUT, "none of the sockets there is in another state than TIME-WAIT")
    count = sum(count for budget in found for state, count in budget.by_state.items() if state != "TIME-WAIT")
    return Cause(cause, Verdict.OPEN, f"{count:,} such sockets; it matters only to a program that binds one port")


def own_range(look: Look, asked: Question) -> Cause:
    """Judge whether a range of the sockets' own is used up.  No dump shows it; live sockets can be asked."""
    cause = "the socket has a narrower range of its own (IP_LOCAL_PORT_RANGE)"
    if asked.ranges is None:
        attempt = asked.attempt("connect")
        tried = "; a plain connect() just now found a port" if attempt and attempt.ok else ""
        return Cause(cause, Verdict.OPEN, f"no live socket there could be asked{tried}")
    if not asked.ranges:
        return Cause(cause, Verdict.RULED_OUT, "live sockets there were asked, and have none")
    told = [f"{low} {high}, {used:,} of {high - low + 1:,} in use" for (low, high), used in asked.ranges.items()]
    full = any(used > high - low for (low, high), used in asked.ranges.items())
    return Cause(cause, Verdict.CONFIRMED if full else Verdict.RULED_OUT, f"live sockets there have {'; '.join(told)}")


def other_listener(look: Look, asked: Question) -> Cause:
    """Judge whether somebody listens on the port already."""
    cause = "another socket listens on the port"
    if asked.source is None or not asked.source.port:
        return Cause(cause, Verdict.OPEN, "name the port with --from ADDR:PORT")
    wanted = asked.source
    same = [row for row in look.snapshot.listeners if row.port == wanted.port]
    any_address = {"0.0.0.0", "::"}
    for row in same:
        if row.address in {wanted.address, *any_address} or wanted.address in any_address:
            return Cause(cause, Verdict.CONFIRMED, f"{Endpoint(row.address, row.port)} is listening")
    return Cause(cause, Verdict.RULED_OUT, f"nobody listens on port {wanted.port} of that address")


def standing(look: Look, asked: Question) -> Cause:
    """Judge whether sockets of the service's last life stand in the way of bind()."""
    cause = "sockets in TIME-WAIT hold the port, and SO_REUSEADDR was not set on both old and new socket"
    if asked.source is None or not asked.source.port:
        return Cause(cause, Verdict.OPEN, "name the port with --from ADDR:PORT")
    if asked.standing is None:
        return Cause(cause, Verdict.OPEN, "a saved snapshot does not keep single ports")
    held = ", ".join(f"{count:,} {state}" for state, count in sorted(asked.standing.items()))
    if not asked.standing.get("TIME-WAIT"):
        return Cause(cause, Verdict.RULED_OUT, f"none on port {asked.source.port}" + (f" ({held})" if held else ""))
    if any(row.port == asked.source.port for row in look.snapshot.listeners):
        lacking = any(row.port == asked.source.port and row.reuse is False for row in look.snapshot.restarts)
        flag = ", without SO_REUSEADDR" if lacking else ""
        return Cause(cause, Verdict.OPEN, f"{held}; but somebody listens there now{flag}")
    plain = next((attempt for attempt in asked.tried if attempt.call == "bind" and not attempt.reuse_address), None)
    flagged = next((attempt for attempt in asked.tried if attempt.call == "bind" and attempt.reuse_address), None)
    if plain and plain.ok:
        return Cause(cause, Verdict.RULED_OUT, f"{held}; bind() just now works even without SO_REUSEADDR")
    if flagged and flagged.ok:
        evidence = f"{held}; bind() just now fails without SO_REUSEADDR and works with it: the new socket lacks it"
        return Cause(cause, Verdict.CONFIRMED, evidence, "restart-blocked")
    if flagged:
        evidence = f"{held}; bind() just now fails with SO_REUSEADDR too: the old sockets had been without it"
        return Cause(cause, Verdict.CONFIRMED, evidence, "restart-blocked")
    evidence = f"{held}; a socket with the flag binds over those that had it too (which lacks it: --try)"
    return Cause(cause, Verdict.CONFIRMED, evidence, "restart-blocked")


def port_in_range(look: Look, asked: Question) -> Cause:
    """Judge whether the port may be taken by a client of this host."""
    cause = "the port is in the ephemeral range, and a client here was given it"
    if asked.source is None or not asked.source.port:
        return Cause(cause, Verdict.OPEN, "name the port with --from ADDR:PORT")
    inside = look.pool.low <= asked.source.port <= look.pool.high
    evidence = f"range {look.pool.low} {look.pool.high}"
    if not inside or asked.standing == {}:
        return Cause(cause, Verdict.RULED_OUT, evidence if not inside else f"{evidence}; nobody holds the port")
    return Cause(cause, Verdict.OPEN, f"{evidence}; reserve the port", "listener-in-range")


def searching(look: Look, asked: Question) -> Cause:
    """Judge whether connect() has to search for a port."""
    cause = "connect() searches for a free port: more than half the range is in use"
    found = _matching(look, asked)
    attempt = asked.attempt("connect")
    if found and found[0].share >= look.limits.ports_step:
        evidence = f"{found[0].name}: {found[0].share:.0%} in use; this costs milliseconds, never a whole second"
        if asked.a_second:
            return Cause(cause, Verdict.RULED_OUT, evidence)
        if attempt and attempt.ok and attempt.took < MS:
            return Cause(cause, Verdict.RULED_OUT, f"{evidence}; just now: {_told(attempt)}")
        return Cause(cause, Verdict.CONFIRMED, evidence, "search-step")
    return Cause(
        cause, Verdict.RULED_OUT, f"{found[0].share:.0%} of the fullest budget" if found else "no clients there"
    )


def refused_syn(look: Look, asked: Question) -> Cause:
    """Judge whether SYNs are sent again because a TIME-WAIT at the other end answered them with an ACK."""
    cause = "the SYN meets a TIME-WAIT at the other end that refuses it, and is sent again"
    attempt = asked.attempt("connect")
    if attempt and attempt.ok and attempt.resent and attempt.took < _FIRST_TIMEOUT:
        # tcp_rcv_synsent_state_process: a false ACK is answered with RST, and the SYN goes out again at once.
        return Cause(cause, Verdict.CONFIRMED, f"{_told(attempt)}: too early for a timeout", "slow-connects")
    again, challenged = (look.snapshot.counter(f"TcpExt.{name}") for name in ("TCPSynRetrans", "TCPChallengeACK"))
    evidence = f"so far TCPSynRetrans = {again:,}, TCPChallengeACK = {challenged:,}"
    moved = look.grew("TcpExt.TCPSynRetrans"), look.grew("TcpExt.TCPChallengeACK")
    if moved[0] is not None:
        evidence = f"in {look.snapshot.interval_s:.3g} s TCPSynRetrans +{moved[0]}, TCPChallengeACK +{moved[1]}"
    if not again or moved[0] == 0:
        return Cause(cause, Verdict.RULED_OUT, f"no SYN was sent again: {evidence}")
    if moved[0] and moved[1]:
        return Cause(cause, Verdict.CONFIRMED, evidence)
    return Cause(cause, Verdict.OPEN, f"{evidence}; a lost SYN looks the same (see with --interval 10)")


def lost_syn(look: Look, asked: Question) -> Cause:
    """Judge whether SYNs, or their answers, get lost: then connect() takes whole seconds (RFC 6298 2.1, 5.5)."""
    cause = "the SYN or its answer is lost, or dropped by the other end: sent again after 1 s"
    attempt = asked.attempt("connect")
    if attempt is None:
        return Cause(cause, Verdict.OPEN, "see how long one connect() takes: --try --to ADDR:PORT")
    if attempt.resent and attempt.took >= _FIRST_TIMEOUT:
        return Cause(cause, Verdict.CONFIRMED, _told(attempt))
    return Cause(cause, Verdict.OPEN, f"not just now: {_told(attempt)}")


def _told(attempt: Attempt) -> str:
    again = f"SYN sent again {attempt.resent} times" if attempt.resent > 1 else "SYN sent again once"
    how = again if attempt.resent else "no SYN sent again"
    return f"{attempt.call}() took {readable(attempt.took)}, {attempt.error or 'it works'}, {how}"


def full_queue(look: Look, asked: Question) -> Cause:
    """Judge whether a service here drops SYNs because it does not accept."""
    cause = "a service here does not accept fast enough: its queue is full and SYNs are dropped"
    grew = look.grew("TcpExt.ListenOverflows")
    since = look.snapshot.counter("TcpExt.ListenOverflows")
    evidence = f"ListenOverflows = {since:,} so far" if grew is None else f"ListenOverflows +{grew}"
    if not since or grew == 0:
        return Cause(cause, Verdict.RULED_OUT, evidence)
    return Cause(cause, Verdict.CONFIRMED if grew else Verdict.OPEN, evidence)


def minute_hang(look: Look, asked: Question) -> Cause:
    """Judge the hang of a minute: no timestamps, tcp_rfc1337 = 1, the same pair after 137 to 275 s."""
    cause = "no timestamps and tcp_rfc1337 = 1 at the service: a reconnect after 137 to 275 s hangs for a minute"
    stamps, rfc1337 = (look.snapshot.number(f"net.ipv4.tcp_{name}") for name in ("timestamps", "rfc1337"))
    evidence = f"here tcp_timestamps = {stamps}, tcp_rfc1337 = {rfc1337}"
    if stamps == 0:
        return Cause(cause, Verdict.OPEN, f"{evidence}; the other end's tcp_rfc1337 decides", "timestamps-off")
    return Cause(cause, Verdict.RULED_OUT, f"{evidence}: connections from here use timestamps if the other end does")


def conntrack_full(look: Look, asked: Question) -> Cause:
    """Judge whether connection tracking here drops new connections."""
    cause = "the connection-tracking table is full: new connections are dropped"
    count = look.snapshot.number("net.netfilter.nf_conntrack_count")
    most = look.snapshot.number("net.netfilter.nf_conntrack_max")
    if count is None or not most:
        return Cause(cause, Verdict.RULED_OUT, "no connection tracking here")
    verdict = Verdict.CONFIRMED if count >= most else Verdict.RULED_OUT
    return Cause(cause, verdict, f"{count:,} of {most:,} entries", "conntrack-nearly-full")


SYMPTOMS: Final[dict[str, tuple[Callable[[Look, Question], Cause], ...]]] = {
    "EADDRNOTAVAIL": (
        *(ports_in_use, taken_by_bind, bound_early, source_missing, small_pool, no_timestamps, live_pair, own_range),
    ),
    "EADDRINUSE": (other_listener, standing, port_in_range, bound_early),
    "slow connects": (refused_syn, lost_syn, full_queue, searching, minute_hang),
    "connect timeout": (lost_syn, full_queue, conntrack_full, minute_hang),
}
ALIASES: Final = {
    "cannot assign requested address": "EADDRNOTAVAIL",
    "address not available": "EADDRNOTAVAIL",  # musl
    "address already in use": "EADDRINUSE",
    "address in use": "EADDRINUSE",  # musl
    "1-second connects": "slow connects",
    "one-second connects": "slow connects",
    "etimedout": "connect timeout",
    "connection timed out": "connect timeout",
    "operation timed out": "connect timeout",  # musl
}


def of_a_second(text: str) -> bool:
    """Return whether a user's words are about connects that take a whole second."""
    return "second" in text.lower()


def symptom(text: str) -> str | None:
    """Return the symptom meant by a user's words, None where it is none."""
    known = {name.lower(): name for name in SYMPTOMS} | ALIASES
    return known.get(" ".join(text.lower().split()))


def said(output: str, status: int | None) -> str | None:
    """Return the symptom that a program's words name last; else the one that its exit status is the errno of."""
    words = {name: name for name in SYMPTOMS} | ALIASES
    places = {(output.lower().rfind(word.lower()), name) for word, name in words.items()}
    at, found = max(places)
    if at >= 0:
        return found
    return symptom(errno.errorcode.get(status or 0, ""))


def judge(name: str, look: Look, asked: Question) -> list[Cause]:
    """Return every cause of a symptom, the confirmed first."""
    found = [question(look, asked) for question in SYMPTOMS[name]]
    order = [Verdict.CONFIRMED, Verdict.OPEN, Verdict.RULED_OUT]
    return sorted(found, key=lambda cause: order.index(cause.verdict))
