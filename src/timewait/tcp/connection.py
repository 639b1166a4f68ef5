"""`Connection`: the variables of one connection (RFC 9293 section 3.3.1), and the one way its state moves.

A plain value: it holds no stack, no callback and no clock, so it can be copied in the middle of anything.  What
segments mean is in `arrival`, sending in `sender`, receiving in `receiver`, building segments in `output`, timers in
`timeouts`, user calls in `calls`; all of them are functions over this value.
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from functools import partial
from typing import Any, Final

from timewait.clock import Duration, Instant
from timewait.tcp.events import Connected, EndOfFile, Entered, Errno, Event, Failed, FourTuple
from timewait.tcp.profile import Profile
from timewait.tcp.states import (
    CLOSE_WAIT,
    CLOSED,
    ESTABLISHED,
    LISTEN,
    TABLE,
    TIME_WAIT,
    Action,
    Ignored,
    Row,
    State,
)
from timewait.tcp.states import Event as Input
from timewait.wire.seq import MASK, diff

# Later than any instant: a timer that is off.
NEVER: Final = 1 << 62

# As in `output`: made without the Python function that a named tuple's own constructor is.
_entered: Callable[[tuple[FourTuple, State, None]], Entered] = partial(tuple.__new__, Entered)
_CONNECTED = Action.TELL_CONNECTED
_END = Action.TELL_END_OF_FILE
_ERROR = Action.TELL_ERROR
_ACK = Action.SEND_ACK
_FIN = Action.QUEUE_FIN
_RST = Action.SEND_RST


@dataclass(frozen=True, slots=True)
class Options:
    """What a user may set on a socket; None: the profile's default.  Durations are nanoseconds, sizes octets."""

    reuse_address: bool = False
    reuse_port: bool = False
    no_delay: bool = False
    quick_ack: bool = False
    cork: bool = False
    """TCP_CORK, TCP_NOPUSH: segments short of MSS wait."""
    linger: Duration | None = None
    """SO_LINGER: 0 aborts, more holds close() for so long; None: off."""
    linger2: Duration | None = None
    """TCP_LINGER2: how long an orphan stays in FIN-WAIT-2; negative: not at all."""
    keep_alive: bool = False
    keep_idle: Duration | None = None
    keep_interval: Duration | None = None
    keep_probes: int | None = None
    user_timeout: Duration | None = None
    receive_buffer: int | None = None
    send_buffer: int | None = None
    tos: int = 0
    """IP_TOS, IPV6_TCLASS; for who builds the packets."""
    ttl: int = 64
    """IP_TTL, IPV6_UNICAST_HOPS; likewise."""
    max_segment: int | None = None
    no_options: bool = False
    """TCP_NOOPT: SYNs without options."""
    open_timeout: Duration | None = None
    """TCP_KEEPINIT: how long an active open may take."""
    bind_address_no_port: bool = False
    """IP_BIND_ADDRESS_NO_PORT: bind() to port 0 leaves the port to connect()."""
    local_port_range: tuple[int, int] | None = None
    """IP_LOCAL_PORT_RANGE."""


DEFAULT_OPTIONS: Final = Options()


class Shared:
    """What all connections of one stack have in common: the profile in force, the counters, the challenge ACK limit.

    `congested`: whether the segment being judged came marked "congestion experienced" (RFC 3168 section 5).
    """

    __slots__ = ("challenge_left", "challenge_second", "congested", "counters", "profile")

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        self.counters: defaultdict[str, int] = defaultdict(int)
        self.challenge_second: Instant = -1
        self.challenge_left = 0
        self.congested = False

    def fork(self) -> "Shared":
        """Return an independent copy."""
        other = Shared(self.profile)
        other.counters = self.counters.copy()
        other.challenge_second = self.challenge_second
        other.challenge_left = self.challenge_left
        return other


class Recovery(IntEnum):
    """What the sender is doing about loss."""

    NONE = 0
    FAST = 1
    """Fast recovery without SACK: RFC 6582."""
    SACK = 2
    """RFC 6675."""
    TIMEOUT = 3
    """Sending everything again from SND.UNA: RFC 5681 section 3.1, last paragraphs."""


