"""TIME-WAIT: a small record instead of a connection, its own decision function, and the table of all of them.

A record is about a hundred packed octets, and the table is its own timer: in each queue all waits are equally long, so
the order of starting is the order of ending, and a restart moves a record to the end.  Everything is O(1) a record.
RFC 9293 sections 3.6.1 and 3.10.7.4; RFC 1337; RFC 6191; RFC 7323 section 5.  A FIN-WAIT-2 without a user may be such a
record too (Linux: tcp_timewait_sock with its sub-state, net/ipv4/tcp_minisocks.c).
"""

from collections import OrderedDict
from collections.abc import Iterator
from struct import Struct
from typing import Final, NamedTuple

from timewait.clock import Duration, Instant
from timewait.tcp.arrival import find_timestamps
from timewait.tcp.connection import Connection
from timewait.tcp.events import FourTuple, Reason
from timewait.tcp.output import offer_window
from timewait.tcp.profile import FinRule, Profile, ResetRule, StrayRule, SynReply, SynRule
from timewait.tcp.states import Event as Input
from timewait.wire.segment import ACK, FIN, RST, SYN, Segment, Timestamps
from timewait.wire.seq import MASK, diff, gt, lt

_PORTS = Struct("!HH")
_RECORD = Struct("!IIIIIBHHqqqqq")
_TS = 1
_FIN_WAIT_2 = 2
# No answer was sent yet: longer ago than any limit.
_LONG_AGO: Final = -(1 << 61)


def pack_key(key: FourTuple) -> bytes:
    """Return a four-tuple as bytes: 12 for IPv4, 36 for IPv6."""
    return key[0] + key[2] + _PORTS.pack(key[1], key[3])


def unpack_key(packed: bytes) -> FourTuple:
    """Return the four-tuple of `pack_key`."""
    size = (len(packed) - 4) // 2
    local_port, remote_port = _PORTS.unpack_from(packed, 2 * size)
    return FourTuple(packed[:size], local_port, packed[size : 2 * size], remote_port)


class TimeWait:
    """What is kept of a connection: R and S (RCV.NXT, SND.NXT), the window, timestamps, times.

    `window_field` is the window as the header said it on entry; `entered` is what a delay before reuse counts from;
    `answered` when a rate-limited answer was last sent.
    """

    __slots__ = (
        "answered",
        "entered",
        "expires",
        "fin_wait_2",
        "length",
        "port_class",
        "rcv_nxt",
        "rcv_wnd",
        "snd_nxt",
        "ts_offset",
        "ts_ok",
        "ts_recent",
        "ts_recent_at",
        "window_field",
    )

    rcv_nxt: int
    snd_nxt: int
    rcv_wnd: int
    window_field: int
    ts_ok: bool
    ts_recent: int
    ts_offset: int
    ts_recent_at: Instant
    fin_wait_2: bool
    port_class: int
    entered: Instant
    expires: Instant
    answered: Instant
    length: Duration

    @classmethod
    def of(cls, conn: Connection, length: Duration, now: Instant, fin_wait_2: bool = False) -> "TimeWait":
        """Return the record of a connection that enters the wait now."""
        wait = cls()
        wait.rcv_nxt = conn.rcv_nxt
        wait.snd_nxt = conn.snd_nxt
        wait.rcv_wnd = conn.rcv_wnd
        wait.window_field = offer_window(conn)
        wait.ts_ok = conn.ts_ok
        wait.ts_recent = conn.ts_recent
        wait.ts_offset = conn.ts_offset
        wait.ts_recent_at = conn.ts_recent_at
        wait.fin_wait_2 = fin_wait_2
        wait.port_class = conn.port_class
        wait.entered = now
        wait.expires = now + length
        wait.answered = _LONG_AGO
        wait.length = length
        return wait

    def pack(self) -> bytes:
        """Return the record as bytes."""
        return _RECORD.pack(
            self.rcv_nxt,
            self.snd_nxt,
            self.rcv_wnd,
            self.ts_recent,
            self.ts_offset,
            (_TS if self.ts_ok else 0) | (_FIN_WAIT_2 if self.fin_wait_2 else 0),
            self.window_field,
            self.port_class,
            self.ts_recent_at,
            self.entered,
            self.expires,
            self.answered,
            self.length,
        )

    @classmethod
    def unpack(cls, packed: bytes) -> "TimeWait":
        """Return the record that `pack` wrote."""
        wait = cls()
        (
            wait.rcv_nxt,
            wait.snd_nxt,
            wait.rcv_wnd,
            wait.ts_recent,
            wait.ts_offset,
            flags,
            wait.window_field,
            wait.port_class,
            wait.ts_recent_at,
            wait.entered,
            wait.expires,
            wait.answered,
            wait.length,
        ) = _RECORD.unpack(packed)
        wait.ts_ok = flags & _TS != 0
        wait.fin_wait_2 = flags & _FIN_WAIT_2 != 0
        return wait


