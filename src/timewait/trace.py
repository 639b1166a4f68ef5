"""What happened, when: the one record that engine, kernel, tests and reports share.

Knows how it is kept, printed and written as a capture; what is worth an entry is decided by whoever writes one.
Times are nanoseconds of the clock of the world in question; the trace's zero is where its printed times begin.
"""

from collections.abc import Iterator, Mapping
from enum import Enum
from ipaddress import ip_address
from typing import BinaryIO, Final, NamedTuple, TypeAlias

from timewait.clock import MS, SECOND, US, Duration, Instant
from timewait.endpoint import written
from timewait.tcp.events import Dropped, Entered, Failed, FourTuple
from timewait.wire import packet
from timewait.wire.pcapng import Writer
from timewait.wire.segment import ACK, FIN, PSH, RST, SYN, URG, Segment
from timewait.wire.seq import diff
from timewait.wire.unread import Unread

_FLAGS: Final = ((SYN, "SYN"), (FIN, "FIN"), (RST, "RST"), (PSH, "PSH"), (URG, "URG"), (ACK, "ACK"))


class Fate(Enum):
    """What became of a segment on a link.  Value: the words of a comment, none where all went as it should."""

    SENT = ""
    DELIVERED = "delivered"
    LOST = "lost on the way"
    DUPLICATED = "doubled on the way"
    LATE = "overtaken on the way"
    HELD = "held back"
    RELEASED = "let go"
    ALTERED = "altered on the way"
    REPLAYED = "replayed"
    INJECTED = "injected"


class Moved(NamedTuple):
    """A segment on a link: put there (SENT, or what befell it instead), put there by nobody's stack, or DELIVERED.

    `host` is who sent it or, of DELIVERED, who got it; `note` says more than the fate does.
    """

    time: Instant
    fate: Fate
    link: str
    host: str
    segment: Segment
    note: str = ""


class Happened(NamedTuple):
    """What a stack told: a state entered, a segment not taken, a connection ended with an error."""

    time: Instant
    host: str
    event: Entered | Dropped | Failed


class Called(NamedTuple):
    """A user's call, and what it came to: a value, or an errno's name.

    `connection`: what it is about, as far as it is known: an end may be without address, a port may be 0.
    """

    time: Instant
    host: str
    call: str
    result: str
    connection: FourTuple | None = None


Entry: TypeAlias = Moved | Happened | Called
# What a `Moved` will be made of.
_Noted: TypeAlias = tuple[Instant, Fate, str, str, Segment | Unread, str]