# Kept apart from the class, so that `fork` can go through them in compiled code too.
_FIELDS: Final = (
    "ack_at",
    "ack_now",
    "armed",
    "buffer",
    "buffer_seq",
    "cwnd",
    "cwnd_limited",
    "cwnd_seq",
    "duplicate_acks",
    "ecn_asked",
    "ecn_cut",
    "ecn_echo",
    "ecn_ok",
    "ecn_seq",
    "end_at",
    "error",
    "fin_again",
    "fin_queued",
    "fin_sent",
    "first_sent_at",
    "handle",
    "heard_at",
    "held_by",
    "held_for",
    "held_since",
    "high_resent",
    "irs",
    "iss",
    "keep_at",
    "key",
    "last_ack_sent",
    "last_invalid_ack",
    "linger_at",
    "lingering",
    "listener",
    "max_snd_wnd",
    "more",
    "more_now",
    "most_out",
    "mss",
    "newest_pieces",
    "old_wait",
    "opened_at",
    "options",
    "own_mss",
    "passive",
    "peer_mss",
    "pieces",
    "ping_pong",
    "port_class",
    "probes",
    "quick_acks",
    "rcv_limit",
    "rcv_nxt",
    "rcv_scale",
    "rcv_up",
    "rcv_wnd",
    "read_shut",
    "received",
    "records",
    "recover",
    "recovery",
    "remote_fin",
    "repeated",
    "resend_at",
    "resend_seq",
    "reset_sent",
    "retries",
    "rto",
    "rttvar",
    "sack_ok",
    "sacked",
    "scale_ok",
    "shared",
    "snd_nxt",
    "snd_scale",
    "snd_una",
    "snd_up",
    "snd_wl1",
    "snd_wl2",
    "snd_wnd",
    "soft_error",
    "srtt",
    "ssthresh",
    "state",
    "text_at",
    "timed_at",
    "timed_seq",
    "ts_offset",
    "ts_ok",
    "ts_recent",
    "ts_recent_at",
    "unacked",
    "user_gone",
    "want_room",
)


