"""SEGMENT ARRIVES, for a connection that exists: the checks of RFC 9293 section 3.10.7.4 in order, one function each.

Each check says what the segment *is*: dropped and why, or an event for the table (`connection.step`).  Sequence tests
and the opinions of the profile live here.  A segment without connection is the business of `core`, one for a
TIME-WAIT record that of `time_wait`.
"""

from timewait.clock import SECOND, Instant
from timewait.tcp import sender
from timewait.tcp.connection import NEVER, Connection, Shared, step
from timewait.tcp.events import Dropped, Errno, Event, Reason, Send
from timewait.tcp.opening import arm_keep_alive, in_syn_sent
from timewait.tcp.output import answer_stray, emit, emit_reset
from timewait.tcp.profile import HalfOpenRule, ResetRule, RightEdge
from timewait.tcp.receiver import note_repeated, take_early, take_text, take_urgent
from timewait.tcp.states import (
    CLOSE_WAIT,
    CLOSED,
    CLOSING,
    FIN_WAIT_1,
    FIN_WAIT_2,
    LAST_ACK,
    SYN_RECEIVED,
    SYN_SENT,
    TIME_WAIT,
)
from timewait.tcp.states import Event as Input
from timewait.wire.segment import ACK, CWR, ECE, FIN, RST, SYN, URG, Option, Segment, Timestamps
from timewait.wire.seq import MASK, diff, gt, lt

_AFTER_FIN = (CLOSE_WAIT, CLOSING, LAST_ACK)


def segment_arrives(conn: Connection, segment: Segment, now: Instant, out: list[Event]) -> None:
    """Judge one segment for this connection, move its state, send what follows from it."""
    if conn.state is SYN_SENT:
        in_syn_sent(conn, segment, now, out)
        return
    flags = segment.flags
    if conn.state is SYN_RECEIVED and conn.passive and _half_open(conn, segment, now, out):
        return
    stamp = find_timestamps(segment.options) if conn.ts_ok else None
    if conn.ts_ok and not _check_timestamp(conn, segment, stamp, now, out):
        return
    if segment.seq != conn.rcv_nxt or not conn.rcv_wnd or flags & (RST | SYN):
        acceptable = _acceptable(conn, segment)
        if flags & RST:
            _check_reset(conn, segment, acceptable, now, out)
            return
        if flags & SYN:
            _check_syn(conn, segment, acceptable, now, out)
            return
        if not acceptable and (flags & ACK or not conn.shared.profile.no_ack_first):
            _answer_unacceptable(conn, segment, now, out)
            return
    if not flags & ACK:
        out.append(Dropped(segment, Reason.NO_ACK))
        return
    if stamp is not None and not conn.shared.profile.ts_recent_after_ack:
        _remember_timestamp(conn, segment, stamp, now)
    if conn.keep_at != NEVER:
        _heard(conn, now)
    if conn.ecn_ok:
        _check_congestion(conn, segment)
    if not _check_ack(conn, segment, stamp, now, out):
        return
    if flags & URG:
        take_urgent(conn, segment, out)
    if segment.payload or flags & FIN:
        _check_text(conn, segment, now, out)
    sender.flush(conn, now, out)


def find_timestamps(options: tuple[Option, ...]) -> Timestamps | None:
    """Return the timestamps option, if there is one; most often it is the last."""
    for option in reversed(options):
        if type(option) is Timestamps:
            return option
    return None


def _remember_timestamp(conn: Connection, segment: Segment, stamp: Timestamps, now: Instant) -> None:
    """RFC 7323 section 4.3 (2)."""
    if not lt(stamp.value, conn.ts_recent) and not gt(segment.seq, conn.last_ack_sent):
        conn.ts_recent = stamp.value
        conn.ts_recent_at = now


def _heard(conn: Connection, now: Instant) -> None:
    """The peer lives: keep-alive starts over."""
    conn.heard_at = now
    if conn.snd_una == conn.snd_nxt:
        conn.retries = 0
    conn.heard_at = now
    idle = conn.options.keep_idle
    conn.keep_at = now + (conn.shared.profile.keepalive_idle if idle is None else idle)


def _check_congestion(conn: Connection, segment: Segment) -> None:
    """Echo "congestion experienced" until the peer has cut its window; cut ours once a round trip.  RFC 3168 6.1.2-3.

    Text with CWR is acknowledged at once, as both FreeBSD and Linux do: the window behind it may be of one segment.
    """
    flags = segment.flags
    if flags & CWR:
        conn.ecn_echo = False
        if segment.payload:
            conn.ack_now = True
    if conn.shared.congested:
        conn.ecn_echo = True
        conn.ack_now = conn.ack_now or conn.shared.profile.ecn_acked_at_once
    if flags & ECE and gt(segment.ack, conn.ecn_seq):
        sender.cut_window(conn)


