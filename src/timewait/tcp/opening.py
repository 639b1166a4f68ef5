"""The opening of a connection: a segment in SYN-SENT, RFC 9293 section 3.10.7.3, and what a peer's SYN says.

What a segment is once numbers can be judged is in `arrival`.
"""

from timewait.clock import Instant
from timewait.tcp import sender
from timewait.tcp.connection import Connection, step
from timewait.tcp.events import Dropped, Errno, Event, Reason
from timewait.tcp.output import emit_reset
from timewait.tcp.profile import Ecn
from timewait.tcp.receiver import keep_early, take_text
from timewait.tcp.states import Event as Input
from timewait.wire.segment import ACK, CWR, ECE, FIN, RST, SYN, Segment
from timewait.wire.seq import MASK, diff


def in_syn_sent(conn: Connection, segment: Segment, now: Instant, out: list[Event]) -> None:
    """RFC 9293 section 3.10.7.3: ACK, RST, SYN, in this order."""
    flags = segment.flags
    good_ack = False
    if flags & ACK:
        offset = diff(segment.ack, conn.iss)
        good_ack = 0 < offset <= (conn.snd_nxt - conn.iss) & MASK
        if not good_ack:
            out.append(Dropped(segment, Reason.BAD_ACK_OF_SYN))
            if not flags & RST:
                emit_reset(conn, now, out, segment.ack)
                soon = conn.shared.profile.fast_syn_again
                if soon is not None and conn.retries == 0:  # icsk_retransmits == 0, tcp_rcv_synsent_state_process()
                    conn.resend_at = min(conn.resend_at, now + soon)
            return
    if flags & RST:
        if not good_ack:
            out.append(Dropped(segment, Reason.RST_WITHOUT_ACK))
            return
        conn.shared.counters["AttemptFails"] += 1
        step(conn, Input.RST, out, Errno.ECONNREFUSED)
        return
    if not flags & SYN:
        out.append(Dropped(segment, Reason.NOTHING_FOR_SYN_SENT))
        return
    take_opening(conn, segment, now)
    if good_ack:
        again = conn.retries
        sender.acknowledged(conn, segment, now, out)
        conn.snd_wnd = conn.max_snd_wnd = segment.window  # never scaled in a SYN: RFC 7323 section 2.2
        sender.opening_is_over(conn, again)
        step(conn, Input.SYN_ACK, out)
        arm_keep_alive(conn, now)
        conn.opened_at = now
        if segment.payload or flags & FIN:
            take_text(conn, segment._replace(seq=conn.rcv_nxt, flags=flags & ~SYN), now, out)
        sender.flush(conn, now, out)
    else:
        step(conn, Input.SYN, out)
        sender.send_opening(conn, now, out)
        if segment.payload:
            keep_early(conn, segment.payload)


def take_opening(conn: Connection, segment: Segment, now: Instant) -> None:
    """Take the peer's SYN: its number, window and options, those not offered on both sides being switched off."""
    conn.irs = segment.seq
    conn.rcv_nxt = conn.last_ack_sent = (segment.seq + 1) & MASK
    conn.snd_wnd = conn.max_snd_wnd = segment.window
    conn.snd_wl1, conn.snd_wl2 = segment.seq, segment.ack
    sack = scale = False
    stamps = False
    for option in segment.options:
        kind = option.kind
        if kind == 2:
            conn.peer_mss = max(option.size, 1)  # type: ignore[union-attr]
        elif kind == 3:
            scale = True
            conn.snd_scale = min(option.shift, 14)  # type: ignore[union-attr]
        elif kind == 4:
            sack = True
        elif kind == 8:
            stamps = True
            conn.ts_recent = option.value  # type: ignore[union-attr]
            conn.ts_recent_at = now
    if conn.shared.profile.receive_buffer_rounds and not conn.passive:
        size = min(conn.peer_mss, conn.own_mss)
        if conn.rcv_limit > size:
            conn.rcv_limit = -(-conn.rcv_limit // size) * size
    congestion = segment.flags & (ECE | CWR)
    if segment.flags & ACK:
        conn.ecn_ok = conn.ecn_asked and congestion == ECE
    else:
        conn.ecn_ok = congestion == ECE | CWR and conn.shared.profile.ecn is not Ecn.OFF
    conn.ecn_seq = conn.iss
    conn.sack_ok = conn.sack_ok and sack
    conn.ts_ok = conn.ts_ok and stamps
    if not (conn.scale_ok and scale):
        conn.scale_ok = False
        conn.snd_scale = conn.rcv_scale = 0


def arm_keep_alive(conn: Connection, now: Instant) -> None:
    """Start the keep-alive timer if the user asked for it.  RFC 9293 section 3.8.4 (MUST-24, MUST-25)."""
    if conn.options.keep_alive:
        idle = conn.options.keep_idle
        conn.heard_at = now
        conn.keep_at = now + (conn.shared.profile.keepalive_idle if idle is None else idle)
