"""How long a sender was busy, and how long of that the peer's window or its own buffer held it back.

What tcp_info tells as busy time, rwnd limited and sndbuf limited.  Linux: tcp_chrono_start(), tcp_chrono_stop(),
net/ipv4/tcp_output.c.
"""

from enum import IntEnum

from timewait.clock import Duration, Instant
from timewait.tcp.connection import Connection


class Cause(IntEnum):
    """What time is counted for; where several hold, the last of them here is."""

    IDLE = 0
    BUSY = 1
    WINDOW = 2
    BUFFER = 3


def start(conn: Connection, cause: Cause, now: Instant) -> None:
    """From now on this holds, too."""
    if cause > conn.held_by:
        _switch(conn, cause, now)


def stop(conn: Connection, cause: Cause, now: Instant) -> None:
    """It holds no more: busy with the rest, or idle where nothing is left to send or to be acknowledged."""
    if not conn.buffer:
        _switch(conn, Cause.IDLE, now)
    elif conn.held_by == cause:
        _switch(conn, Cause.BUSY, now)


def _switch(conn: Connection, cause: Cause, now: Instant) -> None:
    if conn.held_by == cause:
        return
    conn.held_for = _counted(conn, now)
    conn.held_by = cause
    conn.held_since = now


def _counted(conn: Connection, now: Instant) -> tuple[Duration, ...]:
    return tuple(
        each + (now - conn.held_since) * (conn.held_by == cause)
        for cause, each in zip(tuple(Cause)[1:], conn.held_for, strict=True)
    )


def times(conn: Connection, now: Instant) -> tuple[Duration, Duration, Duration]:
    """Return for how long the sender was busy in all, held back by the window, by its buffer."""
    busy, window, buffer = _counted(conn, now)
    return busy + window + buffer, window, buffer
