"""`Endpoint`: an address and a port, as people and URLs write them."""

import ipaddress
from typing import NamedTuple

from timewait.errors import UsageError


class Endpoint(NamedTuple):
    """One end of a connection.  `address` is text in its canonical form, without brackets; port 0 means any."""

    address: str
    port: int

    def __str__(self) -> str:
        return written(self.address, self.port)

    @property
    def is_ipv6(self) -> bool:
        """Whether the address is an IPv6 address."""
        return ":" in self.address

    @property
    def is_loopback(self) -> bool:
        """Whether the address is in 127.0.0.0/8 or is ::1."""
        return ipaddress.ip_address(self.address).is_loopback


def written(address: str, port: int | str) -> str:
    """Return `address:port`, an IPv6 address in brackets (RFC 5952 section 6)."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def parse(text: str) -> Endpoint:
    """Read ADDR or ADDR:PORT, [ADDR6]:PORT included; the port is 0 when none is given.

    Raises `UsageError` for anything else.
    """
    address, port = text, ""
    if text.startswith("["):
        address, closed, rest = text[1:].partition("]")
        if not closed or (rest and not rest.startswith(":")):
            raise _not_an_endpoint(text)
        port = rest[1:] if rest else ""
    elif text.count(":") == 1:
        address, _, port = text.partition(":")
        if not port:
            raise _not_an_endpoint(text)
    try:
        known = ipaddress.ip_address(address)
    except ValueError:
        raise _not_an_endpoint(text) from None
    if isinstance(known, ipaddress.IPv6Address) and known.ipv4_mapped:
        known = known.ipv4_mapped
    if not port:
        return Endpoint(str(known), 0)
    if not (port.isascii() and port.isdecimal() and len(port) <= 5 and 1 <= int(port) <= 65535):
        raise UsageError(f"{port!r} in {text!r} is not a port", "a port is a number from 1 to 65535")
    return Endpoint(str(known), int(port))


def _not_an_endpoint(text: str) -> UsageError:
    return UsageError(
        f"{text!r} is not an address, or an address and a port",
        "write it as 192.0.2.7, 192.0.2.7:443, 2001:db8::7 or [2001:db8::7]:443; names are not looked up",
    )
