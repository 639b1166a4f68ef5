"""Reading a capture file without knowing which of the two formats it has.  Opens nothing; writing is in the formats."""

from collections.abc import Iterator
from typing import BinaryIO

from timewait.wire import pcap, pcapng
from timewait.wire.errors import WireError
from timewait.wire.record import Record, take


def read(file: BinaryIO) -> Iterator[Record]:
    """Yield the packets of a pcap or pcapng file as they are read; WireError where it is neither or breaks off.

    What came before the break is yielded first, so a capture cut off in mid-write still gives its packets.
    """
    magic = take(file, 4, "the magic number")
    if magic == pcapng.MAGIC:
        return pcapng.read_after(magic, file)
    if magic in pcap.MAGIC:
        return pcap.read_after(magic, file)
    raise WireError(f"neither pcap nor pcapng: the file begins with {magic.hex()}")
