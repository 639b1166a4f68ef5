"""`World`: what a packet script needs of the stack under test; the engine and the kernel each keep this contract.

Times are nanoseconds since the script began.  Packets cross here as IP packets, complete with headers: `play` builds
and compares them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from timewait.clock import Duration
from timewait.errors import TimewaitError
from timewait.script.syntax import Call, Expression


class UnknownCallError(TimewaitError):
    """A call, constant or structure that this world has not."""


class UnknownCommandError(TimewaitError):
    """A command of the host that this world does not know."""


class Seen(NamedTuple):
    """A packet that the stack sent: when, and its octets from the IP header on."""

    time: Duration
    packet: bytes


class CommandResult(NamedTuple):
    """What a command printed, and its exit status."""

    output: str
    status: int


@dataclass(slots=True)
class Returned:
    """How a call ended.  `errno`: its name, where it failed; `out`: what the call wrote through pointers, by the index
    of the argument; `began`, `ended`: when."""

    value: int
    began: Duration
    ended: Duration
    errno: str = ""
    out: Mapping[int, Expression] | None = None


class Addresses(NamedTuple):
    """Both ends, packed (4 or 16 octets each), with the ports that `...` stands for.

    `local` is the stack under test, `remote` the script.
    """

    local: bytes
    remote: bytes
    bind_port: int
    connect_port: int


class World(Protocol):
    """A stack under test."""

    addresses: Addresses
    virtual: bool  # times are exact, no tolerance is needed
    stack: str  # what is under test, for messages
    system: str  # whose constants and commands it has: linux or freebsd

    def now(self) -> Duration:
        """Return the time since the script began."""
        ...

    def wait_until(self, time: Duration) -> None:
        """Let time pass up to `time`; what the stack sends meanwhile is kept for `next_packet`."""
        ...

    def inject(self, packet: bytes) -> None:
        """Deliver an IP packet to the stack, now."""
        ...

    def next_packet(self, patience: Duration) -> Seen | None:
        """Return the oldest packet not yet taken, waiting until the time `patience`; None if none came."""
        ...

    def call(self, call: Call, *, blocking: bool = False) -> Returned | None:
        """Make a call; None if it did not return at once: `finish` has its end.

        Descriptors in the arguments are this world's own; `play` has put them in place of the script's numbers.

        Raises:
            UnknownCallError: this world has no such call, constant or structure.
        """
        ...

    def finish(self, patience: Duration) -> Returned | None:
        """Return how the blocking call ended, waiting until the time `patience`; None if it still blocks."""
        ...

    def command(self, text: str) -> CommandResult:
        """Run a command of the host.

        Raises:
            UnknownCommandError: this world does not know it, with near names.
        """
        ...

    def tcp_info(self, handle: int) -> Mapping[str, int]:
        """Return the fields of tcp_info of a descriptor of the script."""
        ...

    def close(self) -> None:
        """End the stack and whatever belongs to it."""
        ...
