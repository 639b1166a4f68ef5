"""A segment finds its connection, its TIME-WAIT record, its listener, or nobody.  RFC 9293 section 3.10.7.

What a segment means to a connection is in `arrival`, to a record in `time_wait`; here is what each costs the tables.
"""

from typing import Final

from timewait.clock import SECOND, Instant
from timewait.tcp import sender
from timewait.tcp.arrival import find_timestamps, may_challenge, segment_arrives
from timewait.tcp.connection import Connection, step
from timewait.tcp.core import Core, Listener, is_loopback
from timewait.tcp.events import Dropped, Entered, Events, FourTuple, Reason, Send
from timewait.tcp.opening import take_opening
from timewait.tcp.output import answer_stray
from timewait.tcp.ports import BOUND, reuse_flags
from timewait.tcp.profile import NoListener, SynFinRule
from timewait.tcp.states import CLOSED, SYN_RECEIVED, TIME_WAIT
from timewait.tcp.states import Event as Input
from timewait.tcp.time_wait import TimeWait, Verdict, judge, pack_key
from timewait.wire.segment import ACK, FIN, RST, SYN, NoOperation, Option, Segment, Timestamps
from timewait.wire.seq import MASK, lt

_NOP = NoOperation()
# Linux TCP_PAWS_MSL and TCP_PAWS_WINDOW, include/net/tcp.h until 4.11: the memory that tcp_tw_recycle judged by.
_HOST_STAMP_LIFE: Final = 60 * SECOND
_HOST_STAMP_SLACK: Final = 1


