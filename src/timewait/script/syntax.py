"""What a packet script says, as values: options, events with their times, packets, calls, commands, assertions.

Knows no text and no stack: `grammar` makes these values, `play` acts on them.  Times are whole nanoseconds.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple, TypeAlias

from timewait.clock import Duration


class Place(NamedTuple):
    """Where something stands in a file; both count from 1."""

    line: int
    column: int = 1


# --- values in calls and their results ---


@dataclass(frozen=True, slots=True)
class Number:
    """An integer, as written in base 10 or 16; its name is kept for messages."""

    value: int
    text: str = ""


@dataclass(frozen=True, slots=True)
class Between:
    """A result that may lie anywhere from `low` to `high`, both included."""

    low: int
    high: int


@dataclass(frozen=True, slots=True)
class Word:
    """A symbolic constant, such as `SOCK_STREAM` or `O_NONBLOCK`."""

    name: str


@dataclass(frozen=True, slots=True)
class Text:
    """A string in quotes, escapes already undone."""

    value: str


@dataclass(frozen=True, slots=True)
class Anything:
    """`...`: the runner fills it in, or any value fits."""


ANYTHING = Anything()


@dataclass(frozen=True, slots=True)
class Flags:
    """`A | B | 0x4`."""

    items: tuple["Expression", ...]


@dataclass(frozen=True, slots=True)
class Array:
    """`[a, b]`: an array, or what a pointer points to."""

    items: tuple["Expression", ...]


@dataclass(frozen=True, slots=True)
class Struct:
    """`{name=value, ...}`; fields without a name are numbered `"0"`, `"1"` in their order."""

    fields: Mapping[str, "Expression"]


@dataclass(frozen=True, slots=True)
class Apply:
    """`htons(80)`, `inet_addr("192.0.2.1")`: a function of the language inside a value.

    `msg_iov(2)=[..]` is a field `msg_iov` whose value is Apply("msg_iov", (count, value)).
    """

    function: str
    arguments: tuple["Expression", ...]


Expression: TypeAlias = Number | Between | Word | Text | Anything | Flags | Array | Struct | Apply


# --- actions ---


class Match(Enum):
    """A field that may be anything, said so with `...`, `*` or by leaving it out where the language allows that."""

    ANY = "any"


ANY = Match.ANY


@dataclass(frozen=True, slots=True, kw_only=True)
class IpFields:
    """What a script says about the IP header.  None: says nothing; the default is sent and nothing is checked."""

    ecn: str | None = None  # noecn, ect0, ect1, ect01 (either), ce
    tos: int | None = None
    ttl: int | None = None
    flow_label: int | None = None


NO_IP_FIELDS = IpFields()


@dataclass(frozen=True, slots=True)
class OptionSpec:
    """One TCP option: its name in the language (`mss`, `wscale`, `sackOK`, `sack`, `TS`, `nop`, `eol`, `FO`, `FOEXP`).

    `values`: mss (size), wscale (shift), sack (left, right, left, right ...; relative as written), TS (val, ecr), FO
    cookies (bytes); ANY where the script does not care.  What the language has and this program does not interpret
    (`md5`, `AccECN0`, `ECN` ...) is `kind`: (number of the option, its octets after the length).
    `absolute`: the ecr of TS is written with `!`: not to be shifted.
    """

    name: str
    values: tuple[int | bytes | Match, ...] = ()
    absolute: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TcpPacket:
    """`< S. 0:0(0) ack 1 win 100 <mss 1460>`; numbers relative as written, unless `absolute`.

    `flags`: set of the letters S F R P . U E W C as the language has them, `-` for none being the empty set.
    `seq`: ANY for `...(len)`.  `options`: None where they are written `<...>`, any will do; leaving them out is to say
    that there are none, in both directions (packetdrill's parser.y, opt_tcp_options).
    """

    inbound: bool
    flags: frozenset[str]  # with a digit 0 to 7 where the ACE field is written as a number
    seq: int | Match
    length: int
    ack: int | None = None
    window: int | Match = ANY
    urgent: int | None = None
    options: tuple[OptionSpec, ...] | None = None
    ip: IpFields = NO_IP_FIELDS
    absolute_seq: bool = False
    absolute_ack: bool = False
    ports: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class IcmpPacket:
    """`< icmp unreachable frag_needed mtu 1400 [1:1001(1000)]`: an error about a segment that the stack sent.

    `kind`, `code`: names of the language.  `quoted_seq`, `quoted_length`: of the segment quoted, ANY if not said.
    """

    inbound: bool
    kind: str
    code: str | None = None
    mtu: int | None = None
    quoted_seq: int | Match = ANY
    quoted_length: int | Match = ANY
    ip: IpFields = NO_IP_FIELDS


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """`connect(3, ..., ...) = -1 EINPROGRESS (Operation now in progress)`.

    `result`: ANYTHING for `?`, `...` or none written; `errno`: the name after -1; `note`: the words in parentheses,
    for the reader alone.
    """

    name: str
    arguments: tuple[Expression, ...]
    result: Expression = ANYTHING
    errno: str | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Command:
    """Text between backquotes: a command of the host."""

    text: str


@dataclass(frozen=True, slots=True)
class Assertions:
    """`%{ ... }%`: the text between; `assertions` reads it."""

    text: str


Action: TypeAlias = TcpPacket | IcmpPacket | Call | Command | Assertions


class TimeKind(Enum):
    """How an event's time is meant."""

    ABSOLUTE = "absolute"
    RELATIVE = "relative"
    ANY = "any"


@dataclass(frozen=True, slots=True)
class When:
    """`0.1`, `+0.1`, `0.1~0.2`, `+.1~+.2`, `*`.  `latest` is None where the time is no range."""

    kind: TimeKind
    time: Duration = 0
    latest: Duration | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One event.  `until`: the `...0.2` of a blocking call: when it returns, meant like `when`; None if it does not
    block."""

    place: Place
    when: When
    action: Action
    until: When | None = None
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The option lines, and what the command line adds; None: not said.  Durations in nanoseconds, `speed` in bit/s."""

    ip_version: str = "ipv4"
    tolerance: Duration | None = None
    tolerance_percent: float | None = None
    mtu: int = 1500
    mss: int | None = None  # what text sent to a kernel is said to be cut into, where it is longer
    speed: int | None = None
    local_ip: str | None = None
    remote_ip: str | None = None
    gateway_ip: str | None = None
    netmask_ip: str | None = None
    bind_port: int = 8080
    connect_port: int = 8080
    init_scripts: tuple[str, ...] = ()
    defines: frozenset[str] = frozenset()
    non_fatal: frozenset[str] = frozenset()  # packet, syscall
    tcp_ts_tick: Duration | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """A script read: `name` as given, its lines, its options, its events in order.

    `init`, `cleanup`: commands without a time, before the first event and after the last.
    """

    name: str
    lines: tuple[str, ...]
    options: Options = field(default_factory=Options)
    init: tuple[tuple[Place, str], ...] = ()
    events: tuple[Event, ...] = ()
    cleanup: tuple[tuple[Place, str], ...] = ()
