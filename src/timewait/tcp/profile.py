"""`Profile`: one stack's behaviour as values.  Nothing else in `tcp` knows which stack it is being.

Every field is a knob, with its unit in its type; the enumerations name the rules seen in real stacks.  Where the RFC's
literal text cannot be run, the choice is a field here.  The files under `profiles/` give the values and their sources;
a sysctl is a name for one field that may be set while the stack runs (`settings`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from timewait.clock import MS, SECOND, Duration, seconds
from timewait.tcp.events import Errno


class ResetRule(StrEnum):
    """Which reset ends a connection or a wait."""

    IGNORE = "ignore"
    """None (RFC 1337 F1)."""
    EXACT = "exact"
    """At RCV.NXT; elsewhere it has no effect."""
    EXACT_OR_CHALLENGE = "exact, else challenge"
    """At RCV.NXT; elsewhere in the window it draws a challenge ACK.  RFC 5961 section 3."""
    IN_WINDOW = "in window"
    """Anywhere in the window.  RFC 793."""
    CHALLENGE = "ignore, challenge elsewhere"
    """None; elsewhere in the window than at RCV.NXT it draws a challenge ACK.  XNU in TIME-WAIT."""


class SynRule(StrEnum):
    """Which SYN may reopen a connection from TIME-WAIT."""

    NEVER = "never"
    ABOVE = "above RCV.NXT"
    """At any distance; timestamps play no part."""
    BEYOND_WINDOW = "above RCV.NXT and beyond the window"
    ABOVE_OR_NEWER = "above RCV.NXT, or newer timestamp"
    """Linux: options are read only when the old connection had timestamps, so RFC 6191's case B1 is missing."""
    RFC6191 = "RFC 6191"
    """Its section 2, complete."""


class SynReply(StrEnum):
    """What a SYN that may not reopen draws."""

    SILENCE = "silence"
    ACK = "ack"
    CHALLENGE = "challenge ack"
    """An ACK that counts against the limit of RFC 5961."""
    RESET_IN_WINDOW = "in window reset, else ack"
    """The wait goes on; the RST acknowledges the SYN, so that who sent it takes it for a refusal."""
    RESET_AND_DELETE_IN_WINDOW = "in window reset and delete, else ack"
    """RFC 793."""


class NoListener(StrEnum):
    """What a SYN that might reopen meets when nobody listens."""

    KEEP_AND_ACK = "ack, keep"
    DELETE_AND_RESET = "delete, reset"
    DELETE = "delete, silence"


class SynFinRule(StrEnum):
    """What SYN and FIN together are."""

    AS_SYN = "as SYN"
    DISCARD = "discard on arrival"
    DISCARD_LATE = "as SYN, but listeners discard it"
    """So that one which might reopen a TIME-WAIT ends it instead, without an answer."""


class HalfOpenRule(StrEnum):
    """What ends a connection that a listener made, or leaves it, before it is open."""

    FORGET = "SYN in window forgets"
    """Back to LISTEN without a word.  RFC 9293 section 3.10.7.4, fourth."""
    RESET = "SYN in window resets"
    """Linux: the SYN draws a RST, too; text and FIN have to begin or end within the window."""
    ORDINARY = "as any connection"
    """XNU: a SYN in the window draws a challenge ACK, and a RST is judged as in other states."""
    CACHED = "the listener's entry"
    """FreeBSD: any SYN draws the SYN-ACK again; a RST that carries ACK is ignored."""


class RightEdge(StrEnum):
    """Whether what begins just past the window passes the sequence check."""

    EXCLUDED = "no"
    INCLUDED = "yes"
    WITHOUT_TEXT = "without text, SYN and RST"


class StrayRule(StrEnum):
    """What a segment draws in TIME-WAIT that opens nothing and carries nothing."""

    DROP = "drop"
    ACK = "ack"
    ACK_OUTSIDE = "in window drop, else ack"
    """The text of RFC 9293: the sequence check comes first."""


