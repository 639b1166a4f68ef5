"""Receiving: text and FIN in order or not, what is delivered, when it is acknowledged.

RFC 9293 sections 3.10.7.4 (sixth to eighth), 3.8.6.3 (delayed ACK), 3.8.5 (urgent data, delivered in line).
"""

from timewait.clock import Instant
from timewait.tcp.connection import NEVER, Connection, step
from timewait.tcp.events import Delivered, Dropped, Event, Reason, UrgentData
from timewait.tcp.states import CLOSE_WAIT, CLOSING, FIN_WAIT_1
from timewait.tcp.states import Event as Input
from timewait.wire.segment import FIN, URG, Segment
from timewait.wire.seq import MASK, diff, gt, lt

# Text out of order is kept in so many pieces and one more for each so many octets of the buffer, so that single octets
# with gaps between them cannot take many times the buffer's size in bookkeeping.
_FEW_PIECES = 64
_PIECE_SIZE = 256
# How many pieces' order of arrival is remembered; a report has four at most.
_REPORTED = 7


def take_urgent(conn: Connection, segment: Segment, out: list[Event]) -> None:
    """Note the urgent pointer: it names the last urgent octet.  RFC 9293 section 3.8.5 (MUST-62), 3.10.7.4 sixth."""
    if not segment.flags & URG:
        return
    last = (segment.seq + segment.urgent) & MASK
    if conn.rcv_up < 0 or gt(last, conn.rcv_up):
        conn.rcv_up = last
        ahead = diff(last, conn.rcv_nxt)
        if ahead > 0 and conn.handle:
            out.append(UrgentData(conn.handle, ahead))


def take_text(conn: Connection, segment: Segment, now: Instant, out: list[Event]) -> None:
    """Take what is new of a segment's text, trimmed to the window, and its FIN if that is in order.

    One acknowledgment answers both.  Text without room, or far ahead, is dropped and answered with what is expected.
    """
    seq = segment.seq
    data = segment.payload
    fin = segment.flags & FIN
    offset = diff(seq, conn.rcv_nxt)
    if data:
        size = len(data)
        if offset + size <= 0:
            conn.ack_now = True  # all of it is old: the peer missed our answer
            note_repeated(conn, seq, segment.end)
            if not fin or offset + size < 0:
                out.append(Dropped(segment, Reason.OLD_DUPLICATE))
                conn.shared.counters["DelayedACKLost"] += 1
                return
            data = b""
            offset = 0
        elif offset < 0:
            note_repeated(conn, seq, conn.rcv_nxt)
            data = data[-offset:]
            offset = 0
        window = conn.rcv_wnd
        whole = conn.shared.profile.whole_text_if_none_waits
        if offset + len(data) > window and (conn.received or not whole):
            data = b"" if whole else data[: max(window - offset, 0)]
            fin = 0
            conn.ack_now = True
            if not data:
                out.append(Dropped(segment, Reason.NO_ROOM))
                return
    elif fin and offset < 0:
        conn.ack_now = True
        note_repeated(conn, seq, segment.end)
        out.append(Dropped(segment, Reason.OLD_DUPLICATE))
        return
    if offset > 0:
        if len(conn.pieces) < _FEW_PIECES + conn.rcv_limit // _PIECE_SIZE:
            _keep_piece(conn, (conn.rcv_nxt + offset) & MASK, data, fin)
        else:
            conn.ack_now = True
            out.append(Dropped(segment, Reason.NO_ROOM))
        return
    if data:
        _deliver(conn, data, now, out)
    if conn.pieces:
        _join_pieces(conn, now, out)
    if fin or conn.remote_fin == conn.rcv_nxt:
        take_fin(conn, now, out)


def note_repeated(conn: Connection, left: int, right: int) -> None:
    """Remember the first text since our last segment that came twice, to report it.  RFC 2883 section 4."""
    if conn.shared.profile.dsack and conn.sack_ok:
        right = right if lt(right, conn.rcv_nxt) or conn.pieces else conn.rcv_nxt
        if conn.repeated is None:
            conn.repeated = left, right
        elif conn.repeated[1] == left:
            conn.repeated = conn.repeated[0], right


def _deliver(conn: Connection, data: bytes, now: Instant, out: list[Event]) -> None:
    size = len(data)
    conn.received += data
    conn.rcv_nxt = (conn.rcv_nxt + size) & MASK
    conn.rcv_wnd = max(conn.rcv_wnd - size, 0)
    if conn.handle:
        out.append(Delivered(conn.handle, size))
    conn.unacked += size
    conn.text_at = now
    profile = conn.shared.profile
    if conn.quick_acks > 0 and not conn.ping_pong:
        conn.quick_acks -= 1
        conn.ack_now = True
    elif conn.unacked >= 2 * conn.mss or conn.pieces or conn.options.quick_ack or not profile.delayed_ack:
        conn.ack_now = True  # at least every second full segment: SHLD-19
    elif conn.ack_at == NEVER:
        conn.ack_at = now + profile.delayed_ack


