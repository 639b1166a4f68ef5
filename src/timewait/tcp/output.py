"""Segments out: header fields, options and the offered window of what a connection sends.

RFC 9293 sections 3.1, 3.7, 3.8.6.

Knows how each stack lays out its options.  When to send is in `sender`, `receiver` and `arrival`.
"""

from collections.abc import Callable
from functools import lru_cache, partial

from timewait.clock import SECOND, Instant
from timewait.tcp.connection import NEVER, Connection
from timewait.tcp.events import Event, Send
from timewait.tcp.profile import Ecn
from timewait.wire.segment import (
    ACK,
    CWR,
    ECE,
    RST,
    SYN,
    URG,
    EndOfOptions,
    MaximumSegmentSize,
    NoOperation,
    Option,
    Sack,
    SackPermitted,
    Segment,
    Timestamps,
    WindowScale,
)
from timewait.wire.seq import MASK, lt

_NOP = NoOperation()
_END = EndOfOptions()
# Named tuples made from a tuple in one step: their own constructor is a Python function, and these are made most often.
_segment: Callable[[tuple[object, ...]], Segment] = partial(tuple.__new__, Segment)
_send: Callable[[tuple[Segment, int]], Send] = partial(tuple.__new__, Send)
_timestamps: Callable[[tuple[int, int, int]], Timestamps] = partial(tuple.__new__, Timestamps)
# RFC 3168 section 5.
ECT0 = 2
_SIZES = {2: 4, 3: 3, 4: 2, 8: 10}