class Verdict(NamedTuple):
    """What a segment is to a record.

    `event`: RST, SYN (it may reopen), FIN or SYN_IN_WINDOW for the table, None if nothing moves.  `ack`: answer with an
    ACK, where the limits let it; `challenge`: the limit of RFC 5961 counts too; `reset`: answer with a RST; `restart`:
    the wait begins anew; `limited`: the answer counts against the record's rate limit.
    """

    reason: Reason
    event: Input | None = None
    ack: bool = False
    challenge: bool = False
    reset: bool = False
    restart: bool = False
    limited: bool = False
    paws: bool = False


def judge(wait: TimeWait, segment: Segment, profile: Profile, now: Instant) -> Verdict:
    """Say what a segment is to a record: RFC 9293 section 3.10.7.4, as the profile's stack has it.

    The order: timestamp, RST, SYN, the peer's pure ACK, missing ACK bit, all others.
    """
    stamp = find_timestamps(segment.options)
    old = wait.ts_ok and stamp is not None and profile.tw_paws and _is_old(wait, stamp, profile, now)
    if wait.fin_wait_2:
        return _judge_fin_wait_2(wait, segment, stamp, old)
    flags = segment.flags
    if flags & RST:
        return _judge_reset(wait, segment, stamp, profile, now)
    text = len(segment.payload)
    if old and not text and profile.paws_answers_text_alone:
        return Verdict(Reason.TW_PAWS, paws=True)
    if flags & SYN and (not flags & ACK or profile.tw_syn_ack_is_syn):
        return _judge_syn(wait, segment, stamp, old, profile)
    offset = diff(segment.seq, wait.rcv_nxt)
    if text and offset + text > 0 and profile.tw_new_text_ends:
        return Verdict(Reason.TW_NEW_TEXT, Input.LATE_DATA, reset=True)
    if offset <= 0 < offset + text and not old and not profile.tw_next_text_replies:
        return Verdict(Reason.TW_SILENT)
    length = segment.length
    limited = length == 0 or flags & SYN != 0
    inside = 0 <= offset < wait.rcv_wnd
    exact = offset == 0 and length == 0 and not old
    if not flags & ACK and not (exact and profile.tw_no_ack is StrayRule.ACK):
        return _judge_no_ack(old, inside or -length < offset < 0, limited, profile)
    if exact:
        if stamp is not None and wait.ts_ok:
            wait.ts_recent = stamp.value
            wait.ts_recent_at = now
        return Verdict(
            Reason.TW_ACK, ack=profile.tw_exact_ack_replies, restart=profile.tw_exact_ack_restarts, limited=True
        )
    if not text and inside and not old and profile.tw_stray_ack is StrayRule.ACK_OUTSIDE:
        return Verdict(Reason.TW_SILENT)
    reason = Reason.TW_PAWS if old else Reason.TW_ANSWERED
    if flags & FIN and not flags & SYN:
        rule = profile.tw_fin_restarts
        restart = rule is FinRule.ANY or (rule is FinRule.AGAIN and offset + length == 0)
        restart = restart and (not old or profile.tw_paws_restarts)
        return Verdict(reason, Input.FIN if restart else None, ack=True, restart=restart, paws=old)
    replies = bool(text) or profile.tw_stray_ack is not StrayRule.DROP
    restart = profile.tw_ack_restarts or (old and profile.tw_paws_restarts)
    return Verdict(reason, ack=replies, restart=restart, limited=limited, paws=old)


def _judge_no_ack(old: bool, inside: bool, limited: bool, profile: Profile) -> Verdict:
    """Neither ACK, SYN nor RST: RFC 9293 section 3.10.7.4, fifth, after the first."""
    rule = profile.tw_no_ack
    if rule is StrayRule.DROP or (rule is StrayRule.ACK_OUTSIDE and inside):
        return Verdict(Reason.TW_NO_ACK)
    if rule is StrayRule.ACK_OUTSIDE:
        return Verdict(Reason.TW_ANSWERED, ack=True, limited=limited)
    reason = Reason.TW_PAWS if old else Reason.TW_NO_ACK
    return Verdict(reason, ack=True, restart=old and profile.tw_paws_restarts, limited=limited, paws=old)