def _keep_piece(conn: Connection, seq: int, data: bytes, fin: int) -> None:
    """Keep text that came too early, cut to what no earlier piece covers; the answer tells the hole.  RFC 5681 4.2."""
    conn.ack_now = True
    end = (seq + len(data)) & MASK
    if fin and conn.remote_fin < 0:
        conn.remote_fin = end
    if not data:
        return
    conn.shared.counters["TCPOFOQueue"] += 1
    conn.newest_pieces = (seq, *[each for each in conn.newest_pieces if each != seq][:_REPORTED])
    kept: list[tuple[int, bytes]] = []
    for old_seq, old in conn.pieces:
        old_end = (old_seq + len(old)) & MASK
        if not data or not gt(old_end, seq):
            kept.append((old_seq, old))
        elif not lt(old_seq, end):
            kept += [(seq, data), (old_seq, old)]
            data = b""
        else:
            note_repeated(conn, seq if gt(seq, old_seq) else old_seq, end if lt(end, old_end) else old_end)
            if lt(seq, old_seq):
                kept.append((seq, data[: (old_seq - seq) & MASK]))
            kept.append((old_seq, old))
            data = data[(old_end - seq) & MASK :] if lt(old_end, end) else b""
            seq = old_end
    if data:
        kept.append((seq, data))
    conn.pieces = kept


def keep_early(conn: Connection, data: bytes) -> None:
    """Keep the text of a SYN until the connection is established.  RFC 9293 section 3.10.7.3, fourth."""
    conn.pieces = [(conn.rcv_nxt, data[: conn.rcv_wnd])]


def take_early(conn: Connection, now: Instant, out: list[Event]) -> None:
    """Deliver the text that came with the SYN; its acknowledgment may wait as that of any text does."""
    [(_, data)] = conn.pieces[:1]
    conn.pieces = conn.pieces[1:]
    _deliver(conn, data, now, out)


def _join_pieces(conn: Connection, now: Instant, out: list[Event]) -> None:
    """Deliver the pieces that the hole just filled has joined on."""
    pieces = conn.pieces
    while pieces:
        seq, data = pieces[0]
        offset = diff(conn.rcv_nxt, seq)
        if offset < 0:
            break
        del pieces[0]
        if offset:
            note_repeated(conn, seq, (seq + min(offset, len(data))) & MASK)
        if offset < len(data):
            _deliver(conn, data[offset:], now, out)
    conn.ack_now = True


def take_fin(conn: Connection, now: Instant, out: list[Event]) -> None:
    """Take the peer's FIN, which is next in order.  RFC 9293 section 3.10.7.4, eighth."""
    if conn.remote_fin == CONSUMED:
        return
    conn.remote_fin = CONSUMED
    conn.pieces = []
    conn.repeated = None  # Linux: tcp_sack_reset() in tcp_fin(), net/ipv4/tcp_input.c
    conn.rcv_nxt = (conn.rcv_nxt + 1) & MASK
    closed = not conn.rcv_wnd
    conn.rcv_wnd = max(conn.rcv_wnd - 1, 0)
    was = conn.state
    step(conn, Input.FIN, out)
    profile = conn.shared.profile
    if was is FIN_WAIT_1 and conn.state is CLOSING and profile.closing_repeats_fin and conn.fin_sent:
        conn.fin_again = True  # our FIN again, with the newer acknowledgment, instead of a bare ACK
    elif (
        profile.fin_ack_delayed
        and not closed
        and conn.state is CLOSE_WAIT
        and (conn.ping_pong or _lone_after_text(conn))
    ):
        conn.ack_now = False
        if conn.ack_at == NEVER:
            conn.ack_at = now + profile.delayed_ack


def _lone_after_text(conn: Connection) -> bool:
    """Whether a FIN came by itself, after text that is acknowledged.

    Linux: tcp_fin() ends quick ACKs, and the delay is 0 only until the first text; with text of its own the segment is
    longer than the largest seen, and answered at once (__tcp_ack_snd_check(), net/ipv4/tcp_input.c).
    """
    return conn.text_at != -NEVER and not conn.unacked and not conn.options.quick_ack


# `Connection.remote_fin` once the FIN has been taken; no sequence number, and never equal to RCV.NXT.
CONSUMED = -2
