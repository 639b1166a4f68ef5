"""Local ports: who holds them, what bind() may pass over, in which order a connect() tries them.

Knows claims on ports, not connections: whether a four-tuple is free is asked through a set of ports by the caller.
bind() over TIME-WAIT: Linux net/ipv4/inet_connection_sock.c, inet_bind_conflict(); the search for a port: RFC 6056, and
net/ipv4/inet_hashtables.c, __inet_hash_connect().
"""

from collections.abc import Iterator
from random import Random
from typing import Final

from timewait.tcp.connection import Options
from timewait.tcp.profile import PortSearch, Profile

# A class of claims: flags, and the index of the local address (0: any) above them.
REUSE_ADDRESS: Final = 1
REUSE_PORT: Final = 2
BOUND: Final = 4
"""The port was chosen by bind(), not by connect()."""
LISTENING: Final = 8
WAITING: Final = 16
_ADDRESS_SHIFT: Final = 5
# As many counters as Linux keeps: INET_TABLE_PERTURB_SIZE (CONFIG_INET_TABLE_PERTURB_ORDER=16).
_PERTURB_MASK: Final = 0xFFFF


def reuse_flags(options: Options) -> int:
    """Return the flags of a claim that a socket's options make."""
    return (REUSE_ADDRESS if options.reuse_address else 0) | (REUSE_PORT if options.reuse_port else 0)


class PortTable:
    """Who holds which local port: for each port, how many claims of each class.

    Claims of one class are alike for every question asked here, so a listening port with a million connections is two
    numbers, and a client's port costs no object of its own.
    """

    __slots__ = ("addresses", "claims", "counters", "next_sequential")

    def __init__(self) -> None:
        self.claims: dict[int, tuple[int, ...]] = {}
        self.addresses: dict[bytes, int] = {b"": 0}
        self.counters: dict[int, int] = {}
        self.next_sequential = 0

    def class_of(self, address: bytes, flags: int) -> int:
        """Return the class of a claim: a local address (empty: any) and flags."""
        index = self.addresses.get(address)
        if index is None:
            index = self.addresses[address] = len(self.addresses)
        return index << _ADDRESS_SHIFT | flags

    def add(self, port: int, kind: int) -> None:
        """Enter one claim."""
        held = self.claims.get(port)
        if held is None:
            self.claims[port] = (kind, 1)
            return
        for at in range(0, len(held), 2):
            if held[at] == kind:
                self.claims[port] = (*held[: at + 1], held[at + 1] + 1, *held[at + 2 :])
                return
        self.claims[port] = (*held, kind, 1)

    def remove(self, port: int, kind: int) -> None:
        """Take one claim out again."""
        held = self.claims[port]
        if held == (kind, 1):
            del self.claims[port]
            return
        at = next(at for at in range(0, len(held), 2) if held[at] == kind)
        if held[at + 1] > 1:
            self.claims[port] = (*held[: at + 1], held[at + 1] - 1, *held[at + 2 :])
        else:
            self.claims[port] = held[:at] + held[at + 2 :]

    def conflict(self, port: int, kind: int, profile: Profile) -> bool:
        """Whether bind() with this class must fail: addresses meet, and not both sides allow it."""
        address = kind >> _ADDRESS_SHIFT
        held = self.claims.get(port, ())
        for other in held[::2]:
            other_address = other >> _ADDRESS_SHIFT
            if address and other_address and address != other_address:
                continue
            if other & WAITING and not profile.bind_over_wait:
                continue
            both = other & kind
            if both & REUSE_PORT or (both & REUSE_ADDRESS and not other & LISTENING):
                continue
            return True
        return False

    def held(self, port: int) -> bool:
        """Whether anybody holds the port."""
        return port in self.claims

    def bound(self, port: int) -> bool:
        """Whether somebody chose the port by bind(): an ephemeral search then passes it by."""
        return any(kind & BOUND for kind in self.claims.get(port, ())[::2])

    def fork(self) -> "PortTable":
        """Return an independent copy."""
        other = PortTable()
        other.claims = self.claims.copy()
        other.addresses = self.addresses.copy()
        other.counters = self.counters.copy()
        other.next_sequential = self.next_sequential
        return other


def reserved(profile: Profile, port: int) -> bool:
    """Whether the port is kept from automatic choice (ip_local_reserved_ports)."""
    return any(low <= port <= high for low, high in profile.reserved_ports)


def candidates(
    table: PortTable,
    profile: Profile,
    span: tuple[int, int] | None,
    hashed: int,
    chance: Random,
    for_bind: bool,
) -> Iterator[int]:
    """Yield ports in the order in which the profile's stack tries them; the caller takes the first that will do.

    `span`: the socket's own range (IP_LOCAL_PORT_RANGE), or None; `hashed`: 64 bits of the destination.  Linux tries
    the ports of the low end's parity first for connect(), the others first for bind(); a range of the socket's own
    drops the rule since 6.8.
    """
    low, high = profile.ephemeral_range if span is None else span
    count = high - low + 1
    parity = _by_parities(profile, span)
    match profile.port_search:
        case PortSearch.SEQUENTIAL:
            start = table.next_sequential % count
        case PortSearch.RANDOM_START:
            start = chance.randrange(count)
        case PortSearch.HASHED | PortSearch.HASHED_PARITY:
            index = hashed & _PERTURB_MASK
            start = (table.counters.get(index, 0) + (hashed >> 32)) % count
    if parity:
        even = count & ~1 if count > 1 else count
        start = (start % even) & ~1
        offsets = _by_parity(start, even, for_bind)
    else:
        offsets = ((start + step) % count for step in range(count))
    for offset in offsets:
        port = low + offset
        if not (profile.reserved_ports and reserved(profile, port)):
            yield port


def _by_parities(profile: Profile, span: tuple[int, int] | None) -> bool:
    return profile.port_search is PortSearch.HASHED_PARITY and not (span and profile.option_range_drops_parity)


def _by_parity(start: int, even: int, odd_first: bool) -> Iterator[int]:
    if even == 1:
        yield 0
        return
    for odd in (1, 0) if odd_first else (0, 1):
        for step in range(0, even, 2):
            yield (start + step) % even + odd


def note_success(table: PortTable, profile: Profile, span: tuple[int, int] | None, port: int, hashed: int) -> None:
    """Move the next search for the same destination past the port just taken."""
    low, high = profile.ephemeral_range if span is None else span
    if profile.port_search is PortSearch.SEQUENTIAL:
        table.next_sequential = port - low + 1
    elif profile.port_search is not PortSearch.RANDOM_START:
        step = 2 if _by_parities(profile, span) else 1
        table.counters[hashed & _PERTURB_MASK] = (port - low + step - (hashed >> 32)) % (high - low + 1)
