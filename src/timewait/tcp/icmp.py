"""ICMP errors that concern a connection: which are believed, which end it.

RFC 9293 section 3.9.2.2, RFC 5461, RFC 5927.

Parsing ICMP is left to the caller, who passes the kind and the numbers of the quoted segment.
"""

from enum import Enum

from timewait.clock import Instant
from timewait.tcp import sender
from timewait.tcp.connection import Connection, Recovery, step
from timewait.tcp.events import Dropped, Errno, Event, Reason
from timewait.tcp.states import SYN_RECEIVED, SYN_SENT
from timewait.tcp.states import Event as Input
from timewait.wire.segment import Segment
from timewait.wire.seq import MASK


class IcmpError(Enum):
    """Kinds of error, each with what a user is told."""

    NETWORK_UNREACHABLE = Errno.ENETUNREACH, "soft"
    HOST_UNREACHABLE = Errno.EHOSTUNREACH, "soft, too"
    TIME_EXCEEDED = Errno.EHOSTUNREACH, "soft"
    PROTOCOL_UNREACHABLE = Errno.ENOPROTOOPT, "hard"
    PORT_UNREACHABLE = Errno.ECONNREFUSED, "hard"
    PROHIBITED = Errno.EHOSTUNREACH, "administratively"
    FRAGMENTATION_NEEDED = Errno.EMSGSIZE, "path MTU"
    SOURCE_QUENCH = Errno.EAGAIN, "obsolete"

    @property
    def error(self) -> Errno:
        """What a user is told."""
        return self.value[0]


# What another router may know better by the next try.
_ON_THE_WAY = (IcmpError.NETWORK_UNREACHABLE, IcmpError.HOST_UNREACHABLE)


def icmp_arrives(conn: Connection, kind: IcmpError, quoted: Segment, mtu: int, now: Instant, out: list[Event]) -> None:
    """Take an ICMP error that quotes `quoted`, a segment of ours.

    While opening it ends the attempt where the profile's stack does so; later it is only remembered, for such errors
    pass or are forged (RFC 5461 section 4).  A quoted number outside SND.UNA..SND.NXT is not believed (RFC 5927).
    """
    offset, ahead = (quoted.seq - conn.snd_una) & MASK, (conn.snd_nxt - conn.snd_una) & MASK
    if offset > ahead or (offset == ahead and ahead and not conn.shared.profile.icmp_next_believed):
        out.append(Dropped(quoted, Reason.NOT_OURS))
        conn.shared.counters["OutOfWindowIcmps"] += 1
        return
    if kind is IcmpError.SOURCE_QUENCH:
        return  # RFC 6633
    if kind is IcmpError.FRAGMENTATION_NEEDED:
        _shrink_segments(conn, mtu, now, out)
        return
    profile = conn.shared.profile
    if conn.state is SYN_SENT or (conn.state is SYN_RECEIVED and not conn.passive):
        refused = profile.icmp_refuses and kind in (IcmpError.PROTOCOL_UNREACHABLE, IcmpError.PROHIBITED)
        if kind in _ON_THE_WAY and conn.retries < profile.icmp_patience:
            conn.soft_error = kind.error
        elif profile.icmp_ends_opening:
            conn.shared.counters["AttemptFails"] += 1
            step(conn, Input.TIMEOUT_USER, out, Errno.ECONNREFUSED if refused else kind.error)
    elif kind.value[1] == "hard" and profile.icmp_hard_aborts:
        step(conn, Input.TIMEOUT_USER, out, kind.error)
    elif conn.handle:
        conn.soft_error = kind.error


def _shrink_segments(conn: Connection, mtu: int, now: Instant, out: list[Event]) -> None:
    """Send smaller segments from now on, and what is outstanding again.  RFC 1191 section 6.4, RFC 8201."""
    headers = 40 if len(conn.key[0]) == 4 else 60
    floor = 536 if headers == 40 else 1220
    if conn.state is SYN_SENT and conn.shared.profile.path_mtu_in_syn:
        conn.own_mss = min(conn.own_mss, max(mtu - headers, floor))
    size = max(mtu - headers, floor) - (12 if conn.ts_ok else 0)
    if size >= conn.mss or sender.is_opening(conn):
        return
    conn.mss = size
    if conn.snd_una != conn.snd_nxt and conn.recovery is not Recovery.TIMEOUT:
        conn.recovery = Recovery.TIMEOUT
        conn.recover = conn.snd_nxt
        conn.resend_seq = conn.snd_una
        sender.transmit(conn, now, out)
