"""Two stacks on one perfect link with a clock that jumps: for tests of what two ends do together."""

from collections import deque

from timewait.clock import SECOND, Instant
from timewait.tcp import profiles
from timewait.tcp.connection import DEFAULT_OPTIONS, Options
from timewait.tcp.events import Errno, Event, Failed, Send
from timewait.tcp.profile import Profile
from timewait.tcp.stack import Stack


class Pair:
    """`client` and `server`; what one sends the other receives at once, unless `lose` says otherwise."""

    def __init__(
        self, profile: str | Profile, server_profile: str | Profile | None = None, *, loopback: bool = False
    ) -> None:
        first, second = (bytes([127, 0, 0, 1]), bytes([127, 0, 0, 2])) if loopback else (b"\x0a\0\0\1", b"\x0a\0\0\2")
        get = profiles.get
        mine = get(profile) if isinstance(profile, str) else profile
        theirs = server_profile or mine
        self.client = Stack(mine, [first], secret=b"client")
        self.server = Stack(get(theirs) if isinstance(theirs, str) else theirs, [second], secret=b"server")
        self.now: Instant = 1000 * SECOND
        self.server_port = 80
        self.listener = self.listen()
        self.last = 0
        self.failures: list[Errno] = []
        self.carried = 0

    def listen(self, backlog: int = 128) -> int:
        handle = self.server.socket(Options(reuse_address=True))
        assert self.server.bind(handle, b"", self.server_port) is None
        assert self.server.listen(handle, backlog) is None
        return handle

    def run(self, events: list[Event], server: bool = False, limit: int = 100_000) -> None:
        """Carry segments until nobody has more to say."""
        queue: deque[tuple[bool, list[Event]]] = deque([(server, events)])
        while queue:
            at_server, batch = queue.popleft()
            for event in batch:
                if isinstance(event, Send):
                    self.carried += 1
                    assert self.carried < limit, "the ends answer each other for ever"
                    other = self.client if at_server else self.server
                    queue.append((not at_server, other.receive(event.segment, self.now)))
                elif isinstance(event, Failed):
                    self.failures.append(event.error)

    def advance(self, duration: int) -> None:
        """Let time pass; every deadline on the way is met."""
        until = self.now + duration
        while True:
            deadlines = [
                (at, stack) for stack in (self.client, self.server) if (at := stack.next_deadline()) is not None
            ]
            due = [each for each in deadlines if each[0] <= until]
            if not due:
                break
            at, stack = min(due, key=lambda each: each[0])
            self.now = max(self.now, at)
            self.run(stack.expire(self.now), server=stack is self.server)
        self.now = until

    def try_connect(
        self, port: int | None = None, options: Options = DEFAULT_OPTIONS, destination: bytes | None = None
    ) -> Errno | None:
        self.last = handle = self.client.socket(options)
        if port is not None:
            error = self.client.bind(handle, self.client.addresses[0], port)
            if error is not None:
                return error
        where = destination or self.server.addresses[0]
        error, events = self.client.connect(handle, where, self.server_port, self.now)
        self.run(events)
        return error

    def connection(self, port: int | None = None, options: Options = DEFAULT_OPTIONS) -> tuple[int, int]:
        """Open a connection; return its sockets at the client and at the server."""
        assert self.try_connect(port, options) is None
        accepted = self.server.accept(self.listener)
        assert isinstance(accepted, int), accepted
        return self.last, accepted

    def close(self, handle: int, server: bool = False) -> None:
        stack = self.server if server else self.client
        _, events = stack.close(handle, self.now)
        self.run(events, server)
