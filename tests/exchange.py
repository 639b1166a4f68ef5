"""Two programs that talk over two stacks in a network, driven by the stacks' events; for property tests."""

from dataclasses import dataclass, field

from timewait.clock import Duration, Instant
from timewait.sim.network import Network, Node
from timewait.tcp.connection import Connection, Options
from timewait.tcp.events import Errno, Event, FourTuple
from timewait.tcp.states import SYN_RECEIVED, SYN_SENT
from timewait.tcp.time_wait import pack_key

CLIENT, SERVER = bytes([10, 0, 0, 1]), bytes([10, 0, 0, 2])
CLIENT_PORT, SERVER_PORT = 40000, 80
ALIVE = Options(keep_alive=True, reuse_address=True)


@dataclass
class Program:
    """One end: writes `data`, reads everything, closes.

    `patient`: it half-closes after writing and reads to the end of the stream, else it closes when all is written.
    """

    node: Node
    network: Network
    data: bytes
    patient: bool = True
    handle: int = 0
    left: bytes = b""
    got: bytearray = field(default_factory=bytearray)
    error: Errno | None = None
    ended: bool = False
    shut: bool = False
    closed: bool = False
    busy: bool = False

    def start(self, handle: int) -> None:
        """Begin to use a socket."""
        self.handle = handle
        self.left = self.data
        self.busy = True

    def hear(self, event: Event, now: Instant) -> None:
        """Be told of an event of the stack's."""
        self.busy = True

    def pump(self) -> None:
        """Do what can be done now."""
        self.busy = False
        owner = self.node.stack.handles.get(self.handle)
        if self.closed or (isinstance(owner, Connection) and owner.state in (SYN_SENT, SYN_RECEIVED)):
            return
        self._write()
        if not self.closed:
            self._read()
        if not self.closed and not self.left and not self.shut:
            self.shut = True
            if self.patient:
                self.network.perform(self.node, self.node.stack.shutdown(self.handle, self.network.now)[1])
            else:
                self.close()
        if not self.closed and (self.error or (self.shut and self.ended)):
            self.close()

    def close(self) -> None:
        """Give the socket up."""
        if self.handle and not self.closed:
            self.closed = True
            self.error = self.error or self.node.stack.take_error(self.handle)
            self.network.perform(self.node, self.node.stack.close(self.handle, self.network.now)[1])

    def _write(self) -> None:
        while self.left:
            sent, events = self.node.stack.send(self.handle, self.left, self.network.now)
            self.network.perform(self.node, events)
            if isinstance(sent, Errno):
                if sent is not Errno.EAGAIN:
                    self.error = sent
                return
            self.left = self.left[sent:]

    def _read(self) -> None:
        while not self.ended and self.error is None:
            read, events = self.node.stack.recv(self.handle, 65536, self.network.now)
            self.network.perform(self.node, events)
            if isinstance(read, Errno):
                if read is not Errno.EAGAIN:
                    self.error = read
                return
            self.got += read
            self.ended = not read


def listen(node: Node) -> int:
    """Have a node listen at the server's end."""
    listener = node.stack.socket(ALIVE)
    assert node.stack.bind(listener, SERVER, SERVER_PORT) is None
    assert node.stack.listen(listener) is None
    return listener


class Exchange:
    """A client and a server program over one four-tuple; what nobody accepted before belongs to the server's."""

    def __init__(self, network: Network, client: Program, server: Program, listener: int) -> None:
        self.network = network
        self.client = client
        self.server = server
        self.listener = listener

    @property
    def programs(self) -> tuple[Program, Program]:
        """Both."""
        return self.client, self.server

    def begin(self) -> Errno | None:
        """Have the client connect; return why it could not even send a SYN."""
        client = self.client
        stack = client.node.stack
        handle = stack.socket(ALIVE)
        error = stack.bind(handle, CLIENT, CLIENT_PORT)
        if error is None:
            error, events = stack.connect(handle, SERVER, SERVER_PORT, self.network.now)
            self.network.perform(client.node, events)
        if error is not None:
            self.network.perform(client.node, stack.close(handle, self.network.now)[1])
            return error
        client.start(handle)
        for program in self.programs:
            program.node.watch = program.hear
        return None

    def run(self, limit: Duration, *, to_the_end: bool = True) -> None:
        """Run until nothing is due any more, or else until both programs have closed; no longer than `limit`."""
        network = self.network
        server = self.server
        deadline = network.now + limit
        while True:
            if server.busy and not server.handle:
                child = server.node.stack.accept(self.listener)
                if not isinstance(child, Errno):
                    server.start(child)
            for program in self.programs:
                if program.busy and program.handle:
                    program.pump()
            self.check()
            due = network.next_time()
            if due is None or due > deadline:
                return
            if not to_the_end and self.client.closed and (server.closed or not server.handle):
                return
            network.step()

    def check(self) -> None:
        """No four-tuple is open and waiting at once."""
        for program in self.programs:
            stack = program.node.stack
            for key in stack.connections:
                assert stack.waits.find(pack_key(FourTuple(*key))) is None, key

    def done(self) -> bool:
        """Whether neither stack has a connection left."""
        return not any(program.node.stack.connections for program in self.programs)
