"""A pair of Ethernet devices, for users to whom TUN is closed: packets come and go through a packet socket on the peer.

veth(4), packet(7).  Needs no device file, only a namespace of one's own; slower than TUN, and its queue is shorter.
The kernel's end asks nobody for addresses (IFF_NOARP): its packets are marked for another host, so that the peer's own
IP looks at none of them.
"""

import contextlib
import ctypes
import errno
import fcntl
import socket
from struct import Struct
from typing import Final

from timewait.errors import TimewaitError, UnavailableError
from timewait.system import rtnetlink, sysctl
from timewait.system.tun import TunSetup

NAME: Final = "veth0"
PEER: Final = "veth1"
# include/uapi/linux/sockios.h, ethtool.h, if_packet.h, if_ether.h
_SIOCETHTOOL: Final = 0x8946
_SIOCGIFHWADDR: Final = 0x8927
_ETHTOOL_STXCSUM: Final = 0x17
_SOL_PACKET: Final = 263
_PACKET_IGNORE_OUTGOING: Final = 23
_ETH_P_ALL: Final = 3
_ETH_P = {4: 0x0800, 6: 0x86DD}
_VALUE = Struct("=II")
_POINTER = Struct("@16sP16x")
_ADDRESS = Struct("=16sH6s8x")
# As much as an ordinary user may have: net.core.rmem_max bounds it.
_QUEUE: Final = 1 << 22


def create(setup: TunSetup) -> tuple[int, str]:
    """Make a pair in the network namespace of this process, up and with its addresses; as `system.tun.create`."""
    rtnetlink.add_veth(NAME, PEER)
    with contextlib.suppress(TimewaitError, OSError):  # a kernel without IPv6
        sysctl.write(f"net.ipv6.conf.{PEER}.disable_ipv6", "1")
    for name in (NAME, PEER):
        _fill_in_checksums(name)
        rtnetlink.link_up(name, setup.mtu, 1000)
    packets = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, 0)
    try:
        packets.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _QUEUE)
        packets.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
        packets.bind((PEER, _ETH_P_ALL))
        for address, prefix in setup.addresses:
            rtnetlink.add_address(NAME, address, prefix)
        return packets.detach(), _hardware_address(NAME).hex(":")
    finally:
        packets.close()


def _fill_in_checksums(name: str) -> None:
    """Have the kernel fill in checksums and cut segments itself, instead of leaving it to a device that never does."""
    value = ctypes.create_string_buffer(_VALUE.pack(_ETHTOOL_STXCSUM, 0))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        fcntl.ioctl(asking, _SIOCETHTOOL, _POINTER.pack(name.encode(), ctypes.addressof(value)))


def _hardware_address(name: str) -> bytes:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        answer = fcntl.ioctl(asking, _SIOCGIFHWADDR, _ADDRESS.pack(name.encode(), 0, bytes(6)))
    address: bytes = _ADDRESS.unpack(answer)[2]
    return address


class Veth:
    """The program's end of a pair: packets in, packets out, neither ever waiting; as `system.tun.Tun`."""

    __slots__ = ("_address", "_socket", "mtu", "offload")

    def __init__(self, descriptor: int, address: str, mtu: int) -> None:
        """Take over what `create` returned."""
        self._socket = socket.socket(fileno=descriptor)
        self._address = bytes.fromhex(address.replace(":", ""))
        self.mtu = mtu
        self.offload = False

    def fileno(self) -> int:
        """Return the descriptor, for poll()."""
        return self._socket.fileno()

    def receive(self) -> bytes:
        """Return the next packet the kernel sent, b"" while there is none."""
        try:
            return self._socket.recv(self.mtu)
        except BlockingIOError:
            return b""
        except OSError as error:
            raise UnavailableError(f"device {PEER} gives no packets: {error.strerror}") from None

    def send(self, packet: bytes) -> bool:
        """Hand the kernel a packet; False where it had no room for it or does not take it, as on any network."""
        protocol = _ETH_P.get(packet[0] >> 4 if packet else 0)
        if protocol is None:
            return False
        try:
            self._socket.sendto(packet, (PEER, protocol, 0, 0, self._address))
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.ENOBUFS, errno.ENOMEM, errno.EINVAL, errno.EMSGSIZE):
                return False
            raise UnavailableError(f"device {PEER} took no packet: {error.strerror}") from None
        return True

    def close(self) -> None:
        """Close the socket; the pair goes with its namespace.  May be called again."""
        self._socket.close()