class Connection:
    """One connection.  Sequence variables have the RFC's names; instants and durations are nanoseconds.

    `buffer` holds the octets from `buffer_seq` on: unacknowledged, then unsent.  `received` holds what the user may
    read; `pieces` what arrived out of order, sorted, not overlapping.  A timer that is off is `NEVER`.
    """

    __slots__ = _FIELDS

    def __init__(
        self, key: FourTuple, shared: Shared, options: Options, iss: int, passive: bool, limit: int, own_mss: int
    ) -> None:
        profile = shared.profile
        self.key = key
        self.shared = shared
        self.options = options
        self.state: State = LISTEN if passive else CLOSED
        self.passive = passive
        self.handle = 0
        self.listener = 0
        self.port_class = 0
        # Sending
        self.iss = iss
        self.snd_una = iss
        self.snd_nxt = iss
        self.snd_wnd = 0
        self.snd_wl1 = 0
        self.snd_wl2 = 0
        self.snd_up = -1
        self.max_snd_wnd = 0
        self.snd_scale = 0
        self.buffer = bytearray()
        self.buffer_seq = (iss + 1) & MASK
        self.more = False  # the last write said that more follows
        self.more_now = False  # and is being sent
        self.records: tuple[int, ...] = ()  # numbers behind the last octets of writes that nothing is joined to
        # What time is counted for (`chronograph`), since when, and how much there is of each
        self.held_by = 0
        self.held_since: Instant = 0
        self.held_for: tuple[Duration, ...] = (0, 0, 0)
        self.fin_queued = False
        self.fin_sent = False
        self.fin_again = False
        self.own_mss = own_mss
        self.peer_mss = profile.sender_default_mss
        self.mss = min(own_mss, profile.sender_default_mss)
        self.want_room = False
        # Congestion and loss
        self.cwnd = profile.initial_cwnd * self.mss
        self.ssthresh = 0x7FFF_FFFF
        # Whether cwnd held the sender back, and the most that was out, since SND.UNA passed cwnd_seq
        self.cwnd_limited = False
        self.most_out = 0
        self.cwnd_seq = iss
        self.duplicate_acks = 0
        self.recovery = Recovery.NONE
        self.recover = iss
        self.resend_seq = iss
        self.high_resent = iss
        self.sacked: tuple[tuple[int, int], ...] = ()
        # Round-trip time (RFC 6298); timed_seq -1: no segment is being timed
        self.srtt: Duration = 0
        self.rttvar: Duration = 0
        self.rto: Duration = profile.rto_initial
        self.retries = 0
        self.timed_seq = -1
        self.timed_at: Instant = 0
        self.first_sent_at: Instant = 0
        # Receiving
        self.irs = 0
        self.rcv_nxt = 0
        self.rcv_limit = limit
        self.rcv_wnd = min(limit, 0xFFFF)
        self.rcv_scale = 0
        self.rcv_up = -1
        self.received = bytearray()
        self.pieces: list[tuple[int, bytes]] = []
        self.newest_pieces: tuple[int, ...] = ()  # first numbers, the last received first: the order of reports
        self.repeated: tuple[int, int] | None = None  # what came twice, to be reported once (RFC 2883)
        self.remote_fin = -1
        self.unacked = 0
        self.ack_now = False
        self.quick_acks = profile.quick_acks
        self.ping_pong = False
        self.text_at: Instant = -NEVER  # when text last came, for the same
        self.last_ack_sent = 0
        self.last_invalid_ack: Instant = -NEVER
        # Options in use
        # ECN (RFC 3168): ECE goes out until the peer's CWR comes; CWR with new text; up to where the window is cut
        self.ecn_ok = False
        self.ecn_asked = False
        self.ecn_echo = False
        self.ecn_cut = False
        self.ecn_seq = iss
        self.sack_ok = False
        self.scale_ok = False
        self.ts_ok = False
        self.ts_offset = 0
        self.ts_recent = 0
        self.ts_recent_at: Instant = 0
        # The user
        self.user_gone = False
        self.read_shut = False
        self.lingering = False
        self.error: Errno | None = None
        self.soft_error: Errno | None = None
        # The wait that this incarnation came out of, while it may have to return there; and whether our user aborted it
        self.old_wait: bytes | None = None
        self.reset_sent = False
        # Timers; heard_at: the last segment, for keep-alive
        self.resend_at: Instant = NEVER
        self.ack_at: Instant = NEVER
        self.keep_at: Instant = NEVER
        self.end_at: Instant = NEVER
        self.linger_at: Instant = NEVER
        self.heard_at: Instant = 0
        self.opened_at: Instant = 0
        self.probes = 0
        self.armed: Instant = NEVER

    @property
    def deadline(self) -> Instant:
        """When time matters next to this connection; NEVER if it does not."""
        return min(self.resend_at, self.ack_at, self.keep_at, self.end_at, self.linger_at)

    @property
    def fin_seq(self) -> int:
        """The number of our FIN, sent or not; it means something only once `fin_queued`."""
        return (self.buffer_seq + len(self.buffer)) & MASK

    def fork(self, shared: Shared) -> "Connection":
        """Return an independent copy that belongs to `shared`."""
        other = Connection(self.key, shared, self.options, self.iss, self.passive, self.rcv_limit, self.own_mss)
        for name in _FIELDS:
            setattr(other, name, getattr(self, name))
        other.shared = shared
        other.buffer = self.buffer.copy()
        other.received = self.received.copy()
        other.pieces = self.pieces.copy()
        return other

    def summary(self, now: Instant) -> tuple[Any, ...]:
        """Return all that decides the connection's future, sequence numbers relative to the ISNs, times to `now`."""
        send = (self.snd_una, self.snd_nxt, self.snd_wl2, self.buffer_seq, self.recover, self.resend_seq)
        receive = (self.rcv_nxt, self.snd_wl1, self.last_ack_sent)
        timers = (self.resend_at, self.ack_at, self.keep_at, self.end_at, self.linger_at)
        return (
            self.key,
            self.state,
            (self.handle, self.listener, self.options, self.passive, self.port_class),
            tuple((seq - self.iss) & MASK for seq in (*send, self.high_resent, self.cwnd_seq, self.ecn_seq)),
            tuple((seq - self.irs) & MASK for seq in (*receive, *self.newest_pieces, *(self.repeated or ()))),
            tuple(-1 if seq < 0 else (seq - self.iss) & MASK for seq in (self.timed_seq, self.snd_up)),
            tuple(-1 if seq < 0 else (seq - self.irs) & MASK for seq in (self.rcv_up, self.remote_fin)),
            tuple((diff(left, self.iss), diff(right, self.iss)) for left, right in self.sacked),
            tuple((diff(seq, self.irs), data) for seq, data in self.pieces),
            tuple((seq - self.iss) & MASK for seq in self.records),
            (bytes(self.buffer), bytes(self.received), self.fin_queued, self.fin_sent, self.want_room),
            (self.snd_wnd, self.max_snd_wnd, self.snd_scale, self.rcv_wnd, self.rcv_scale, self.rcv_limit),
            (self.mss, self.peer_mss, self.own_mss, self.cwnd, self.ssthresh, self.duplicate_acks, self.recovery),
            (self.cwnd_limited, self.most_out, self.more, self.more_now),
            (self.ecn_ok, self.ecn_asked, self.ecn_echo, self.ecn_cut),
            (self.srtt, self.rttvar, self.rto, self.retries, self.probes),
            (self.unacked, self.ack_now, self.quick_acks, self.ping_pong, self.sack_ok, self.scale_ok, self.ts_ok),
            (self.user_gone, self.read_shut, self.lingering, self.error, self.reset_sent, self.old_wait is not None),
            (self.ts_recent, self.ts_offset) if self.ts_ok else (),
            tuple(-1 if at == NEVER else at - now for at in timers),
            now - self.timed_at if self.timed_seq >= 0 else 0,
            now - self.first_sent_at if self.snd_una != self.snd_nxt else 0,
            now - self.ts_recent_at if self.ts_ok else 0,
            min(now - self.last_invalid_ack, self.shared.profile.invalid_ack_interval),
            min(now - self.text_at, self.shared.profile.delayed_ack),
        )

    def stop_timers(self) -> None:
        """Turn all timers off."""
        self.resend_at = self.ack_at = self.keep_at = self.end_at = self.linger_at = NEVER


