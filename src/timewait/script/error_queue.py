"""`ErrorQueue`: what Linux tells a program about what it sent, for the engine: zero copy is over, packet timestamps.

Keeps what was promised with a send, watches what leaves and what is acknowledged, and queues the reports.  Linux:
msg_zerocopy_callback() and __skb_tstamp_tx(), net/core/skbuff.c; tcp_tx_timestamp(), net/ipv4/tcp.c.
"""

import errno
from collections import deque
from dataclasses import dataclass, field
from typing import Final

from timewait.clock import Duration
from timewait.script.calls import CONSTANTS
from timewait.script.messages import QueuedError
from timewait.tcp.connection import Connection
from timewait.wire.segment import Segment
from timewait.wire.seq import MASK, le, lt

_LINUX: Final = CONSTANTS["linux"]
_ZERO_COPY: Final = _LINUX["SO_EE_ORIGIN_ZEROCOPY"]
_STAMP: Final = _LINUX["SO_EE_ORIGIN_TIMESTAMPING"]
# What loops back or goes through a device without its own copying is copied after all: skb_orphan_frags_rx().
_COPIED: Final = _LINUX["SO_EE_CODE_ZEROCOPY_COPIED"]
_LEFT: Final = (
    (_LINUX["SOF_TIMESTAMPING_TX_SCHED"], _LINUX["SCM_TSTAMP_SCHED"]),
    (_LINUX["SOF_TIMESTAMPING_TX_SOFTWARE"], _LINUX["SCM_TSTAMP_SND"]),
)
_ON_ACK: Final = _LINUX["SOF_TIMESTAMPING_TX_ACK"]
_WITH_ID: Final = _LINUX["SOF_TIMESTAMPING_OPT_ID"]
_ID_FROM_WRITTEN: Final = _LINUX["SOF_TIMESTAMPING_OPT_ID_TCP"]
_STAMP_ALONE: Final = _LINUX["SOF_TIMESTAMPING_OPT_TSONLY"]
_TELLS_TIME: Final = _LINUX["SOF_TIMESTAMPING_SOFTWARE"]


@dataclass(slots=True)
class _Stamp:
    """The last octet of a write that asked for timestamps, as its number; `size`: of the packet that carried it."""

    last: int
    flags: int
    size: int = 0


@dataclass(slots=True)
class ErrorQueue:
    """Of one socket.  `asked`: its SO_TIMESTAMPING."""

    asked: int = 0
    waiting: deque[QueuedError] = field(default_factory=deque)
    _base: int = 0  # the number that OPT_ID counts from
    _sends: int = 0  # how many zero-copy sends there were
    _copies: list[tuple[int, int]] = field(default_factory=list)  # number behind the last octet, which send
    _stamps: list[_Stamp] = field(default_factory=list)

    def ask(self, flags: int, conn: Connection | None) -> None:
        """Take SO_TIMESTAMPING: sock_set_timestamping(), net/core/sock.c."""
        if flags & _WITH_ID and not self.asked & _WITH_ID and conn is not None:
            self._base = conn.fin_seq if flags & _ID_FROM_WRITTEN else conn.snd_una
        self.asked = flags

    def wrote(self, conn: Connection, copies: bool, again: bool, last: bool) -> None:
        """A send has put octets into the buffer; `again`: as part of one that did so before; `last`: and is over."""
        end = conn.fin_seq
        if copies:
            if again and self._copies:
                self._copies[-1] = end, self._copies[-1][1]
            else:
                self._copies.append((end, self._sends))
                self._sends += 1
        if last and self.asked & (_ON_ACK | sum(flag for flag, _ in _LEFT)):
            self._stamps.append(_Stamp((end - 1) & MASK, self.asked))

    def sent(self, segment: Segment, now: Duration) -> bool:
        """A segment leaves; whether anything was queued for it."""
        found = False
        for stamp in self._stamps:
            if le(segment.seq, stamp.last) and lt(stamp.last, (segment.seq + len(segment.payload)) & MASK):
                stamp.size = len(segment.payload)
                for flag, kind in _LEFT:
                    if stamp.flags & flag:
                        self._queue_stamp(stamp, kind, now)
                        found = True
        return found

    def acknowledged(self, una: int, now: Duration) -> bool:
        """SND.UNA is at `una`; whether anything was queued for it."""
        found = False
        while self._stamps and lt(self._stamps[0].last, una):
            stamp = self._stamps.pop(0)
            if stamp.flags & _ON_ACK:
                self._queue_stamp(stamp, _LINUX["SCM_TSTAMP_ACK"], now)
                found = True
        while self._copies and le(self._copies[0][0], una):
            self._tell_copied(self._copies.pop(0)[1])
            found = True
        return found

    def _queue_stamp(self, stamp: _Stamp, kind: int, now: Duration) -> None:
        number = (stamp.last - self._base) & MASK if stamp.flags & _WITH_ID else 0
        time = now if self.asked & _TELLS_TIME else None
        size = 0 if stamp.flags & _STAMP_ALONE else max(stamp.size, 1)
        self.waiting.append(QueuedError(errno.ENOMSG, _STAMP, 0, kind, number, time, size))

    def _tell_copied(self, send: int) -> None:
        """Queue a report, joined to the one before if that is about the sends before: skb_zerocopy_notify_extend()."""
        newest = self.waiting[-1] if self.waiting else None
        if newest is not None and newest.origin == _ZERO_COPY and newest.data + 1 == send:
            newest.data = send
        else:
            self.waiting.append(QueuedError(0, _ZERO_COPY, _COPIED, send, send))
