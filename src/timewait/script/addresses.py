"""The addresses of a script and the MTU between them: its own option lines, or packetdrill's defaults (config.c)."""

from ipaddress import ip_address, ip_interface
from typing import Final

from timewait.errors import UsageError
from timewait.script.syntax import Options
from timewait.script.world import Addresses

# Private ones for the stack, those of documentation for the script (RFC 5737, RFC 3849); packetdrill draws its address
# of the stack at random.
_LOCAL: Final = {"ipv4": "192.168.0.1", "ipv6": "fd3d:fa7b:d17d::1"}
_REMOTE: Final = {"ipv4": "192.0.2.1", "ipv6": "2001:db8::1"}

# Headers and eight octets more: RFC 791 section 3.2 for version 4; less than RFC 8200 asks for is played all the same.
_SMALLEST_MTU: Final = {"ipv4": 68, "ipv6": 88}


def mtu_of(options: Options) -> int:
    """Return the MTU.  Raises `UsageError` for one that no packet fits."""
    smallest = _SMALLEST_MTU["ipv6" if options.ip_version == "ipv6" else "ipv4"]
    if not smallest <= options.mtu <= 0xFFFF:
        raise UsageError(f"--mtu={options.mtu}", f"from {smallest} to 65535")
    return options.mtu


def addresses_of(options: Options) -> Addresses:
    """Return both ends.  Raises `UsageError` for what is no address, or one of the other family."""
    version = "ipv6" if options.ip_version == "ipv6" else "ipv4"
    return Addresses(
        _packed(options.local_ip or _LOCAL[version], version),
        _packed(options.remote_ip or _REMOTE[version], version),
        options.bind_port,
        options.connect_port,
    )


def _packed(text: str, version: str) -> bytes:
    """Return an address of an option line, with or without a prefix length."""
    try:
        address = ip_interface(text).ip if "/" in text else ip_address(text)
    except ValueError:
        raise UsageError(f"{text} is no address") from None
    if f"ipv{address.version}" != version:
        raise UsageError(f"{text} is no address of {version}")
    return address.packed