class Trace:
    """Entries in the order in which they happened.  `names`: packed address -> host, for printing.

    What moved is noted as it came; packets are read, and entries made of them, when somebody looks.

    `epoch`: what has to be added to a time for nanoseconds since 1970; 0 where time is virtual.
    """

    __slots__ = ("_entries", "_noted", "epoch", "names", "zero")

    def __init__(self, zero: Instant = 0) -> None:
        self._entries: list[Entry] = []
        self._noted: list[Happened | Called | _Noted] = []
        self.names: dict[bytes, str] = {}
        self.zero = zero
        self.epoch: Duration = 0

    @property
    def entries(self) -> list[Entry]:
        """All entries so far; more may be appended."""
        if noted := self._noted:
            self._noted = []
            self._entries.extend(_entries(noted))
        return self._entries

    def add(self, entry: Happened | Called) -> None:
        """Add what did not move."""
        self._noted.append(entry)

    def moved(self, time: Instant, fate: Fate, link: str, host: str, load: Segment | Unread, note: str = "") -> None:
        """Add a `Moved`.  A packet that turns out to hold no TCP segment is none."""
        self._noted.append((time, fate, link, host, load, note))

    def segments(self, *fates: Fate) -> list[Segment]:
        """Return the segments that met one of these fates; those that a stack sent where none is given."""
        if not fates:
            return [entry.segment for entry in self.sent()]
        return [each.segment for each in self.entries if isinstance(each, Moved) and each.fate in fates]

    def sent(self) -> Iterator[Moved]:
        """Yield each segment that a stack sent, once, whatever became of it."""
        not_sent = (Fate.DELIVERED, Fate.RELEASED, Fate.REPLAYED, Fate.INJECTED)
        for entry in self.entries:
            if isinstance(entry, Moved) and entry.fate not in not_sent:
                yield entry

    # -- for people ----------------------------------------------------------------------------------------------

    def lines(self, *, relative: bool = True, deliveries: bool = False) -> Iterator[str]:
        """Yield a line for each entry, in the manner of a packet trace.

        `relative`: sequence numbers count from each incarnation's first; `deliveries`: arrivals have lines too.
        """
        printer = _Printer(self, relative)
        for entry in self.entries:
            if deliveries or not (isinstance(entry, Moved) and entry.fate is Fate.DELIVERED):
                yield printer.line(entry)

    # -- for machines --------------------------------------------------------------------------------------------

    def text(self) -> str:
        """Return everything, one entry a line, absolute and complete: equal traces, and no others, have equal texts."""
        return "".join(f"{_exact(entry)}\n" for entry in self.entries)

    def write(self, file: BinaryIO, *, at: str | None = None) -> None:
        """Write a pcapng capture to a file that the caller opened.

        `at` None: what went onto the links, an interface a link; else what a capture on that host would have shown.
        Comments say what befell a segment, and why a stack did not take it.  Packets are built of segments: what a
        kernel's IP said beside (TTL, identification, ECN) is not kept.
        """
        refused = {
            id(entry.event.segment): f"not taken: {entry.event.reason.meaning}"
            for entry in self.entries
            if isinstance(entry, Happened) and isinstance(entry.event, Dropped)
        }
        writer = Writer(file, "" if self.epoch else "virtual time: it begins in 1970")
        numbers: dict[str, int] = {}
        for entry in self.entries:
            if not isinstance(entry, Moved):
                continue
            arrives = entry.fate is Fate.DELIVERED
            if arrives if at is None else entry.host != at or entry.fate in (Fate.INJECTED, Fate.REPLAYED):
                continue
            name = entry.link if at is None else at
            if name not in numbers:
                numbers[name] = writer.interface(name)
            words = [entry.fate.value if at is None else "", entry.note, refused.get(id(entry.segment), "")]
            if at is not None and not arrives:
                words = []  # the sender's host does not know what becomes of it
            comment = "; ".join(word for word in words if word)
            writer.write(entry.time + self.epoch, packet.build(entry.segment), numbers[name], comment)


def _entries(noted: list[Happened | Called | _Noted]) -> Iterator[Entry]:
    """Make entries of what was noted, which is used up: nothing is kept twice."""
    noted.reverse()
    while noted:
        each = noted.pop()
        if isinstance(each, Happened | Called):
            yield each
            continue
        time, fate, link, host, load, note = each
        segment = load.segment if isinstance(load, Unread) else load
        if segment is not None:
            yield Moved(time, fate, link, host, segment, note)


def flag_names(flags: int) -> str:
    """Return the control bits as traces write them: SYN,ACK; none: `-`."""
    return ",".join(name for bit, name in _FLAGS if flags & bit) or "-"


class Relative:
    """Sequence numbers as people read them: counted from the first of each incarnation and direction."""

    def __init__(self) -> None:
        self._bases: dict[tuple[bytes, int, bytes, int], int] = {}

    def numbers(self, segment: Segment) -> tuple[int, int]:
        """Return SEG.SEQ and SEG.ACK of a segment, which is the next one that travels."""
        forth, back = segment[:4], (*segment[2:4], *segment[:2])
        if segment.flags & SYN or forth not in self._bases:
            self._bases[forth] = segment.seq
        if segment.flags & ACK and back not in self._bases:
            self._bases[back] = segment.ack
        acked = diff(segment.ack, self._bases[back]) if back in self._bases else segment.ack
        return diff(segment.seq, self._bases[forth]), acked