# --- The checks, in order


def _check_timestamp(
    conn: Connection, segment: Segment, stamp: Timestamps | None, now: Instant, out: list[Event]
) -> bool:
    """PAWS, before the sequence check; a reset is exempt.  RFC 7323 sections 3.2 and 5.3 R1."""
    if segment.flags & RST:
        return True
    profile = conn.shared.profile
    if stamp is None:
        if profile.timestamps_required:
            out.append(Dropped(segment, Reason.NO_TIMESTAMP))
            return False
        return True
    if lt(stamp.value, conn.ts_recent) and now - conn.ts_recent_at < profile.paws_valid:
        if segment.flags & SYN:
            return True  # challenged below, whatever its timestamp
        if profile.paws_replay_hz and _is_disordered_ack(conn, segment, stamp):
            return True
        out.append(Dropped(segment, Reason.PAWS))
        conn.shared.counters["PAWSEstab"] += 1
        if segment.payload or not profile.paws_answers_text_alone:
            _answer_limited(conn, segment, now, out, "TCPACKSkippedPAWS")
        return False
    return True


def _is_disordered_ack(conn: Connection, segment: Segment, stamp: Timestamps) -> bool:
    """Whether this is a pure duplicate ACK that was overtaken on its way by no more than the retransmission timeout.

    It changes no state, so PAWS need not refuse it.  Linux tcp_disordered_ack(), net/ipv4/tcp_input.c.
    """
    late = (conn.ts_recent - stamp.value) & MASK
    return (
        segment.flags & (ACK | FIN) == ACK
        and not segment.payload
        and segment.seq == conn.rcv_nxt
        and segment.ack == conn.snd_una
        and not lt(conn.snd_wl1, segment.seq)
        and (segment.seq != conn.snd_wl1 or segment.window << conn.snd_scale <= conn.snd_wnd)
        and late <= conn.rto * conn.shared.profile.paws_replay_hz // SECOND
    )


def _acceptable(conn: Connection, segment: Segment) -> bool:
    """Return whether any of the segment lies in the window.  RFC 9293 section 3.10.7.4, first; section 3.4 Table 6."""
    profile = conn.shared.profile
    window = conn.rcv_wnd
    if profile.judge_by_buffer:
        window = max(window, conn.rcv_limit - len(conn.received))
    start = diff(segment.seq, conn.rcv_nxt)
    length = segment.length
    if start == 0 and (length == 0 or window or segment.flags == ACK | FIN):
        return True  # a bare FIN is taken into a closed window too
    if window == 0 and start == 0:
        return True  # its ACK, URG and RST are valid; `take_text` refuses the text
    if 0 < start < window:
        return True
    if start == window:
        return profile.right_edge is RightEdge.INCLUDED or (
            profile.right_edge is RightEdge.WITHOUT_TEXT and not segment.payload and not segment.flags & (SYN | RST)
        )
    if start <= 0:
        end = start + length
        return end > 0 or (end == 0 and start <= 0 and length > 0 and profile.left_edge_inclusive)
    return False


def _check_reset(conn: Connection, segment: Segment, acceptable: bool, now: Instant, out: list[Event]) -> None:
    """RST: RFC 9293 section 3.10.7.4, second; RFC 5961 section 3."""
    profile = conn.shared.profile
    offset = diff(segment.seq, conn.rcv_nxt)
    if offset != 0 and not (offset == -1 and profile.rst_before_fin and conn.state in _AFTER_FIN):
        if not acceptable or offset < 0:
            out.append(Dropped(segment, Reason.RST_OUT_OF_WINDOW))
            return
        if profile.rst is ResetRule.EXACT_OR_CHALLENGE:
            out.append(Dropped(segment, Reason.RST_CHALLENGED))
            challenge(conn, now, out)
            return
        if profile.rst is ResetRule.EXACT:
            out.append(Dropped(segment, Reason.RST_OUT_OF_WINDOW))
            return
    if conn.state is SYN_RECEIVED:
        if conn.passive:
            conn.shared.counters["EmbryonicRsts"] += 1
            step(conn, Input.RST_OF_PASSIVE, out)
        else:
            step(conn, Input.RST, out, profile.rst_error_half_open)
        conn.shared.counters["AttemptFails"] += 1
        return
    error = profile.rst_error_in_close_wait if conn.state is CLOSE_WAIT else Errno.ECONNRESET
    step(conn, Input.RST, out, error)