class FinRule(StrEnum):
    """Which FIN restarts the wait."""

    NEVER = "never"
    AGAIN = "the peer's, sent again"
    """One that ends at RCV.NXT."""
    ANY = "any"


class IssRule(StrEnum):
    """The initial sequence number of a connection reopened from TIME-WAIT."""

    ABOVE_OLD = "old SND.NXT + 65537"
    NEW = "as of any new one"
    NEW_BUMPED = "as of any new one, moved past old SND.NXT"


class IsnScheme(StrEnum):
    """How initial sequence numbers are made; see `isn`."""

    CLOCK = "clock"
    KEYED = "keyed hash and clock"
    CONSTANT = "constant"
    RANDOM = "random"


class TimestampScope(StrEnum):
    """What a timestamp offset is drawn for."""

    NONE = "none"
    HOST_PAIR = "pair of hosts"
    FOUR_TUPLE = "four-tuple"


class Overflow(StrEnum):
    """What happens to the wait of a connection that closes when the table is full."""

    REFUSE_NEW = "enter no new one"
    EVICT_OLDEST = "evict the oldest"


class Reuse(StrEnum):
    """When an active open with a port of the stack's choosing may take a four-tuple from TIME-WAIT."""

    NEVER = "never"
    LOOPBACK = "loopback only"
    ALWAYS = "always"


class PortSearch(StrEnum):
    """In which order ephemeral ports are tried."""

    SEQUENTIAL = "sequential"
    RANDOM_START = "random start"
    HASHED = "hashed start"
    """RFC 6056 algorithm 4: a keyed hash of the destination plus a counter."""
    HASHED_PARITY = "hashed start, ports of one parity first"


class ZeroWindowProbe(StrEnum):
    """What asks a closed window whether it has opened."""

    OCTET = "next octet"
    OLD_ACK = "empty segment below SND.UNA"


class Ecn(StrEnum):
    """What a stack does about explicit congestion notification.  RFC 3168 section 6.1.1."""

    OFF = "off"
    ANSWER = "answer"
    """Agree to what the peer asks for."""
    ASK = "ask"
    """Ask for it in each SYN, too."""


class WindowUpdate(StrEnum):
    """When a read that frees room is told to the peer."""

    TWO_SEGMENTS = "two segments, or half the buffer"
    """RFC 9293 section 3.8.6.2.2."""
    DOUBLED = "a small window doubled"
    """Only what the peer sees as at most half the buffer, and once it has at least doubled."""
    QUARTER = "two segments and a quarter of the buffer"
    """Or any two segments while the window is an eighth of it or less."""


