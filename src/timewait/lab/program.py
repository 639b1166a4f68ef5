"""`Program`: what runs on an engine's connection, called when something happens.

A program is to the engine's sockets what an asyncio protocol is to the kernel's.
"""

from timewait.tcp.events import Errno

TYPE_CHECKING = False
if TYPE_CHECKING:
    from timewait.lab.programs import Channel


class Program:
    """One connection's behaviour.  Every method may be overridden; the defaults read and throw away, and close last."""

    def opened(self, channel: "Channel") -> None:
        """The connection is established."""

    def received(self, channel: "Channel", data: bytes) -> None:
        """The peer sent this."""

    def writable(self, channel: "Channel") -> None:
        """There is room to send again, after `Channel.send` took less than all."""

    def ended(self, channel: "Channel") -> None:
        """The peer will send no more."""
        channel.close()

    def failed(self, channel: "Channel", error: Errno) -> None:
        """The connection ended with an error, or never began; the channel is closed already."""
