"""What a stack is made of: its tables, and the moves between them.  The user's calls are in `stack`.

A connection that ends becomes a record or vanishes; timers of connections stand in one heap, re-armed lazily, and those
of records in the record table itself.  Segments are taken in by `demux`.
"""

from collections import deque
from collections.abc import Iterable
from hashlib import blake2s
from heapq import heapify, heappop, heappush
from random import Random
from typing import Any, Final, Self

from timewait.clock import SECOND, Instant
from timewait.tcp import isn
from timewait.tcp.arrival import orphan_wait
from timewait.tcp.connection import NEVER, Connection, Options, Shared, step
from timewait.tcp.events import (
    Acceptable,
    Entered,
    Errno,
    Events,
    FourTuple,
    Released,
)
from timewait.tcp.output import emit_reset
from timewait.tcp.ports import WAITING, PortTable
from timewait.tcp.profile import IssRule, Overflow, Profile
from timewait.tcp.states import (
    CLOSE_WAIT,
    CLOSED,
    CLOSING,
    ESTABLISHED,
    FIN_WAIT_1,
    FIN_WAIT_2,
    LAST_ACK,
    LISTEN,
    SYN_RECEIVED,
    TIME_WAIT,
)
from timewait.tcp.states import Event as Input
from timewait.tcp.time_wait import TimeWait, WaitTable, new_iss_above, pack_key, unpack_key
from timewait.tcp.timeouts import expire
from timewait.wire.seq import lt

# How many hosts the memory of tcp_tw_recycle holds.
_HOST_STAMPS: Final = 65536
_LOOPBACK6 = bytes(15) + b"\x01"
_FIN_PENDING = (ESTABLISHED, CLOSE_WAIT, SYN_RECEIVED, FIN_WAIT_1, CLOSING, LAST_ACK)


def is_loopback(address: bytes) -> bool:
    """Whether a packed address is 127.0.0.0/8 or ::1."""
    return address[0] == 127 if len(address) == 4 else address == _LOOPBACK6


class Socket:
    """A socket that neither listens nor is connected; `port_class` is -1 until it holds a port."""

    __slots__ = ("address", "handle", "options", "port", "port_class")

    def __init__(self, handle: int, options: Options) -> None:
        self.handle = handle
        self.options = options
        self.address = b""
        self.port = 0
        self.port_class = -1


class Listener:
    """A listening socket: `ready` holds the handles of connections not yet accepted."""

    __slots__ = ("address", "backlog", "half_open", "handle", "options", "port", "port_class", "ready")

    def __init__(self, socket: Socket, backlog: int) -> None:
        self.handle = socket.handle
        self.options = socket.options
        self.address = socket.address
        self.port = socket.port
        self.port_class = socket.port_class
        self.backlog = backlog
        self.ready: deque[int] = deque()
        self.half_open = 0

    def fork(self) -> "Listener":
        """Return an independent copy."""
        socket = Socket(self.handle, self.options)
        socket.address, socket.port, socket.port_class = self.address, self.port, self.port_class
        other = Listener(socket, self.backlog)
        other.ready = self.ready.copy()
        other.half_open = self.half_open
        return other


