"""Sending: what may be sent now, what an acknowledgment means, what a lost segment costs.

Queue and windows (RFC 9293 sections 3.8.4, 3.8.6), round-trip time (RFC 6298), congestion (RFC 5681, 6582).  The SACK
scoreboard is in `scoreboard`; the timers that fire are in `timeouts`.
"""

from timewait.clock import US, Duration, Instant
from timewait.tcp import chronograph, scoreboard
from timewait.tcp.chronograph import Cause
from timewait.tcp.connection import NEVER, Connection, Recovery
from timewait.tcp.events import Event, Writable
from timewait.tcp.output import emit, emit_opening
from timewait.tcp.profile import ZeroWindowProbe
from timewait.tcp.states import FIN_WAIT_1, SYN_RECEIVED, SYN_SENT
from timewait.wire.segment import ACK, FIN, PSH, Sack, Segment
from timewait.wire.seq import MASK, diff, gt, le, lt

_NONE = Recovery.NONE
_WINDOW = Cause.WINDOW


def flight(conn: Connection) -> int:
    """Return the octets sent and not acknowledged.  RFC 5681 section 2."""
    return (conn.snd_nxt - conn.snd_una) & MASK


def flush(conn: Connection, now: Instant, out: list[Event]) -> None:
    """Send what may be sent, and the acknowledgment that is due if nothing carried it."""
    if conn.buffer or conn.fin_queued:
        transmit(conn, now, out)
    if conn.fin_again:
        conn.fin_again = False
        send_range(conn, conn.fin_seq, 0, now, out)
    if conn.ack_now:
        emit(conn, ACK, conn.snd_nxt, now, out)


def transmit(conn: Connection, now: Instant, out: list[Event]) -> None:
    """Send data and FIN as far as window, congestion window and Nagle's rule let it, lost data first."""
    if conn.fin_sent and conn.recovery is _NONE:
        return  # all has been sent
    if conn.snd_una == conn.iss:
        if conn.state is FIN_WAIT_1 and not conn.buffer:
            send_range(conn, conn.snd_nxt, 0, now, out)  # CLOSE in SYN-RECEIVED with nothing queued: section 3.10.4
        return
    recovery = conn.recovery
    if recovery is Recovery.TIMEOUT:
        _resend_all(conn, now, out)
        if conn.recovery is Recovery.TIMEOUT and lt(conn.resend_seq, conn.recover):
            return
    elif recovery is Recovery.SACK:
        scoreboard.resend(conn, now, out, send_range)
    if not conn.fin_sent:
        before = conn.snd_nxt
        _send_new(conn, now, out)
        if conn.snd_nxt != before and conn.shared.profile.cwnd_needs_use:
            _note_use(conn, now)


def _note_use(conn: Connection, now: Instant) -> None:
    """Remember how much of the congestion window is used.  Linux: tcp_cwnd_validate(), net/ipv4/tcp_output.c."""
    out = flight(conn)
    limited = out + conn.mss > conn.cwnd
    if limited or not lt(conn.snd_una, conn.cwnd_seq) or (not conn.cwnd_limited and out > conn.most_out):
        conn.cwnd_limited = limited
        conn.most_out = out
        conn.cwnd_seq = conn.snd_nxt
    if conn.want_room and not limited and conn.snd_nxt == conn.fin_seq:
        chronograph.start(conn, Cause.BUFFER, now)  # tcp_cwnd_validate(): the user would write more, and may not


