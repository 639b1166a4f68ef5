"""`Host`: what a scenario may ask of a host, whatever world it lives in.

Calls look blocking and return an `Outcome`: an errno is a value, never an exception.  Times are nanoseconds of one
monotonic clock per world.  Connections and listeners are known by a number that the host gave out.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from timewait.clock import SECOND, Duration, Instant
from timewait.endpoint import Endpoint
from timewait.lab.rules import Policy
from timewait.system.conntrack import Tracked
from timewait.system.socket_table import Socket


class Outcome(NamedTuple):
    """What a call came to.  `error` is "" or the errno's name, and `call` then the system call that gave it."""

    value: Any
    call: str
    error: str
    began: Instant
    ended: Instant

    @property
    def ok(self) -> bool:
        """Whether the call succeeded."""
        return not self.error

    @property
    def took(self) -> Duration:
        """How long the call lasted."""
        return self.ended - self.began


class ConnectionInfo(NamedTuple):
    """What a host knows of one of its connections."""

    state: str
    timestamps: bool


class InterruptedCallError(Exception):
    """Somebody interrupted the host (Ctrl-C) while a scenario was using it."""


PATIENCE: Duration = 10 * SECOND
# What `Host.circumstances` calls the stack that a kernel host without a namespace of its own has.
OWN_STACK = "the machine's own stack"


class Host(Protocol):
    """One host.  A scenario needs nothing else."""

    def listen(
        self,
        at: Endpoint,
        *,
        reuse_address: bool = True,
        backlog: int = 128,
        options: Mapping[str, int] | None = None,
    ) -> Outcome:
        """Listen; the value is the listener.  `options` are set before bind()."""

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
        """Connect; the value is the connection.

        `source` None leaves address and port to the host; a port of 0 in it leaves the port to bind(), or with `late`
        to connect() (IP_BIND_ADDRESS_NO_PORT).  ETIMEDOUT after `timeout`.
        """

    def accept(self, listener: int, *, timeout: Duration = PATIENCE) -> Outcome:
        """Take the next connection from the accept queue; EAGAIN after `timeout`."""

    def send(self, connection: int, data: bytes, *, timeout: Duration = PATIENCE) -> Outcome:
        """Send; the value is how many octets the host took.  EAGAIN after `timeout`."""

    def receive(self, connection: int, limit: int = 65536, *, timeout: Duration = PATIENCE) -> Outcome:
        """Receive; the value is what came, b"" at the end of the stream.  EAGAIN after `timeout`."""

    def half_close(self, connection: int) -> Outcome:
        """Close the sending side only."""

    def stop_reading(self, connection: int) -> Outcome:
        """Close the receiving side only: shutdown(SHUT_RD)."""

    def close(self, connection: int) -> Outcome:
        """Close a connection or a listener and forget it."""

    def abort(self, connection: int) -> Outcome:
        """Close with SO_LINGER on and zero: RFC 9293's ABORT."""

    def set_option(self, connection: int, name: str, value: int) -> Outcome:
        """Set a socket option by its name; SO_LINGER is on, with so many seconds."""

    def info(self, connection: int) -> ConnectionInfo:
        """Tell a connection's state and whether it uses timestamps."""

    def poll(self, connection: int) -> Sequence[str]:
        """Tell what poll(2) reports now, without waiting: of IN, OUT, ERR, HUP and RDHUP, in this order."""

    def destroy(self, local_port: int, peer_port: int) -> Outcome:
        """Delete what has these ports, a TIME-WAIT too, as `ss -K` does; the value is how many there were."""

    def object_sizes(self, names: Sequence[str]) -> dict[str, int]:
        """Tell how many octets the kernel's objects take.  Raises `UnavailableError` where it cannot."""

    def track(self) -> None:
        """Have the host's packet filter track its connections.  Raises `UnavailableError` where it cannot."""

    def tracked(self) -> list[Tracked]:
        """List the connections that the packet filter tracks."""

    def wait(self, duration: Duration) -> None:
        """Let this much time pass."""

    def now(self) -> Instant:
        """Tell the time of this host's world."""

    def circumstances(self) -> dict[str, str]:
        """Tell what a result depends on and a reader cannot see: the world, its kernel or profile, its seed."""

    def policy(self) -> Policy:
        """Tell what the rules have to know of the stack that decides on this host."""

    def sockets(self, *, local_port: int = 0, peer_port: int = 0) -> list[Socket]:
        """List the host's TCP sockets; a port of 0 matches any."""

    def counters(self) -> dict[str, int]:
        """Read the host's counters by name."""

    def sysctl(self, name: str) -> str | None:
        """Read a setting; None where this host has no such setting."""

    def set_sysctl(self, name: str, value: str) -> None:
        """Change a setting of this host.  Raises `UnavailableError` where it cannot."""
