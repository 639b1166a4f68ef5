"""`Unread`: a packet as it came, read when somebody asks for its segment, and then once."""

import contextlib

from timewait.wire import packet, vnet
from timewait.wire.errors import WireError
from timewait.wire.segment import Segment


class Unread:
    """A packet as a device carried it; `offload`: behind a virtio-net header."""

    __slots__ = ("_read", "_segment", "data", "offload")

    def __init__(self, data: bytes, offload: bool) -> None:
        self.data = data
        self.offload = offload
        self._read = False
        self._segment: Segment | None = None

    @property
    def segment(self) -> Segment | None:
        """The segment in it, one object however often it is asked for; None where there is no sound one."""
        if not self._read:
            self._read = True
            with contextlib.suppress(WireError):
                self._segment = vnet.parse(self.data) if self.offload else packet.parse(self.data)
        return self._segment

    @property
    def size(self) -> int:
        """How many octets of IP it is."""
        return len(self.data) - vnet.SIZE if self.offload else len(self.data)
