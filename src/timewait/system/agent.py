"""The agent: a process inside a network namespace that makes socket calls on request, one at a time.

Runs in an interpreter of its own, started by `lab.kernel` as `python -I -S -c ...`; talks over a SOCK_SEQPACKET pair.
A request is (number, operation, arguments), an answer (number, ok, value), both pickled: the two ends are one program.
Every errno comes back as a value.  A request can be cut short by a datagram that says CANCEL and its number,
which may overtake the request itself, as another thread sends it.
"""

import contextlib
import errno
import os
import pickle
import select
import socket
import struct
import sys
import time
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from timewait.clock import MS, Duration, Instant
from timewait.errors import TimewaitError, UnavailableError
from timewait.system import counters, netns, rtnetlink, sock_destroy, socket_table, sysctl, tun
from timewait.system.sock_diag import STATES
from timewait.system.socket_table import Socket

TYPE_CHECKING = False
if TYPE_CHECKING:  # threads come with the one, and most hosts never need the other
    from timewait.system.conntrack import Tracked
    from timewait.system.load import Load, Plan, Progress, Recorded
    from timewait.system.process import Ended, Process

CANCEL: Final = b"cancel "  # the number of the request follows
PART, LAST = b"\1", b"\0"  # first byte of each datagram of an answer; an answer may be larger than one datagram
PART_SIZE: Final = 64 * 1024
HANDED: Final = b"\2"  # a datagram that carries a descriptor (SCM_RIGHTS, unix(7)), after the answer that promised it

# Linux values that Python 3.11's socket module does not name: include/uapi/linux/in.h, include/uapi/linux/tcp.h.
IP_BIND_ADDRESS_NO_PORT: Final = 24
IP_LOCAL_PORT_RANGE: Final = 51
TCP_INFO: Final = 11
TCPI_OPT_TIMESTAMPS: Final = 1
CANCELLED: Final = "ECANCELED"

_OPTIONS: Final[dict[str, tuple[int, int]]] = {
    "SO_REUSEADDR": (socket.SOL_SOCKET, socket.SO_REUSEADDR),
    "SO_REUSEPORT": (socket.SOL_SOCKET, socket.SO_REUSEPORT),
    "SO_LINGER": (socket.SOL_SOCKET, socket.SO_LINGER),
    "SO_SNDBUF": (socket.SOL_SOCKET, socket.SO_SNDBUF),
    "SO_RCVBUF": (socket.SOL_SOCKET, socket.SO_RCVBUF),
    "TCP_NODELAY": (socket.IPPROTO_TCP, socket.TCP_NODELAY),
    "TCP_LINGER2": (socket.IPPROTO_TCP, socket.TCP_LINGER2),
    "TCP_USER_TIMEOUT": (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT),
    "IP_BIND_ADDRESS_NO_PORT": (socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT),
    "IP_LOCAL_PORT_RANGE": (socket.IPPROTO_IP, IP_LOCAL_PORT_RANGE),
}
# poll(2), in the order of their bits.
_POLLED: Final[dict[str, int]] = {
    "IN": select.POLLIN,
    "OUT": select.POLLOUT,
    "ERR": select.POLLERR,
    "HUP": select.POLLHUP,
    "RDHUP": select.POLLRDHUP,
}


class Answer(NamedTuple):
    """What a socket call came to: its value, or the call that failed and the errno's name; when it began and ended."""

    value: Any
    call: str
    error: str
    began: Instant
    ended: Instant


class _Failed(Exception):  # noqa: N818 - not an error of ours: the outcome of a call
    def __init__(self, call: str, code: int | str) -> None:
        super().__init__(call)
        self.call = call
        self.code = code if isinstance(code, str) else errno.errorcode.get(code, str(code))