def timestamp_now(conn: Connection, now: Instant) -> int:
    """Return the timestamp clock of this connection.  RFC 7323 section 4.1."""
    return (now * conn.shared.profile.ts_hz // SECOND + conn.ts_offset) & MASK


def opening_options(conn: Connection, now: Instant) -> tuple[Option, ...]:
    """Return the options of a SYN or SYN-ACK: what is in use on this connection, in the profile's layout."""
    profile = conn.shared.profile
    if conn.options.no_options:
        return ()
    scale = conn.rcv_scale if conn.scale_ok else None
    options, at = _laid_out(profile.syn_layout, profile.lone_sack_trails, conn.own_mss, conn.sack_ok, conn.ts_ok, scale)
    if at < 0:
        return options
    return (*options[:at], Timestamps(timestamp_now(conn, now), conn.ts_recent), *options[at + 1 :])


@lru_cache(maxsize=256)
def _laid_out(
    layout: tuple[tuple[str, ...], ...], lone_sack_trails: bool, mss: int, sack: bool, ts: bool, scale: int | None
) -> tuple[tuple[Option, ...], int]:
    """Return the options in order, filled to multiples of four, and where the timestamps belong (-1: nowhere)."""
    chosen: list[Option] = []
    length = 0
    for group in layout:
        options: list[Option] = []
        for kind in group:
            if kind == "mss":
                options.append(MaximumSegmentSize(mss))
            elif kind == "sack" and sack:
                options.append(SackPermitted())
            elif kind == "ts" and ts:
                options.append(Timestamps(0, 0))
            elif kind == "wscale" and scale is not None:
                options.append(WindowScale(scale))
        size = sum(_SIZES[option.kind] for option in options)
        fill = -(length + size) % 4
        if lone_sack_trails and len(options) == 1 and options[0].kind == 4:
            fill = 0
        chosen += [_NOP] * fill + options
        length += fill + size
    chosen += [_END] * (-length % 4)
    at = next((index for index, option in enumerate(chosen) if option.kind == 8), -1)
    return tuple(chosen), at


def offer_window(conn: Connection) -> int:
    """Open the window as far as the buffer allows and return it as the header says it.

    The right edge moves only by steps worth a segment (RFC 9293 section 3.8.6.2.2, MUST-39) and never moves back
    (section 3.8.6, SHLD-14).
    """
    room = conn.rcv_limit - len(conn.received)
    window = conn.rcv_wnd
    scale = conn.rcv_scale
    if room > window:
        gain = room - window
        if gain >= conn.mss or gain >= conn.rcv_limit >> 1 or (conn.shared.profile.judge_by_buffer and room > conn.mss):
            conn.rcv_wnd = window = max(window, min(room, 0xFFFF << scale))
    field = window >> scale
    if field >= 0xFFFF:
        return 0xFFFF
    if scale and conn.shared.profile.window_rounds_up and field << scale < window:
        field += 1
        conn.rcv_wnd = field << scale  # what is announced is also taken
    return field


def emit(conn: Connection, flags: int, seq: int, now: Instant, out: list[Event], payload: bytes = b"") -> None:
    """Send a segment that acknowledges all that was received; the acknowledgment that was due goes with it."""
    key = conn.key
    options: tuple[Option, ...] = ()
    if conn.ts_ok:
        value = (now * conn.shared.profile.ts_hz // SECOND + conn.ts_offset) & MASK
        options = (_NOP, _NOP, _timestamps((value, conn.ts_recent, 8)))
    if conn.sack_ok and (conn.pieces or conn.repeated is not None):
        options += (_NOP, _NOP, Sack(sack_blocks(conn)))
        conn.repeated = None
    urgent = 0
    if conn.snd_up >= 0:
        ahead = (conn.snd_up - seq) & MASK
        if 0 < ahead < 0x10000:
            flags |= URG
            urgent = ahead
    ecn = 0
    if conn.ecn_ok:
        flags, ecn = _congestion_marks(conn, flags, seq, payload)
    header = (*key, seq, conn.rcv_nxt, flags, offer_window(conn), options, payload, urgent)
    out.append(_send((_segment(header), ecn)))
    conn.shared.counters["OutSegs"] += 1
    conn.last_ack_sent = conn.rcv_nxt
    conn.ack_now = False
    conn.ack_at = NEVER
    conn.unacked = 0


def _congestion_marks(conn: Connection, flags: int, seq: int, payload: bytes) -> tuple[int, int]:
    """Return flags and IP's mark: new text is ECT(0), and tells once that the window was cut.  RFC 3168 section 6.1."""
    ecn = 0
    if payload and not lt(seq, conn.snd_nxt):
        ecn = ECT0
    if conn.ecn_cut and (ecn or conn.shared.profile.ecn_cut_told_by_any):
        flags |= CWR
        conn.ecn_cut = False
    if conn.ecn_echo and not flags & RST:
        flags |= ECE
    return flags, ecn


def emit_opening(conn: Connection, flags: int, now: Instant, out: list[Event]) -> None:
    """Send our SYN (or SYN-ACK, when `flags` has ACK), the window unscaled.  RFC 7323 section 2.2."""
    key = conn.key
    window = min(conn.rcv_wnd, 0xFFFF)
    ack = conn.rcv_nxt if flags & ACK else 0
    options = opening_options(conn, now)
    if flags & ACK:
        flags |= ECE if conn.ecn_ok else 0
    elif conn.shared.profile.ecn is Ecn.ASK and conn.retries <= conn.shared.profile.ecn_syn_retries:
        flags |= ECE | CWR
        conn.ecn_asked = True
    out.append(Send(Segment(key[0], key[1], key[2], key[3], conn.iss, ack, flags | SYN, window, options)))
    conn.shared.counters["OutSegs"] += 1
    conn.last_ack_sent = conn.rcv_nxt
    conn.ack_now = False
    if conn.snd_nxt == conn.iss:
        conn.snd_nxt = (conn.iss + 1) & MASK


def emit_reset(conn: Connection, now: Instant, out: list[Event], seq: int | None = None) -> None:
    """Send a RST: at SND.NXT as an abort does (section 3.10.5), or bare at `seq`."""
    if seq is None:
        emit(conn, RST | ACK if conn.shared.profile.reset_carries_ack else RST, conn.snd_nxt, now, out)
        if not conn.shared.profile.reset_carries_ack:
            _clear_ack(out)
    else:
        key = conn.key
        out.append(Send(Segment(key[0], key[1], key[2], key[3], seq, 0, RST, 0)))
        conn.shared.counters["OutSegs"] += 1
    conn.shared.counters["OutRsts"] += 1


def _clear_ack(out: list[Event]) -> None:
    last = out[-1]
    if isinstance(last, Send):
        out[-1] = Send(last.segment._replace(ack=0))


def sack_blocks(conn: Connection) -> tuple[tuple[int, int], ...]:
    """Return the blocks to report, as many as fit: what came twice, what came last, then by how lately it came.

    RFC 2018 section 4, RFC 2883 section 4.
    """
    blocks: list[tuple[int, int]] = []
    for seq, data in conn.pieces:
        if blocks and blocks[-1][1] == seq:
            blocks[-1] = (blocks[-1][0], (seq + len(data)) & MASK)
        else:
            blocks.append((seq, (seq + len(data)) & MASK))
    if len(blocks) > 1:
        newest = conn.newest_pieces
        blocks.sort(key=lambda block: _age(block, newest))
    if conn.repeated is not None:
        blocks.insert(0, conn.repeated)
    return tuple(blocks[: 3 if conn.ts_ok else 4])


def _age(block: tuple[int, int], newest: tuple[int, ...]) -> int:
    size = (block[1] - block[0]) & MASK
    return next((at for at, seq in enumerate(newest) if (seq - block[0]) & MASK < size), len(newest))


def answer_stray(segment: Segment) -> Segment | None:
    """Return the RST for a segment that belongs to no connection; none for a reset.  RFC 9293 section 3.10.7.1."""
    if segment.flags & RST:
        return None
    if segment.flags & ACK:
        seq, ack, flags = segment.ack, 0, RST
    else:
        seq, ack, flags = 0, segment.end, RST | ACK
    return Segment(
        segment.destination, segment.destination_port, segment.source, segment.source_port, seq, ack, flags, 0
    )
