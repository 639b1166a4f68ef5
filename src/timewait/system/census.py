"""A very full socket table, counted instead of listed: by state, role, destination and time left.

The destination of a socket is the end that was connected to: the peer's for a client, the local one for a server.
Works on whole runs of records at once.  An IPv4 record in TIME-WAIT becomes one 64-bit key (address, port, time left,
role): with the standard library by moving bytes inside the buffer with strided slices, so that one slice reads the
key; with numpy (`census_numpy`), worth its import only above some hundred thousand sockets, by array arithmetic.  Both
give the same counts (a test holds them to it).  Whatever else comes takes the slower way, record by record.

A census that is given the pool of ephemeral ports counts in more detail, as a budget of ports needs it: clients by
their own address and by whether their port is of the pool, and of which half of it, time left to 256 ms, full sockets
by whether anybody holds them.
"""

import _socket as socket
from collections import Counter
from itertools import compress
from operator import or_
from struct import Struct
from sys import byteorder

from timewait.system.netlink import DATAGRAM_SIZE, DumpState, InterruptedDumpError, NetlinkError
from timewait.system.sock_diag import (
    DESTINATION,
    DESTINATION_PORT,
    EXPIRES,
    FAMILY,
    INET_DIAG_SKV6ONLY,
    LISTEN,
    MAPPED,
    SOURCE,
    SOURCE_PORT,
    STATE,
    STATES,
    TIMER,
    TIMER_TIME_WAIT,
    address_text,
    attribute,
    runs,
    same,
    state_mask,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from typing import Any, TypeAlias

    from timewait.system.sock_diag import Run

    # Family, address in 16 bytes, port, IPv6 only.
    Listener: TypeAlias = tuple[int, bytes, int, bool]
    # State, family, address in 4 or 16 bytes, port, role, count, least and most time left in units.
    Counted: TypeAlias = tuple[int, int, bytes, int, str, int, int, int]
    # State, family, address, port, role, own address as IPv6 (b"" for a server), own port: 0, OUTSIDE or LATE.
    Kind: TypeAlias = tuple[int, int, bytes, int, str, bytes, int]

_ATTEMPTS = 4

# Time left is counted in units of 1024 ms, so that one byte of the field tells it: 60 s are 58.6 units.
UNIT_MS = 1024
NO_TIMER = -1
# In detail, in units of 256 ms.  A full socket without an inode is one that no process holds: an orphan, or one that
# nobody has accepted yet.
CELL_MS = 256
NOT_HELD = -2
_INODE = 84
_UNITS = bytes(high >> 2 for high in range(256))  # from the field's second byte, units of 256 ms
_BYTE1, _BYTE2, _BYTE3 = (1, 2, 3) if byteorder == "little" else (2, 1, 0)  # of a number of 4 bytes, from the low end
_UPPER = min(_BYTE2, _BYTE3)

# A key is 8 bytes: address 4, port 2 (big-endian both), units of time left 1, mark 1.  In an IPv4 record twelve unused
# bytes follow each address, and both addresses lie at multiples of 8, so the key can be laid out there.
_KEY_SIZE = 8
_KEY = Struct("=4s2sBB")
_LEFT_SHIFT = 48 if byteorder == "little" else 8  # of the time left in a key read as a number
# A mark is 1 for a server, else 0; in detail also 2 for a client whose port is outside the pool, 3 for one whose port
# connect() tries last; and above these two bits the number given to a client's own address.
_ROLES = ("client", "server")
SERVER, OUTSIDE, LATE, NUMBER_SHIFT, MOST_ADDRESSES = 1, 2, 3, 2, 64
_KIND = 3

# Measured on 6.18 with Python 3.11 and numpy 2.4, CPU time of the whole command: about even at 400,000 sockets.
NUMPY_PAYS_FROM = 400_000
_NUMPY_BLOCK = 1 << 20


class Group:
    """Sockets that share a state, a role and a destination: the end that was connected to.

    `least`, `most`: the time left of the first and of the last one to go, in ms, to 1024 ms; None without a timer.
    """

    __slots__ = ("address", "count", "least", "most", "port", "role", "state")

    def __init__(self, state: str, role: str, address: str, port: int) -> None:
        self.state = state
        self.role = role
        self.address = address
        self.port = port
        self.count = 0
        self.least: int | None = None
        self.most: int | None = None

    def add(self, count: int, least: int, most: int) -> None:
        """Count some more sockets, their time left in units."""
        self.count += count
        if least == NO_TIMER:
            return
        least, most = least * UNIT_MS, most * UNIT_MS
        self.least = least if self.least is None else min(self.least, least)
        self.most = most if self.most is None else max(self.most, most)


class Numbers(dict[int, int]):
    """Small numbers for addresses, in order of appearance; OverflowError beyond what a mark can hold."""

    def __missing__(self, address: int) -> int:
        if len(self) >= MOST_ADDRESSES:
            raise OverflowError
        self[address] = len(self)
        return self[address]


class Census:
    """Counts runs of records, with the standard library alone."""

    def __init__(
        self, listening: "Iterable[Listener]", pool: "Collection[int] | None" = None, late: "Collection[int]" = ()
    ) -> None:
        """Take this network namespace's listeners, see `listeners`; with the ephemeral ports, count in detail.

        `late`: those of the pool that connect() tries only when it finds no other.
        """
        # By family: ports that are listened on at every address, and ports at some, with those addresses.
        self._every: dict[int, set[int]] = {socket.AF_INET: set(), socket.AF_INET6: set()}
        self._some: dict[int, dict[int, set[bytes]]] = {socket.AF_INET: {}, socket.AF_INET6: {}}
        for family, address, port, v6_only in listening:
            self._listen(family, address, port, v6_only)
        # The same for a look at a whole run, as a record's two bytes read by this machine.
        self._sure = {_swapped(port) for port in self._every[socket.AF_INET]}
        self._unsure = {_swapped(port) for port in self._some[socket.AF_INET]} - self._sure
        self._keys: dict[int, Counter[int]] = {}  # by state: IPv4 sockets with a time left
        self._rest: Counter[tuple[Kind, int]] = Counter()  # (kind, units left)
        self._pool = pool
        self._numbers = Numbers()  # of clients' own addresses, as a record's four bytes read by this machine
        self._outside = bytearray()
        if pool is not None:
            outside = bytearray([OUTSIDE]) * (1 << 16)
            for port in pool:
                outside[port] = 0
            for port in late:
                outside[port] = LATE
            self._outside = _by_swapped(outside)

    def _listen(self, family: int, address: bytes, port: int, v6_only: bool) -> None:
        if family == socket.AF_INET6 and address.startswith(MAPPED):
            family, address = socket.AF_INET, address[12:] + bytes(12)
        if any(address):
            self._some[family].setdefault(port, set()).add(address)
            return
        self._every[family].add(port)
        if family == socket.AF_INET6 and not v6_only:
            self._every[socket.AF_INET].add(port)

    def add(self, run: "Run") -> None:
        """Count the records of one run.  May change the run's buffer."""
        state = self._plain_state(run)
        if not state or not self._add_plain(run, state):
            self._add_slowly(run)

    def _plain_state(self, run: "Run") -> int:
        """Return the state of a run that is IPv4 in one state with less than 65 s left throughout; else 0."""
        buffer, start, end, length = run
        if length % _KEY_SIZE or start % _KEY_SIZE:
            return 0
        if buffer[start + FAMILY] != socket.AF_INET or buffer[start + TIMER] != TIMER_TIME_WAIT:
            return 0
        if buffer[start + EXPIRES + _BYTE2] or buffer[start + EXPIRES + _BYTE3]:
            return 0
        view = memoryview(buffer)[start:end]
        # Family, state, timer and retransmits lie in one word; the upper half of the time left is another's.
        alike = same(view, FAMILY, length, 4) and same(view, EXPIRES + _UPPER, length, 2)
        return buffer[start + STATE] if alike else 0

    def _add_plain(self, run: "Run", state: int) -> bool:
        """Count a plain run by keys; return False where its listeners want a closer look."""
        buffer, start, end, length = run
        local = memoryview(buffer)[start:end].cast("H")[SOURCE_PORT // 2 :: length // 2].tolist()
        if self._unsure and not self._unsure.isdisjoint(local):
            return False
        count = len(local)
        detail = self._pool is not None
        servers = list(compress(range(count), map(self._sure.__contains__, local)))
        if len(servers) == count:
            keys = _lay_out(run, SOURCE, SOURCE_PORT, b"\1" * count, detail)
        else:
            try:
                marks = self._client_marks(run, local) if detail else bytes(count)
            except OverflowError:
                return False
            keys = _lay_out(run, DESTINATION, DESTINATION_PORT, marks, detail)
            if servers:
                served = _lay_out(run, SOURCE, SOURCE_PORT, b"\1" * count, detail)
                for at in servers:
                    keys[at] = served[at]
        self._counter(state).update(keys)
        return True

    def _client_marks(self, run: "Run", local: list[int]) -> bytes:
        """Return the marks of a run of clients: usually one local address serves a whole run."""
        buffer, start, end, length = run
        view = memoryview(buffer)[start:end]
        addresses = view.cast("I")[SOURCE // 4 :: length // 4]
        outside = bytes(map(self._outside.__getitem__, local))
        if not same(view, SOURCE, length, 4):
            return bytes(map(or_, outside, (self._numbers[address] << NUMBER_SHIFT for address in addresses.tolist())))
        number = self._numbers[addresses[0]] << NUMBER_SHIFT
        return outside.translate(bytes(number | value & _KIND for value in range(256)))

    def _counter(self, state: int) -> "Counter[int]":
        if not 0 < state < len(STATES):
            raise NetlinkError(f"a record of the socket dump has the unknown state {state}")
        return self._keys.setdefault(state, Counter())

    def _add_slowly(self, run: "Run") -> None:
        buffer, start, end, length = run
        detail = self._pool is not None
        unit = CELL_MS if detail else UNIT_MS
        for at in range(start, end, length):
            family, state, timer = buffer[at + FAMILY], buffer[at + STATE], buffer[at + TIMER]
            if not 0 < state < len(STATES):
                raise NetlinkError(f"a record of the socket dump has the unknown state {state}")
            local = _end(family, buffer, at + SOURCE, at + SOURCE_PORT)
            server = self.listens(*local)
            left = NO_TIMER
            if timer == TIMER_TIME_WAIT:
                left = int.from_bytes(buffer[at + EXPIRES : at + EXPIRES + 4], byteorder) // unit
            elif detail and not any(buffer[at + _INODE : at + _INODE + 4]):
                left = NOT_HELD
            own, outside = b"", 0
            if detail and not server:
                own, outside = _as_ipv6(local), self._outside[_swapped(local[2])]
            family, address, port = local if server else _end(family, buffer, at + DESTINATION, at + DESTINATION_PORT)
            self._rest[(state, family, address, port, _ROLES[server], own, outside), left] += 1

    def listens(self, family: int, address: bytes, port: int) -> bool:
        """Return whether a listener takes connections to this address, in 16 bytes, and port: a server's end."""
        return port in self._every[family] or address in self._some[family].get(port, ())

    def _key_counts(self) -> "Iterator[tuple[int, int, int]]":
        """Yield (state, key, count) of what was counted by keys."""
        for state, counter in self._keys.items():
            for key, count in counter.items():
                yield state, key, count

    def finish(self) -> "list[Counted]":
        """Return everything counted, one entry for each state, role and destination.  Not for a census in detail."""
        found: dict[tuple[int, int, bytes, int, str], list[int]] = {}
        for (kind, left), count in self._rest.items():
            _merge(found, kind[:5], count, left)
        for state, key, count in self._key_counts():
            address, port, left, mark = _KEY.unpack(key.to_bytes(_KEY_SIZE, byteorder))
            at = (state, socket.AF_INET, address + bytes(12), int.from_bytes(port, "big"), _ROLES[mark])
            _merge(found, at, count, left)
        return [(*key, count, least, most) for key, (count, least, most) in found.items()]

    def in_detail(self) -> "dict[Kind, dict[int, int]]":
        """Return everything counted in detail: for each kind how many by time left, in units of `CELL_MS`."""
        found: dict[Kind, dict[int, int]] = {}
        for (kind, left), count in self._rest.items():
            found.setdefault(kind, {})[left] = count
        own = [MAPPED + address.to_bytes(4, byteorder) for address in self._numbers]
        merged: dict[tuple[int, int], dict[int, int]] = {}  # keys of one kind differ in their time left alone
        shift, but_left = _LEFT_SHIFT, ~(0xFF << _LEFT_SHIFT)
        for state, key, count in self._key_counts():
            at = state, key & but_left
            lefts = merged.get(at)
            if lefts is None:
                lefts = merged[at] = {}
            left = key >> shift & 0xFF
            lefts[left] = lefts.get(left, 0) + count
        for (state, key), lefts in merged.items():
            address, port, _, mark = _KEY.unpack(key.to_bytes(_KEY_SIZE, byteorder))
            half = mark & _KIND
            server = half == SERVER
            ends = (socket.AF_INET, address + bytes(12), int.from_bytes(port, "big"), _ROLES[server])
            local = b"" if server else own[mark >> NUMBER_SHIFT]
            together = found.setdefault((state, *ends, local, 0 if server else half), lefts)
            if together is not lefts:
                for left, count in lefts.items():
                    together[left] = together.get(left, 0) + count
        return found


def _by_swapped(table: bytearray) -> bytearray:
    """Return a table by port as one by `_swapped` port."""
    return bytearray().join(table[low::256] for low in range(256)) if byteorder == "little" else table


def _swapped(port: int) -> int:
    """Return the port as a record's two bytes read as a number of this machine."""
    return int.from_bytes(port.to_bytes(2, "big"), byteorder)


def _lay_out(run: "Run", address: int, port: int, marks: bytes, detail: bool) -> list[int]:
    """Lay out the key of each record of a run behind the address at this offset, and return the keys."""
    buffer, start, end, length = run
    behind = start + address + 4
    left = buffer[start + EXPIRES + _BYTE1 : end : length]
    buffer[behind:end:length] = buffer[start + port : end : length]
    buffer[behind + 1 : end : length] = buffer[start + port + 1 : end : length]
    buffer[behind + 2 : end : length] = left if detail else left.translate(_UNITS)
    buffer[behind + 3 : end : length] = marks
    return memoryview(buffer)[start:end].cast("Q")[address // _KEY_SIZE :: length // _KEY_SIZE].tolist()


def _end(family: int, buffer: bytearray, address: int, port: int) -> "tuple[int, bytes, int]":
    """Return (family, address in 16 bytes, port) of one end of a record; an IPv4-mapped address as IPv4."""
    own = bytes(buffer[address : address + 16])
    if family == socket.AF_INET6 and own.startswith(MAPPED):
        family, own = socket.AF_INET, own[12:] + bytes(12)
    if family not in (socket.AF_INET, socket.AF_INET6):
        raise NetlinkError(f"a record of the socket dump has the unknown address family {family}")
    return family, own, buffer[port] << 8 | buffer[port + 1]


def _as_ipv6(end: "tuple[int, bytes, int]") -> bytes:
    family, address, _ = end
    return MAPPED + address[:4] if family == socket.AF_INET else address


def _merge(found: "dict[Any, list[int]]", key: "tuple[int, int, bytes, int, str]", count: int, left: int) -> None:
    """Add to a destination's count, least and most time left."""
    numbers = found.get(key)
    if numbers is None:
        found[key] = [count, left, left]
        return
    numbers[0] += count
    if left != NO_TIMER:
        numbers[1] = left if numbers[1] == NO_TIMER else min(numbers[1], left)
        numbers[2] = max(numbers[2], left)


def listeners() -> "list[Listener]":
    """Return (family, address in 16 bytes, port, IPv6 only) of this network namespace's listeners."""
    return [
        (
            buffer[at + FAMILY],
            bytes(buffer[at + SOURCE : at + SOURCE + 16]),
            int.from_bytes(buffer[at + SOURCE_PORT : at + SOURCE_PORT + 2], "big"),
            bool(attribute(buffer, at, length, INET_DIAG_SKV6ONLY)),
        )
        for buffer, start, end, length in runs(state_mask(LISTEN), DumpState())
        for at in range(start, end, length)
    ]


def take(
    mask: int,
    *,
    peer: str = "",
    peer_port: int = 0,
    many: bool = False,
    pool: "Collection[int] | None" = None,
    late: "Collection[int]" = (),
    listening: "Iterable[Listener] | None" = None,
) -> Census:
    """Count this network namespace's sockets in the states of `mask`; `many`: so many that numpy pays.

    `pool`: the ephemeral ports, to count in detail, `late` those that connect() tries last; `listening`: the
    listeners, where they are known already.
    A dump that the kernel calls interrupted is taken again; after four in a row `InterruptedDumpError` says so.
    """
    heard = listeners() if listening is None else list(listening)
    size = _NUMPY_BLOCK if many else DATAGRAM_SIZE
    for _ in range(_ATTEMPTS):
        state = DumpState()
        census = _empty(heard, pool, late, many)
        try:
            for run in runs(mask, state, size=size, peer_port=peer_port, peer=peer):
                census.add(run)
        except InterruptedDumpError:
            continue
        if not state.interrupted:
            return census
    raise InterruptedDumpError(f"the socket table changed under each of {_ATTEMPTS} dumps", "try again")


def _empty(heard: "list[Listener]", pool: "Collection[int] | None", late: "Collection[int]", many: bool) -> Census:
    if not many:
        return Census(heard, pool, late)
    from timewait.system.census_numpy import NumpyCensus

    return NumpyCensus(heard, pool, late)


def groups(counted: "Iterable[Counted]", by: str, *, role: str = "") -> list[Group]:
    """Merge what was counted into groups by "destination", "role" or "state", the largest first.

    `role`: only this role.
    """
    found: dict[tuple[str, str, str, int], Group] = {}
    for state, family, address, port, own, count, least, most in counted:
        if role and own != role:
            continue
        key = (STATES[state], "", "", 0)
        if by == "role":
            key = (STATES[state], own, "", 0)
        elif by == "destination":
            key = (STATES[state], own, address_text(family, address), port)
        if key not in found:
            found[key] = Group(*key)
        found[key].add(count, least, most)
    return sorted(found.values(), key=lambda group: (-group.count, group.state, group.role, group.address, group.port))