def _send_new(conn: Connection, now: Instant, out: list[Event]) -> None:
    mss = conn.mss
    while not conn.fin_sent:
        unsent = (conn.fin_seq - conn.snd_nxt) & MASK
        used = (conn.snd_nxt - conn.snd_una) & MASK
        window = conn.snd_wnd - used
        if not unsent:
            # A FIN alone needs a number in the window, but no room in the congestion window.
            if conn.fin_queued and window > 0:
                send_range(conn, conn.snd_nxt, 0, now, out)
            elif conn.fin_queued and not used:
                _start_probing(conn, now)
            return
        in_pipe = scoreboard.pipe(conn) if conn.recovery is Recovery.SACK else used
        cwnd = conn.cwnd
        if conn.duplicate_acks and conn.recovery is _NONE and conn.shared.profile.limited_transmit:
            cwnd += min(conn.duplicate_acks, 2) * mss  # RFC 3042 section 2
        room = min(window, cwnd - in_pipe)
        size = min(unsent, mss, room)
        if conn.records:
            size = _within_record(conn, conn.snd_nxt, size)
        if size <= 0:
            if window <= 0:
                chronograph.start(conn, Cause.WINDOW, now)
            if not used:
                _start_probing(conn, now)
            return
        ends_record = size < unsent and (conn.snd_nxt + size) & MASK in conn.records
        if size < mss and not ends_record and not _worth_sending(conn, size, unsent, used):
            if window < min(unsent, mss):
                chronograph.start(conn, Cause.WINDOW, now)
            if not used:
                _start_probing(conn, now)
            return
        if conn.held_by == _WINDOW:
            chronograph.stop(conn, Cause.WINDOW, now)
        send_range(conn, conn.snd_nxt, size, now, out)


def _within_record(conn: Connection, seq: int, size: int) -> int:
    """Return how many of `size` octets from `seq` on belong to one record: what MSG_EOR ended is not joined on."""
    ahead = ((end - seq) & MASK for end in conn.records if gt(end, seq))
    return min([size, *ahead])


def _worth_sending(conn: Connection, size: int, unsent: int, used: int) -> bool:
    """Whether a segment short of MSS may go: silly window avoidance and Nagle.  RFC 9293 3.8.6.2.1, 3.7.4 (MUST-17)."""
    if size == unsent:
        if (conn.options.cork or conn.more_now) and not conn.fin_queued:
            return False
        nagle = conn.shared.profile.nagle and not conn.options.no_delay
        return not used or not nagle or conn.fin_queued
    return size * 2 >= conn.max_snd_wnd


def send_range(conn: Connection, seq: int, size: int, now: Instant, out: list[Event]) -> None:
    """Send `size` octets from `seq` on, new or again; the FIN goes along when they end where it stands."""
    start = (seq - conn.buffer_seq) & MASK
    buffer = conn.buffer
    payload = bytes(buffer[start : start + size]) if size else b""
    flags = ACK
    end = seq + size
    if size and ((start + size == len(buffer) and not conn.more) or (conn.records and end & MASK in conn.records)):
        flags = ACK | PSH
    if (
        conn.fin_queued
        and start + size == len(buffer)
        and (conn.fin_sent or (end - conn.snd_una) & MASK < conn.snd_wnd or not size)
    ):
        flags |= FIN
        conn.fin_sent = True
        end += 1
    end &= MASK
    if lt(seq, conn.snd_nxt):
        conn.shared.counters["RetransSegs"] += 1
        if conn.timed_seq >= 0 and lt(seq, conn.timed_seq):
            conn.timed_seq = -1  # Karn: no sample from what was sent twice
    elif conn.timed_seq < 0:
        conn.timed_seq = end
        conn.timed_at = now
    if conn.snd_una == conn.snd_nxt:
        conn.first_sent_at = now
    if now - conn.text_at < conn.shared.profile.delayed_ack:
        conn.ping_pong = True  # an answer to what came just now: tcp_event_data_sent(), net/ipv4/tcp_output.c
    emit(conn, flags, seq, now, out, payload)
    if gt(end, conn.snd_nxt):
        conn.snd_nxt = end
    if conn.resend_at == NEVER:
        conn.resend_at = now + conn.rto


def _start_probing(conn: Connection, now: Instant) -> None:
    """Arm the persist timer: data or a FIN waits and nothing is under way.  RFC 9293 section 3.8.6.1 (MUST-35)."""
    if conn.resend_at == NEVER:
        conn.probes = 1
        conn.resend_at = now + until_probe(conn)


