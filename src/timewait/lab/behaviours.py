"""What a TCP may be asked about the end of a connection: the rows that scenarios are tagged with, and the subjects.

A row is a letter and a number; what holds it up is a section of RFC 9293 where nothing else is said.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple


class Behaviour(NamedTuple):
    """One row: what may be seen, and by which document; "-": by none, stacks do it."""

    says: str
    basis: str


# What the letters are about.
GROUPS: Final = MappingProxyType(
    {
        "A": "what the user's calls do",
        "B": "FIN-WAIT-1, and data on the way out",
        "C": "FIN-WAIT-2",
        "D": "CLOSING, CLOSE-WAIT, LAST-ACK",
        "E": "resets while closing",
        "F": "SYNs while closing",
        "G": "unacceptable segments while closing",
        "H": "TIME-WAIT",
        "I": "ports and tables",
    }
)

BEHAVIOURS: Final = MappingProxyType(
    {
        row: Behaviour(says, basis)
        for row, says, basis in (
            ("A1", "CLOSE in ESTABLISHED: FIN, FIN-WAIT-1", "3.10.4"),
            ("A2", "text that is queued goes before the FIN, however small the window", "3.10.4"),
            ("A3", "a half-close leaves the receiving side as it was", "3.6.1"),
            ("A4", "SEND after a half-close is an error", "3.10.2"),
            ("A5", "a second half-close does no harm", "3.10.4"),
            ("A6", "closing the reading side sends nothing, and text is still acknowledged", "-"),
            ("A7", "CLOSE in SYN-SENT sends nothing", "3.10.4"),
            ("A8", "the SYN-ACK that comes after that is reset, at its ACK number", "3.10.7.1"),
            ("A9", "CLOSE in LISTEN sends nothing; who is half-open meets a reset", "3.10.4"),
            ("A10", "CLOSE of a listener resets who was not accepted", "3.10.5"),
            ("A11", "CLOSE in SYN-RECEIVED: FIN, FIN-WAIT-1", "3.10.4"),
            ("A12", "CLOSE in CLOSE-WAIT: FIN, LAST-ACK", "3.10.4"),
            ("A13", "close with unread text: RST, no FIN", "SHLD-3; RFC 2525 2.17"),
            ("A14", "the same after our FIN: RST past it", "SHLD-3"),
            ("A15", "text that was read and comes again is not unread", "RFC 2525 2.17"),
            ("A16", "ABORT: RST at SND.NXT", "3.10.5"),
            ("A17", "ABORT in CLOSING and LAST-ACK sends nothing", "3.10.5"),
            ("A18", "ABORT in TIME-WAIT sends nothing", "3.10.5"),
            ("A19", "ABORT leaves no TIME-WAIT", "3.6"),
            ("A20", "SO_LINGER above zero holds close() until the FIN is acknowledged", "-"),
            ("B1", "a FIN that is not acknowledged comes again, later and later", "3.8.1"),
            ("B2", "sent again from CLOSING it has the newer ACK number", "3.8.1"),
            ("B3", "an ACK of the text alone: FIN-WAIT-1 stays", "3.10.7.4"),
            ("B4", "an ACK of the FIN: FIN-WAIT-2, nothing is sent", "3.10.7.4"),
            ("B5", "FIN and ACK of ours in one: ACK, TIME-WAIT", "3.10.7.4"),
            ("B6", "FIN without ACK of ours: ACK, CLOSING", "3.10.7.4"),
            ("B7", "the peer's FIN before ours could leave: CLOSING all the same", "3.10.7.4"),
            ("B8", "text in FIN-WAIT is delivered while somebody reads", "3.10.7.4"),
            ("B9", "text after a full close: RST", "SHLD-3"),
            ("B10", "text with FIN after a full close: RST", "SHLD-3"),
            ("B11", "a FIN overtaken by a later ACK is still taken", "3.10.7.4"),
            ("B12", "a FIN never acknowledged: given up", "3.8.3"),
            ("B13", "an ACK of what was never sent is answered and dropped", "3.10.7.4; RFC 5961 5"),
            ("C1", "FIN in FIN-WAIT-2: ACK, TIME-WAIT", "3.10.7.4"),
            ("C2", "FIN-WAIT-2 without a user ends by itself", "-"),
            ("C3", "what comes after that is reset", "3.10.7.1"),
            ("C4", "FIN-WAIT-2 with a user never ends", "-"),
            ("C5", "SYN for an orphan's FIN-WAIT-2: challenge ACK", "RFC 5961 4"),
            ("C6", "RST in its window, not exact: challenge ACK", "RFC 5961 3"),
            ("D1", "CLOSING, our FIN acknowledged: TIME-WAIT", "3.10.7.4"),
            ("D2", "CLOSING, an older ACK: it stays", "3.10.7.4"),
            ("D3", "CLOSING, the FIN again, ours acknowledged: TIME-WAIT", "3.10.7.4"),
            ("D4", "SEND in CLOSE-WAIT works", "3.6"),
            ("D5", "the FIN again in CLOSE-WAIT or LAST-ACK is acknowledged again", "3.10.7.4"),
            ("D6", "text past the peer's FIN is ignored", "3.10.7.4"),
            ("D7", "FIN with text: the text, then the end, one ACK", "3.10.7.4"),
            ("D8", "a FIN out of order waits for what is missing", "3.10.7.4"),
            ("D9", "a FIN into a closed window is taken", "3.10.7.4"),
            ("D10", "LAST-ACK, our FIN acknowledged: nothing is left", "3.10.7.4"),
            ("D11", "LAST-ACK, an older ACK: it stays", "3.10.7.4"),
            ("D12", "what comes after that is reset", "3.10.7.1"),
            ("D13", "who closed second holds no port in TIME-WAIT", "3.6"),
            ("D14", "a read after the peer's FIN tells of no window", "-"),
            ("D15", "text that came before TIME-WAIT can be read after it", "3.9.1"),
            ("E1", "RST at RCV.NXT ends it; the user is told of a reset", "3.10.7.4; RFC 5961 3"),
            ("E2", "RST in the window, not exact: challenge ACK", "RFC 5961 3"),
            ("E3", "as RFC 793 has it, any RST in the window ends it", "RFC 793"),
            ("E4", "RST one below RCV.NXT is ignored", "3.10.7.4"),
            ("E5", "RST one past the window is ignored", "3.10.7.4"),
            ("E6", "a RST is never answered with a RST", "3.5.2"),
            ("E7", "RST in SYN-RECEIVED: LISTEN again, or refused", "3.10.7.4"),
            ("F1", "SYN in a closing state: challenge ACK, whatever its number", "RFC 5961 4"),
            ("F2", "as RFC 793 has it, a SYN in the window is reset", "RFC 793"),
            ("F3", "there it is the SYN's own number that counts", "3.10.7.4"),
            ("F4", "a SYN-ACK is a SYN", "RFC 5961 4"),
            ("F5", "a challenge ACK counts our FIN", "RFC 5961 3, 4"),
            ("F6", "challenge ACKs are limited", "RFC 5961 7"),
            ("F7", "not for text or FIN", "-"),
            ("G1", "an unacceptable segment: ACK", "3.10.7.4"),
            ("G2", "a segment without ACK is dropped", "3.10.7.4"),
            ("G3", "an ACK far too old: challenge ACK", "RFC 5961 5"),
            ("H1", "TIME-WAIT comes after FIN-WAIT-1, FIN-WAIT-2 and CLOSING", "3.3.2"),
            ("H2", "it lasts two MSL", "MUST-13"),
            ("H3", "what comes later is reset, at its ACK number", "3.10.7.1"),
            ("H4", "the FIN again is acknowledged", "3.10.7.4"),
            ("H5", "and the wait begins anew", "3.10.7.4"),
            ("H6", "other segments with ACK begin it anew, too", "-"),
            ("H7", "RST, SYN, and FIN without ACK do not", "-"),
            ("H8", "a pure ACK at RCV.NXT is not answered", "3.10.7.4, read literally, answers"),
            ("H9", "a pure ACK elsewhere in the window is answered", "3.10.7.4"),
            ("H10", "a pure ACK outside the window is answered", "3.10.7.4"),
            ("H11", "FIN with ACK is answered wherever it lies", "3.10.7.4"),
            ("H12", "text is answered, and ignored", "3.10.7.4"),
            ("H13", "FIN without ACK: answered outside the window alone", "3.10.7.4"),
            ("H14", "RST at RCV.NXT ends it: assassination", "3.10.7.4"),
            ("H15", "or no RST does", "RFC 1337"),
            ("H16", "RST elsewhere in the window: challenge ACK", "RFC 5961 3"),
            ("H17", "RST outside the window: nothing", "3.10.7.4"),
            ("H18", "RST with an old timestamp: nothing", "RFC 1337"),
            ("H19", "SYN above RCV.NXT may reopen", "MAY-2"),
            ("H20", "the new ISS is then above the old SND.NXT", "MAY-2"),
            ("H21", "SYN at or below RCV.NXT does not reopen", "3.10.7.4"),
            ("H22", "without reopening, a SYN draws a challenge ACK", "RFC 5961 4"),
            ("H23", "as RFC 793 has it, a SYN in the window is reset, and the wait ends", "RFC 793"),
            ("H24", "SYN that might reopen, but nobody listens", "-"),
            ("H25", "SYN with a newer timestamp reopens, whatever its number", "SHLD-4; RFC 6191"),
            ("H26", "equal timestamp: by number; older: refused", "RFC 6191"),
            ("H27", "SYN without timestamp after a connection with: by number", "RFC 6191"),
            ("H28", "SYN with timestamp after a connection without: reopens", "RFC 6191"),
            ("H29", "SYN with FIN reopens as a SYN does", "-"),
            ("H30", "or is discarded, where so configured", "-"),
            ("H31", "answers carry the newest timestamp; a stale segment is answered", "RFC 7323"),
            ("H32", "closing or keeping the descriptor changes nothing", "3.10.4"),
            ("H33", "a half-close in TIME-WAIT is an error; poll() reports hang-up; the descriptor says CLOSED", "-"),
            ("I1", "bind() over TIME-WAIT without SO_REUSEADDR fails", "-"),
            ("I2", "old and new socket need it", "-"),
            ("I3", "another local address is free, another destination may share the port", "-"),
            ("I4", "a port of connect()'s choice is reused after a delay", "RFC 6191 3"),
            ("I5", "one that is bound at once", "-"),
            ("I6", "bind() over an orphan's FIN-WAIT-2 fails", "-"),
            ("I7", "with the table full, the new or the oldest wait is given up", "-"),
        )
    }
)

# What else scenarios are tagged with.
SUBJECTS: Final = MappingProxyType(
    {
        "advice": "what people are told to set",
        "assassination": "an old duplicate's answer ends TIME-WAIT",
        "bind": "bind() and listen() over what is left",
        "close": "what close() does",
        "conntrack": "the packet filter's own TIME-WAIT",
        "counters": "what the kernel counts",
        "delayed-ack": "a close acknowledged late",
        "exhaustion": "ports used up",
        "fin-wait-2": "half-closed connections, with a user and without",
        "founding": "the experiment that the project began with",
        "half-close": "one direction closed",
        "half-open": "one end gone, the other in the connection still",
        "ipv6": "the same over ::1",
        "isn": "initial sequence numbers and their clock",
        "limit": "tcp_max_tw_buckets",
        "linger": "SO_LINGER",
        "loopback": "both ends on one host",
        "memory": "what a record takes",
        "nat": "several hosts behind one address",
        "network": "segments lost, held back, repeated, or written by hand",
        "old-duplicates": "segments of an old connection that come late",
        "open": "the three-way handshake",
        "ports": "which ports connect() may have",
        "proxy": "a host that is a client and a server",
        "rate": "connections a second",
        "reconnect": "the same four-tuple again",
        "reset": "RST, and what programs are told",
        "restart": "a service that is started again",
        "retransmission": "what is sent again",
        "reuse": "TIME-WAIT taken over by a connect()",
        "search": "what finding a port costs",
        "segments": "what single segments do to a state",
        "server-closes": "TIME-WAIT at the server",
        "simultaneous": "both ends at once",
        "spread": "which host keeps TIME-WAIT",
        "syn-sent": "a close before the connection is there",
        "sysctl": "settings of the kernel",
        "time": "how long something lasts",
        "time-wait": "the state itself",
        "timestamps": "RFC 7323 and RFC 6191",
        "tools": "what administrators do by hand",
    }
)

_793: Final = "no kernel has RFC 793's rule; the engine has, as profile rfc793: timewait profiles rfc793 --diff rfc9293"
# What no scenario shows, and why.
NOT_SHOWN: Final[Mapping[str, str]] = MappingProxyType(
    {
        "E3": _793,
        "F2": _793,
        "F3": _793,
        "H23": _793,
        "H30": "Linux has no such setting; the engine has, as profile freebsd with drop_synfin",
    }
)