class Demux(Core):
    """The tables, with segments coming in."""

    __slots__ = ()

    # --- Segments in

    def receive(self, segment: Segment, now: Instant, congested: bool = False) -> Events:
        """Take a segment from the network.  RFC 9293 section 3.10.7.

        A stack without addresses takes all for its own.  `congested`: IP says so of it (RFC 3168 section 5).
        """
        out: Events = []
        shared = self.shared
        shared.congested = congested
        shared.counters["InSegs"] += 1
        key = (segment.destination, segment.destination_port, segment.source, segment.source_port)
        conn = self.connections.get(key)
        if segment.flags & (SYN | FIN) == SYN | FIN and shared.profile.syn_fin is SynFinRule.DISCARD:
            out.append(Dropped(segment, Reason.SYN_FIN))
        elif conn is not None:
            if conn.state is SYN_RECEIVED and self._queue_full(conn, segment):
                out.append(Dropped(segment, Reason.ACCEPT_QUEUE_FULL))
            else:
                segment_arrives(conn, segment, now, out)
                self.settle(conn, now, out)
        else:
            self._without_connection(FourTuple(*key), segment, now, out)
        return out

    def _queue_full(self, conn: Connection, segment: Segment) -> bool:
        """Whether the ACK that would establish a connection is ignored, there being no room for it."""
        listener = self.handles.get(conn.listener)
        if not isinstance(listener, Listener) or segment.flags & (RST | SYN):
            return False
        full = len(listener.ready) >= listener.backlog + self.profile.listen_backlog_extra
        if full:
            self.counters["ListenOverflows"] += 1
            self.counters["ListenDrops"] += 1
        return full

    def _without_connection(self, key: FourTuple, segment: Segment, now: Instant, out: Events) -> None:
        if self.waits.queues:
            packed = pack_key(key)
            wait = self.waits.find(packed)
            if wait is not None:
                self._to_record(key, packed, wait, segment, now, out)
                return
        if key[0] not in self.addresses and self.addresses and not is_loopback(key[0]):
            out.append(Dropped(segment, Reason.NOT_LOCAL))
            return
        listener = self._listener_for(key)
        if listener is not None:
            self._at_listener(listener, key, segment, now, out)
        else:
            reason = Reason.RST_WITHOUT_CONNECTION if segment.flags & RST else Reason.NO_CONNECTION
            out.append(Dropped(segment, reason))
            profile = self.profile
            if profile.stray_syn_answered if segment.flags & SYN else profile.stray_answered:
                self._reset_stray(segment, out)

    def _listener_for(self, key: FourTuple) -> Listener | None:
        return self.listeners.get((key[0], key[1])) or self.listeners.get((b"", key[1]))

    def _reset_stray(self, segment: Segment, out: Events) -> None:
        answer = answer_stray(segment)
        if answer is not None:
            self.counters["OutSegs"] += 1
            self.counters["OutRsts"] += 1
            out.append(Send(answer))

    # --- TIME-WAIT records

    def _to_record(
        self, key: FourTuple, packed: bytes, wait: TimeWait, segment: Segment, now: Instant, out: Events
    ) -> None:
        """A segment for a record: judged in `time_wait`, carried out here."""
        profile = self.profile
        verdict = judge(wait, segment, profile, now)
        if verdict.paws:
            self.counters["PAWSTimewait"] += 1
        if verdict.event is Input.SYN:
            listener = self._listener_for(key)
            if listener is not None:
                self._reopen(listener, key, packed, wait, segment, now, out)
                return
            if profile.tw_no_listener is not NoListener.KEEP_AND_ACK:
                self.forget(key, packed, wait, out)
                out.append(Dropped(segment, Reason.NO_CONNECTION))
                if profile.tw_no_listener is NoListener.DELETE_AND_RESET:
                    self._reset_stray(segment, out)
                return
            verdict = Verdict(Reason.TW_SYN_NO_LISTENER, ack=True, limited=True)
        if verdict.reset and verdict.event is Input.SYN_IN_WINDOW and not wait.fin_wait_2:
            self._reset_from_record(key, wait, now, out)
        elif verdict.reset:
            self._reset_stray(segment, out)
        if verdict.event in (Input.RST, Input.SYN_IN_WINDOW, Input.LATE_DATA):
            if verdict.event != Input.RST or verdict.reason is Reason.FW2_KILLED:
                out.append(Dropped(segment, verdict.reason))
            self.forget(key, packed, wait, out)
            return
        reason = verdict.reason
        if verdict.event is Input.FIN and wait.fin_wait_2:
            wait.rcv_nxt = (wait.rcv_nxt + 1) & MASK
            wait.fin_wait_2 = False
            wait.entered = now if wait.ts_ok else wait.entered
            wait.ts_recent_at = now
            length = profile.time_wait
            if profile.tw_recycle and wait.ts_ok:
                self.remember_host(key[2], wait.ts_recent, now)
                length = profile.rto_min * 7 // 2  # 3.5 timeouts: a record has lost the measured one
            self.waits.restart(packed, wait, length, now)
            self._answer_record(key, wait, now, out)
            out.append(Entered(key, TIME_WAIT, wait.expires))
            return
        if verdict.ack:
            if not self._may_answer(wait, verdict, now):
                reason = Reason.FW2_SKIPPED if wait.fin_wait_2 else Reason.TW_SKIPPED
                self.counters[reason.counter] += 1
            else:
                self._answer_record(key, wait, now, out)
        out.append(Dropped(segment, reason))
        if verdict.restart:
            self.waits.restart(packed, wait, wait.length, now)
            out.append(Entered(key, TIME_WAIT, wait.expires))
        else:
            self.waits.keep(packed, wait)

    def _may_answer(self, wait: TimeWait, verdict: Verdict, now: Instant) -> bool:
        profile = self.profile
        if verdict.limited and profile.tw_ack_interval:
            if now - wait.answered < profile.tw_ack_interval:
                return False
            wait.answered = now
        return not verdict.challenge or may_challenge(self.shared, now)

    def _stamped(self, wait: TimeWait, now: Instant) -> tuple[Option, ...]:
        if not wait.ts_ok:
            return ()
        value = (now * self.profile.ts_hz // SECOND + wait.ts_offset) & MASK
        return (_NOP, _NOP, Timestamps(value, wait.ts_recent))

    def _answer_record(self, key: FourTuple, wait: TimeWait, now: Instant, out: Events) -> None:
        """ACK <SND.NXT, RCV.NXT> with the window of the entry and the newest timestamp.  RFC 7323 section 4.3."""
        options = self._stamped(wait, now)
        out.append(Send(Segment(*key, wait.snd_nxt, wait.rcv_nxt, ACK, wait.window_field, options)))
        self.counters["OutSegs"] += 1

    def _reset_from_record(self, key: FourTuple, wait: TimeWait, now: Instant, out: Events) -> None:
        """RST, ACK <SND.NXT, RCV.NXT>: the text of RFC 793 gives no numbers of its own."""
        out.append(Send(Segment(*key, wait.snd_nxt, wait.rcv_nxt, RST | ACK, 0, self._stamped(wait, now))))
        self.counters["OutSegs"] += 1
        self.counters["OutRsts"] += 1

    def _reopen(
        self,
        listener: Listener,
        key: FourTuple,
        packed: bytes,
        wait: TimeWait,
        segment: Segment,
        now: Instant,
        out: Events,
    ) -> None:
        """A SYN takes the four-tuple over: the record goes first, then a listener sees the SYN."""
        self.forget(key, packed, wait, None)
        conn = self._at_listener(listener, key, segment, now, out, wait)
        if conn is None:
            out.append(Entered(key, CLOSED))
        elif self.profile.tw_returns:
            conn.old_wait = wait.pack()

    # --- Listeners

    def _at_listener(
        self,
        listener: Listener,
        key: FourTuple,
        segment: Segment,
        now: Instant,
        out: Events,
        wait: TimeWait | None = None,
    ) -> Connection | None:
        """A segment for a listener.  RFC 9293 section 3.10.7.2."""
        flags = segment.flags
        profile = self.profile
        if flags & RST:
            out.append(Dropped(segment, Reason.RST_AT_LISTENER))
        elif flags & ACK:
            out.append(Dropped(segment, Reason.ACK_AT_LISTENER))
            self._reset_stray(segment, out)
        elif not flags & SYN:
            out.append(Dropped(segment, Reason.NOT_A_SYN_AT_LISTENER))
        elif flags & FIN and profile.syn_fin is not SynFinRule.AS_SYN:
            out.append(Dropped(segment, Reason.SYN_FIN if wait is None else Reason.TW_DESTROYED_BY_SYN_FIN))
        elif len(listener.ready) >= listener.backlog + profile.listen_backlog_extra:
            self.counters["ListenOverflows"] += 1
            self.counters["ListenDrops"] += 1
            out.append(Dropped(segment, Reason.ACCEPT_QUEUE_FULL))
        elif wait is None and listener.half_open >= profile.syn_backlog:
            self.counters["ListenDrops"] += 1
            out.append(Dropped(segment, Reason.BACKLOG_FULL))
        elif profile.tw_recycle and self._old_by_host(segment, now):
            self.counters["PAWSPassive"] += 1
            out.append(Dropped(segment, Reason.OLD_BY_HOST_CACHE))
        else:
            return self._open_passively(listener, key, segment, now, out, wait)
        return None

    def _old_by_host(self, segment: Segment, now: Instant) -> bool:
        """tcp_tw_recycle: a SYN older than the newest timestamp seen of its host within 60 s."""
        known = self.host_stamps.get(segment.source)
        stamp = find_timestamps(segment.options)
        if known is None or stamp is None or now - known[1] >= _HOST_STAMP_LIFE:
            return False
        return lt((stamp.value + _HOST_STAMP_SLACK) & MASK, known[0])

    def _open_passively(
        self,
        listener: Listener,
        key: FourTuple,
        segment: Segment,
        now: Instant,
        out: Events,
        wait: TimeWait | None,
    ) -> Connection:
        conn = self.new_connection(key, listener.options, True, now, wait)
        conn.listener = listener.handle
        take_opening(conn, segment, now)
        step(conn, Input.SYN, out)
        options = listener.options
        self.claim(conn, BOUND | reuse_flags(options))
        self.connections[key] = conn
        listener.half_open += 1
        sender.send_opening(conn, now, out)
        self.arm(conn)
        self.counters["PassiveOpens"] += 1
        return conn