def _is_old(wait: TimeWait, stamp: Timestamps, profile: Profile, now: Instant) -> bool:
    """PAWS; a kept timestamp of 0 was never set.  RFC 7323 section 5.3; Linux tcp_paws_check()."""
    return lt(stamp.value, wait.ts_recent) and wait.ts_recent != 0 and now - wait.ts_recent_at < profile.tw_paws_valid


def _judge_reset(wait: TimeWait, segment: Segment, stamp: Timestamps | None, profile: Profile, now: Instant) -> Verdict:
    """RST: RFC 9293 section 3.10.7.4, second, with RFC 1337 F1 (ignore) and F2 (old timestamp)."""
    ignored = Verdict(Reason.TW_RST_IGNORED)
    offset = diff(segment.seq, wait.rcv_nxt)
    if profile.tw_rst is ResetRule.IGNORE:
        return Verdict(Reason.TW_RST_IGNORED, restart=profile.tw_rst_restarts and offset == 0)
    if (
        profile.tw_rst_paws
        and wait.ts_ok
        and stamp is not None
        and lt(stamp.value, wait.ts_recent)
        and wait.ts_recent != 0
        and now - wait.ts_recent_at < profile.tw_rst_paws
    ):
        return Verdict(Reason.TW_PAWS, paws=True)
    exact = offset == 0 and profile.tw_rst is not ResetRule.CHALLENGE
    if exact or (profile.tw_rst is ResetRule.IN_WINDOW and 0 < offset < wait.rcv_wnd):
        return Verdict(Reason.TW_RST_IGNORED, Input.RST)
    challenged = profile.tw_rst in (ResetRule.EXACT_OR_CHALLENGE, ResetRule.CHALLENGE)
    if challenged and 0 < offset < wait.rcv_wnd:
        return Verdict(Reason.RST_CHALLENGED, ack=True, challenge=True, limited=True)
    return ignored


def may_reopen(wait: TimeWait, segment: Segment, stamp: Timestamps | None, old: bool, rule: SynRule) -> bool:
    """Whether this SYN may reopen the connection.  RFC 9293 section 3.6.1 (MAY-2, SHLD-4), RFC 6191 section 2."""
    offset = diff(segment.seq, wait.rcv_nxt)
    above = offset > 0
    if old:
        return False
    match rule:
        case SynRule.NEVER:
            return False
        case SynRule.ABOVE:
            return above
        case SynRule.BEYOND_WINDOW:
            return above and offset > wait.rcv_wnd
        case SynRule.ABOVE_OR_NEWER:
            return above or (wait.ts_ok and stamp is not None and gt(stamp.value, wait.ts_recent))
        case SynRule.RFC6191:
            if stamp is None:
                return above
            if not wait.ts_ok:
                return True
            return gt(stamp.value, wait.ts_recent) or (stamp.value == wait.ts_recent and above)


def _judge_syn(wait: TimeWait, segment: Segment, stamp: Timestamps | None, old: bool, profile: Profile) -> Verdict:
    if not segment.flags & ACK and may_reopen(wait, segment, stamp, old, profile.tw_syn):
        return Verdict(Reason.TW_SYN_NO_LISTENER, Input.SYN)
    reason = Reason.TW_PAWS if old else Reason.TW_SYN_REFUSED
    restart = old and profile.tw_paws_restarts
    offset = diff(segment.seq, wait.rcv_nxt)
    match profile.tw_syn_reply:
        case SynReply.SILENCE:
            return Verdict(reason, restart=restart, paws=old)
        case SynReply.ACK:
            return Verdict(reason, ack=True, restart=restart, limited=True, paws=old)
        case SynReply.CHALLENGE:
            return Verdict(reason, ack=True, challenge=True, restart=restart, limited=True, paws=old)
        case SynReply.RESET_IN_WINDOW:
            in_window = 0 <= offset <= wait.rcv_wnd and not old
            return Verdict(reason, ack=not in_window, reset=in_window, restart=restart, limited=True, paws=old)
        case SynReply.RESET_AND_DELETE_IN_WINDOW:
            if 0 <= offset < wait.rcv_wnd:
                return Verdict(reason, Input.SYN_IN_WINDOW, reset=True)
            return Verdict(reason, ack=True, restart=restart, limited=True, paws=old)