def until_probe(conn: Connection) -> Duration:
    """Return how long to wait for the window to open before the next probe.  RFC 9293 section 3.8.6.1 (SHLD-29, -30).

    With a least interval as tcp_setpersist() of the BSDs has it, sys/netinet/tcp_output.c: four times the round trip
    and eight times its variance, doubled for each probe.
    """
    profile = conn.shared.profile
    if not profile.probe_min:
        return conn.rto
    trip = 4 * conn.srtt + 8 * conn.rttvar if conn.srtt else 2 * profile.rto_initial
    return max(profile.probe_min, min((trip << min(conn.probes - 1, 9)) + profile.rto_slop, profile.rto_max))


def _stop_probing(conn: Connection, now: Instant, out: list[Event]) -> None:
    """The window has opened: the octet that asked goes again, text behind it; the timeout is the round trip's again."""
    conn.probes = 0
    if conn.srtt:
        set_timeout(conn)
    if conn.snd_una != conn.snd_nxt and conn.shared.profile.zero_window_probe is ZeroWindowProbe.OCTET:
        send_range(conn, conn.snd_una, min(len(conn.buffer), conn.mss, conn.snd_wnd), now, out)
    conn.resend_at = NEVER if conn.snd_una == conn.snd_nxt else now + conn.rto


def send_opening(conn: Connection, now: Instant, out: list[Event]) -> None:
    """Send our SYN or SYN-ACK for the first time, or again."""
    again = conn.snd_nxt != conn.iss
    if again:
        conn.timed_seq = -1
        conn.shared.counters["RetransSegs"] += 1
    else:
        conn.first_sent_at = now
        limit = conn.options.open_timeout or conn.shared.profile.open_timeout
        if limit is not None and conn.state is SYN_SENT:
            conn.end_at = now + limit
        if conn.state is SYN_SENT or conn.ts_ok or conn.shared.profile.syn_ack_timed:
            conn.timed_seq = (conn.iss + 1) & MASK
            conn.timed_at = now
    emit_opening(conn, 0 if conn.state is SYN_SENT else ACK, now, out)
    conn.resend_at = now + conn.rto


def _resend_all(conn: Connection, now: Instant, out: list[Event]) -> None:
    """After a timeout: from SND.UNA on, as slow start opens the way."""
    while lt(conn.resend_seq, conn.recover):
        used = (conn.resend_seq - conn.snd_una) & MASK
        if used and used + conn.mss > conn.cwnd:
            return
        to_fin = (conn.fin_seq - conn.resend_seq) & MASK
        left = min((conn.recover - conn.resend_seq) & MASK, to_fin)
        size = _within_record(
            conn, conn.resend_seq, min(left, conn.mss, max(conn.snd_wnd - used, 1 if not used else 0))
        )
        if size <= 0 and to_fin:
            return
        send_range(conn, conn.resend_seq, size, now, out)
        ended = conn.fin_sent and size == to_fin
        conn.resend_seq = (conn.resend_seq + size + ended) & MASK


def acknowledged(conn: Connection, segment: Segment, now: Instant, out: list[Event]) -> bool:
    """Take the acceptable acknowledgment and window of a segment; return whether it covers our FIN anew.

    RFC 9293 section 3.10.7.4, fifth; the caller has checked SND.UNA <= SEG.ACK <= SND.NXT or an old duplicate.
    """
    ack = segment.ack
    window = segment.window << conn.snd_scale
    if conn.sack_ok and conn.snd_una != conn.snd_nxt:
        for option in segment.options:
            if type(option) is Sack:
                scoreboard.take(conn, option.blocks)
    acked = diff(ack, conn.snd_una)
    covers_fin = False
    if acked > 0:
        covers_fin = conn.fin_sent and ack == (conn.fin_seq + 1) & MASK
        _advance(conn, ack, acked, now, out)
    elif (
        acked == 0
        and conn.snd_una != conn.snd_nxt
        and not segment.payload
        and window == conn.snd_wnd
        and not segment.flags & FIN
    ):
        _duplicate(conn, now, out)
    if acked >= 0:
        if conn.probes:
            conn.retries = 0  # a peer that answers is never given up: RFC 9293 section 3.8.6.1 (MUST-37)
        seq = segment.seq
        if lt(conn.snd_wl1, seq) or (conn.snd_wl1 == seq and le(conn.snd_wl2, ack)):
            if window != conn.snd_wnd:
                conn.snd_wnd = window
                if window > conn.max_snd_wnd:
                    conn.max_snd_wnd = window
                if conn.probes and window:
                    _stop_probing(conn, now, out)
            conn.snd_wl1 = seq
            conn.snd_wl2 = ack
    return covers_fin


