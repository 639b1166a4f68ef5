"""`Limits`: what a stack gives a design: ports, how long each waits, which may be taken over, tables and memory."""

from dataclasses import dataclass
from typing import Final

from timewait.clock import SECOND
from timewait.errors import UsageError
from timewait.plan.demand import Binding
from timewait.tcp.profile import Overflow, PortSearch, Profile, Reuse, SynRule

# Octets that a waiting connection takes: (at the server, at the client).  Measured on Linux 6.18: 4,096 waits were
# 4,096 slab objects of 256 octets; each local port of its own adds a bind bucket and a bind2 bucket of 128 each.
_MEMORY: Final = {"linux": (256, 512)}
# nf_conntrack_tcp_timeout_time_wait, net/netfilter/nf_conntrack_proto_tcp.c: what a connection tracker waits.
CONNTRACK_WAIT: Final = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Times in seconds.  `wait`: nominal; `late`: what the stack's timer adds on average.

    `ports`: of one budget; `first_half`: how many of them are found at once, None where no port is harder to find;
    `reuse`: after how long connect() may take over a port that waits, None: never.
    """

    profile: str
    ports: int
    first_half: int | None
    wait: float
    late: float
    reuse: float | None
    timestamps: bool
    table: int | None
    overflow: Overflow
    isn_hz: float
    above_reopens: bool
    newer_reopens: bool
    memory: tuple[int, int] | None

    @property
    def real_wait(self) -> float:
        """How long a TIME-WAIT lasts on average."""
        return self.wait + self.late

    @property
    def blocked(self) -> float:
        """How long a port that this end closed first stays out of use."""
        return self.real_wait if self.reuse is None else min(self.reuse, self.real_wait)


def limits(
    profile: Profile, *, loopback: bool = False, binding: Binding = Binding.LATE, socket_range: bool = False
) -> Limits:
    """Return what a profile gives.  `loopback`: both ends on one host; `binding`: who chooses the client's port;
    `socket_range`: its range is set on each socket.

    Raises `UsageError` where no port is left.
    """
    low, high = profile.ephemeral_range
    reserved = {port for first, last in profile.reserved_ports for port in range(max(first, low), min(last, high) + 1)}
    ports = high - low + 1 - len(reserved)
    if ports < 1:
        raise UsageError(f"no port is left of {low} to {high} once the reserved ones are gone", "widen the range")
    evens = sum(1 for port in range(low, high + 1, 2) if port not in reserved)
    late = binding is Binding.LATE
    halves = late and not (socket_range and profile.option_range_drops_parity)
    may_reuse = profile.reuse_ephemeral is Reuse.ALWAYS or (loopback and profile.reuse_ephemeral is Reuse.LOOPBACK)
    stamped = profile.timestamps or not profile.reuse_needs_timestamps
    return Limits(
        profile=profile.name,
        ports=ports,
        first_half=evens if profile.port_search is PortSearch.HASHED_PARITY and halves else None,
        wait=profile.time_wait / SECOND,
        # A wheel's slots are passed at any phase, so half of the most is the mean.
        late=profile.wait_rounding / SECOND / 2,
        reuse=_reuse(profile, binding, may_reuse) if stamped else None,
        timestamps=profile.timestamps,
        table=profile.tw_limit,
        overflow=profile.tw_overflow,
        isn_hz=float(profile.isn_hz),
        above_reopens=profile.tw_syn is not SynRule.NEVER,
        newer_reopens=profile.tw_syn in (SynRule.ABOVE_OR_NEWER, SynRule.RFC6191),
        memory=_MEMORY.get(profile.name.partition("-")[0]),
    )


def _reuse(profile: Profile, binding: Binding, may_reuse: bool) -> float | None:
    """Return after how long a port of one's own TIME-WAIT may be taken over, both ends having used timestamps.

    Linux: tcp_twsk_unique(), net/ipv4/tcp_ipv4.c: where bind() fixed the port, at once and whatever tcp_tw_reuse says.
    bind() to port 0 never gets so far: it passes over ports that wait.
    """
    if binding is Binding.EXPLICIT:
        return 0.0 if profile.reuse_bound else None
    return profile.reuse_delay / SECOND if may_reuse and binding is Binding.LATE else None