def _judge_fin_wait_2(wait: TimeWait, segment: Segment, stamp: Timestamps | None, old: bool) -> Verdict:
    """The small FIN-WAIT-2 of Linux: net/ipv4/tcp_minisocks.c, tcp_timewait_state_process(), first half.

    Its window test has both edges; any reset in the window ends it, and so does a SYN or anything new but the bare FIN.
    """
    flags = segment.flags
    length = segment.length
    offset = diff(segment.seq, wait.rcv_nxt)
    window = wait.rcv_wnd
    inside = offset == 0 or (offset + length > 0 and offset < window) or (offset == window and length == 0)
    if old or not inside:
        limited = length == 0 or flags & SYN != 0
        return Verdict(Reason.FW2_ANSWERED, ack=True, limited=limited, paws=old)
    if flags & RST:
        return Verdict(Reason.FW2_KILLED, Input.RST)
    if flags & SYN and offset >= 0:
        return Verdict(Reason.FW2_KILLED, Input.SYN_IN_WINDOW, reset=True)
    if not flags & ACK or offset + length <= 0 or not length:
        return Verdict(Reason.FW2_IGNORED)
    if not flags & FIN or offset + length != 1:
        return Verdict(Reason.FW2_KILLED, Input.LATE_DATA, reset=True)
    if stamp is not None and wait.ts_ok:
        wait.ts_recent = stamp.value
    return Verdict(Reason.FW2_ANSWERED, Input.FIN, ack=True)


def new_iss_above(wait: TimeWait) -> int:
    """Return a first number above all that the old incarnation used.  MAY-2 (1); Linux: S + 65535 + 2, never 0."""
    return ((wait.snd_nxt + 65537) & MASK) or 1


_EXPIRES = Struct("!q")
_EXPIRES_AT = _RECORD.size - 24


class WaitTable:
    """All records of a stack: found by four-tuple, in order of ending.  `packed` keys are those of `pack_key`."""

    __slots__ = ("queues",)

    def __init__(self) -> None:
        self.queues: dict[Duration, OrderedDict[bytes, bytes]] = {}

    def __len__(self) -> int:
        return sum(len(queue) for queue in self.queues.values())

    def __iter__(self) -> Iterator[tuple[FourTuple, TimeWait]]:
        for queue in self.queues.values():
            for packed, record in queue.items():
                yield unpack_key(packed), TimeWait.unpack(record)

    def find(self, packed: bytes) -> TimeWait | None:
        """Return the record of a four-tuple."""
        for queue in self.queues.values():
            record = queue.get(packed)
            if record is not None:
                return TimeWait.unpack(record)
        return None

    def add(self, packed: bytes, wait: TimeWait) -> None:
        """Enter a record; its `expires` lies `length` after now, and now never runs backwards."""
        queue = self.queues.get(wait.length)
        if queue is None:
            queue = self.queues[wait.length] = OrderedDict()
        queue[packed] = wait.pack()

    def keep(self, packed: bytes, wait: TimeWait) -> None:
        """Write a changed record back without touching its place in the order."""
        self.queues[wait.length][packed] = wait.pack()

    def restart(self, packed: bytes, wait: TimeWait, length: Duration, now: Instant) -> None:
        """Begin the wait of a record anew."""
        self.remove(packed, wait)
        wait.length = length
        wait.expires = now + length
        self.add(packed, wait)

    def remove(self, packed: bytes, wait: TimeWait) -> None:
        """Forget a record."""
        queue = self.queues[wait.length]
        del queue[packed]
        if not queue:
            del self.queues[wait.length]

    def next_deadline(self) -> Instant | None:
        """Return when the first record ends."""
        first: Instant | None = None
        for queue in self.queues.values():
            expires: int = _EXPIRES.unpack_from(next(iter(queue.values())), _EXPIRES_AT)[0]
            if first is None or expires < first:
                first = expires
        return first

    def due(self, now: Instant) -> Iterator[tuple[bytes, TimeWait]]:
        """Yield the records that have ended, for the caller to remove."""
        for length in list(self.queues):
            while (queue := self.queues.get(length)) is not None:
                packed, record = next(iter(queue.items()))
                if _EXPIRES.unpack_from(record, _EXPIRES_AT)[0] > now:
                    break
                yield packed, TimeWait.unpack(record)

    def oldest(self) -> tuple[bytes, TimeWait] | None:
        """Return the record that ends first."""
        found = None
        for queue in self.queues.values():
            packed, record = next(iter(queue.items()))
            wait = TimeWait.unpack(record)
            if found is None or wait.expires < found[1].expires:
                found = packed, wait
        return found

    def fork(self) -> "WaitTable":
        """Return an independent copy; records are immutable bytes, so only the tables are copied."""
        other = WaitTable()
        other.queues = {length: queue.copy() for length, queue in self.queues.items()}
        return other