def _check_syn(conn: Connection, segment: Segment, acceptable: bool, now: Instant, out: list[Event]) -> None:
    """SYN on a connection that exists: RFC 9293 section 3.10.7.4, fourth; RFC 5961 section 4."""
    profile = conn.shared.profile
    if conn.state is SYN_RECEIVED and segment.seq == conn.irs and not segment.flags & ACK and profile.syn_ack_again:
        sender.send_opening(conn, now, out)
        return
    if conn.state is SYN_RECEIVED and segment.seq == conn.irs and segment.flags & ACK and not conn.passive:
        _simultaneous_syn_ack(conn, segment, now, out)
        return
    out.append(Dropped(segment, Reason.SYN_CHALLENGED))
    if not profile.syn_resets:
        conn.shared.counters["TCPSYNChallenge"] += 1
        challenge(conn, now, out)
        return
    offset = diff(segment.seq, conn.rcv_nxt)
    if acceptable and offset >= 0:
        if conn.state is SYN_RECEIVED and conn.passive:
            step(conn, Input.RST_OF_PASSIVE, out)
            return
        # Made from the segment, as for one without connection: no window, no options (FreeBSD: tcp_dropwithreset()).
        out.append(Send(Segment(*conn.key, conn.snd_nxt, conn.rcv_nxt, RST | ACK, 0)))
        conn.shared.counters["OutSegs"] += 1
        conn.shared.counters["OutRsts"] += 1
        step(conn, Input.SYN_IN_WINDOW, out, Errno.ECONNRESET)
    else:
        _answer_limited(conn, segment, now, out, "TCPACKSkippedSeq")


def _simultaneous_syn_ack(conn: Connection, segment: Segment, now: Instant, out: list[Event]) -> None:
    """The peer's SYN-ACK in a simultaneous open acknowledges our SYN.  RFC 9293 section 3.5, Figure 8."""
    ack = segment._replace(seq=conn.rcv_nxt, flags=segment.flags & ~SYN)
    if _check_ack(conn, ack, None, now, out):
        conn.ack_now = True
        sender.flush(conn, now, out)


def _answer_unacceptable(conn: Connection, segment: Segment, now: Instant, out: list[Event]) -> None:
    """An unacceptable segment: ACK <SND.NXT, RCV.NXT> and drop.  RFC 9293 section 3.10.7.4, first."""
    end = diff(segment.seq, conn.rcv_nxt) + segment.length
    if segment.length and lt(segment.seq, conn.rcv_nxt):
        note_repeated(conn, segment.seq, segment.end)
    out.append(Dropped(segment, Reason.OLD_DUPLICATE if end <= 0 else Reason.OUT_OF_WINDOW))
    if end <= 0 and segment.flags & ACK and conn.shared.profile.old_acks_count:
        _take_old_ack(conn, segment, now, out)
        return
    if conn.state is SYN_RECEIVED:
        counter = "TCPACKSkippedSynRecv"
    elif conn.state is FIN_WAIT_2:
        counter = "TCPACKSkippedFinWait2"
    else:
        counter = "TCPACKSkippedSeq"
    _answer_limited(conn, segment, now, out, counter)


def _take_old_ack(conn: Connection, segment: Segment, now: Instant, out: list[Event]) -> None:
    """What is left of a segment when all that lies before the window is cut off: its ACK.  It draws one too."""
    trimmed = segment._replace(seq=conn.rcv_nxt, flags=segment.flags & ~FIN, payload=b"")
    conn.ack_now = True
    if _check_ack(conn, trimmed, None, now, out):
        sender.flush(conn, now, out)
    elif conn.state is TIME_WAIT:
        emit(conn, ACK, conn.snd_nxt, now, out)


def _answer_limited(conn: Connection, segment: Segment, now: Instant, out: list[Event], counter: str) -> None:
    """Answer with an ACK unless the connection did so just now; text and FIN are never part of an ACK loop."""
    interval = conn.shared.profile.invalid_ack_interval
    if interval and not (segment.length and not segment.flags & SYN):
        if now - conn.last_invalid_ack < interval:
            conn.shared.counters[counter] += 1
            return
        conn.last_invalid_ack = now
    emit(conn, ACK, conn.snd_nxt, now, out)


