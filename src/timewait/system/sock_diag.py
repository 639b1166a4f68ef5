"""The kernel's TCP socket dump: the request, and where each field of a record lies.

include/uapi/linux/inet_diag.h, net/ipv4/inet_diag.c.  Hands out raw datagrams; `socket_table` turns them into rows,
`census` counts them without making rows.
"""

import _socket as socket
from struct import Struct

from timewait.system.netlink import (
    DATAGRAM_SIZE,
    NLM_F_DUMP_INTR,
    SEQUENCE,
    DumpSocket,
    DumpState,
    NetlinkError,
    messages,
    request,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Protocol, TypeAlias

    Run: TypeAlias = tuple[bytearray, int, int, int]

    class Source(Protocol):
        """Where datagrams come from: a `DumpSocket`, or a test's list of them."""

        def receive_into(self, buffer: memoryview) -> int:
            """Write one datagram into `buffer`; return its length."""


# Names as RFC 9293 prints them, in the order of the kernel's numbers: include/net/tcp_states.h.
# 12, TCP_NEW_SYN_RECV, never leaves the kernel: request sockets are reported as 3.
STATES = (
    "",
    "ESTABLISHED",
    "SYN-SENT",
    "SYN-RECEIVED",
    "FIN-WAIT-1",
    "FIN-WAIT-2",
    "TIME-WAIT",
    "CLOSED",
    "CLOSE-WAIT",
    "LAST-ACK",
    "LISTEN",
    "CLOSING",
)
ESTABLISHED, FIN_WAIT_2, TIME_WAIT, LISTEN = 1, 5, 6, 10
BOUND_INACTIVE = 13  # asks for sockets that are bound and no more, reported as CLOSED; Linux 6.8, nothing comes before
ALL_STATES = 0xFFF

# Only the first request type of this interface accepts AF_UNSPEC, and so gives IPv4 and IPv6 in one pass over the
# kernel's hash table (two passes cost a third more).
TCPDIAG_GETSOCK = 18
SOCK_DIAG_BY_FAMILY = 20

# Offsets inside one message, the netlink header (16 bytes) included: struct inet_diag_msg.
FAMILY, STATE, TIMER, SOURCE_PORT, DESTINATION_PORT, SOURCE, DESTINATION, COOKIE, EXPIRES = (
    16,
    17,
    18,
    20,
    22,
    24,
    40,
    60,
    68,
)
RECORD_SIZE = 16 + 72  # attributes may follow: 96 in all with CAP_NET_ADMIN, which adds the mark
TIMER_TIME_WAIT = 3  # inet_twsk_diag_fill: the record is a mini-socket and idiag_expires its time left in ms
INET_DIAG_SKV6ONLY = 11
INET_DIAG_SOCKOPT = 22  # struct inet_diag_sockopt: two bytes of flags
INET_DIAG_REQ_BYTECODE = 1
INET_DIAG_BC_JMP, INET_DIAG_BC_S_GE, INET_DIAG_BC_S_LE, INET_DIAG_BC_AUTO, INET_DIAG_BC_D_COND = 1, 2, 3, 6, 8

MAPPED = bytes(10) + b"\xff\xff"  # ::ffff:0:0/96, an IPv4 address in an IPv6 socket: RFC 4291 section 2.5.5.2

# struct inet_diag_req: family, lengths and extensions; id (ports, addresses, interface, cookie); state mask; table.
_REQUEST = Struct("=4x2s2s44xII")
_ALIGNED = 4
_HEAD = Struct("=IHHI")  # nlmsg_len, nlmsg_type, nlmsg_flags, nlmsg_seq
_ATTRIBUTE = Struct("=HH")  # struct nlattr: length, kind
_OUTSIDE = Struct("=HH BBHxxH BBH BBHxxH".replace(" ", ""))  # attribute; S_LE and a port; JMP; S_GE and a port
_FILTER = Struct("=HHBBHBBxxi")  # attribute, instruction, condition
_NAMED = Struct("=HHBBHBBH")  # attribute; AUTO; JMP


def state_mask(*states: int) -> int:
    """Return the mask that asks for these kernel state numbers."""
    mask = 0
    for state in states:
        mask |= 1 << state
    return mask


def dump_request(
    mask: int,
    local_port: int = 0,
    peer_port: int = 0,
    peer: str = "",
    outside: "tuple[int, int] | None" = None,
    named: bool = False,
) -> bytes:
    """Return the request for all TCP sockets, both families, in the states of `mask`.

    A port of 0 matches any; `peer`: only sockets with this peer address, IPv4-mapped ones included; `outside`: only
    those whose local port is not from the first to the last of these (65535 comes in any case); `named`: only those
    whose port was named in bind().  One of the three at most.
    """
    ports = (local_port.to_bytes(2, "big"), peer_port.to_bytes(2, "big"))
    condition = _peer_filter(peer) if peer else _port_filter(*outside) if outside else b""
    if named:
        condition = _named_filter()
    return request(TCPDIAG_GETSOCK, _REQUEST.pack(*ports, mask, 0) + condition)


def _port_filter(low: int, high: int) -> bytes:
    """Return the attribute for local ports below `low` or above `high`: two comparisons, each with a port behind it.

    A port that is low enough comes to the jump, which leads to the end and so accepts; any other to the second one.
    (A jump when false has to lead where jumps when true would come by, too: inet_diag_bc_audit.)
    """
    below = (INET_DIAG_BC_S_LE, 8, 12, max(0, low - 1))
    above = (INET_DIAG_BC_S_GE, 8, 12, min(65535, high + 1))
    return _OUTSIDE.pack(_OUTSIDE.size, INET_DIAG_REQ_BYTECODE, *below, INET_DIAG_BC_JMP, 4, 12, *above)


def _named_filter() -> bytes:
    """Return the attribute for ports that bind() was given: the flag SOCK_BINDPORT_LOCK, which AUTO asks for.

    An automatic port comes to the jump, which leads beyond the end and so refuses; a named one leaps over it.
    """
    automatic = (INET_DIAG_BC_AUTO, 4, 8)
    return _NAMED.pack(_NAMED.size, INET_DIAG_REQ_BYTECODE, *automatic, INET_DIAG_BC_JMP, 4, 8)


def _peer_filter(peer: str) -> bytes:
    """Return the attribute that has the kernel compare the peer's address: a program of one instruction.

    struct inet_diag_bc_op (code, offset when true, offset when false) before struct inet_diag_hostcond (family, prefix
    length, port, address).  Ending exactly at the end accepts, four bytes beyond refuses: inet_diag_bc_run.
    """
    family = socket.AF_INET6 if ":" in peer else socket.AF_INET
    address = socket.inet_pton(family, peer)
    size = _FILTER.size - _ATTRIBUTE.size + len(address)
    attribute = (_ATTRIBUTE.size + size, INET_DIAG_REQ_BYTECODE)
    head = _FILTER.pack(*attribute, INET_DIAG_BC_D_COND, size, size + 4, family, 8 * len(address), -1)
    return head + address


def same(view: memoryview, at: int, length: int, width: int) -> bool:
    """Return whether the `width` bytes (2, 4 or 8) at offset `at` of every record of `length` bytes are the first's.

    `at` and `length` are multiples of `width`.  One strided comparison inside the interpreter: some 4 ns a record,
    where the kernel needs 300 to write it.
    """
    column = _words(view, width)[at // width :: length // width]
    return column == _words(memoryview(bytes(view[at : at + width]) * len(column)), width)


def _words(view: memoryview, width: int) -> "memoryview[int]":
    if width == 8:
        return view.cast("Q")
    return view.cast("I") if width == 4 else view.cast("H")


def uniform_length(datagram: memoryview) -> int:
    """Return the length that every message of a datagram has, all being records and none interrupted; else 0."""
    if len(datagram) < RECORD_SIZE:
        return 0
    length, kind, flags, sequence = _HEAD.unpack_from(datagram)
    if length < RECORD_SIZE or length % _ALIGNED or len(datagram) % length:
        return 0
    if kind != TCPDIAG_GETSOCK or flags & NLM_F_DUMP_INTR or sequence != SEQUENCE:
        return 0
    if length % 8 == 0:
        alike = same(datagram, 0, length, 8) and same(datagram, 8, length, 8)
    else:
        alike = all(same(datagram, at, length, 4) for at in (0, 4, 8))
    return length if alike else 0


def runs(
    mask: int,
    state: DumpState,
    *,
    size: int = DATAGRAM_SIZE,
    local_port: int = 0,
    peer_port: int = 0,
    peer: str = "",
    outside: "tuple[int, int] | None" = None,
    named: bool = False,
) -> "Iterator[Run]":
    """Dump the TCP sockets in the states of `mask` and yield them as runs of records of one length.

    A run is (buffer, start, end, length of each record, netlink header included); the buffer is used again for the
    next one.  `size`: bytes to collect into a run where the records allow it; the rest as for `dump_request`.
    `state.interrupted` is set when the kernel says that the table changed.  Raises `NetlinkError`;
    `InterruptedDumpError` when datagrams were lost.
    """
    source = DumpSocket()
    try:
        source.ask(dump_request(mask, local_port, peer_port, peer, outside, named))
        yield from runs_of(source, state, size)
    finally:
        source.close()


def runs_of(source: "Source", state: DumpState, size: int = DATAGRAM_SIZE) -> "Iterator[Run]":
    """Yield the runs of a dump that was asked for already; see `runs`."""
    buffer = bytearray(max(size, DATAGRAM_SIZE))
    view = memoryview(buffer)
    filled = held = 0  # bytes collected, and the length of each record in them
    while not state.done:
        end = filled + source.receive_into(view[filled : filled + DATAGRAM_SIZE])
        if end == filled:
            raise NetlinkError("the kernel ended the socket dump without saying so")
        length = uniform_length(view[filled:end])
        if length and held in (0, length) and end + DATAGRAM_SIZE <= len(buffer):
            filled, held = end, length
            continue
        if length and held in (0, length):
            yield buffer, 0, end, length
        else:
            if filled:
                yield buffer, 0, filled, held
            for start, stop, each in _walk(view, filled, end, state):
                yield buffer, start, stop, each
        filled = held = 0
    if filled:
        yield buffer, 0, filled, held


def _walk(view: memoryview, start: int, end: int, state: DumpState) -> "Iterator[tuple[int, int, int]]":
    """Yield (start, end, length) of runs of records of one length, message by message."""
    first = last = held = 0
    for kind, at, length in messages(view[start:end], state):
        if kind not in (TCPDIAG_GETSOCK, SOCK_DIAG_BY_FAMILY):
            raise NetlinkError(f"the socket dump holds a message of type {kind}")
        if length < RECORD_SIZE or length % _ALIGNED:
            raise NetlinkError(f"a socket record of {length} bytes: below {RECORD_SIZE}, or no multiple of 4")
        if length != held or start + at != last:
            if held:
                yield first, last, held
            first, held = start + at, length
        last = start + at + length
    if held:
        yield first, last, held


def address_text(family: int, packed: bytes) -> str:
    """Return the address of 16 bytes as text; an IPv4-mapped one as the IPv4 address that it is."""
    if family == socket.AF_INET:
        return socket.inet_ntop(socket.AF_INET, packed[:4])
    if family != socket.AF_INET6:
        raise NetlinkError(f"a record of the socket dump has the unknown address family {family}")
    if packed.startswith(MAPPED):
        return socket.inet_ntop(socket.AF_INET, packed[12:])
    return socket.inet_ntop(socket.AF_INET6, packed)


def attribute(buffer: bytearray, at: int, length: int, wanted: int, index: int = 0) -> int:
    """Return a byte of a record's attribute, 0 when absent.  Raises `NetlinkError` for a false length."""
    here, end = at + RECORD_SIZE, at + length
    while here + _ATTRIBUTE.size <= end:
        size, kind = _ATTRIBUTE.unpack_from(buffer, here)
        if size < _ATTRIBUTE.size or here + size > end:
            raise NetlinkError(f"an attribute of a socket record claims {size} bytes where {end - here} are left")
        if kind == wanted and size > _ATTRIBUTE.size + index:
            return buffer[here + _ATTRIBUTE.size + index]
        here += (size + 3) & ~3
    return 0
