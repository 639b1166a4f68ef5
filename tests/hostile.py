"""A network that loses, doubles, delays and reorders, between two stacks, all from one seed."""

from heapq import heappop, heappush
from random import Random

from timewait.clock import MS, SECOND
from timewait.tcp.connection import DEFAULT_OPTIONS, Options
from timewait.tcp.events import Connected, Entered, Errno, Event, Failed, FourTuple, Send
from timewait.tcp.profile import Profile
from timewait.tcp.stack import Stack
from timewait.tcp.states import State
from timewait.wire.segment import Segment

CLIENT, SERVER = b"\x0a\0\0\1", b"\x0a\0\0\2"


class Hostile:
    """Two stacks and what is under way between them; `faults` are chances per segment, `calm_from` ends them."""

    def __init__(
        self,
        profile: Profile,
        seed: int,
        *,
        loss: float = 0.0,
        double: float = 0.0,
        spread: int = 0,
        delay: int = 5 * MS,
    ) -> None:
        self.chance = Random(seed)
        self.stacks = (Stack(profile, [CLIENT], secret=b"c"), Stack(profile, [SERVER], secret=b"s"))
        self.loss, self.double, self.spread, self.delay = loss, double, spread, delay
        self.now = 1000 * SECOND
        self.calm_from = 1 << 62
        self.air: list[tuple[int, int, int, Segment]] = []
        self.serial = 0
        self.states: dict[tuple[int, FourTuple], list[State]] = {}
        self.failures: list[list[Errno]] = [[], []]
        self.connected = False
        self.segments = 0

    def take(self, who: int, events: list[Event]) -> None:
        for event in events:
            match event:
                case Send(segment):
                    self.carry(1 - who, segment)
                case Entered(key, state):
                    self.states.setdefault((who, key), []).append(state)
                case Failed(_, error):
                    self.failures[who].append(error)
                case Connected():
                    self.connected = True
                case _:
                    pass

    def carry(self, to: int, segment: Segment) -> None:
        self.segments += 1
        calm = self.now >= self.calm_from
        if not calm and self.chance.random() < self.loss:
            return
        copies = 2 if not calm and self.chance.random() < self.double else 1
        for _ in range(copies):
            late = self.chance.randrange(self.spread) if self.spread and not calm else 0
            self.serial += 1
            heappush(self.air, (self.now + self.delay + late, self.serial, to, segment))

    def step(self, until: int) -> bool:
        """Let the next thing happen that is due by `until`; False if there is none."""
        due = [self.air[0][0]] if self.air else []
        due += [at for stack in self.stacks if (at := stack.next_deadline()) is not None]
        if not due or min(due) > until:
            self.now = max(self.now, until)
            return False
        self.now = max(self.now, min(due))
        while self.air and self.air[0][0] <= self.now:
            _, _, to, segment = heappop(self.air)
            self.take(to, self.stacks[to].receive(segment, self.now))
        for who, stack in enumerate(self.stacks):
            at = stack.next_deadline()
            if at is not None and at <= self.now:
                self.take(who, stack.expire(self.now))
                after = stack.next_deadline()
                assert after is None or after > self.now, "a timer is stuck"
        return True

    def run(self, duration: int) -> None:
        until = self.now + duration
        for _ in range(400_000):
            if not self.step(until):
                return
        raise AssertionError("it never ends")


class Transfer:
    """Both ends send `sizes` octets and read what comes, as much as there is room for, then close."""

    def __init__(self, net: Hostile, sizes: tuple[int, int], options: Options = DEFAULT_OPTIONS) -> None:
        self.net = net
        client, server = net.stacks
        self.listener = server.socket(options)
        assert server.bind(self.listener, b"", 80) is None
        assert server.listen(self.listener) is None
        self.handles: list[int | None] = [client.socket(options), None]
        handle = self.handles[0]
        assert handle is not None
        error, events = client.connect(handle, SERVER, 80, net.now)
        assert error is None
        net.take(0, events)
        self.data = [bytes(Random(who).randbytes(size)) for who, size in enumerate(sizes)]
        self.sent = [0, 0]
        self.read = [bytearray(), bytearray()]
        self.shut = [False, False]
        self.ended = [False, False]
        self.closed = [False, False]
        self.errors: list[Errno | None] = [None, None]

    def pump(self) -> None:
        net = self.net
        if self.handles[1] is None:
            accepted = net.stacks[1].accept(self.listener)
            if isinstance(accepted, int):
                self.handles[1] = accepted
        for who, stack in enumerate(net.stacks):
            handle = self.handles[who]
            if handle is None or self.closed[who] or stack.state(handle) is State.SYN_SENT:
                continue
            self.move(who, stack, handle)

    def move(self, who: int, stack: Stack, handle: int) -> None:
        net = self.net
        while self.sent[who] < len(self.data[who]):
            size = net.chance.randrange(1, 5000)
            result, events = stack.send(handle, self.data[who][self.sent[who] : self.sent[who] + size], net.now)
            net.take(who, events)
            if isinstance(result, Errno):
                if result is not Errno.EAGAIN:
                    self.errors[who] = result
                break
            self.sent[who] += result
        while not self.ended[who]:
            result2, events = stack.recv(handle, net.chance.randrange(1, 9000), net.now)
            net.take(who, events)
            if isinstance(result2, Errno):
                if result2 is not Errno.EAGAIN:
                    self.errors[who] = result2
                break
            if not result2:
                self.ended[who] = True
            self.read[who] += result2
        if self.errors[who] or (self.sent[who] == len(self.data[who]) and self.ended[who]):
            self.closed[who] = True
            net.take(who, stack.close(handle, net.now)[1])
        elif self.sent[who] == len(self.data[who]) and not self.shut[who]:
            self.shut[who] = True
            net.take(who, stack.shutdown(handle, net.now)[1])

    def run(self, duration: int) -> None:
        net = self.net
        until = net.now + duration
        for _ in range(200_000):
            self.pump()
            if not net.step(until):
                return
        raise AssertionError("it never ends")