def challenge(conn: Connection, now: Instant, out: list[Event]) -> None:
    """Send a challenge ACK, if the limits of connection and stack allow.  RFC 5961 sections 3, 4, 7."""
    shared = conn.shared
    profile = shared.profile
    if profile.invalid_ack_interval:
        if now - conn.last_invalid_ack < profile.invalid_ack_interval:
            shared.counters["TCPACKSkippedChallenge"] += 1
            return
        conn.last_invalid_ack = now
    if may_challenge(shared, now):
        emit(conn, ACK, conn.snd_nxt, now, out)
        shared.counters["TCPChallengeACK"] += 1


def may_challenge(shared: Shared, now: Instant) -> bool:
    """Take one of this second's challenge ACKs; whether there was one left."""
    limit = shared.profile.challenge_per_second
    if not limit:
        return True
    second = now // SECOND
    if second != shared.challenge_second:
        shared.challenge_second = second
        shared.challenge_left = limit
    if not shared.challenge_left:
        return False
    shared.challenge_left -= 1
    return True


def _check_ack(conn: Connection, segment: Segment, stamp: Timestamps | None, now: Instant, out: list[Event]) -> bool:
    """ACK: RFC 9293 section 3.10.7.4, fifth.  Return whether the segment is to be looked at further."""
    offset = diff(segment.ack, conn.snd_una)
    ahead = (conn.snd_nxt - conn.snd_una) & MASK
    if conn.snd_una == conn.iss:
        if not 0 < offset <= ahead:
            out.append(Dropped(segment, Reason.BAD_ACK_OF_SYN))
            emit_reset(conn, now, out, segment.ack)
            return False
        sender.opening_is_over(conn, conn.retries)
        conn.snd_wnd = conn.max_snd_wnd = segment.window << conn.snd_scale
        conn.snd_wl1, conn.snd_wl2 = segment.seq, segment.ack
        if conn.state is SYN_RECEIVED:
            if conn.passive and conn.scale_ok and conn.shared.profile.receive_buffer_rounds:
                _round_buffer(conn)
            step(conn, Input.ACK_OF_SYN, out)
            arm_keep_alive(conn, now)
            conn.opened_at = now
            if conn.pieces:
                take_early(conn, now, out)
    if offset > ahead:
        out.append(Dropped(segment, Reason.ACK_TOO_NEW))
        _answer_limited(conn, segment, now, out, "TCPACKSkippedSeq")
        return False
    if offset < -_oldest_ack(conn) and conn.shared.profile.ack_too_old_challenged:
        out.append(Dropped(segment, Reason.ACK_TOO_OLD))
        challenge(conn, now, out)
        return False
    if stamp is not None and offset >= 0 and conn.shared.profile.ts_recent_after_ack:
        _remember_timestamp(conn, segment, stamp, now)
    if sender.acknowledged(conn, segment, now, out):
        step(conn, Input.ACK_OF_FIN, out)
        return conn.state is FIN_WAIT_2
    return True


def _oldest_ack(conn: Connection) -> int:
    """Return how far below SND.UNA an acknowledgment may lie: the largest window, or what was ever acknowledged.

    The latter is counted to 4 GiB, where it begins anew.
    """
    if conn.shared.profile.ack_before_first_too_old:
        return min(conn.max_snd_wnd, (conn.snd_una - conn.iss - 1) & MASK)
    return conn.max_snd_wnd


