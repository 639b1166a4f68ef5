"""User calls on a connection: what its state lets each do.  RFC 9293 sections 3.10.2 to 3.10.5.

Sockets, ports and listeners are in `stack`.  Nothing here arms a timer in the stack; the caller settles the connection.
"""

from timewait.clock import Instant
from timewait.tcp import chronograph, sender
from timewait.tcp.connection import Connection, step
from timewait.tcp.events import Errno, Event
from timewait.tcp.output import emit, emit_reset
from timewait.tcp.profile import WindowUpdate
from timewait.tcp.receiver import CONSUMED
from timewait.tcp.states import (
    CLOSE_WAIT,
    CLOSED,
    ESTABLISHED,
    LISTEN,
    SYN_RECEIVED,
    SYN_SENT,
    TIME_WAIT,
    Action,
    State,
)
from timewait.tcp.states import Event as Input
from timewait.wire.segment import ACK
from timewait.wire.seq import MASK

_QUEUEING = (SYN_SENT, SYN_RECEIVED, ESTABLISHED, CLOSE_WAIT)


def send(
    conn: Connection, data: bytes, now: Instant, out: list[Event], urgent: bool, more: bool, record: bool
) -> int | Errno:
    """SEND: queue what the buffer has room for and return its size.  Section 3.10.2.

    EPIPE once our side is closed; the pending error first, once; EAGAIN when there is no room.
    """
    error = take_error(conn)
    if error is not None:
        return error
    if conn.state not in _QUEUEING or conn.fin_queued:
        return Errno.EPIPE
    limit = conn.options.send_buffer
    room = (conn.shared.profile.send_buffer if limit is None else limit) - len(conn.buffer)
    if room <= 0:
        conn.want_room = True
        return Errno.EAGAIN if data else 0
    taken = data[:room]
    if taken:
        chronograph.start(conn, chronograph.Cause.BUSY, now)
    conn.buffer += taken
    if record and taken and len(taken) == len(data):
        conn.records += (conn.fin_seq,)  # MSG_EOR: tcp_skb_can_collapse_to(), include/net/tcp.h
    conn.want_room = len(taken) < len(data)
    if urgent and taken:
        conn.snd_up = conn.fin_seq
    conn.more = more
    if conn.state is ESTABLISHED or conn.state is CLOSE_WAIT:
        conn.more_now = more
        sender.transmit(conn, now, out)
        conn.more_now = False
    return len(taken)


def receive(conn: Connection, size: int, now: Instant, out: list[Event], peek: bool) -> bytes | Errno:
    """RECEIVE: return up to `size` octets, or nothing at the end of file.  Section 3.10.3.

    EAGAIN while there is nothing yet; the pending error once the buffer is empty; ENOTCONN before any connection.
    """
    if conn.received:
        data = bytes(conn.received[:size])
        if not peek:
            del conn.received[:size]
            _open_window(conn, now, out)
        return data
    if conn.remote_fin == CONSUMED and conn.shared.profile.end_before_error:
        return b""
    error = take_error(conn)
    if error is not None:
        return error
    if conn.remote_fin == CONSUMED or conn.read_shut or conn.state in (CLOSED, TIME_WAIT):
        return b""
    return Errno.EAGAIN


def ready(conn: Connection, state: State) -> list[str]:
    """Return what poll(2) reports, the names without POLL; `state`: the one that the user sees.

    Linux: tcp_poll(), net/ipv4/tcp.c; what is shut for writing is ready for it, as send() then fails at once.
    """
    if state is SYN_SENT or state is SYN_RECEIVED:
        return []
    ended = state is CLOSED or state is TIME_WAIT
    at_end = conn.remote_fin == CONSUMED or conn.read_shut or ended
    limit = conn.options.send_buffer
    limit = conn.shared.profile.send_buffer if limit is None else limit
    found = []
    if conn.received or at_end:
        found.append("IN")
    if ended or conn.fin_queued or 3 * max(0, limit - len(conn.buffer)) >= limit:
        found.append("OUT")
    if conn.error is not None:
        found.append("ERR")
    if ended or (at_end and conn.fin_queued):
        found.append("HUP")
    if at_end:
        found.append("RDHUP")
    return found


def _open_window(conn: Connection, now: Instant, out: list[Event]) -> None:
    """Tell the peer of room worth telling; not after its FIN, when no more can come.  Section 3.8.6.2.2."""
    if conn.remote_fin == CONSUMED or conn.state in (CLOSED, TIME_WAIT, SYN_SENT, SYN_RECEIVED):
        return
    limit, window = conn.rcv_limit, conn.rcv_wnd
    gain = limit - len(conn.received) - window
    match conn.shared.profile.window_update:
        case WindowUpdate.TWO_SEGMENTS:
            due = gain >= min(2 * conn.mss, limit >> 1)
        case WindowUpdate.DOUBLED:
            due = 2 * window <= limit and gain >= max(window, 1)
        case WindowUpdate.QUARTER:
            enough = gain >= limit >> 2 or window <= limit >> 3 or limit <= 8 * conn.mss
            due = (gain >= 2 * conn.mss and enough) or 2 * gain >= limit
    if due:
        emit(conn, ACK, conn.snd_nxt, now, out)


def shut_write(conn: Connection, now: Instant, out: list[Event]) -> Errno | None:
    """CLOSE of our side only: queue the FIN behind all data.  Section 3.10.4; again in FIN-WAIT it is harmless."""
    if conn.state is CLOSED or conn.state is TIME_WAIT or conn.state is LISTEN:
        return Errno.ENOTCONN
    step(conn, Input.CLOSE, out)
    sender.flush(conn, now, out)
    return None


def close(conn: Connection, now: Instant, out: list[Event]) -> None:
    """CLOSE by a user who leaves: FIN, or RST when received data goes unread or linger is zero.

    RFC 9293 section 3.6.1 (SHLD-3), RFC 2525 section 2.17; SO_LINGER is the sockets interface's ABORT.
    """
    counters = conn.shared.counters
    if conn.received and conn.shared.profile.unread_resets:
        counters["TCPAbortOnClose"] += 1
        abort(conn, now, out)
    elif conn.options.linger == 0:
        counters["TCPAbortOnData"] += 1
        abort(conn, now, out)
    else:
        conn.user_gone = True
        conn.received.clear()
        step(conn, Input.CLOSE, out)
        sender.flush(conn, now, out)


def abort(conn: Connection, now: Instant, out: list[Event]) -> None:
    """ABORT: RST at SND.NXT where the table says so, and the connection is gone.  Section 3.10.5."""
    conn.user_gone = True
    if Action.SEND_RST in step(conn, Input.ABORT, out):
        if conn.state is CLOSED and conn.snd_nxt == conn.iss:
            conn.snd_nxt = (conn.iss + 1) & MASK
        emit_reset(conn, now, out)
        conn.reset_sent = True


def take_error(conn: Connection) -> Errno | None:
    """Return the pending error and clear it (SO_ERROR)."""
    error = conn.error
    conn.error = None
    return error
