"""What comes out of a stack: segments to send, states entered, notices for users, and why a segment was dropped.

Nothing disappears silently: every segment that is not taken ends in a `Dropped` with one `Reason`, and a reason that
has a Linux counter names it.
"""

from enum import Enum, StrEnum
from typing import NamedTuple, TypeAlias

from timewait.clock import Instant
from timewait.tcp.states import State
from timewait.wire.segment import Segment


class FourTuple(NamedTuple):
    """A connection's name at one host.  Equal, and hashing equal, to the plain tuple of the same four values."""

    local: bytes
    local_port: int
    remote: bytes
    remote_port: int


class Errno(StrEnum):
    """Errors of user calls and of connections, as the names of errno.h; which one is given is a profile's matter."""

    EADDRINUSE = "EADDRINUSE"
    EADDRNOTAVAIL = "EADDRNOTAVAIL"
    EAGAIN = "EAGAIN"
    EALREADY = "EALREADY"
    EBADF = "EBADF"
    ECONNABORTED = "ECONNABORTED"
    ECONNREFUSED = "ECONNREFUSED"
    ECONNRESET = "ECONNRESET"
    EHOSTUNREACH = "EHOSTUNREACH"
    EINPROGRESS = "EINPROGRESS"
    EINVAL = "EINVAL"
    EISCONN = "EISCONN"
    EMSGSIZE = "EMSGSIZE"
    ENETUNREACH = "ENETUNREACH"
    ENOBUFS = "ENOBUFS"
    ENOPROTOOPT = "ENOPROTOOPT"
    ENOTCONN = "ENOTCONN"
    EOPNOTSUPP = "EOPNOTSUPP"
    EPIPE = "EPIPE"
    EPROTO = "EPROTO"
    ETIMEDOUT = "ETIMEDOUT"