def _round_buffer(conn: Connection) -> None:
    """Round the receive buffer up to whole segments, where a scaled window can say so.

    FreeBSD: tcp_mss(), tcp_input.c; a passively opened connection's SYN-ACK went out before, from the syncache.
    """
    own = conn.shared.profile.receive_buffer_active
    if own is not None and conn.options.receive_buffer is None:
        size = min(conn.peer_mss, conn.own_mss)
        conn.rcv_limit = -(-own // size) * size


def orphan_wait(conn: Connection) -> int | None:
    """Return how long FIN-WAIT-2 may last once the user is gone; None: for ever, below 0: not at all."""
    profile = conn.shared.profile
    wait = profile.fin_wait_2
    if conn.options.linger2 is not None:
        wait = conn.options.linger2
    if wait is None or wait < 0:
        return wait
    return max(wait, profile.fin_wait_2_floor * conn.rto // 2)


def _check_text(conn: Connection, segment: Segment, now: Instant, out: list[Event]) -> None:
    """Text and FIN: RFC 9293 section 3.10.7.4, seventh and eighth."""
    state = conn.state
    if state is CLOSE_WAIT or state is CLOSING or state is LAST_ACK:
        # The peer's FIN was its last: what lies beyond is ignored; what lies before is acknowledged again.
        if diff(segment.seq, conn.rcv_nxt) < 0:
            conn.ack_now = True
            note_repeated(conn, segment.seq, segment.end)
            out.append(Dropped(segment, Reason.OLD_DUPLICATE))
        else:
            out.append(Dropped(segment, Reason.TEXT_AFTER_FIN))
        return
    if state is CLOSED or state is TIME_WAIT:
        return
    if conn.user_gone and segment.payload and (state is FIN_WAIT_1 or state is FIN_WAIT_2):
        end = (segment.seq + len(segment.payload)) & MASK
        if gt(end, conn.rcv_nxt):
            late_data(conn, segment, now, out)
            return
    take_text(conn, segment, now, out)


def late_data(conn: Connection, segment: Segment, now: Instant, out: list[Event]) -> None:
    """New data for a user who has closed: RST, and the connection is gone.  RFC 9293 section 3.6.1 (SHLD-3)."""
    out.append(Dropped(segment, Reason.USER_IS_GONE))
    conn.shared.counters["TCPAbortOnData"] += 1
    emit_reset(conn, now, out, segment.ack if conn.shared.profile.user_gone_reset_bare else None)
    step(conn, Input.LATE_DATA, out)


# --- SYN-RECEIVED, from LISTEN


def _half_open(conn: Connection, segment: Segment, now: Instant, out: list[Event]) -> bool:
    """Judge a segment for a connection that its listener has not handed out yet; whether that was all."""
    match conn.shared.profile.half_open:
        case HalfOpenRule.FORGET:
            return _forgotten_for_a_syn(conn, segment, out)
        case HalfOpenRule.RESET:
            return _reset_for_a_syn(conn, segment, now, out)
        case HalfOpenRule.ORDINARY:
            return False
        case HalfOpenRule.CACHED:
            return _judged_by_listener(conn, segment, now, out)


def _forgotten_for_a_syn(conn: Connection, segment: Segment, out: list[Event]) -> bool:
    """RFC 9293 section 3.10.7.4, fourth: a SYN in the window leads back to LISTEN."""
    if segment.flags & (SYN | RST) != SYN or not _acceptable(conn, segment):
        return False
    out.append(Dropped(segment, Reason.SYN_CHALLENGED))
    step(conn, Input.RST_OF_PASSIVE, out)
    return True


def _reset_for_a_syn(conn: Connection, segment: Segment, now: Instant, out: list[Event]) -> bool:
    """Linux: tcp_check_req(), net/ipv4/tcp_minisocks.c.  The SYN again and a RST are judged as in other states."""
    flags = segment.flags
    if flags & RST or (segment.seq == conn.irs and flags & (SYN | ACK) == SYN):
        return False
    start = diff(segment.seq, conn.rcv_nxt)
    length = segment.length
    window = conn.rcv_wnd
    if start != 0 and not (start + length > 0 and start < window) and not (start == window and not length):
        _answer_unacceptable(conn, segment, now, out)
        return True
    if flags & SYN:
        _forget_with_reset(conn, segment, out)
        return True
    return False


def _judged_by_listener(conn: Connection, segment: Segment, now: Instant, out: list[Event]) -> bool:
    """FreeBSD: tcp_input(), LISTEN, tcp_input.c; syncache_add(), _expand(), _chkrst(), _badack(), tcp_syncache.c."""
    flags = segment.flags
    if flags & RST:
        if not flags & (ACK | SYN | FIN):
            return False
        out.append(Dropped(segment, Reason.RST_AT_LISTENER))
    elif flags & SYN and not flags & ACK:
        sender.send_opening(conn, now, out)
    elif not flags & ACK:
        out.append(Dropped(segment, Reason.NO_ACK))
    elif flags & SYN or not 0 <= diff(segment.seq, conn.rcv_nxt) < conn.rcv_wnd:
        _forget_with_reset(conn, segment, out)
    else:
        return False
    return True


def _forget_with_reset(conn: Connection, segment: Segment, out: list[Event]) -> None:
    """Answer as if there were no connection, and let there be none."""
    out.append(Dropped(segment, Reason.NO_CONNECTION))
    answer = answer_stray(segment)
    if answer is not None:
        out.append(Send(answer))
        conn.shared.counters["OutSegs"] += 1
        conn.shared.counters["OutRsts"] += 1
    step(conn, Input.RST_OF_PASSIVE, out)