@dataclass(frozen=True)
class Sysctl:
    """A name under which one field may be changed while the stack runs.

    `unit` is multiplied with the value given; `choices`, where there are some, maps it instead.
    """

    field: str
    default: int | tuple[int, int] | str
    low: int = 0
    high: int = 0x7FFF_FFFF
    unit: int = 1
    choices: Mapping[int, Any] | None = None
    none_at_zero: bool = False
    also: tuple[str, ...] = ()
    """Fields that get the same value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """All that one stack does its own way.  Durations are nanoseconds, sizes octets, ports inclusive ranges.

    The defaults are RFC 9293 with the RFCs it builds on, where those state a value.
    """

    name: str
    title: str
    basis: str = ""
    """Which tree or text its sources are about, and whether anything was run."""
    sources: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), repr=False)
    sysctls: Mapping[str, Sysctl] = field(default_factory=lambda: MappingProxyType({}), repr=False)

    # --- TIME-WAIT: how long, how many
    time_wait: Duration = 240 * SECOND
    wait_rounding: Duration = 0
    """What the real stack's timer adds at most.  A figure for planning: the engine itself waits exactly."""
    tw_limit: int | None = None
    tw_overflow: Overflow = Overflow.REFUSE_NEW
    tw_skips_local: bool = False
    """No TIME-WAIT where the peer's address is the host's own."""
    tw_recycle: bool = False
    """A wait of 3.5 retransmission timeouts, and a memory of the newest timestamp of each host."""
    reset_sender_waits: bool = False
    """Whether who sends a RST enters TIME-WAIT.  RFC 9293 section 3.5.2 says it should; no stack was seen to."""
    tw_user_sees_closed: bool = False
    """Whether a user who holds the descriptor sees CLOSED while the stack waits."""
    abort_ends_wait: bool = True
    """Whether ABORT in TIME-WAIT deletes the connection (section 3.10.5)."""

    # --- TIME-WAIT: what segments do
    tw_rst: ResetRule = ResetRule.EXACT_OR_CHALLENGE
    tw_rst_paws: Duration = 0
    """For how long after the newest timestamp a RST with an older one has no effect; 0: never.  RFC 1337 F2."""
    tw_rst_restarts: bool = False
    """Whether a RST at RCV.NXT that is ignored restarts the wait."""
    tw_syn: SynRule = SynRule.RFC6191
    tw_syn_reply: SynReply = SynReply.CHALLENGE
    tw_syn_ack_is_syn: bool = True
    tw_no_listener: NoListener = NoListener.KEEP_AND_ACK
    tw_iss: IssRule = IssRule.NEW_BUMPED
    tw_returns: bool = True
    """Return to TIME-WAIT when the SYN that reopened it proves an old duplicate.  MAY-2 (2)."""
    tw_paws: bool = True
    tw_paws_valid: Duration = 24 * 86400 * SECOND
    tw_no_ack: StrayRule = StrayRule.ACK_OUTSIDE
    """What a segment with neither ACK, SYN nor RST draws; it never restarts the wait."""
    tw_exact_ack_replies: bool = False
    """Whether the peer's pure ACK at RCV.NXT is answered.  The literal text would; two ends in TIME-WAIT then ACK for
    ever."""
    tw_exact_ack_restarts: bool = False
    tw_fin_restarts: FinRule = FinRule.ANY
    """The literal text never restarts: a FIN sent again fails the sequence check first.  Most stacks do."""
    tw_next_text_replies: bool = True
    """Whether text that begins at RCV.NXT, or reaches past it from before, is answered."""
    tw_new_text_ends: bool = False
    """Whether text past RCV.NXT, however far, draws a RST and ends the wait."""
    tw_stray_ack: StrayRule = StrayRule.ACK
    """What a pure ACK elsewhere than at RCV.NXT draws."""
    tw_ack_restarts: bool = False
    """Whether a segment with ACK other than a FIN (data, SYN-ACK, ACK elsewhere) restarts the wait when answered."""
    tw_paws_restarts: bool = False
    """Whether a segment refused for its timestamp restarts the wait, a SYN included."""
    tw_ack_interval: Duration = 0
    """At most one answer in this time to segments that carry neither text nor FIN; 0: no limit."""

    # --- FIN-WAIT-2
    fin_wait_2: Duration | None = None
    """How long it may last without a user; None: for ever, as the text has it."""
    fin_wait_2_floor: int = 0
    """At least this many halves of the retransmission timeout."""
    fin_wait_2_small: Duration = 0
    """Orphans with no more than this left to wait become a small record; 0: never."""
    linger2_limit: Duration = 120 * SECOND

    # --- Segments on a synchronised connection
    rst: ResetRule = ResetRule.EXACT_OR_CHALLENGE
    rst_before_fin: bool = False
    """Whether a RST at RCV.NXT-1 is taken once the peer's FIN was received."""
    rst_error_in_close_wait: Errno = Errno.ECONNRESET
    rst_error_half_open: Errno = Errno.ECONNREFUSED
    """What a reset tells who opened actively and is in SYN-RECEIVED."""
    end_before_error: bool = False
    """Whether a read after the peer's FIN gives the end of the stream though an error is pending."""
    syn_resets: bool = False
    """RFC 793: a SYN in the window is answered with a RST and ends the connection; off: challenge ACK."""
    syn_fin: SynFinRule = SynFinRule.AS_SYN
    left_edge_inclusive: bool = False
    """Whether a segment that ends at RCV.NXT exactly passes the sequence check."""
    right_edge: RightEdge = RightEdge.EXCLUDED
    """Whether one that begins just past the window does."""
    old_acks_count: bool = False
    """Whether a segment that lies left of the window is answered, and its ACK still counts."""
    no_ack_first: bool = False
    """Whether a segment with neither ACK, SYN nor RST is dropped whatever its number."""
    half_open: HalfOpenRule = HalfOpenRule.FORGET
    judge_by_buffer: bool = False
    """Whether the window checked is the buffer's room, although the header said less."""
    ack_too_old_challenged: bool = True
    """RFC 5961 section 5 (MAY-12)."""
    ack_before_first_too_old: bool = False
    """Whether so is an ACK of octets never sent, below the first, though the largest window reaches there."""
    invalid_ack_interval: Duration = 0
    """Per connection, at most one answer in this time to unacceptable segments without text or FIN; 0: no limit."""
    challenge_per_second: int = 0
    """For the whole stack; 0: no limit."""
    closing_repeats_fin: bool = False
    """Whether the answer to the FIN that leads to CLOSING is our own FIN again."""
    paws_valid: Duration = 24 * 86400 * SECOND
    paws_answers_text_alone: bool = False
    """Whether what PAWS refuses is answered only if it carries text; in TIME-WAIT, too."""
    paws_replay_hz: int = 0
    """A pure duplicate ACK passes PAWS when its timestamp is older by at most what a clock of this rate counts in the
    retransmission timeout; 0: none does."""
    timestamps_required: bool = True
    """Drop segments without the timestamp that was negotiated (RFC 7323 section 3.2, a SHOULD)."""
    reset_carries_ack: bool = False
    """Whether the RST of an abort carries ACK too."""
    syn_ack_again: bool = True
    """Whether a SYN sent again draws the SYN-ACK again; off: an ACK, as the text has it."""
    unread_resets: bool = True
    """Whether closing with text unread resets the connection; off: that text is forgotten and a FIN sent."""
    user_gone_reset_bare: bool = True
    """RST for late data: seq = SEG.ACK without ACK; off: at SND.NXT."""

    stray_answered: bool = True
    """Whether what belongs to no connection and meets no listener draws a reset."""
    stray_syn_answered: bool = True
    """Whether a SYN does."""

    # --- Opening
    listen_backlog_extra: int = 0
    """Connections beyond the backlog that a listener still queues."""
    somaxconn: int = 128
    syn_backlog: int = 1024
    syn_retries: int = 5
    syn_linear: int = 0
    """How many more times a SYN is sent again at the first timeout, before that doubles."""
    syn_ack_retries: int = 5
    syn_drops_options: int | None = None
    """From which retransmission on a SYN offers its segment size alone; None: never."""
    open_timeout: Duration | None = None
    """How long an active open may take; None: its retries alone decide."""
    fast_syn_again: Duration | None = None
    """How soon a SYN is sent again after an unacceptable ACK drew our RST; None: at the next timeout."""

    icmp_next_believed: bool = False
    """Whether an ICMP error that quotes SND.NXT itself is believed; RFC 5927 section 4.1 has it lie below."""
    icmp_ends_opening: bool = True
    """Whether an ICMP unreachable ends a connection that is not yet established."""
    icmp_patience: int = 0
    """How many times a SYN is sent again before a message that network or host are unreachable ends the opening."""
    icmp_refuses: bool = False
    """Whether, while opening, what is prohibited and a protocol that is unreachable are told as a refusal."""
    icmp_hard_aborts: bool = False
    """Whether a hard ICMP error ends an established connection.  RFC 9293 SHLD-26; RFC 5461 advises against it."""

    # --- Options and windows
    timestamps: bool = True
    ts_hz: int = 1000
    ts_scope: TimestampScope = TimestampScope.FOUR_TUPLE
    ts_recent_after_ack: bool = False
    """Whether a timestamp is remembered only from a segment whose ACK is acceptable too and not below SND.UNA."""
    sack: bool = True
    dsack: bool = False
    """Whether text that came twice is reported as the first block.  RFC 2883."""
    window_scale: int | None = 7
    syn_layout: tuple[tuple[str, ...], ...] = (("mss",), ("sack", "ts"), ("wscale",))
    """Groups in order; each is filled with leading NOPs to a multiple of four."""
    lone_sack_trails: bool = False
    """Whether SACK-permitted without timestamps is filled with end-of-options after it, not NOPs before."""
    window_rounds_up: bool = False
    """Whether an announced window is rounded up to the scale's unit, not down."""
    window_update: WindowUpdate = WindowUpdate.TWO_SEGMENTS
    receive_buffer: int = 65535
    receive_buffer_active: int | None = None
    """The same for a connection actively opened, where it differs."""
    receive_buffer_whole: bool = False
    """Whether what is received by default is rounded down to whole segments of one's own size."""
    receive_buffer_rounds: bool = False
    """Whether an active open rounds its receive buffer up to whole segments once it knows their size."""
    send_buffer: int = 65536
    initial_cwnd: int = 3
    """Segments."""
    opening_losses_forgiven: int = 0
    """How many times a SYN or SYN-ACK is sent again before the first window is a single segment."""
    slow_start_limit: int | None = 1
    """By how many segments one ACK opens the congestion window at most in slow start; None: by all it newly reports."""
    cwnd_needs_use: bool = False
    """Whether the congestion window grows only while it limits the sender, or in slow start to twice what was out."""
    limited_transmit: bool = True
    """Whether each of the first two duplicate ACKs lets a new segment go.  RFC 3042."""
    loss_share: tuple[int, int] = (1, 2)
    """What is left of the window at a loss."""
    loss_of_cwnd: bool = False
    """Whether that is of the congestion window, in whole segments; off: of what is out (RFC 5681 section 3.1)."""
    recovery_ends_full: bool = False
    """Whether fast recovery leaves the congestion window at SSTHRESH, however little is out; RFC 6582 section 3.2."""
    sender_default_mss: int = 536
    segment_option_sends: bool = False
    """Whether the user's largest segment bounds what is sent from then on, and not what a SYN offers."""

    whole_text_if_none_waits: bool = False
    """Whether text that goes on past the window is taken whole while nothing waits to be read, and else not at all;
    off: what lies in the window is taken."""
    scale_fits_buffer: bool = False
    """Whether a receive buffer of the user's decides the scale offered, and is announced in whole segments."""
    path_mtu_in_syn: bool = False
    """Whether a SYN sent again offers a segment size that fits the path as ICMP has told it."""
    ecn: Ecn = Ecn.OFF
    ecn_acked_at_once: bool = False
    """Whether a segment that came marked is acknowledged at once."""
    ecn_cut_told_by_any: bool = False
    """Whether any segment tells that the window was cut, and not only new text; RFC 3168 section 6.1.2 wants new."""
    ecn_syn_retries: int = 0
    """How many times a SYN is sent again with that question in it.  RFC 3168 section 6.1.1.1."""

    # --- Timers
    rto_initial: Duration = SECOND
    rto_min: Duration = SECOND
    rto_max: Duration = 60 * SECOND
    rto_min_of_variance: bool = False
    """Whether the least timeout is that of the variance alone, so that the smoothed round trip comes on top."""
    rto_slop: Duration = 0
    """What is added to a timeout once computed or doubled, but not to the first while no round trip was measured."""
    syn_slop: bool = True
    """Whether that goes for the doubled timeouts of a SYN, too."""
    syn_ack_timed: bool = True
    """Whether the round trip of a SYN-ACK is measured without timestamps too."""
    rto_granularity: Duration = MS
    data_retries: int = 15
    orphan_retries: int = 8
    user_timeout: Duration | None = 300 * SECOND
    """RFC 9293 section 3.10.1: five minutes; None: retries alone decide."""
    delayed_ack: Duration = 200 * MS
    quick_acks: int = 0
    """Segments acknowledged at once at the start of a connection."""
    fin_ack_delayed: bool = False
    """Whether the ACK of a FIN may wait as that of data does: once both sides have sent data, or after acknowledged
    text of the peer's."""
    zero_window_probe: ZeroWindowProbe = ZeroWindowProbe.OCTET
    probe_min: Duration = 0
    """How long a closed window is waited for at least before it is probed; 0: the timeout for lost segments."""
    keepalive_idle: Duration = 7200 * SECOND
    keepalive_interval: Duration = 75 * SECOND
    keepalive_probes: int = 8
    nagle: bool = True

    # --- Ports
    ephemeral_range: tuple[int, int] = (49152, 65535)
    reserved_ports: tuple[tuple[int, int], ...] = ()
    port_search: PortSearch = PortSearch.HASHED
    option_range_drops_parity: bool = False
    """Whether IP_LOCAL_PORT_RANGE switches the parity rule off."""
    reuse_bound: bool = False
    """Whether connect() from a port fixed beforehand may take a four-tuple from TIME-WAIT."""
    reuse_ephemeral: Reuse = Reuse.NEVER
    reuse_delay: Duration = SECOND
    reuse_delay_whole_seconds: bool = False
    """Whether the delay counts in whole seconds from the last timestamp, so that it may last almost twice as long."""
    reuse_needs_timestamps: bool = True
    reuse_fin_wait_2: bool = False
    """Whether a small FIN-WAIT-2 may be taken by a port of the stack's choosing."""
    connect_error: Errno = Errno.EADDRNOTAVAIL
    """Of connect() from a fixed port whose four-tuple is taken."""
    connect_exhausted_error: Errno = Errno.EADDRNOTAVAIL
    bind_exhausted_error: Errno = Errno.EADDRINUSE
    bind_over_wait: bool = True
    """Whether SO_REUSEADDR on old and new socket lets bind() pass over a TIME-WAIT; off: a wait never blocks bind()."""
    autobind_reuse: bool = False
    """Whether bind() to port 0 with SO_REUSEADDR may choose a port that is in use by others with it."""

    # --- Initial sequence numbers
    isn: IsnScheme = IsnScheme.KEYED
    isn_hz: int = 250_000
    isn_step: int = 0
    """What each new connection of the host adds to the numbers of all that come after it."""
    isn_constant: int = 0
    isn_passive: IsnScheme | None = None
    """How a passive open draws its number, where that is not as an active one does."""

    def changed(self, **values: Any) -> "Profile":
        """Return a copy with some fields changed; for tests and what-if questions."""
        return replace(self, **values)


