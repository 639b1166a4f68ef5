"""TUN devices: the kernel's end of a link whose other end is this program.  One IP packet a read, one a write.

Documentation/networking/tuntap.rst; include/uapi/linux/if_tun.h.  A device lives as long as its descriptor,
which keeps its namespace alive too.  With offload each packet stands behind a virtio-net header (`wire.vnet`).
"""

import errno
import fcntl
import os
from collections.abc import Sequence
from struct import Struct
from typing import Final, NamedTuple

from timewait.errors import UnavailableError
from timewait.system import rtnetlink

DEVICE: Final = "/dev/net/tun"
TUNSETIFF: Final = 0x4004_54CA
TUNSETOFFLOAD: Final = 0x4004_54D0
IFF_TUN: Final = 0x0001
IFF_NO_PI: Final = 0x1000
IFF_VNET_HDR: Final = 0x4000
TUN_F_CSUM: Final = 0x01
TUN_F_TSO4: Final = 0x02
TUN_F_TSO6: Final = 0x04
# struct ifreq: a name of 16 bytes, then 24 of which flags are the first two.  include/uapi/linux/if.h
_REQUEST: Final = Struct("=16sH22x")
# Packets that wait for a reader who is busy.  The default of 500 is less than one window of small segments.
QUEUE: Final = 10_000
# An IP packet of any size, behind a virtio-net header.
LONGEST: Final = 65_535 + 10


class TunSetup(NamedTuple):
    """What a device shall be.  `addresses`: the kernel's own on it, each with the length of its prefix."""

    addresses: Sequence[tuple[str, int]]
    mtu: int = 1500
    offload: bool = False
    name: str = "tun%d"


def create(setup: TunSetup) -> tuple[int, str]:
    """Make a device in the network namespace of this process, up and with its addresses; return descriptor and name.

    Raises `UnavailableError` where the machine has no TUN, or this user may not.
    """
    descriptor = _open()
    try:
        name = _attach(descriptor, setup)
        if setup.offload:
            _offload(descriptor)
        rtnetlink.link_up(name, setup.mtu, QUEUE)
        for address, prefix in setup.addresses:
            rtnetlink.add_address(name, address, prefix)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor, name


def _open() -> int:
    try:
        return os.open(DEVICE, os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        what = f"{DEVICE} cannot be opened: {error.strerror}"
        if error.errno in (errno.ENOENT, errno.ENODEV, errno.ENXIO):
            hint = "load the module (as root: modprobe tun); give a container the device (--device /dev/net/tun)"
        else:
            hint = "run as root, or open it to every user, as most distributions do (as root: chmod 666 /dev/net/tun)"
        raise UnavailableError(what, hint) from None


def _attach(descriptor: int, setup: TunSetup) -> str:
    flags = IFF_TUN | IFF_NO_PI | (IFF_VNET_HDR if setup.offload else 0)
    try:
        answer = fcntl.ioctl(descriptor, TUNSETIFF, _REQUEST.pack(setup.name.encode(), flags))
    except OSError as error:
        raise UnavailableError(f"TUN device {setup.name} cannot be made: {error.strerror}") from None
    name: bytes = _REQUEST.unpack(answer)[0]
    return name.rstrip(b"\0").decode()


def _offload(descriptor: int) -> None:
    """Let the kernel leave checksums and cutting to us: segments of up to 64 KB at a read."""
    try:
        fcntl.ioctl(descriptor, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6)
    except OSError as error:
        raise UnavailableError(f"this kernel's TUN has no offload: {error.strerror}", "go without offload") from None


class Tun:
    """The program's end of a device: packets in, packets out, neither ever waiting."""

    __slots__ = ("_size", "descriptor", "mtu", "name", "offload")

    def __init__(self, descriptor: int, name: str, mtu: int, offload: bool) -> None:
        self.descriptor = descriptor
        self.name = name
        self.mtu = mtu
        self.offload = offload
        self._size = LONGEST if offload else mtu

    def fileno(self) -> int:
        """Return the descriptor, for poll()."""
        return self.descriptor

    def receive(self) -> bytes:
        """Return the next packet the kernel sent, b"" while there is none."""
        try:
            return os.read(self.descriptor, self._size)
        except BlockingIOError:
            return b""
        except OSError as error:
            raise UnavailableError(f"TUN device {self.name} gives no packets: {error.strerror}") from None

    def send(self, packet: bytes) -> bool:
        """Hand the kernel a packet; False where it had no room for it or does not take it, as on any network."""
        try:
            os.write(self.descriptor, packet)
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.ENOBUFS, errno.ENOMEM, errno.EINVAL):
                return False
            raise UnavailableError(f"TUN device {self.name} took no packet: {error.strerror}") from None
        return True

    def close(self) -> None:
        """Close the descriptor, and with it the device.  May be called again."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1
