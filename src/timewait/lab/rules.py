"""The rules by which a stack gives a four-tuple to connect(), or refuses it: named, sourced, applied to a situation.

`judge` looks at what stands on the four-tuple and says which rule decides.  The lab applies it to what was observed
just before a connect(), and to what would stand there if one option were another; so explanation and advice rest on
the same few lines.  The order of the questions is Linux's; what other stacks answer differently is in `Policy`.
Kernel functions: net/ipv4/inet_hashtables.c, net/ipv4/tcp_ipv4.c, net/ipv4/tcp_minisocks.c, read at 6.12 and 6.18;
each rule was seen to hold on 6.18.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, NamedTuple

from timewait.clock import MS, SECOND, Duration, readable

# TCP_TIMEWAIT_LEN, include/net/tcp.h: fixed, no sysctl changes it.
LINUX_TIME_WAIT: Final = 60_000 * MS
# An age read from the socket dump is exact to a tick: 4 ms at HZ=250, 10 ms at HZ=100.
_TICK: Final = 10 * MS


class Rule(NamedTuple):
    """One rule.  `allows`: whether the connect may go ahead; `letter` marks it in tables.

    `kernel` names Linux's functions, `fields` the values of a profile that decide likewise in the engine.
    """

    id: str
    letter: str
    allows: bool
    says: str
    rfc: str
    kernel: str
    fields: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What `judge` has to know of the stack that decides; the defaults are Linux's.

    `recycled`: how long a connection with timestamps waits where tcp_tw_recycle shortens that, else as any other;
    `bound`: a port fixed before connect() may take over a four-tuple that waits; `reuse` and `delay`: what
    tcp_tw_reuse and tcp_tw_reuse_delay are where no setting says so, `switch`: whether there is such a setting;
    `whole_seconds`: the delay counts in whole seconds; `reopens`: a listener may take a SYN out of TIME-WAIT; `values`:
    a profile's fields, each with its value and source.
    """

    wait: Duration = LINUX_TIME_WAIT
    recycled: Duration | None = None
    bound: bool = True
    needs_timestamps: bool = True
    fin_wait_2: bool = False
    reuse: int = 2
    switch: bool = True
    delay: Duration = SECOND
    whole_seconds: bool = False
    reopens: bool = True
    values: Mapping[str, tuple[Any, str]] = field(default_factory=dict)


LINUX: Final = Policy()

_CHECK = "__inet_check_established, tcp_twsk_unique"

RULES: Final = {
    rule.id: rule
    for rule in (
        Rule(
            "nothing-waits",
            "N",
            True,
            "no end holds the four-tuple, so there is nothing to wait for",
            "RFC 9293 3.10.5: ABORT leaves nothing behind",
            "__tcp_close, tcp_disconnect",
        ),
        Rule(
            "listener-reopens",
            "S",
            True,
            "only the server's end is in TIME-WAIT, and a listener takes a new SYN straight out of it",
            "RFC 9293 3.6.1 (MAY-2), RFC 6191 section 2",
            "tcp_timewait_state_process",
            ("tw_syn", "tw_iss"),
        ),
        Rule(
            "reset-clears",
            "r",
            True,
            "the server's end was in TIME-WAIT and refused the SYN; the RST that its answer drew ended the wait",
            "RFC 9293 3.10.7.4, second (RST in TIME-WAIT); RFC 1337 on what that costs",
            "tcp_timewait_state_process",
            ("tw_syn", "tw_syn_reply", "tw_rst"),
        ),
        Rule(
            "listener-refuses",
            "L",
            False,
            "the server's end is in TIME-WAIT, and this stack takes no such SYN out of it",
            "RFC 9293 3.6.1: accepting one is a MAY",
            "tcp_timewait_state_process",
            ("tw_syn", "isn", "tw_syn_reply", "tw_rst"),
        ),
        Rule(
            "bound-port-reuses",
            "B",
            True,
            "the port was chosen by bind(), and the waiting connection had used timestamps: taken over at once",
            "Beyond RFC 9293 (3.10.1: OPEN in TIME-WAIT is an error); PAWS, RFC 7323 5, stands in for the wait",
            f"{_CHECK} (twp = NULL: no sysctl, no delay)",
            ("reuse_bound",),
        ),
        Rule(
            "ephemeral-reuses",
            "E",
            True,
            "connect() chose the port; timestamps, tcp_tw_reuse and the delay all allow taking it over",
            "Beyond RFC 9293 (3.10.1: OPEN in TIME-WAIT is an error); PAWS, RFC 7323 5, stands in for the wait",
            f"{_CHECK} (tcp_tw_reuse, tcp_tw_reuse_delay)",
            ("reuse_ephemeral", "reuse_delay"),
        ),
        Rule(
            "never-taken-over",
            "w",
            False,
            "the client's end is in TIME-WAIT, and this stack's connect() takes over nothing that waits",
            "RFC 9293 3.10.1: OPEN in TIME-WAIT is an error",
            "-",
            ("reuse_bound", "reuse_ephemeral"),
        ),
        Rule(
            "no-timestamps",
            "t",
            False,
            "the waiting connection had not used timestamps, so nothing could tell its old segments from new ones",
            "RFC 9293 3.6.1: no exception for an active open; RFC 7323 5 (PAWS) needs timestamps",
            f"{_CHECK} (ts_recent_stamp = 0)",
            ("reuse_needs_timestamps",),
        ),
        Rule(
            "tw-reuse-off",
            "o",
            False,
            "connect() chose the port, and net.ipv4.tcp_tw_reuse = 0 forbids taking over one that waits",
            "RFC 9293 3.10.1: OPEN in TIME-WAIT is an error",
            f"{_CHECK} (tcp_tw_reuse = 0)",
            ("reuse_ephemeral",),
        ),
        Rule(
            "loopback-only",
            "l",
            False,
            "connect() chose the port, and net.ipv4.tcp_tw_reuse = 2 allows taking over loopback connections only",
            "RFC 9293 3.10.1: OPEN in TIME-WAIT is an error",
            f"{_CHECK} (tcp_tw_reuse = 2)",
            ("reuse_ephemeral",),
        ),
        Rule(
            "delay-not-over",
            "d",
            False,
            "connect() chose the port, and the wait had not yet lasted net.ipv4.tcp_tw_reuse_delay",
            "RFC 7323 5.4: the peer's timestamp clock has to tick in between",
            f"{_CHECK} (tcp_tw_reuse_delay; before 6.14 one to two whole seconds)",
            ("reuse_delay", "reuse_delay_whole_seconds"),
        ),
        Rule(
            "fin-wait-2",
            "2",
            False,
            "connect() chose the port, and what stands there is FIN-WAIT-2: the other side has not closed yet",
            "RFC 9293 3.10.1: OPEN in FIN-WAIT-2 is an error",
            f"{_CHECK} (tw_substate, since 6.12)",
            ("reuse_fin_wait_2",),
        ),
        Rule(
            "full-socket",
            "f",
            False,
            "a full socket, not a TIME-WAIT record, stands on the four-tuple; nothing takes that over",
            "RFC 9293 3.10.1: OPEN on a connection that exists is an error",
            "__inet_check_established (sk_state != TCP_TIME_WAIT)",
        ),
        Rule(
            "unexplained",
            "?",
            False,
            "none of the rules known here gives this result",
            "-",
            "-",
        ),
    )
}