def step(conn: Connection, event: Input, out: list[Event], error: Errno | None = None) -> tuple[Action, ...]:
    """Move the state as the table says, tell the user, and return the actions that are left to the caller.

    Those are SEND_RST, and on entering CLOSED or TIME-WAIT whatever `Stack` does with the connection.  QUEUE_FIN and
    SEND_ACK leave a mark on the connection, which `sender.flush` acts on.  A pair listed as ignored does nothing; one
    listed as impossible is a fault of the judges.
    """
    row = TABLE[conn.state][event]
    if type(row) is not Row:
        assert type(row) is Ignored, row
        return ()
    after = row.next
    before = conn.state
    if after is not before:
        conn.state = after
        if after is CLOSED and (before is ESTABLISHED or before is CLOSE_WAIT):
            conn.shared.counters["EstabResets"] += 1  # whichever end broke it off: RFC 4022; Linux tcp_set_state()
        if after is not TIME_WAIT:
            out.append(_entered((conn.key, CLOSED if after is LISTEN else after, None)))
        if after is CLOSED or after is LISTEN or after is TIME_WAIT:
            conn.stop_timers()
    for action in row.actions:
        if action is _ACK:
            conn.ack_now = True
        elif action is _FIN:
            conn.fin_queued = True
        elif action is _CONNECTED:
            if not conn.passive:
                out.append(Connected(conn.handle))
        elif action is _END:
            if conn.handle:
                out.append(EndOfFile(conn.handle))
        elif action is _ERROR and error is not None:
            conn.error = error
            if conn.handle:
                out.append(Failed(conn.handle, error))
    return row.actions
