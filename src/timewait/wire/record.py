"""`Record`: one packet out of a capture, whichever format it was in; and the careful reading that both formats need."""

from typing import BinaryIO, Final, NamedTuple

from timewait.clock import Instant
from timewait.wire.errors import WireError
from timewait.wire.link import RAW

# Above what any link delivers (Linux's largest GSO packet is 512 KB), far below what would hurt.
MAX_PACKET: Final = 0x10_0000


class Record(NamedTuple):
    """A captured frame.  `link.strip(record.link, record.data)` is the IP packet.

    `time`: nanoseconds since 1970.  `length`: the frame's length on the wire, of which `data` may be only the
    beginning.  `interface` and `comment` are empty where the format has none.
    """

    time: Instant
    data: bytes
    length: int
    link: int = RAW
    interface: str = ""
    comment: str = ""


def take(file: BinaryIO, size: int, what: str) -> bytes:
    """Read exactly `size` bytes, over as many reads as a pipe needs; `what` names them if the file ends before."""
    data = file.read(size)
    while len(data) < size:
        more = file.read(size - len(data))
        if not more:
            raise WireError(f"the file ends within {what}: {len(data)} bytes of {size}")
        data += more
    return data


def take_first(file: BinaryIO, size: int, what: str) -> bytes:
    """Read exactly `size` bytes, or none at the end of the file."""
    first = file.read(1)
    return first + take(file, size - 1, what) if first else b""