def derive(base: Profile | None, name: str, title: str, values: Mapping[str, tuple[Any, str]], **also: Any) -> Profile:
    """Return `base` (RFC 9293's defaults if None) with `values`: field -> (value, its source).

    What is taken over from `base` says so, for nobody looked whether this stack does the same.  `also`: `basis`, and
    `sysctls` where they differ.
    """
    sources = {each: taken_over(base, source) for each, source in base.sources.items()} if base else {}
    sources |= {field_name: source for field_name, (_, source) in values.items()}
    plain = {field_name: value for field_name, (value, _) in values.items()}
    plain |= {"name": name, "title": title, "sources": MappingProxyType(sources)} | also
    return replace(base, **plain) if base else Profile(**plain)


def taken_over(base: Profile, source: str) -> str:
    """Return the source of a value that a profile has from `base`: its first owner, then that one's own source."""
    return source if source.startswith("as ") else f"as {base.name}: {source}"


__all__ = [
    "Ecn",
    "FinRule",
    "HalfOpenRule",
    "IsnScheme",
    "IssRule",
    "NoListener",
    "Overflow",
    "PortSearch",
    "Profile",
    "ResetRule",
    "Reuse",
    "RightEdge",
    "StrayRule",
    "SynFinRule",
    "SynReply",
    "SynRule",
    "Sysctl",
    "TimestampScope",
    "WindowUpdate",
    "ZeroWindowProbe",
    "derive",
    "seconds",
]
