"""What happens to a connection when one of its timers fires.

RFC 9293 sections 3.8.1, 3.8.3, 3.8.4, 3.8.6.1, 3.10.8.
"""

from timewait.clock import Instant
from timewait.tcp import sender
from timewait.tcp.connection import NEVER, Connection, Recovery, step
from timewait.tcp.events import Errno, Event
from timewait.tcp.output import emit, emit_reset
from timewait.tcp.profile import Profile, ZeroWindowProbe
from timewait.tcp.states import CLOSE_WAIT, ESTABLISHED, FIN_WAIT_2, SYN_RECEIVED, SYN_SENT
from timewait.tcp.states import Event as Input
from timewait.wire.segment import ACK
from timewait.wire.seq import MASK


def expire(conn: Connection, now: Instant, out: list[Event]) -> None:
    """Let every timer of this connection that is due fire once, a delayed ACK first."""
    if conn.ack_at <= now:
        conn.ack_at = NEVER
        conn.shared.counters["DelayedACKs"] += 1
        emit(conn, ACK, conn.snd_nxt, now, out)
    if conn.resend_at <= now:
        conn.resend_at = NEVER
        _resend(conn, now, out)
    if conn.keep_at <= now:
        conn.keep_at = NEVER
        _keep_alive(conn, now, out)
    if conn.end_at <= now:
        conn.end_at = NEVER
        if conn.state is FIN_WAIT_2:
            step(conn, Input.TIMEOUT_ORPHAN, out)
        elif conn.state is SYN_SENT or conn.state is SYN_RECEIVED:
            conn.shared.counters["AttemptFails"] += 1
            _give_up(conn, now, out)


def _give_up(conn: Connection, now: Instant, out: list[Event]) -> None:
    conn.shared.counters["TCPAbortOnTimeout"] += 1
    step(conn, Input.TIMEOUT_USER, out, conn.soft_error or Errno.ETIMEDOUT)


def _overdue(conn: Connection, profile: Profile, now: Instant) -> bool:
    """Whether the user timeout has passed since the oldest unacknowledged octet was sent.  RFC 9293 section 3.8.3."""
    limit = conn.options.user_timeout
    if limit is None:
        limit = profile.user_timeout
    return limit is not None and now - conn.first_sent_at >= limit


def _back_off(conn: Connection, profile: Profile) -> None:
    """Double the timeout.  RFC 6298 (5.5)."""
    slop = profile.rto_slop if profile.syn_slop or conn.snd_una != conn.iss else 0
    without = conn.rto - slop if conn.retries or conn.srtt else conn.rto
    conn.retries += 1
    conn.rto = min(without * 2 + slop, profile.rto_max)


def _resend(conn: Connection, now: Instant, out: list[Event]) -> None:
    profile = conn.shared.profile
    if conn.snd_una == conn.iss:
        _resend_opening(conn, profile, now, out)
        return
    nothing_sent = conn.snd_una == conn.snd_nxt
    if nothing_sent and not conn.buffer and (conn.fin_sent or not conn.fin_queued):
        return
    if nothing_sent or (conn.probes and not conn.snd_wnd):
        _probe(conn, profile, now, out)
        return
    limit = profile.orphan_retries if conn.user_gone else profile.data_retries
    if conn.retries >= limit or _overdue(conn, profile, now):
        _give_up(conn, now, out)
        return
    conn.shared.counters["TCPTimeouts"] += 1
    if conn.retries == 0:
        conn.ssthresh = sender.after_loss(conn)
    _back_off(conn, profile)
    conn.cwnd = conn.mss
    conn.sacked = ()  # RFC 2018 section 8: the peer may have thrown them away
    conn.duplicate_acks = 0
    conn.timed_seq = -1
    conn.recovery = Recovery.TIMEOUT
    conn.recover = conn.ecn_seq = conn.snd_nxt
    conn.ecn_cut = conn.ecn_ok
    conn.resend_seq = conn.snd_una
    sender.transmit(conn, now, out)
    conn.resend_at = now + conn.rto


def _resend_opening(conn: Connection, profile: Profile, now: Instant, out: list[Event]) -> None:
    """SYN or SYN-ACK again.  RFC 9293 section 3.8.3 (SHLD-23: R2 of a SYN at least three minutes)."""
    linear = profile.syn_linear if conn.state is SYN_SENT else 0
    limit = profile.syn_retries + linear if conn.state is SYN_SENT else profile.syn_ack_retries
    if conn.retries >= limit or (conn.options.user_timeout is not None and _overdue(conn, profile, now)):
        if conn.state is SYN_RECEIVED and conn.passive:
            step(conn, Input.RST_OF_PASSIVE, out)
            return
        conn.shared.counters["AttemptFails"] += 1
        _give_up(conn, now, out)
        return
    if conn.retries < linear:
        conn.retries += 1
    else:
        _back_off(conn, profile)
    conn.shared.counters["TCPSynRetrans"] += 1
    if profile.syn_drops_options is not None and conn.retries >= profile.syn_drops_options:
        conn.scale_ok = conn.ts_ok = conn.sack_ok = False
    sender.send_opening(conn, now, out)


def _probe(conn: Connection, profile: Profile, now: Instant, out: list[Event]) -> None:
    """Ask a closed window whether it has opened, at growing intervals, as long as the peer answers.

    RFC 9293 section 3.8.6.1 (MUST-35, MUST-36, SHLD-30).
    """
    if conn.probes == 1:
        conn.first_sent_at = now
    limit = profile.orphan_retries if conn.user_gone else profile.data_retries
    if conn.retries >= limit or (conn.options.user_timeout is not None and _overdue(conn, profile, now)):
        _give_up(conn, now, out)
        return
    conn.probes += 1
    conn.more = False  # what was held back goes now
    if conn.snd_wnd or profile.zero_window_probe is ZeroWindowProbe.OCTET:
        # Silly window avoidance gives way to time, and an octet beyond the window asks for news of it.
        size = max(min(conn.snd_wnd, conn.mss, len(conn.buffer)), min(1, len(conn.buffer)))
        sender.send_range(conn, conn.snd_una, size, now, out)
    else:
        emit(conn, ACK, (conn.snd_una - 1) & MASK, now, out)
    conn.shared.counters["TCPWinProbe"] += 1
    _back_off(conn, profile)
    conn.resend_at = now + sender.until_probe(conn)


def _keep_alive(conn: Connection, now: Instant, out: list[Event]) -> None:
    """Probe an idle peer; give up after the profile's number of probes.  RFC 9293 section 3.8.4 (MUST-26, SHLD-12)."""
    if conn.state is not ESTABLISHED and conn.state is not CLOSE_WAIT and conn.state is not FIN_WAIT_2:
        return
    profile = conn.shared.profile
    options = conn.options
    interval = profile.keepalive_interval if options.keep_interval is None else options.keep_interval
    probes = profile.keepalive_probes if options.keep_probes is None else options.keep_probes
    if conn.snd_una != conn.snd_nxt:
        conn.keep_at = now + interval
        return
    if conn.retries >= probes:
        emit_reset(conn, now, out)
        _give_up(conn, now, out)
        return
    conn.retries += 1
    conn.shared.counters["TCPKeepAlive"] += 1
    emit(conn, ACK, (conn.snd_nxt - 1) & MASK, now, out)
    conn.keep_at = now + interval