@dataclass(frozen=True, slots=True)
class Holder:
    """What stands on a four-tuple at one end: its state, whether it is a mini-socket, and its age if it is."""

    state: str
    mini: bool
    age: Duration = 0

    def __str__(self) -> str:
        if not self.mini:
            return self.state
        return f"{self.state} for {readable(self.age)}" if self.age > _TICK else f"{self.state} since a moment before"


@dataclass(frozen=True, slots=True)
class Situation:
    """What a connect() meets.

    `client`, `server`: what stands on the four-tuple at either end; `timestamps`: whether the connection that left it
    there used them; `bound`: the port was fixed by bind() before connect(); `tw_reuse`, `delay`: the two sysctls;
    `policy`: the stack that decides.
    """

    client: Holder | None
    server: Holder | None
    timestamps: bool
    bound: bool
    loopback: bool = True
    tw_reuse: int = 2
    delay: Duration = 1000 * MS
    policy: Policy = LINUX


def judge(found: Situation) -> Rule:
    """Return the rule that decides whether connect() gets the four-tuple."""
    holder = found.client
    if holder is not None:
        return RULES[_judge_holder(holder, found)]
    if found.server is None or not found.server.mini:
        return RULES["nothing-waits"]
    return RULES["listener-reopens" if found.policy.reopens else "listener-refuses"]


def _judge_holder(holder: Holder, found: Situation) -> str:
    policy = found.policy
    if not holder.mini:
        return "full-socket"
    if not policy.bound if found.bound else not (policy.reuse or policy.switch):
        return "never-taken-over"
    if policy.needs_timestamps and not found.timestamps:
        return "no-timestamps"
    if found.bound:
        return "bound-port-reuses"
    if found.tw_reuse == 0:
        return "tw-reuse-off"
    if found.tw_reuse == 2 and not found.loopback:
        return "loopback-only"
    if holder.state == "FIN-WAIT-2" and not policy.fin_wait_2:
        return "fin-wait-2"
    # Counted in whole seconds the delay is surely over only one second later.
    delay = found.delay + (SECOND if policy.whole_seconds else 0)
    return "ephemeral-reuses" if holder.age > delay else "delay-not-over"


def explain(found: Situation, allowed: bool) -> Rule:
    """Return the rule behind what was observed; `unexplained` where the rules say otherwise.

    The look at the sockets comes a moment before the connect(), so what may have changed in between counts too.
    """
    for reading in (found, *_other_readings(found)):
        rule = judge(reading)
        if rule.allows == allowed:
            return rule
    if found.client is None and found.server is not None and found.server.mini:
        return RULES["reset-clears" if allowed else "listener-refuses"]
    return RULES["unexplained"]


def _other_readings(found: Situation) -> list[Situation]:
    holder = found.client
    if holder is None:
        return []
    if holder.state == "FIN-WAIT-1":  # the FIN was acknowledged meanwhile
        return [replace(found, client=Holder("FIN-WAIT-2", True))]
    delay = found.delay
    if found.policy.whole_seconds and holder.mini and delay < holder.age <= delay + SECOND:
        return [replace(found, client=replace(holder, age=delay + SECOND + 1))]
    if holder.mini and abs(holder.age - delay) <= _TICK:
        return [replace(found, client=replace(holder, age=age)) for age in (delay - _TICK, delay + _TICK)]
    return []
