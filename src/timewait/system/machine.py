"""Facts about the running kernel that are neither sysctls nor counters: uptime, HZ, which addresses are here
and which one is taken towards another."""

import errno
import gzip
import os
import socket
from pathlib import Path

_IP_BIND_ADDRESS_NO_PORT = 24  # include/uapi/linux/in.h
_ANY_PORT = 9  # discard, RFC 863: routing does not look at it, and nothing is sent


def uptime() -> float:
    """Return the seconds since the machine started; 0 where /proc does not say."""
    try:
        return float(Path("/proc/uptime").read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return 0.0


def timer_hz() -> int:
    """Return the kernel's CONFIG_HZ from its configuration; 0 where that is not kept."""
    for path, opened in ((Path(f"/boot/config-{os.uname().release}"), open), (Path("/proc/config.gz"), gzip.open)):
        try:
            with opened(path, "rt") as file:
                for line in file:
                    if line.startswith("CONFIG_HZ="):
                        return int(line[len("CONFIG_HZ=") :])
        except (OSError, ValueError, EOFError):
            continue
    return 0


def has_address(address: str) -> bool:
    """Return whether a socket could be bound to this local address.  Takes no port."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as probe:
            probe.setsockopt(socket.IPPROTO_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
            probe.bind((address, 0))
    except OSError:
        return False
    return True


def source_for(address: str) -> tuple[str, str]:
    """Return the own address that the kernel would take towards another one, and "", or "" and an errno's name.

    It routes as connect() does when it is called on a datagram socket, which sends nothing (udp(7)).
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as probe:
            probe.connect((address, _ANY_PORT))
            return str(probe.getsockname()[0]), ""
    except OSError as error:
        return "", errno.errorcode.get(error.errno or 0, str(error))