class Core:
    """One host's connections, records, listeners and timers."""

    __slots__ = (
        "addresses",
        "chance",
        "connections",
        "handles",
        "host_stamps",
        "listeners",
        "mtu",
        "next_handle",
        "opened",
        "ports",
        "secret",
        "shared",
        "sysctls",
        "timers",
        "waits",
    )

    def __init__(
        self,
        profile: Profile,
        addresses: Iterable[bytes],
        secret: bytes = b"timewait",
        chance: Random | None = None,
        mtu: int = 1500,
    ) -> None:
        self.shared = Shared(profile)
        self.addresses = tuple(addresses)
        self.secret = secret
        self.chance = chance or Random(0)
        self.mtu = mtu
        self.connections: dict[tuple[bytes, int, bytes, int], Connection] = {}
        self.listeners: dict[tuple[bytes, int], Listener] = {}
        self.handles: dict[int, Socket | Listener | Connection] = {}
        self.next_handle = 3
        self.opened = 0
        self.waits = WaitTable()
        self.ports = PortTable()
        self.timers: list[tuple[Instant, tuple[bytes, int, bytes, int]]] = []
        self.sysctls: dict[str, int | tuple[int, int] | str] = {
            name: sysctl.default for name, sysctl in profile.sysctls.items()
        }
        self.host_stamps: dict[bytes, tuple[int, Instant]] = {}

    @property
    def profile(self) -> Profile:
        """The values in force: the profile given, as changed by settings."""
        return self.shared.profile

    @property
    def counters(self) -> dict[str, int]:
        """What happened how often, under Linux's names where Linux counts the same (nstat)."""
        return self.shared.counters

    # --- TIME-WAIT records

    def forget(self, key: FourTuple, packed: bytes, wait: TimeWait, out: Events | None) -> None:
        """Delete a record and its claim on the port."""
        self.waits.remove(packed, wait)
        self.ports.remove(key[1], wait.port_class)
        if out is not None:
            out.append(Entered(key, CLOSED))

    def _enter_wait(self, conn: Connection, now: Instant, out: Events, fin_wait_2: int | None = None) -> None:
        """A connection becomes a record: TIME-WAIT, or a small FIN-WAIT-2 of the length given.  RFC 9293 3.6.1."""
        profile = self.profile
        key = conn.key
        full = profile.tw_limit is not None and len(self.waits) >= profile.tw_limit
        if full and profile.tw_overflow is Overflow.EVICT_OLDEST and profile.tw_limit:
            oldest = self.waits.oldest()
            if oldest is not None:
                self.forget(unpack_key(oldest[0]), *oldest, out)
                full = False
        local = profile.tw_skips_local and (key[2] in self.addresses or is_loopback(key[2]))
        if full:
            self.counters["TCPTimeWaitOverflow"] += 1
        length = profile.time_wait if fin_wait_2 is None else fin_wait_2
        if profile.tw_recycle and conn.ts_ok:
            self.remember_host(conn.key[2], conn.ts_recent, conn.ts_recent_at)
            if fin_wait_2 is None:
                length = conn.rto * 7 // 2
        self.ports.remove(key[1], conn.port_class)
        if full or local or length <= 0:
            out.append(Entered(key, CLOSED))
            return
        conn.port_class |= WAITING
        self.ports.add(key[1], conn.port_class)
        wait = TimeWait.of(conn, length, now, fin_wait_2 is not None)
        self.waits.add(pack_key(key), wait)
        # Armed with more than 4 s counts as TW, less as TWKilled: inet_twsk_schedule(), net/ipv4/inet_timewait_sock.c.
        self.counters["TW" if length > 4 * SECOND else "TWKilled"] += 1
        if fin_wait_2 is None:
            out.append(Entered(key, TIME_WAIT, wait.expires))

    def remember_host(self, address: bytes, stamp: int, at: Instant) -> None:
        """Note the newest timestamp of a host, for tcp_tw_recycle."""
        stamps = self.host_stamps
        stamps.pop(address, None)
        stamps[address] = (stamp, at)
        if len(stamps) > _HOST_STAMPS:
            del stamps[next(iter(stamps))]

    # --- New connections

    def first_number(self, mixed: int, passive: bool, now: Instant, wait: TimeWait | None) -> int:
        """Return the ISS of a connection, past the numbers of the incarnation that `wait` remembers."""
        profile = self.profile
        self.opened += 1
        if wait is not None and profile.tw_iss is IssRule.ABOVE_OLD:
            return new_iss_above(wait)
        number = isn.initial(profile, mixed, passive, self.chance, now, self.opened)
        if wait is not None and profile.tw_iss is IssRule.NEW_BUMPED and not lt(wait.snd_nxt, number):
            return new_iss_above(wait)
        return number

    def new_connection(
        self, key: FourTuple, options: Options, passive: bool, now: Instant, wait: TimeWait | None
    ) -> Connection:
        """Return a connection with what this stack would like to use on it; `wait`: the record that it follows."""
        profile = self.profile
        mixed = isn.keyed(self.secret, *key)
        limit = options.receive_buffer
        if limit is None:
            limit = profile.receive_buffer
            if not passive and profile.receive_buffer_active is not None:
                limit = profile.receive_buffer_active
        mss = self.mtu - (40 if len(key[0]) == 4 else 60)
        if profile.receive_buffer_whole and options.receive_buffer is None and limit > mss:
            limit -= limit % mss
        iss = self.first_number(mixed, passive, now, wait)
        offered = mss if profile.segment_option_sends else min(mss, options.max_segment or mss)
        conn = Connection(key, self.shared, options, iss, passive, limit, offered)
        conn.sack_ok = profile.sack and not options.no_options
        if profile.window_scale is not None and not options.no_options:
            conn.scale_ok = True
            conn.rcv_scale = profile.window_scale
        if profile.scale_fits_buffer and options.receive_buffer is not None:
            _fit_window(conn)
        if profile.timestamps and not options.no_options:
            conn.ts_ok = True
            conn.ts_offset = isn.timestamp_offset(profile, mixed, self.secret, key[0], key[2])
        return conn

    def claim(self, conn: Connection, flags: int) -> None:
        """Enter a connection's claim on its local port."""
        conn.port_class = self.ports.class_of(conn.key[0], flags)
        self.ports.add(conn.key[1], conn.port_class)

    # --- After anything that may have moved a connection

    def settle(self, conn: Connection, now: Instant, out: Events) -> None:
        """Move a connection to where its new state belongs, and arm the timer."""
        if self.connections.get(conn.key) is not conn:
            return  # it was over before; its four-tuple may belong to another by now
        state = conn.state
        if conn.listener and not conn.handle and state is not SYN_RECEIVED:
            self._leave_half_open(conn, out)
        if conn.lingering and state not in _FIN_PENDING:
            conn.lingering = False
            conn.linger_at = NEVER
            out.append(Released(conn.handle, conn.error))
            self.handles.pop(conn.handle, None)
        if state is FIN_WAIT_2 and conn.user_gone and conn.end_at == NEVER:
            self._bound_fin_wait_2(conn, now, out)
            state = conn.state
        if state is CLOSED or state is TIME_WAIT or state is LISTEN:
            self._retire(conn, now, out)
        else:
            armed = conn.armed
            if (
                conn.resend_at < armed
                or conn.ack_at < armed
                or conn.keep_at < armed
                or conn.end_at < armed
                or conn.linger_at < armed
            ):
                self.arm(conn)

    def arm(self, conn: Connection) -> None:
        """Enter the connection's next deadline in the heap; earlier entries of it go stale by themselves."""
        deadline = conn.deadline
        conn.armed = deadline
        if deadline != NEVER:
            timers = self.timers
            heappush(timers, (deadline, conn.key))
            if len(timers) > 4 * len(self.connections) + 1024:
                self.timers = [(each.armed, each.key) for each in self.connections.values() if each.armed != NEVER]
                heapify(self.timers)

    def _leave_half_open(self, conn: Connection, out: Events) -> None:
        listener = self.handles.get(conn.listener)
        if not isinstance(listener, Listener):
            return
        listener.half_open -= 1
        if conn.state is not LISTEN and conn.state is not CLOSED:
            conn.handle = self.next_handle
            self.next_handle += 1
            self.handles[conn.handle] = conn
            listener.ready.append(conn.handle)
            conn.old_wait = None
            out.append(Acceptable(listener.handle))

    def _bound_fin_wait_2(self, conn: Connection, now: Instant, out: Events) -> None:
        """Limit FIN-WAIT-2 for want of a user: by a timer, or as a small record."""
        wait = orphan_wait(conn)
        if wait is None:
            return
        small = self.profile.fin_wait_2_small if conn.user_gone else 0
        if wait < 0:
            self.counters["TCPAbortOnData"] += 1
            emit_reset(conn, now, out, conn.snd_nxt)
            step(conn, Input.TIMEOUT_ORPHAN, out)
        elif small and wait <= small:
            self._shrink(conn, wait, now, out)
        else:
            conn.end_at = now + wait - small

    def _shrink_or_reset(self, conn: Connection, now: Instant, out: Events) -> None:
        """The full socket's time is up: a record for what is above, by the setting as it is now; else a reset.

        Linux: tcp_keepalive_timer(), net/ipv4/tcp_timer.c.  Measured on 6.18: 64 s make a socket and a record of 4 s.
        """
        conn.end_at = NEVER
        left = (orphan_wait(conn) or 0) - self.profile.fin_wait_2_small
        if left > 0:
            self._shrink(conn, left, now, out)
            return
        emit_reset(conn, now, out)
        step(conn, Input.TIMEOUT_ORPHAN, out)
        self.settle(conn, now, out)

    def _shrink(self, conn: Connection, length: int, now: Instant, out: Events) -> None:
        self.connections.pop(conn.key, None)
        conn.stop_timers()
        self._enter_wait(conn, now, out, length)
        conn.state = CLOSED

    def _retire(self, conn: Connection, now: Instant, out: Events) -> None:
        """Take a connection that is over out of the tables; its user may still hold it and read what is left."""
        if self.connections.pop(conn.key, None) is None:
            return
        conn.armed = NEVER
        conn.buffer = bytearray()
        conn.pieces = []
        if conn.state is TIME_WAIT or (conn.reset_sent and self.profile.reset_sender_waits):
            self._enter_wait(conn, now, out)
            return
        conn.state = CLOSED
        self.ports.remove(conn.key[1], conn.port_class)
        if conn.old_wait is not None:
            # The SYN that reopened it was an old duplicate: MAY-2 (2).
            wait = TimeWait.unpack(conn.old_wait)
            wait.length = self.profile.time_wait
            wait.expires = now + wait.length
            self.ports.add(conn.key[1], wait.port_class)
            self.waits.add(pack_key(conn.key), wait)
            out.append(Entered(conn.key, TIME_WAIT, wait.expires))

    # --- Time

    def next_deadline(self) -> Instant | None:
        """Return when `expire` has something to do; None while nothing is due."""
        timers = self.timers
        first = self.waits.next_deadline() if self.waits.queues else None
        while timers:
            at, key = timers[0]
            conn = self.connections.get(key)
            if conn is None or conn.armed != at:
                heappop(timers)
                continue
            if conn.deadline > at:
                heappop(timers)
                self.arm(conn)
                timers = self.timers
                continue
            return at if first is None or at < first else first
        return first

    def expire(self, now: Instant) -> Events:
        """Let everything happen that is due by `now`."""
        out: Events = []
        while self.timers and self.timers[0][0] <= now:
            at, key = heappop(self.timers)
            conn = self.connections.get(key)
            if conn is None or conn.armed != at:
                continue
            conn.armed = NEVER
            if conn.end_at <= now and conn.state is FIN_WAIT_2 and conn.user_gone and self.profile.fin_wait_2_small:
                self._shrink_or_reset(conn, now, out)
                continue
            if conn.deadline <= now:
                if conn.linger_at <= now:
                    self._linger_is_over(conn, now, out)
                expire(conn, now, out)
            self.settle(conn, now, out)
        for packed, wait in self.waits.due(now):
            self.forget(unpack_key(packed), packed, wait, out)
        return out

    def _linger_is_over(self, conn: Connection, now: Instant, out: Events) -> None:
        conn.linger_at = NEVER
        conn.lingering = False
        self.handles.pop(conn.handle, None)
        out.append(Released(conn.handle, Errno.EAGAIN))
        conn.handle = 0

    # --- A stack is a value

    def fork(self) -> Self:
        """Return an independent copy: the same calls on both give the same events."""
        chance = Random()
        chance.setstate(self.chance.getstate())
        other = type(self)(self.profile, self.addresses, self.secret, chance, self.mtu)
        other.shared = shared = self.shared.fork()
        copies: dict[int, Connection] = {}
        for key, conn in self.connections.items():
            other.connections[key] = copies[id(conn)] = conn.fork(shared)
        for handle, owner in self.handles.items():
            if isinstance(owner, Connection):
                other.handles[handle] = copies.get(id(owner)) or owner.fork(shared)
            elif isinstance(owner, Listener):
                twin = owner.fork()
                other.handles[handle] = twin
                other.listeners[twin.address, twin.port] = twin
            else:
                bare = Socket(owner.handle, owner.options)
                bare.address, bare.port, bare.port_class = owner.address, owner.port, owner.port_class
                other.handles[handle] = bare
        other.next_handle = self.next_handle
        other.opened = self.opened
        other.waits = self.waits.fork()
        other.ports = self.ports.fork()
        other.timers = self.timers.copy()
        other.sysctls = self.sysctls.copy()
        other.host_stamps = self.host_stamps.copy()
        return other

    def digest(self, now: Instant) -> bytes:
        """Return 16 octets of all that decides the future, but for chance and the clock of ISNs.

        Sequence numbers count from the ISNs and times from `now`, so that two stacks that differ only in when, and with
        which numbers, the same things happened have the same digest.  A record's numbers are its start.
        """
        profile = self.profile
        waits: list[Any] = []
        for key, wait in self.waits:
            stamp = (wait.ts_recent_at - now, wait.ts_ok)
            answer = min(now - wait.answered, profile.tw_ack_interval)
            times = (wait.expires - now, wait.length, wait.entered - now, answer)
            waits.append((key, wait.fin_wait_2, wait.rcv_wnd, wait.window_field, wait.port_class, stamp, times))
        listeners = [
            (each.address, each.port, each.handle, each.backlog, each.half_open, tuple(each.ready), each.options)
            for each in self.listeners.values()
        ]
        parts = (
            profile.name,
            sorted(self.sysctls.items()),
            sorted((key, conn.summary(now)) for key, conn in self.connections.items()),
            sorted(waits),
            sorted(listeners, key=lambda each: each[:2]),
            sorted(self.ports.claims.items()),
            sorted(
                (handle, type(owner).__name__, owner.summary(now) if isinstance(owner, Connection) else owner.options)
                for handle, owner in self.handles.items()
            ),
        )
        return blake2s(repr(parts).encode(), digest_size=16).digest()


def _fit_window(conn: Connection) -> None:
    """Offer the least scale that the buffer needs, and whole segments.

    Linux: tcp_select_initial_window(), net/ipv4/tcp_output.c; a SYN's window is not scaled.
    """
    limit = conn.rcv_limit
    if conn.scale_ok:
        conn.rcv_scale = min(max(limit.bit_length() - 16, 0), 14)
    mss = conn.own_mss
    if limit > mss:
        conn.rcv_wnd = min(limit // mss * mss, 0xFFFF)
