"""Any segment in any state, any order of calls: no exception, no stuck timer, bounded memory; and a stack is a value.

A machine of hypothesis' making calls a stack in every order it can think of, with segments near the numbers that matter
and far from them.  A fork of the stack is driven alike and must stay alike.
The engine asserts that no pair which the table calls impossible ever comes up.
"""

from collections.abc import Callable
from typing import Literal, TypeAlias, TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from timewait.clock import MS, SECOND
from timewait.tcp import profiles
from timewait.tcp.connection import Connection, Options
from timewait.tcp.events import Event, FourTuple, Send
from timewait.tcp.icmp import IcmpError
from timewait.tcp.stack import Stack
from timewait.wire.segment import MaximumSegmentSize, Option, Sack, SackPermitted, Segment, Timestamps, WindowScale

T = TypeVar("T")
How: TypeAlias = Literal["read", "write", "both"]
HOW: tuple[How, ...] = ("read", "write", "both")
US, PEER = b"\x0a\0\0\1", b"\x0a\0\0\2"
PORTS = (80, 4000)
NEAR = st.one_of(st.integers(-3, 3), st.integers(-70000, 70000), st.integers(-(2**31), 2**31))
OPTIONS = st.lists(
    st.one_of(
        # map(), not builds(): that draws the field `kind` too, which is the option's own
        st.sampled_from([0, 1, 536, 1460, 65535]).map(MaximumSegmentSize),
        st.integers(0, 255).map(WindowScale),
        st.just(SackPermitted()),
        st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1)).map(lambda pair: Timestamps(*pair)),
    ),
    max_size=4,
)
SOCKET_OPTIONS = st.builds(
    Options,
    reuse_address=st.booleans(),
    no_delay=st.booleans(),
    linger=st.sampled_from([None, 0, SECOND]),
    linger2=st.sampled_from([None, -1, SECOND]),
    keep_alive=st.booleans(),
    user_timeout=st.sampled_from([None, SECOND]),
    receive_buffer=st.sampled_from([None, 1, 100, 5000]),
    send_buffer=st.sampled_from([None, 1, 5000]),
)


