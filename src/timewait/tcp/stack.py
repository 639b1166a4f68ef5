"""`Stack`: one host's TCP as its users see it: sockets, their calls and options, and what there is to look at.

A socket is a small int, so that it means the same in a copy of the stack.  No call blocks: `accept`, `send` and `recv`
answer EAGAIN, and an event (`Acceptable`, `Writable`, `Delivered`, `Connected`, `Failed`) says when to come back.
Calls that may send or change a state return (result, events); the others return the result alone.  A result is an
`Errno` where a system call would fail with it; a handle that does not exist gives EBADF.
"""

from dataclasses import fields, replace
from typing import Any, Final, Literal, NamedTuple

from timewait.clock import Instant
from timewait.tcp import calls, isn, ports, sender, settings
from timewait.tcp.connection import DEFAULT_OPTIONS, NEVER, Connection, Options, step
from timewait.tcp.core import Listener, Socket, is_loopback
from timewait.tcp.demux import Demux
from timewait.tcp.events import Errno, Events, FourTuple
from timewait.tcp.icmp import IcmpError, icmp_arrives
from timewait.tcp.ports import BOUND, LISTENING, REUSE_ADDRESS, REUSE_PORT, reuse_flags
from timewait.tcp.profile import Reuse
from timewait.tcp.states import (
    CLOSED,
    CLOSING,
    FIN_WAIT_1,
    FIN_WAIT_2,
    LAST_ACK,
    LISTEN,
    SYN_RECEIVED,
    SYN_SENT,
    TIME_WAIT,
    State,
)
from timewait.tcp.states import Event as Input
from timewait.tcp.time_wait import TimeWait, pack_key
from timewait.wire.segment import Segment

_OPTION_NAMES: Final = frozenset(each.name for each in fields(Options))
_CLOSING_STATES = (FIN_WAIT_1, CLOSING, LAST_ACK)


class SocketRow(NamedTuple):
    """One line of what `ss` would show.  `handle`: 0 for who has no user; `expires`: when the state ends by itself."""

    handle: int
    state: State
    local: bytes
    local_port: int
    remote: bytes
    remote_port: int
    receive_queue: int
    send_queue: int
    expires: Instant | None