def _advance(conn: Connection, ack: int, acked: int, now: Instant, out: list[Event]) -> None:
    """SND.UNA moves: drop what was acknowledged, sample the round trip, open the congestion window, re-arm."""
    octets = diff(ack, conn.buffer_seq)
    if octets > 0:
        size = len(conn.buffer)
        octets = min(octets, size)  # the FIN's own number is not in the buffer
        del conn.buffer[:octets]
        conn.buffer_seq = (conn.buffer_seq + octets) & MASK
        if conn.records:
            conn.records = tuple(end for end in conn.records if gt(end, ack))
        if not conn.buffer:
            chronograph.stop(conn, Cause.BUSY, now)
        if conn.want_room:
            conn.want_room = False
            chronograph.stop(conn, Cause.BUFFER, now)
            if conn.handle:
                out.append(Writable(conn.handle))
    conn.snd_una = ack
    if conn.snd_up >= 0 and not gt(conn.snd_up, ack):
        conn.snd_up = -1
    if conn.timed_seq >= 0 and not lt(ack, conn.timed_seq):
        sample_round_trip(conn, now - conn.timed_at)
        conn.timed_seq = -1
    conn.retries = 0
    news = acked
    if conn.duplicate_acks and conn.shared.profile.slow_start_limit is None:
        # What duplicate ACKs have reported as received is not reported now: tcp_newly_delivered(), tcp_input.c.
        news = max(acked - (scoreboard.below(conn, ack) if conn.sack_ok else conn.duplicate_acks * conn.mss), 0)
    conn.duplicate_acks = 0
    if conn.sacked:
        scoreboard.forget(conn)
    if conn.recovery is _NONE:
        _grow(conn, news)
    else:
        _progress(conn, ack, acked, now, out)
    if ack == conn.snd_nxt:
        conn.resend_at = NEVER
    else:
        conn.resend_at = now + conn.rto
        conn.first_sent_at = now
    conn.probes = 0