class Agent:
    """The operations.  Sockets are known by number; each `do_` method is one operation of `lab.host.Host`."""

    def __init__(self, control: socket.socket, private: bool) -> None:
        self._control = control
        self._private = private
        self._sockets: dict[int, socket.socket] = {}
        self._next = 1
        self._number = 0  # of the request that is answered
        self._cancelled = 0  # the last that was to be cut short
        self._process: Process | None = None
        self._load: Load | None = None
        self._handed: list[int] = []  # descriptors that follow the answer

    def serve(self) -> None:
        """Answer requests until the other end closes."""
        operations: dict[str, Callable[..., Any]] = {
            name.removeprefix("do_"): getattr(self, name) for name in dir(self) if name.startswith("do_")
        }
        while True:
            request = self._control.recv(1 << 20)
            if not request:
                return
            if request.startswith(CANCEL):
                self._cancelled = int(request.removeprefix(CANCEL))
                continue
            number, name, arguments = pickle.loads(request)
            self._number = number
            try:
                answer = (number, True, self._cut_short() or operations[name](**arguments))
            except TimewaitError as error:
                answer = (number, False, error)
            except OSError as error:
                answer = (number, False, UnavailableError(f"{name}: {error.strerror or error}"))
            send_parts(self._control, pickle.dumps(answer))
            while self._handed:
                descriptor = self._handed.pop(0)
                socket.send_fds(self._control, [HANDED], [descriptor])
                os.close(descriptor)

    def _cut_short(self) -> "Answer | None":
        """Return the answer to a request that was cancelled before it came."""
        now = time.monotonic_ns()
        return Answer(None, "wait", CANCELLED, now, now) if self._cancelled == self._number else None

    # -- sockets ---------------------------------------------------------------------------------------------------

    def _timed(self, work: Callable[[], Any]) -> Answer:
        began = time.monotonic_ns()
        try:
            value, call, error = work(), "", ""
        except _Failed as failed:
            value, call, error = None, failed.call, failed.code
        return Answer(value, call, error, began, time.monotonic_ns())

    def _add(self, new: socket.socket) -> int:
        handle = self._next
        self._next += 1
        self._sockets[handle] = new
        return handle

    def _wait(self, waiting: socket.socket | None, events: int, timeout: Duration) -> bool:
        """Wait until `waiting` is ready; return False when the time is up.  Raises `_Failed` when cancelled."""
        deadline = time.monotonic_ns() + timeout
        poll = select.poll()
        poll.register(self._control, select.POLLIN)
        if waiting is not None:
            poll.register(waiting, events)
        while True:
            left = deadline - time.monotonic_ns()
            ready = {descriptor for descriptor, _ in poll.poll(max(0, -(-left // MS)))}
            if waiting is not None and waiting.fileno() in ready:
                return True
            if self._control.fileno() in ready:
                said = self._control.recv(1 << 20)
                if not said:
                    os._exit(0)  # the program that asked is gone
                if int(said.removeprefix(CANCEL)) == self._number:  # else it came after the call it was meant for
                    raise _Failed("wait", CANCELLED)
            if left <= 0:
                return False

    def do_listen(self, address: str, port: int, reuse_address: bool, backlog: int, options: dict[str, int]) -> Answer:
        def work() -> int:
            new = _open(address)
            if reuse_address:
                new.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            for name, value in options.items():
                _set_option(new, name, value, new)
            _call("bind", lambda: new.bind((address, port)), new)
            _call("listen", lambda: new.listen(backlog), new)
            return self._add(new)

        return self._timed(work)

    def do_connect(
        self,
        address: str,
        port: int,
        source: tuple[str, int] | None,
        late: bool,
        reuse_address: bool,
        options: dict[str, int],
        timeout: Duration,
    ) -> Answer:
        def work() -> int:
            new = _open(address)
            if reuse_address:
                new.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            for name, value in options.items():
                _set_option(new, name, value, new)
            if late:
                new.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
            if source is not None:
                _call("bind", lambda: new.bind(source), new)
            code = new.connect_ex((address, port))
            if code == errno.EINPROGRESS:
                try:
                    ready = self._wait(new, select.POLLOUT, timeout)
                except _Failed as failed:
                    new.close()
                    raise _Failed("connect", failed.code) from None
                code = new.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) if ready else errno.ETIMEDOUT
            if code:
                new.close()
                raise _Failed("connect", code)
            return self._add(new)

        return self._timed(work)

    def do_accept(self, handle: int, timeout: Duration) -> Answer:
        def work() -> int:
            listener = self._sockets[handle]
            if not self._wait(listener, select.POLLIN, timeout):
                raise _Failed("accept", errno.EAGAIN)
            new, _ = _call("accept", listener.accept)
            new.setblocking(False)
            return self._add(new)

        return self._timed(work)

    def do_send(self, handle: int, data: bytes, timeout: Duration) -> Answer:
        def work() -> int:
            if not self._wait(self._sockets[handle], select.POLLOUT, timeout):
                raise _Failed("send", errno.EAGAIN)
            sent: int = _call("send", lambda: self._sockets[handle].send(data))
            return sent

        return self._timed(work)

    def do_receive(self, handle: int, limit: int, timeout: Duration) -> Answer:
        def work() -> bytes:
            if not self._wait(self._sockets[handle], select.POLLIN, timeout):
                raise _Failed("recv", errno.EAGAIN)
            data: bytes = _call("recv", lambda: self._sockets[handle].recv(limit))
            return data

        return self._timed(work)

    def do_half_close(self, handle: int) -> Answer:
        return self._timed(lambda: _call("shutdown", lambda: self._sockets[handle].shutdown(socket.SHUT_WR)))

    def do_stop_reading(self, handle: int) -> Answer:
        return self._timed(lambda: _call("shutdown", lambda: self._sockets[handle].shutdown(socket.SHUT_RD)))

    def do_close(self, handle: int) -> Answer:
        return self._timed(lambda: _call("close", self._sockets.pop(handle).close))

    def do_abort(self, handle: int) -> Answer:
        def work() -> None:
            ended = self._sockets.pop(handle)
            ended.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            _call("close", ended.close)

        return self._timed(work)

    def do_set_option(self, handle: int, name: str, value: int) -> Answer:
        return self._timed(lambda: _set_option(self._sockets[handle], name, value))

    def do_info(self, handle: int) -> tuple[str, bool]:
        """The connection's state as RFC 9293 prints it, and whether it uses timestamps: struct tcp_info."""
        info = self._sockets[handle].getsockopt(socket.IPPROTO_TCP, TCP_INFO, 8)
        return STATES[info[0]], bool(info[5] & TCPI_OPT_TIMESTAMPS)

    def do_poll(self, handle: int) -> list[str]:
        """What poll(2) reports at once; ERR and HUP come unasked."""
        asked = select.poll()
        asked.register(self._sockets[handle], _POLLED["IN"] | _POLLED["OUT"] | _POLLED["RDHUP"])
        mask = sum(found for _, found in asked.poll(0))
        return [name for name, bit in _POLLED.items() if mask & bit]

    def do_destroy(self, local_port: int, peer_port: int) -> Answer:
        if not self._private:
            raise UnavailableError("no socket is destroyed: this host is the machine's own", "nothing is changed")
        return self._timed(lambda: _call("destroy", lambda: sock_destroy.destroy(local_port, peer_port)))

    def do_object_sizes(self, names: list[str]) -> dict[str, int]:
        from timewait.system import slab

        return slab.sizes(names)

    def do_track(self) -> None:
        if not self._private:
            raise UnavailableError("nothing is tracked: this host is the machine's own", "nothing is changed")
        from timewait.system import conntrack  # few hosts need it

        conntrack.track()

    def do_tracked(self) -> "list[Tracked]":
        from timewait.system import conntrack

        return conntrack.tracked()

    # -- the host ---------------------------------------------------------------------------------------------------

    def do_wait(self, duration: Duration) -> Answer:
        return self._timed(lambda: self._wait(None, 0, duration))

    def do_now(self) -> Instant:
        return time.monotonic_ns()

    def do_sockets(self, mask: int, local_port: int, peer_port: int) -> list[Socket]:
        return socket_table.sockets(mask, local_port=local_port, peer_port=peer_port)

    def do_counters(self) -> dict[str, int]:
        return counters.counters()

    def do_sysctl(self, name: str) -> str | None:
        return sysctl.read(name)

    def do_set_sysctl(self, name: str, value: str) -> None:
        sysctl.write(name, value)

    def do_route(self, device: str, destination: str) -> None:
        if not self._private:
            raise UnavailableError("no route is made: this host is the machine's own", "nothing is changed on a host")
        rtnetlink.add_route(device, destination)

    # -- a process that makes any system call ----------------------------------------------------------------------

    def do_system_call(self, name: str, arguments: tuple[Any, ...], patience: Duration) -> "Ended | None":
        return self._program().call(name, arguments, patience)

    def do_meanwhile(self, name: str, arguments: tuple[Any, ...]) -> "Ended":
        return self._program().meanwhile(name, arguments)

    def do_finish(self, patience: Duration) -> "Ended | None":
        return self._program().finish(patience)

    def _program(self) -> "Process":
        if self._process is None:
            from timewait.system.process import Process

            self._process = Process()
        return self._process

    # -- connections on a schedule -----------------------------------------------------------------------------------

    def do_load(self, plan: "Plan") -> None:
        from timewait.system.load import Load

        self._load = Load(plan)

    def do_load_schedule(self, times: bytes, holds: bytes, clients: bytes) -> None:
        assert self._load is not None
        self._load.schedule(times, holds, clients)

    def do_load_run(self, upto: Duration) -> "Progress":
        assert self._load is not None
        return self._load.run(upto, self._control.fileno())

    def do_load_recorded(self) -> "Recorded":
        assert self._load is not None
        return self._load.recorded()

    def do_tun(self, setup: tun.TunSetup) -> str:
        if not self._private:
            raise UnavailableError(
                "no TUN device is made: this host is the machine's own", "nothing is changed on a host"
            )
        descriptor, name = tun.create(setup)
        self._handed.append(descriptor)
        return name

    def do_tap(self) -> None:
        if not self._private:
            raise UnavailableError("nothing is listened to: this host is the machine's own", "others use it too")
        from timewait.system import tap

        self._handed.append(tap.create())

    def do_ends(self, handle: int) -> tuple[tuple[str, int], tuple[str, int]]:
        """The connection's own end and its peer's: addresses and ports."""
        found = self._sockets[handle]
        return found.getsockname()[:2], found.getpeername()[:2]

    def do_veth(self, setup: tun.TunSetup) -> str:
        if not self._private:
            raise UnavailableError("no device is made: this host is the machine's own", "nothing is changed on a host")
        from timewait.system import veth

        descriptor, address = veth.create(setup)
        self._handed.append(descriptor)
        return address


def _open(address: str) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    new: socket.socket = _call("socket", lambda: socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK))
    return new


def _set_option(target: socket.socket, name: str, value: int, opened: socket.socket | None = None) -> None:
    level, number = _option(name)
    if number == socket.SO_LINGER and level == socket.SOL_SOCKET:
        on = struct.pack("ii", 1, value)
        _call("setsockopt", lambda: target.setsockopt(level, number, on), opened)
        return
    # As four octets: some options are an unsigned int (IP_LOCAL_PORT_RANGE), which an int of Python's would overflow.
    octets = (value & 0xFFFFFFFF).to_bytes(4, sys.byteorder)
    _call("setsockopt", lambda: target.setsockopt(level, number, octets), opened)


def _option(name: str) -> tuple[int, int]:
    if name not in _OPTIONS:
        raise UnavailableError(f"unknown socket option {name}", f"known: {', '.join(_OPTIONS)}")
    return _OPTIONS[name]


def _call(name: str, work: Callable[[], Any], opened: socket.socket | None = None) -> Any:
    """Make one system call; turn its errno into `_Failed`, and close the socket that was being prepared."""
    try:
        return work()
    except OSError as error:
        if opened is not None:
            opened.close()
        raise _Failed(name, error.errno or 0) from None


def send_parts(control: socket.socket, message: bytes) -> None:
    """Send a message as datagrams that a socket pair can carry."""
    view = memoryview(message)
    while len(view) > PART_SIZE:
        control.sendall(PART + view[:PART_SIZE])
        view = view[PART_SIZE:]
    control.sendall(LAST + bytes(view))


def receive_parts(control: socket.socket) -> bytes:
    """Receive what `send_parts` sent; b"" when the other end is gone."""
    parts = []
    while True:
        part = control.recv(PART_SIZE + 1)
        if not part:
            return b""
        parts.append(part[1:])
        if part[:1] == LAST:
            return b"".join(parts)


def main(descriptor: int, parent: int, private: bool) -> None:
    """Live in a private namespace (or, when not `private`, in the machine's own) until the other end closes."""
    control = socket.socket(fileno=descriptor)
    try:
        if private:
            netns.make_private()
            sysctl.allow_writing()
        netns.die_with(parent)
        ready: tuple[int, bool, Any] = (0, True, None)
    except TimewaitError as error:
        ready = (0, False, error)
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        send_parts(control, pickle.dumps(ready))
        if ready[1]:
            Agent(control, private).serve()
    sys.stdout.flush()
    os._exit(0)  # no clean-up is due: the kernel closes the sockets and takes the namespace down
