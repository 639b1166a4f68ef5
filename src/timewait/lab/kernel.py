"""The kernel world: a host that is real sockets in a private network namespace, or the machine's own stack.

Each host is an agent process (`system.agent`) that this one asks over a socket pair.  The agent dies with the thread
that made the host, and its namespace with it.
"""

import os
import pickle
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import timewait
from timewait.clock import Duration, Instant
from timewait.endpoint import Endpoint
from timewait.errors import UnavailableError
from timewait.lab.host import OWN_STACK, PATIENCE, ConnectionInfo, InterruptedCallError, Outcome
from timewait.lab.rules import LINUX, Policy
from timewait.system import agent
from timewait.system.conntrack import Tracked
from timewait.system.load import Plan, Progress, Recorded
from timewait.system.process import Ended
from timewait.system.sock_diag import ALL_STATES
from timewait.system.socket_table import Socket
from timewait.system.tap import Tap
from timewait.system.tun import Tun, TunSetup
from timewait.system.veth import Veth

# Connects of a schedule that one datagram of the socket pair can carry, with 17 octets each.
_SCHEDULE_PART = 6000
_PACKAGE_PARENT = str(Path(timewait.__file__).parent.parent)
_START = """
import sys
sys.path.insert(0, sys.argv[1])
from timewait.lab.rules import LINUX, Policy
from timewait.system import agent
agent.main(int(sys.argv[2]), int(sys.argv[3]), sys.argv[4] == "private")
"""
# Enters the agent's namespace and becomes the program, which still dies with the one who started it.
_INSIDE = """
import os, sys
sys.path.insert(0, sys.argv[1])
from timewait.system import netns
netns.enter(sys.argv[2])
netns.die_with(int(sys.argv[3]))
os.execvp(sys.argv[4], sys.argv[4:])
"""