class Reason(Enum):
    """Why a segment was not taken.  Value: one line of meaning, and the Linux counter that moves in the same case."""

    meaning: str
    counter: str

    def __new__(cls, meaning: str, counter: str = "") -> "Reason":
        """Make a member of its line of meaning and the counter's name; an empty name is no counter."""
        member = object.__new__(cls)
        member._value_ = meaning
        member.meaning = meaning
        member.counter = counter
        return member

    NOT_LOCAL = "addressed to another host", ""
    NO_CONNECTION = "nobody listens, nobody is connected: answered with RST unless it is one", ""
    RST_WITHOUT_CONNECTION = "a reset for nobody draws no answer", ""
    SYN_FIN = "SYN and FIN together, discarded on arrival", ""
    ACK_AT_LISTENER = "a listener has nothing that could be acknowledged: answered with RST", ""
    RST_AT_LISTENER = "a listener has nothing that could be reset", ""
    NOT_A_SYN_AT_LISTENER = "neither SYN, ACK nor RST, to a listener", ""
    BACKLOG_FULL = "the queue of half-open connections is full", "ListenDrops"
    ACCEPT_QUEUE_FULL = "the queue of connections not yet accepted is full", "ListenOverflows"
    OLD_BY_HOST_CACHE = "a SYN whose timestamp is older than the last of the same host (recycling)", "PAWSPassive"
    BAD_ACK_OF_SYN = "acknowledges what was never sent, while opening", ""
    RST_WITHOUT_ACK = "a reset that acknowledges nothing, in SYN-SENT", ""
    NOTHING_FOR_SYN_SENT = "neither SYN nor RST, in SYN-SENT", ""
    PAWS = "its timestamp is older than the last one (RFC 7323)", "PAWSEstab"
    PAWS_OF_SYN_SENT = "the SYN-ACK echoes no timestamp of ours (RFC 7323)", "PAWSActive"
    NO_TIMESTAMP = "timestamps were negotiated and it has none (RFC 7323 section 3.2)", ""
    OUT_OF_WINDOW = "none of it lies in the receive window", "TCPACKSkippedSeq"
    OLD_DUPLICATE = "all of it was received before", ""
    RST_OUT_OF_WINDOW = "a reset outside the receive window", ""
    RST_CHALLENGED = "a reset in the window but not at RCV.NXT (RFC 5961)", "TCPChallengeACK"
    SYN_CHALLENGED = "a SYN on a connection that exists (RFC 5961)", "TCPSYNChallenge"
    NO_ACK = "the ACK bit is off", ""
    ACK_TOO_OLD = "acknowledges numbers older than any window (RFC 5961 section 5)", "TCPChallengeACK"
    ACK_TOO_NEW = "acknowledges what was not yet sent", "TCPChallengeACK"
    TEXT_AFTER_FIN = "text beyond the peer's FIN", ""
    NO_ROOM = "text that no buffer has room for", ""
    USER_IS_GONE = "new data for a user who has closed", "TCPAbortOnData"
    TW_PAWS = "in TIME-WAIT, with a timestamp older than the last", "PAWSTimewait"
    TW_ACK = "in TIME-WAIT, the peer's pure ACK at RCV.NXT", ""
    TW_SILENT = "in TIME-WAIT, in the window, and not answered", ""
    TW_ANSWERED = "in TIME-WAIT: answered with an ACK", ""
    TW_SKIPPED = "in TIME-WAIT: the answer fell to the rate limit", "TCPACKSkippedTimeWait"
    TW_NO_ACK = "in TIME-WAIT, without ACK bit", ""
    TW_NEW_TEXT = "in TIME-WAIT, text past the peer's FIN ended it", ""
    TW_RST_IGNORED = "in TIME-WAIT, a reset that the rule does not accept", ""
    TW_SYN_REFUSED = "in TIME-WAIT, a SYN that may not reopen", ""
    TW_SYN_NO_LISTENER = "in TIME-WAIT, a SYN that might reopen, but nobody listens", ""
    TW_DESTROYED_BY_SYN_FIN = "SYN and FIN together ended TIME-WAIT; the listener discarded them", ""
    FW2_ANSWERED = "in a small FIN-WAIT-2: answered with an ACK", ""
    FW2_SKIPPED = "in a small FIN-WAIT-2: the answer fell to the rate limit", "TCPACKSkippedFinWait2"
    FW2_IGNORED = "in a small FIN-WAIT-2: nothing new", ""
    FW2_KILLED = "in a small FIN-WAIT-2: ended it", ""
    NOT_OURS = "an ICMP error that quotes a number this connection did not send lately", "OutOfWindowIcmps"


class Send(NamedTuple):
    """Put this segment on the network; `ecn`: the two bits of that name in its IP header (RFC 3168 section 5)."""

    segment: Segment
    ecn: int = 0


class Entered(NamedTuple):
    """A connection entered `state`; `until`: when the state ends by itself, where it does (TIME-WAIT)."""

    connection: FourTuple
    state: State
    until: Instant | None = None


class Delivered(NamedTuple):
    """`octets` more stand ready to be read."""

    handle: int
    octets: int


class Connected(NamedTuple):
    """The connection that this user asked for is established."""

    handle: int


class Acceptable(NamedTuple):
    """A connection waits in this listener's queue."""

    handle: int


class Writable(NamedTuple):
    """There is room in the send buffer again."""

    handle: int


class EndOfFile(NamedTuple):
    """The peer will send no more."""

    handle: int


class UrgentData(NamedTuple):
    """The peer's urgent pointer moved; the octets themselves are delivered in line.  RFC 9293 MUST-32."""

    handle: int
    ahead: int


class Failed(NamedTuple):
    """The connection ended with an error, which the user's next call returns."""

    handle: int
    error: Errno


class Released(NamedTuple):
    """A close that lingered is over; `error` is set when time ran out first."""

    handle: int
    error: Errno | None


class Dropped(NamedTuple):
    """A segment was not taken."""

    segment: Segment
    reason: Reason


Event: TypeAlias = (
    Send
    | Entered
    | Delivered
    | Connected
    | Acceptable
    | Writable
    | EndOfFile
    | UrgentData
    | Failed
    | Released
    | Dropped
)
Events: TypeAlias = list[Event]