class _Printer:
    """Turns entries into lines."""

    def __init__(self, trace: Trace, relative: bool) -> None:
        self.zero = trace.zero
        self.names: Mapping[bytes, str] = trace.names
        self.relative = Relative() if relative else None
        moved = [entry for entry in trace.entries if isinstance(entry, Moved)]
        pairs = {frozenset(((s.source, s.source_port), (s.destination, s.destination_port))) for *_, s, _ in moved}
        # Names alone where they tell the ends apart; with ports where there are several connections.
        within = any(self.names.get(s.source) == self.names.get(s.destination) for *_, s, _ in moved)
        self.ports = len(pairs) > 1 or within
        # Ends that several others talk to: what is said of such an end has to name the other one too.
        ends = [end for pair in pairs for end in pair]
        self.shared = {end for end in ends if ends.count(end) > 1}
        # A host that talks to itself on one address: the ports say all.
        self.bare = len({address for address, _ in ends}) == 1
        self.digits = _digits([entry.time - self.zero for entry in trace.entries])
        self.width = max((len(self._way(entry.segment)) for entry in moved), default=0)

    def line(self, entry: Entry) -> str:
        """Return one line."""
        match entry:
            case Moved(fate=fate, segment=segment, note=note):
                comment = "; ".join(word for word in (fate.value, note) if word)
                text = f"{self._way(segment).ljust(self.width)}  {self._segment(segment)}"
                text += f"  # {comment}" if comment else ""
            case Happened(event=Entered(connection, state, until)):
                end = self._end(*connection[:2]).ljust(self.width)
                other = f" ({self._end(*connection[2:])})" if connection[:2] in self.shared else ""
                text = f"{end}  {state}{other}" + (f" until {self._time(until)}" if until is not None else "")
            case Happened(event=Dropped(segment, reason)):
                end = self._end(segment.destination, segment.destination_port).ljust(self.width)
                text = f"{end}  not taken: {self._segment(segment)}: {reason.meaning}"
            case Happened(host=host, event=Failed(handle, error)):
                text = f"{host.ljust(self.width)}  socket {handle}: {error}"
            case Called(host=host, call=call, result=result):
                text = f"{host.ljust(self.width)}  {call} = {result}"
        return f"{self._time(entry.time):>{self.digits + 4}}  {text}".rstrip()

    def _time(self, at: Instant) -> str:
        return f"{(at - self.zero) / SECOND:.{self.digits}f}"

    def _end(self, address: bytes, port: int) -> str:
        name = "" if self.bare else self.names.get(address) or str(ip_address(address))
        return f"{name}:{port}" if self.ports else name

    def _way(self, segment: Segment) -> str:
        source = self._end(segment.source, segment.source_port)
        return f"{source} > {self._end(segment.destination, segment.destination_port)}"

    def _segment(self, segment: Segment) -> str:
        sequence, acked = self.relative.numbers(segment) if self.relative else (segment.seq, segment.ack)
        words = [flag_names(segment.flags).ljust(7), f"seq={sequence}"]
        if segment.flags & ACK:
            words.append(f"ack={acked}")
        if segment.payload:
            words.append(f"len={len(segment.payload)}")
        return " ".join(words)


def _digits(times: list[int]) -> int:
    """Return how many decimals of a second tell all these times exactly: 3, 6 or 9."""
    for unit, digits in ((MS, 3), (US, 6)):
        if all(time % unit == 0 for time in times):
            return digits
    return 9


def _exact(entry: Entry) -> str:
    match entry:
        case Moved(time, fate, link, host, segment, note):
            return f"{time} {fate.name} [{link}] {host}: {_exact_segment(segment)} # {note}"
        case Happened(time, host, Entered(connection, state, until)):
            ends = f"{_exact_end(*connection[:2])} {_exact_end(*connection[2:])}"
            return f"{time} {host} {ends} {state} {until}"
        case Happened(time, host, Dropped(segment, reason)):
            return f"{time} {host} {reason.name}: {_exact_segment(segment)}"
        case Happened(time, host, Failed(handle, error)):
            return f"{time} {host} socket {handle} {error}"
        case Called(time, host, call, result):
            return f"{time} {host} {call} = {result}"
    raise AssertionError(entry)


def _exact_end(address: bytes, port: int) -> str:
    return written(str(ip_address(address)), port)


def _exact_segment(segment: Segment) -> str:
    ends = f"{_exact_end(segment.source, segment.source_port)} > "
    ends += _exact_end(segment.destination, segment.destination_port)
    options = ",".join(str(option) for option in segment.options)
    numbers = f"seq={segment.seq} ack={segment.ack} win={segment.window} urg={segment.urgent}"
    return f"{ends} {flag_names(segment.flags)} ({segment.flags:#04x}) {numbers} [{options}] {segment.payload.hex()}"