def _grow(conn: Connection, acked: int) -> None:
    """Slow start, then congestion avoidance, octets counted.  RFC 5681 section 3.1; the limit: RFC 3465 section 2.2."""
    mss = conn.mss
    profile = conn.shared.profile
    slow = conn.cwnd < conn.ssthresh
    if profile.cwnd_needs_use and not conn.cwnd_limited and not (slow and conn.cwnd < 2 * conn.most_out):
        return
    if slow:
        limit = profile.slow_start_limit
        conn.cwnd += acked if limit is None else min(acked, limit * mss)
    else:
        conn.cwnd += max(mss * mss // conn.cwnd, 1)


def _progress(conn: Connection, ack: int, acked: int, now: Instant, out: list[Event]) -> None:
    """SND.UNA moved during recovery: over, or a partial acknowledgment.  RFC 6582 section 3.2, RFC 6675 section 5."""
    over = not lt(ack, conn.recover)
    if conn.recovery is Recovery.TIMEOUT:
        if lt(conn.resend_seq, ack):
            conn.resend_seq = ack
        _grow(conn, acked)
        if over:
            conn.recovery = _NONE
        return
    if over:
        full = conn.shared.profile.recovery_ends_full
        conn.cwnd = conn.ssthresh if full else min(conn.ssthresh, max(flight(conn), conn.mss) + conn.mss)
        conn.recovery = _NONE
        return
    if conn.recovery is Recovery.FAST:
        resend_first(conn, now, out)
        conn.cwnd = max(conn.cwnd - acked, 0) + conn.mss


def _duplicate(conn: Connection, now: Instant, out: list[Event]) -> None:
    """A duplicate acknowledgment; the third begins fast retransmit.  RFC 5681 section 3.2, RFC 6675 section 5."""
    conn.duplicate_acks += 1
    if conn.recovery is Recovery.FAST:
        conn.cwnd += conn.mss
        return
    if conn.recovery is not _NONE:
        return
    if conn.duplicate_acks < 3 and not (conn.sacked and scoreboard.lost(conn, conn.snd_una)):
        return
    if not lt(conn.recover, conn.snd_una) and conn.recover != conn.snd_una and not conn.sack_ok:
        return  # RFC 6582 section 3.2 step 2: still the losses of the last timeout
    conn.recover = conn.ecn_seq = conn.snd_nxt
    conn.ecn_cut = conn.ecn_ok  # whatever the window was cut for: RFC 3168 section 6.1.2
    conn.ssthresh = after_loss(conn)
    conn.shared.counters["TCPSackRecovery" if conn.sack_ok else "TCPRenoRecovery"] += 1
    if conn.sack_ok:
        conn.recovery = Recovery.SACK
        conn.cwnd = conn.ssthresh
        conn.high_resent = conn.snd_una
        resend_first(conn, now, out)
        conn.high_resent = (conn.snd_una + min(conn.mss, flight(conn))) & MASK
    else:
        conn.recovery = Recovery.FAST
        resend_first(conn, now, out)
        conn.cwnd = conn.ssthresh + 3 * conn.mss
    conn.shared.counters["TCPFastRetrans"] += 1


def after_loss(conn: Connection) -> int:
    """Return what the slow start threshold is after a loss.  RFC 5681 section 3.1, equation (4)."""
    profile = conn.shared.profile
    share, of = profile.loss_share
    mss = conn.mss
    left = conn.cwnd // mss * share // of * mss if profile.loss_of_cwnd else flight(conn) * share // of
    return max(left, 2 * mss)


def cut_window(conn: Connection) -> None:
    """The path is congested, though nothing is known to be lost.  RFC 3168 section 6.1.2."""
    if conn.recovery is not _NONE:
        return
    conn.ssthresh = after_loss(conn)
    conn.cwnd = conn.ssthresh
    conn.ecn_seq = conn.snd_nxt
    conn.ecn_cut = True


def resend_first(conn: Connection, now: Instant, out: list[Event]) -> None:
    """Send the segment at SND.UNA again; the retransmission timer starts anew."""
    size = min((conn.fin_seq - conn.snd_una) & MASK, flight(conn), conn.mss)
    send_range(conn, conn.snd_una, _within_record(conn, conn.snd_una, size), now, out)
    conn.resend_at = now + conn.rto


def sample_round_trip(conn: Connection, sample: Duration) -> None:
    """Take one measured round trip.  RFC 6298 section 2."""
    if not conn.srtt:
        conn.srtt = max(sample, 1)
        conn.rttvar = sample // 2
    else:
        conn.rttvar += (abs(conn.srtt - sample) - conn.rttvar) // 4
        conn.srtt = max(conn.srtt + (sample - conn.srtt) // 8, 1)
    set_timeout(conn)


def set_timeout(conn: Connection) -> None:
    """Compute the timeout from the round trips seen.  RFC 6298 (2.3), (2.4), (2.5)."""
    profile = conn.shared.profile
    if profile.rto_min_of_variance:
        rto = conn.srtt // US * US + max(profile.rto_min, 4 * conn.rttvar)  # tp->srtt_us counts microseconds
    else:
        rto = conn.srtt + max(profile.rto_granularity, 4 * conn.rttvar)
    conn.rto = min(max(rto + profile.rto_slop, profile.rto_min), profile.rto_max)


def opening_is_over(conn: Connection, again: int) -> None:
    """Set the congestion window for a connection just established.  RFC 5681 section 3.1.

    `again`: how many times our SYN was sent again; where it was lost the first window is one segment (a MUST there).
    """
    conn.mss = max(min(conn.peer_mss, conn.own_mss) - (12 if conn.ts_ok else 0), 1)
    profile = conn.shared.profile
    conn.cwnd = (profile.initial_cwnd if again <= profile.opening_losses_forgiven else 1) * conn.mss
    conn.ssthresh = 0x7FFF_FFFF
    conn.recover = conn.snd_una
    conn.end_at = NEVER


def is_opening(conn: Connection) -> bool:
    """Whether our SYN is still to be acknowledged."""
    return conn.state is SYN_SENT or conn.state is SYN_RECEIVED