class AnyOrder(RuleBasedStateMachine):
    @initialize(name=st.sampled_from(profiles.names()), options=SOCKET_OPTIONS)
    def begin(self, name: str, options: Options) -> None:
        self.stack = Stack(profiles.get(name).changed(tw_limit=4, syn_backlog=3, send_buffer=20000), [US])
        self.twin = self.stack.fork()
        self.now = 5 * SECOND
        self.calls = 0
        listener = self.both(lambda stack: stack.socket(options))
        assert self.both(lambda stack: stack.bind(listener, b"", 80)) is None
        assert self.both(lambda stack: stack.listen(listener, 2)) is None
        self.options = options
        self.last: Segment | None = None

    def both(self, call: Callable[[Stack], T]) -> T:
        """Do the same to the stack and its twin; both must answer alike."""
        result = call(self.stack)
        assert call(self.twin) == result
        if isinstance(result, tuple):
            self.look(result[1])
        elif isinstance(result, list):
            self.look(result)
        self.calls += 1
        return result

    def look(self, events: list[Event]) -> None:
        assert len(events) < 500
        for event in events:
            if isinstance(event, Send):
                self.last = event.segment

    def handle(self, pick: int) -> int:
        handles = sorted(self.stack.handles)
        return handles[pick % len(handles)] if handles else 99

    @rule(
        ours=st.sampled_from(PORTS),
        flags=st.one_of(st.sampled_from([2, 16, 17, 18, 4, 20, 24, 1, 3, 48]), st.integers(0, 255)),
        seq=NEAR,
        ack=NEAR,
        window=st.sampled_from([0, 1, 1000, 65535]),
        size=st.sampled_from([0, 0, 1, 10, 1460, 9000]),
        options=OPTIONS,
        right=st.booleans(),
        sack=st.booleans(),
        urgent=st.sampled_from([0, 1, 60000]),
    )
    def segment_arrives(
        self,
        ours: int,
        flags: int,
        seq: int,
        ack: int,
        window: int,
        size: int,
        options: list[Option],
        right: bool,
        sack: bool,
        urgent: int,
    ) -> None:
        local, theirs = ours, (80 if ours == 4000 else 5000)
        base_seq, base_ack = seq, ack
        conn = self.stack.connections.get((US, local, PEER, theirs))
        waiting = dict(self.stack.waits).get(FourTuple(US, local, PEER, theirs))
        known = conn or waiting
        if known is not None:
            base_seq += known.rcv_nxt
            base_ack += known.snd_nxt
            if right and isinstance(known, Connection):
                base_seq, base_ack = known.rcv_nxt, known.snd_nxt
                if known.ts_ok:
                    options = [Timestamps(known.ts_recent, 0)]
            if sack:
                una = known.snd_nxt - 3000
                options = [*options, Sack(((una % 2**32, (una + 1500) % 2**32), (base_ack % 2**32, base_seq % 2**32)))]
        segment = Segment(
            PEER,
            theirs,
            US,
            local,
            base_seq % 2**32,
            base_ack % 2**32,
            flags,
            window,
            tuple(options),
            bytes(size),
            urgent,
        )
        self.both(lambda stack: stack.receive(segment, self.now))

    @rule(fixed=st.booleans(), options=SOCKET_OPTIONS)
    def connect(self, fixed: bool, options: Options) -> None:
        if len(self.stack.handles) > 12:
            return
        handle = self.both(lambda stack: stack.socket(options))
        if fixed:
            self.both(lambda stack: stack.bind(handle, US, 4000))
        self.both(lambda stack: stack.connect(handle, PEER, 80, self.now))

    @rule(pick=st.integers(0, 20))
    def accept(self, pick: int) -> None:
        self.both(lambda stack: stack.accept(self.handle(pick)))

    @rule(pick=st.integers(0, 20), size=st.sampled_from([0, 1, 3000, 30000]), urgent=st.booleans())
    def send(self, pick: int, size: int, urgent: bool) -> None:
        handle = self.handle(pick)
        self.both(lambda stack: stack.send(handle, bytes(size), self.now, urgent))

    @rule(pick=st.integers(0, 20), size=st.sampled_from([0, 1, 100000]), peek=st.booleans())
    def recv(self, pick: int, size: int, peek: bool) -> None:
        handle = self.handle(pick)
        self.both(lambda stack: stack.recv(handle, size, self.now, peek))

    @rule(pick=st.integers(0, 20), how=st.sampled_from(HOW))
    def shutdown(self, pick: int, how: How) -> None:
        handle = self.handle(pick)
        self.both(lambda stack: stack.shutdown(handle, self.now, how))

    @rule(pick=st.integers(0, 20))
    def close(self, pick: int) -> None:
        handle = self.handle(pick)
        self.both(lambda stack: stack.close(handle, self.now))

    @rule(pick=st.integers(0, 20))
    def abort(self, pick: int) -> None:
        handle = self.handle(pick)
        self.both(lambda stack: stack.abort(handle, self.now))

    @rule(kind=st.sampled_from(list(IcmpError)), mtu=st.sampled_from([0, 68, 576, 1400]))
    def icmp(self, kind: IcmpError, mtu: int) -> None:
        quoted = self.last
        if quoted is not None:
            self.both(lambda stack: stack.unreachable(kind, quoted, self.now, mtu))

    @rule(wait=st.sampled_from([1, MS, 250 * MS, SECOND, 30 * SECOND, 300 * SECOND]))
    def time_passes(self, wait: int) -> None:
        until = self.now + wait
        for _ in range(2000):
            due = self.stack.next_deadline()
            assert self.twin.next_deadline() == due
            if due is None or due > until:
                break
            self.now = max(due, self.now)
            self.both(lambda stack: stack.expire(self.now))
        else:
            raise AssertionError("a timer is stuck")
        self.now = until

    @rule()
    def fork(self) -> None:
        self.twin = self.stack.fork()

    @invariant()
    def alike(self) -> None:
        if hasattr(self, "stack"):
            assert self.stack.digest(self.now) == self.twin.digest(self.now)

    @invariant()
    def bounded_and_sound(self) -> None:
        if not hasattr(self, "stack"):
            return
        stack = self.stack
        assert len(stack.waits) <= 4
        for listener in stack.listeners.values():
            assert 0 <= listener.half_open <= 3
            assert all(isinstance(stack.handles[each], Connection) for each in listener.ready)
        for conn in stack.connections.values():
            # Linux takes a whole segment into an empty queue, past the window it offered: tcp_sequence(), tcp_input.c.
            past = 9000 if stack.profile.whole_text_if_none_waits else 1
            assert len(conn.received) <= conn.rcv_limit + past
            assert sum(len(data) for _, data in conn.pieces) <= 70000
            assert len(conn.buffer) <= 20000
            assert conn.rcv_wnd >= 0
        assert not {key for key, _ in stack.waits} & set(stack.connections)
        claims = sum(sum(held[1::2]) for held in stack.ports.claims.values())
        bound = [
            owner for owner in stack.handles.values() if not isinstance(owner, Connection) and owner.port_class >= 0
        ]
        assert claims == len(stack.connections) + len(stack.waits) + len(bound)
        if not stack.handles and not stack.connections and not len(stack.waits):
            assert stack.next_deadline() is None


AnyOrder.TestCase.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
TestAnyOrder = AnyOrder.TestCase