class Stack(Demux):
    """One host's TCP.  `Stack(profile, addresses)`; addresses packed, the first of a family is the one to send from."""

    __slots__ = ()

    # --- Sockets and what they are bound to

    def socket(self, options: Options = DEFAULT_OPTIONS) -> int:
        """Return a new socket."""
        handle = self.next_handle
        self.next_handle += 1
        self.handles[handle] = Socket(handle, options)
        return handle

    def set_option(self, handle: int, **changes: Any) -> Errno | None:
        """Set options by the field names of `Options`; ENOPROTOOPT if there is no such field."""
        owner = self.handles.get(handle)
        if owner is None:
            return Errno.EBADF
        if not _OPTION_NAMES.issuperset(changes):
            return Errno.ENOPROTOOPT
        linger2 = changes.get("linger2")
        if linger2 is not None:
            # net/ipv4/tcp.c, do_tcp_setsockopt(): 0 is the default, more than the limit is the limit.
            limit = self.profile.linger2_limit
            changes["linger2"] = None if linger2 == 0 else -1 if linger2 < 0 else min(linger2, limit)
        owner.options = replace(owner.options, **changes)
        if isinstance(owner, Connection):
            if not owner.options.keep_alive:
                owner.keep_at = NEVER
            if changes.get("max_segment") and self.profile.segment_option_sends:
                owner.mss = min(owner.mss, changes["max_segment"] - (12 if owner.ts_ok else 0))
        elif owner.port_class >= 0 and ("reuse_address" in changes or "reuse_port" in changes):
            kind = owner.port_class & ~(REUSE_ADDRESS | REUSE_PORT) | reuse_flags(owner.options)
            self.ports.remove(owner.port, owner.port_class)
            self.ports.add(owner.port, kind)
            owner.port_class = kind
        return None

    def bind(self, handle: int, address: bytes, port: int) -> Errno | None:
        """Take a local address (empty: any) and port (0: one of the stack's choosing).

        EADDRNOTAVAIL: not an address of this host; EINVAL: bound already; EADDRINUSE: somebody holds the port.
        """
        socket = self.handles.get(handle)
        if not isinstance(socket, Socket):
            return Errno.EBADF if socket is None else Errno.EINVAL
        if socket.port_class >= 0 or socket.address or not 0 <= port <= 0xFFFF:
            return Errno.EINVAL
        if address and address not in self.addresses and not is_loopback(address):
            return Errno.EADDRNOTAVAIL
        if not port and socket.options.bind_address_no_port:
            socket.address = address
            return None
        return self._hold(socket, address, port)

    def _hold(self, socket: Socket, address: bytes, port: int) -> Errno | None:
        table = self.ports
        profile = self.profile
        kind = table.class_of(address, BOUND | reuse_flags(socket.options))
        if port:
            if table.conflict(port, kind, profile):
                return Errno.EADDRINUSE
        else:
            relaxed = profile.autobind_reuse and socket.options.reuse_address
            strict = kind if relaxed else table.class_of(address, BOUND)
            span = socket.options.local_port_range
            for candidate in ports.candidates(table, profile, span, self.chance.getrandbits(64), self.chance, True):
                if not table.held(candidate) or not table.conflict(candidate, strict, profile):
                    port = candidate
                    break
            else:
                return profile.bind_exhausted_error
        table.add(port, kind)
        socket.address = address
        socket.port = port
        socket.port_class = kind
        return None

    # --- Opening

    def listen(self, handle: int, backlog: int = 128) -> Errno | None:
        """PASSIVE OPEN.  RFC 9293 section 3.10.1.  An unbound socket gets a port of the stack's choosing."""
        socket = self.handles.get(handle)
        if isinstance(socket, Listener):
            socket.backlog = min(backlog, self.profile.somaxconn)
            return None
        if not isinstance(socket, Socket):
            return Errno.EBADF if socket is None else Errno.EINVAL
        if socket.port_class < 0:
            error = self._hold(socket, socket.address, 0)
            if error is not None:
                return error
        if (socket.address, socket.port) in self.listeners:
            return Errno.EADDRINUSE
        listener = Listener(socket, min(backlog, self.profile.somaxconn))
        self.ports.remove(listener.port, listener.port_class)
        listener.port_class |= LISTENING
        self.ports.add(listener.port, listener.port_class)
        self.handles[handle] = listener
        self.listeners[listener.address, listener.port] = listener
        return None

    def accept(self, handle: int) -> int | Errno:
        """Return the socket of the connection that waits longest; EAGAIN if none does."""
        listener = self.handles.get(handle)
        if not isinstance(listener, Listener):
            return Errno.EBADF if listener is None else Errno.EINVAL
        if not listener.ready:
            return Errno.EAGAIN
        child = listener.ready.popleft()
        conn = self.handles[child]
        if isinstance(conn, Connection):
            conn.listener = 0
        return child

    def connect(self, handle: int, address: bytes, port: int, now: Instant) -> tuple[Errno | None, Events]:
        """ACTIVE OPEN.  RFC 9293 section 3.10.1.  None: the SYN is on its way; `Connected` or `Failed` follows.

        The profile's errors where no four-tuple is to be had, EADDRNOTAVAIL or EADDRINUSE; EISCONN, EALREADY.
        """
        socket = self.handles.get(handle)
        if isinstance(socket, Connection):
            opening = socket.state in (SYN_SENT, SYN_RECEIVED)
            return (Errno.EALREADY if opening else Errno.EISCONN), []
        if not isinstance(socket, Socket):
            return (Errno.EBADF if socket is None else Errno.EISCONN), []
        if not 0 < port <= 0xFFFF:
            return Errno.EADDRNOTAVAIL, []
        local = socket.address or self._source_for(address)
        if not local or len(local) != len(address):
            return Errno.ENETUNREACH, []
        fixed = socket.port_class >= 0
        if fixed:
            key = FourTuple(local, socket.port, address, port)
            if not self._may_take(key, True, now):
                return self.profile.connect_error, []
        else:
            found = self._find_port(socket, local, address, port, now)
            if found is None:
                return self.profile.connect_exhausted_error, []
            key = FourTuple(local, found, address, port)
        return None, self._open_actively(socket, key, fixed, now)

    def _source_for(self, remote: bytes) -> bytes:
        """Return the address to send from, as a routing table of one link and loopback would."""
        if remote in self.addresses:
            return remote
        near = is_loopback(remote)
        for address in self.addresses:
            if len(address) == len(remote) and is_loopback(address) == near:
                return address
        return (b"\x7f\0\0\1" if len(remote) == 4 else remote) if near else b""

    def _find_port(self, socket: Socket, local: bytes, remote: bytes, port: int, now: Instant) -> int | None:
        """Search a port for this destination, in the profile's order; None: all are taken."""
        table = self.ports
        profile = self.profile
        span = socket.options.local_port_range
        hashed = isn.keyed(self.secret, local, 0, remote, port)
        connections = self.connections
        for candidate in ports.candidates(table, profile, span, hashed, self.chance, False):
            if table.held(candidate):
                if table.bound(candidate):
                    continue
                key = (local, candidate, remote, port)
                if key in connections or not self._may_take(FourTuple(*key), False, now):
                    continue
            ports.note_success(table, profile, span, candidate, hashed)
            return candidate
        return None

    def _may_take(self, key: FourTuple, fixed: bool, now: Instant) -> bool:
        """Whether an active open may have this four-tuple.  Linux: __inet_check_established(), tcp_twsk_unique()."""
        if key in self.connections:
            return False
        if not self.waits.queues:
            return True
        wait = self.waits.find(pack_key(key))
        if wait is None:
            return True
        profile = self.profile
        if profile.reuse_needs_timestamps and not wait.ts_ok:
            return False
        if fixed:
            return profile.reuse_bound
        if profile.reuse_ephemeral is Reuse.NEVER or (wait.fin_wait_2 and not profile.reuse_fin_wait_2):
            return False
        if profile.reuse_ephemeral is Reuse.LOOPBACK and not (is_loopback(key[0]) or is_loopback(key[2])):
            return False
        if profile.reuse_delay_whole_seconds:
            second = 1_000_000_000
            return now // second - wait.ts_recent_at // second > profile.reuse_delay // second
        return now - wait.entered > profile.reuse_delay

    def _open_actively(self, socket: Socket, key: FourTuple, fixed: bool, now: Instant) -> Events:
        out: Events = []
        packed = pack_key(key)
        wait: TimeWait | None = self.waits.find(packed) if self.waits.queues else None
        if wait is not None:
            self.forget(key, packed, wait, None)
            self.counters["TWRecycled"] += 1
        conn = self.new_connection(key, socket.options, False, now, wait)
        if wait is not None and wait.ts_ok:
            conn.ts_recent = wait.ts_recent
            conn.ts_recent_at = wait.ts_recent_at
        conn.handle = socket.handle
        if socket.port_class >= 0:
            self.ports.remove(socket.port, socket.port_class)
        self.claim(conn, (BOUND if fixed else 0) | reuse_flags(socket.options))
        self.handles[socket.handle] = conn
        self.connections[key] = conn
        step(conn, Input.ACTIVE_OPEN, out)
        sender.send_opening(conn, now, out)
        self.arm(conn)
        self.counters["ActiveOpens"] += 1
        return out

    # --- Data

    def send(
        self, handle: int, data: bytes, now: Instant, urgent: bool = False, more: bool = False, record: bool = False
    ) -> tuple[int | Errno, Events]:
        """Queue data; the result is how much of it found room.  EAGAIN, EPIPE, ENOTCONN, or the pending error.

        `more`: a segment short of MSS may wait for what follows.  `record`: nothing is joined to the end of this.
        """
        conn = self.handles.get(handle)
        if not isinstance(conn, Connection):
            return (Errno.EBADF if conn is None else Errno.ENOTCONN), []
        out: Events = []
        result = calls.send(conn, data, now, out, urgent, more, record)
        self.settle(conn, now, out)
        return result, out

    def push(self, handle: int, now: Instant) -> Events:
        """Send what waits for a full segment, once."""
        conn = self.handles.get(handle)
        out: Events = []
        if isinstance(conn, Connection) and conn.buffer:
            options = conn.options
            conn.options = replace(options, cork=False, no_delay=True)
            sender.transmit(conn, now, out)
            conn.options = options
            self.settle(conn, now, out)
        return out

    def recv(self, handle: int, size: int, now: Instant, peek: bool = False) -> tuple[bytes | Errno, Events]:
        """Read up to `size` octets; b"" at the end of file.  EAGAIN, ENOTCONN, or the pending error."""
        conn = self.handles.get(handle)
        if not isinstance(conn, Connection):
            return (Errno.EBADF if conn is None else Errno.ENOTCONN), []
        out: Events = []
        result = calls.receive(conn, size, now, out, peek)
        self.settle(conn, now, out)
        return result, out

    # --- Closing

    def shutdown(
        self, handle: int, now: Instant, how: Literal["read", "write", "both"] = "write"
    ) -> tuple[Errno | None, Events]:
        """Close one direction and keep the socket.  ENOTCONN when there is no connection (any more)."""
        conn = self.handles.get(handle)
        if not isinstance(conn, Connection):
            return (Errno.EBADF if conn is None else Errno.ENOTCONN), []
        if conn.key not in self.connections or self.connections[conn.key] is not conn:
            return Errno.ENOTCONN, []
        out: Events = []
        if how != "write":
            conn.read_shut = True
        error = calls.shut_write(conn, now, out) if how != "read" else None
        self.settle(conn, now, out)
        return error, out

    def close(self, handle: int, now: Instant) -> tuple[Errno | None, Events]:
        """Give the socket up: CLOSE, or ABORT when data is unread or linger is 0.  RFC 9293 section 3.10.4.

        With linger above 0 the result is EINPROGRESS while our FIN is not acknowledged; `Released` follows.
        """
        owner = self.handles.get(handle)
        out: Events = []
        if owner is None:
            return Errno.EBADF, out
        if isinstance(owner, Socket):
            del self.handles[handle]
            if owner.port_class >= 0:
                self.ports.remove(owner.port, owner.port_class)
            return None, out
        if isinstance(owner, Listener):
            self._close_listener(owner, now, out)
            return None, out
        live = self.connections.get(owner.key) is owner
        linger = owner.options.linger
        if not live and linger == 0:
            return self.abort(handle, now)
        if live:
            calls.close(owner, now, out)
            if linger and (owner.state in _CLOSING_STATES) and not owner.lingering:
                owner.lingering = True
                owner.linger_at = now + linger
                self.settle(owner, now, out)
                return Errno.EINPROGRESS, out
        if not owner.lingering:
            self._let_go(handle, owner)
        if live:
            self.settle(owner, now, out)
        return None, out

    def abort(self, handle: int, now: Instant) -> tuple[Errno | None, Events]:
        """ABORT: RST and nothing left behind.  RFC 9293 section 3.10.5.  In TIME-WAIT the profile decides."""
        owner = self.handles.get(handle)
        if not isinstance(owner, Connection):
            return self.close(handle, now)
        out: Events = []
        live = self.connections.get(owner.key) is owner
        if live:
            calls.abort(owner, now, out)
        self._let_go(handle, owner)
        owner.lingering = False
        if live:
            self.settle(owner, now, out)
        elif owner.state is TIME_WAIT and self.profile.abort_ends_wait:
            packed = pack_key(owner.key)
            wait = self.waits.find(packed)
            if wait is not None:
                self.forget(owner.key, packed, wait, out)
        return None, out

    def _let_go(self, handle: int, owner: Connection) -> None:
        del self.handles[handle]
        owner.handle = 0
        listener = self.handles.get(owner.listener)
        if isinstance(listener, Listener) and handle in listener.ready:
            listener.ready.remove(handle)  # given up before it was accepted
        owner.listener = 0

    def _close_listener(self, listener: Listener, now: Instant, out: Events) -> None:
        """Half-open children are forgotten; established ones that nobody accepted are reset.  Section 3.10.4."""
        del self.handles[listener.handle]
        del self.listeners[listener.address, listener.port]
        self.ports.remove(listener.port, listener.port_class)
        for child in listener.ready:
            conn = self.handles.pop(child)
            if isinstance(conn, Connection) and self.connections.get(conn.key) is conn:
                conn.handle = 0
                conn.listener = 0
                calls.abort(conn, now, out)
                self.settle(conn, now, out)
        for conn in [each for each in self.connections.values() if each.listener == listener.handle]:
            step(conn, Input.RST_OF_PASSIVE, out)
            self.settle(conn, now, out)

    # --- Errors of the network

    def unreachable(self, kind: IcmpError, quoted: Segment, now: Instant, mtu: int = 0) -> Events:
        """Take an ICMP error about a segment of ours; a TIME-WAIT record ignores it.  RFC 9293 section 3.9.2.2."""
        out: Events = []
        key = (quoted.source, quoted.source_port, quoted.destination, quoted.destination_port)
        conn = self.connections.get(key)
        if conn is not None:
            icmp_arrives(conn, kind, quoted, mtu, now, out)
            self.settle(conn, now, out)
        return out

    # --- Settings

    def set_sysctl(self, name: str, value: int | str | tuple[int, int]) -> None:
        """Change a setting; connections see it at once.  Raises `settings.SettingError`, naming near names."""
        full, sysctl = settings.find(self.profile, name)
        self.shared.profile = settings.change(self.profile, full, value)
        self.sysctls[full] = value if isinstance(sysctl.default, (tuple, str)) else int(value)  # type: ignore[arg-type]

    def get_sysctl(self, name: str) -> int | tuple[int, int] | str:
        """Return a setting as it was last set.  Raises `settings.SettingError`."""
        return self.sysctls[settings.find(self.profile, name)[0]]

    # --- Looking

    def take_error(self, handle: int) -> Errno | None:
        """Return the pending error of a socket and clear it (SO_ERROR)."""
        conn = self.handles.get(handle)
        return calls.take_error(conn) if isinstance(conn, Connection) else None

    def state(self, handle: int) -> State:
        """Return the state that the user of a socket sees."""
        owner = self.handles.get(handle)
        if isinstance(owner, Listener):
            return LISTEN
        if not isinstance(owner, Connection):
            return CLOSED
        if self.connections.get(owner.key) is owner:
            return owner.state
        if owner.state is TIME_WAIT and not self.profile.tw_user_sees_closed:
            return TIME_WAIT if self.waits.find(pack_key(owner.key)) is not None else CLOSED
        return CLOSED

    def poll(self, handle: int) -> list[str]:
        """Return what poll(2) reports of a socket now, the names without POLL: IN, OUT, ERR, HUP, RDHUP."""
        owner = self.handles.get(handle)
        if isinstance(owner, Listener):
            return ["IN"] if owner.ready else []
        return calls.ready(owner, self.state(handle)) if isinstance(owner, Connection) else ["OUT", "HUP"]

    def state_of(self, key: FourTuple) -> State:
        """Return the state that the stack itself has for a four-tuple, records included."""
        conn = self.connections.get(key)
        if conn is not None:
            return conn.state
        wait = self.waits.find(pack_key(key))
        if wait is None:
            return CLOSED
        return FIN_WAIT_2 if wait.fin_wait_2 else TIME_WAIT

    def name(self, handle: int) -> FourTuple | None:
        """Return the addresses of a socket; what is not known is empty or 0.  None: no such socket."""
        owner = self.handles.get(handle)
        if owner is None:
            return None
        return owner.key if isinstance(owner, Connection) else FourTuple(owner.address, owner.port, b"", 0)

    def sockets(self) -> list[SocketRow]:
        """Return listeners, connections and records, as `ss` would list them."""
        rows = [
            SocketRow(each.handle, LISTEN, each.address, each.port, b"", 0, len(each.ready), each.backlog, None)
            for each in self.listeners.values()
        ]
        for conn in self.connections.values():
            expires = None if conn.end_at == NEVER else conn.end_at
            queues = len(conn.received), len(conn.buffer)
            rows.append(SocketRow(conn.handle, conn.state, *conn.key, *queues, expires))
        for key, wait in self.waits:
            state = FIN_WAIT_2 if wait.fin_wait_2 else TIME_WAIT
            rows.append(SocketRow(0, state, *key, 0, 0, wait.expires))
        return rows