class KernelHost:
    """A host of the kernel world; see `lab.host.Host` for what it does.  To be used by the thread that made it.

    `idle`, where set, is called with a descriptor and returns once that is readable: it is how `lab.bridge` goes on
    carrying packets while a call on this host waits for its answer.
    """

    def __init__(self, *, private: bool = True) -> None:
        """Start the agent.  Raises `UnavailableError` where this user may not have a namespace of its own."""
        self.private = private
        self._number = 0
        self._interrupted = False
        self.idle: Callable[[int], object] | None = None
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            # -I -S: the agent needs the standard library and this package, nothing else, and starts twice as fast.
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-I", "-S", "-c", _START, _PACKAGE_PARENT),
                    *(str(theirs.fileno()), str(os.getpid()), "private" if private else "here"),
                ],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is for this process to judge
            )
        self._control = ours
        try:
            self._read(0)
        except BaseException:
            self.end()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    @property
    def pid(self) -> int:
        """The agent's process id: its /proc/PID/ns/net is the host's namespace."""
        return self._process.pid

    def end(self) -> None:
        """End the agent and, with it, its namespace.  May be called again."""
        self._control.close()
        try:
            self._process.wait(0.2)  # it leaves when it sees the other end closed
        except subprocess.TimeoutExpired:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()

    def interrupt(self) -> None:
        """Make the call under way, or else the next one, raise `InterruptedCallError`.  Safe in a signal handler."""
        self._interrupted = True
        try:
            self._control.send(b"%s%d" % (agent.CANCEL, self._number), socket.MSG_DONTWAIT)
        except OSError:
            return  # no agent, nothing to interrupt

    def _ask(self, operation: str, **arguments: Any) -> Any:
        self._number += 1  # before the look: whoever interrupts after it names this request, sent or not yet
        if self._interrupted:
            self._interrupted = False
            raise InterruptedCallError
        try:
            self._control.sendall(pickle.dumps((self._number, operation, arguments)))
        except OSError:
            raise self._gone() from None
        answer = self._read(self._number)
        if isinstance(answer, agent.Answer) and answer.error == agent.CANCELLED:
            self._interrupted = False
            raise InterruptedCallError
        return answer

    def _read(self, number: int) -> Any:
        if self.idle is not None:
            self.idle(self._control.fileno())
        message = agent.receive_parts(self._control)
        if not message:
            raise self._gone()
        answered, ok, value = pickle.loads(message)
        assert answered == number, f"the agent answered request {answered}, not {number}"
        if not ok:
            raise value
        return value

    def _gone(self) -> UnavailableError:
        status = self._process.wait()
        how = f"by signal {-status}" if status < 0 else f"with status {status}"
        return UnavailableError(f"the agent process in the private namespace ended unexpectedly, {how}")

    # -- beyond the contract -----------------------------------------------------------------------------------------

    def open_tun(self, setup: TunSetup) -> Tun:
        """Make a TUN device in the host's namespace and return its other end, which the caller closes.

        Raises `UnavailableError` where the machine has no TUN or this user may not, and for the machine's own stack.
        """
        name: str = self._ask("tun", setup=setup)
        return Tun(self._handed(), name, setup.mtu, setup.offload)

    def _handed(self) -> int:
        """Return the descriptor that follows an answer."""
        # Not socket.recv_fds(): it drops the flags before Python 3.13, and other programs would inherit it.
        _, [(_, _, data)], _, _ = self._control.recvmsg(1, socket.CMSG_SPACE(4), socket.MSG_CMSG_CLOEXEC)
        self._ask("now")  # by this answer the agent has closed its own, and ours alone keeps what it stands for
        return int.from_bytes(data[:4], sys.byteorder)

    def open_tap(self) -> Tap:
        """Begin to listen to the host's loopback; the caller closes it.  Raises `UnavailableError` where it cannot."""
        self._ask("tap")
        return Tap(self._handed())

    def open_device(self, setup: TunSetup) -> Tun | Veth:
        """Make a TUN device or, where that is closed to this user, a pair of Ethernet devices.

        Raises `UnavailableError` about TUN where neither can be made.
        """
        try:
            return self.open_tun(setup)
        except UnavailableError as error:
            if setup.offload:
                raise
            try:
                return self.open_veth(setup)
            except UnavailableError:
                raise error from None

    def open_veth(self, setup: TunSetup) -> Veth:
        """Make a pair of Ethernet devices in the host's namespace and return its other end, which the caller closes."""
        address: str = self._ask("veth", setup=setup)
        return Veth(self._handed(), address, setup.mtu)

    def route(self, device: str, destination: str) -> None:
        """Send what is for an address through a device of the host's namespace."""
        self._ask("route", device=device, destination=destination)

    def system_call(self, name: str, arguments: tuple[Any, ...], patience: Duration) -> Ended | None:
        """Have the host's own program make a system call (`system.process`); None if it blocks beyond `patience`."""
        ended: Ended | None = self._ask("system_call", name=name, arguments=arguments, patience=patience)
        return ended

    def meanwhile(self, name: str, arguments: tuple[Any, ...]) -> Ended:
        """Have it make a call that does not block, while another one may still be under way."""
        ended: Ended = self._ask("meanwhile", name=name, arguments=arguments)
        return ended

    def finish(self, patience: Duration) -> Ended | None:
        """Return how the call that blocks ended, waiting for `patience`; None if it still blocks."""
        ended: Ended | None = self._ask("finish", patience=patience)
        return ended

    def start(self, command: Sequence[str], **options: Any) -> subprocess.Popen[bytes]:
        """Start a program in the host's namespace; it is killed with the thread that started it.

        `options` are those of `subprocess.Popen`.  An interpreter of its own moves into the namespace and becomes the
        program, so this process, with whatever threads it has, never forks Python code.
        """
        inside = [sys.executable, "-I", "-S", "-c", _INSIDE, _PACKAGE_PARENT, str(self.pid), str(os.getpid())]
        return subprocess.Popen([*inside, *command], **options)

    def load(self, plan: Plan, times: bytes, holds: bytes, clients: bytes) -> None:
        """Have the host make connections on a schedule (`system.load`), which begins with the first `load_run`.

        `times`, `holds`: as octets of array("q"), nanoseconds; `clients`: an octet each, whether the client closes
        first.
        """
        self._ask("load", plan=plan)
        for begin in range(0, len(clients), _SCHEDULE_PART):
            end = begin + _SCHEDULE_PART
            long = slice(8 * begin, 8 * end)
            self._ask("load_schedule", times=times[long], holds=holds[long], clients=clients[begin:end])

    def load_run(self, upto: Duration) -> Progress:
        """Go on with the schedule up to a moment of it; raises `InterruptedCallError` as any call."""
        progress: Progress = self._ask("load_run", upto=upto)
        return progress

    def load_recorded(self) -> Recorded:
        """Return what was recorded and close all connections."""
        recorded: Recorded = self._ask("load_recorded")
        return recorded

    # -- the contract ------------------------------------------------------------------------------------------------

    def listen(
        self,
        at: Endpoint,
        *,
        reuse_address: bool = True,
        backlog: int = 128,
        options: Mapping[str, int] | None = None,
    ) -> Outcome:
        """See `Host.listen`."""
        return Outcome(
            *self._ask(
                "listen",
                address=at.address,
                port=at.port,
                reuse_address=reuse_address,
                backlog=backlog,
                options=dict(options or {}),
            )
        )

    def connect(
        self,
        to: Endpoint,
        *,
        source: Endpoint | None = None,
        late: bool = False,
        reuse_address: bool = False,
        options: Mapping[str, int] | None = None,
        timeout: Duration = PATIENCE,
    ) -> Outcome:
        """See `Host.connect`."""
        return Outcome(
            *self._ask(
                "connect",
                address=to.address,
                port=to.port,
                source=None if source is None else tuple(source),
                late=late,
                reuse_address=reuse_address,
                options=dict(options or {}),
                timeout=timeout,
            )
        )

    def accept(self, listener: int, *, timeout: Duration = PATIENCE) -> Outcome:
        """See `Host.accept`."""
        return Outcome(*self._ask("accept", handle=listener, timeout=timeout))

    def send(self, connection: int, data: bytes, *, timeout: Duration = PATIENCE) -> Outcome:
        """See `Host.send`."""
        return Outcome(*self._ask("send", handle=connection, data=data, timeout=timeout))

    def receive(self, connection: int, limit: int = 65536, *, timeout: Duration = PATIENCE) -> Outcome:
        """See `Host.receive`."""
        return Outcome(*self._ask("receive", handle=connection, limit=limit, timeout=timeout))

    def half_close(self, connection: int) -> Outcome:
        """See `Host.half_close`."""
        return Outcome(*self._ask("half_close", handle=connection))

    def stop_reading(self, connection: int) -> Outcome:
        """See `Host.stop_reading`."""
        return Outcome(*self._ask("stop_reading", handle=connection))

    def close(self, connection: int) -> Outcome:
        """See `Host.close`."""
        return Outcome(*self._ask("close", handle=connection))

    def abort(self, connection: int) -> Outcome:
        """See `Host.abort`."""
        return Outcome(*self._ask("abort", handle=connection))

    def set_option(self, connection: int, name: str, value: int) -> Outcome:
        """See `Host.set_option`."""
        return Outcome(*self._ask("set_option", handle=connection, name=name, value=value))

    def info(self, connection: int) -> ConnectionInfo:
        """See `Host.info`."""
        return ConnectionInfo(*self._ask("info", handle=connection))

    def poll(self, connection: int) -> Sequence[str]:
        """See `Host.poll`."""
        found: list[str] = self._ask("poll", handle=connection)
        return found

    def destroy(self, local_port: int, peer_port: int) -> Outcome:
        """See `Host.destroy`; refused on the machine's own stack."""
        return Outcome(*self._ask("destroy", local_port=local_port, peer_port=peer_port))

    def object_sizes(self, names: Sequence[str]) -> dict[str, int]:
        """See `Host.object_sizes`: /sys/kernel/slab."""
        found: dict[str, int] = self._ask("object_sizes", names=list(names))
        return found

    def track(self) -> None:
        """See `Host.track`; refused on the machine's own stack."""
        self._ask("track")

    def tracked(self) -> list[Tracked]:
        """See `Host.tracked`."""
        found: list[Tracked] = self._ask("tracked")
        return found

    def wait(self, duration: Duration) -> None:
        """See `Host.wait`."""
        self._ask("wait", duration=duration)

    def now(self) -> Instant:
        """See `Host.now`: CLOCK_MONOTONIC."""
        now: Instant = self._ask("now")
        return now

    def circumstances(self) -> dict[str, str]:
        """See `Host.circumstances`."""
        name = os.uname()
        stack = "private namespace" if self.private else OWN_STACK
        return {"world": "kernel", "kernel": f"{name.sysname} {name.release}", "stack": stack}

    def policy(self) -> Policy:
        """See `Host.policy`."""
        return LINUX

    def sockets(self, *, local_port: int = 0, peer_port: int = 0) -> list[Socket]:
        """See `Host.sockets`."""
        found: list[Socket] = self._ask("sockets", mask=ALL_STATES, local_port=local_port, peer_port=peer_port)
        return found

    def counters(self) -> dict[str, int]:
        """See `Host.counters`: names as in /proc/net."""
        read: dict[str, int] = self._ask("counters")
        return read

    def sysctl(self, name: str) -> str | None:
        """See `Host.sysctl`."""
        value: str | None = self._ask("sysctl", name=name)
        return value

    def set_sysctl(self, name: str, value: str) -> None:
        """See `Host.set_sysctl`; refused on the machine's own stack."""
        self._ask("set_sysctl", name=name, value=value)
