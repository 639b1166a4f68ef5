"""`play`: a test of one stack written as a packet trace; the trace tells both what is done to it and what it does.

A line is `TIME WHO ...`.  Time is in seconds from the start; sequence numbers count from each side's ISN (a SYN is 0,
so the first octet is 1), and both ISNs lie just below 2^32.  Done to the stack:

    0.000  peer > us  FIN,ACK seq=1 ack=1          a segment arrives (len=, win=, ts=VALUE/ECHO, urg=)
    0.000  us: close                               a user call: close shutdown abort send N recv N, an option, a sysctl
    0.000  us: recv 5 = EAGAIN                     and its result

Done by the stack, all of it in order, nothing more and nothing less:

    0.000  us > peer  ACK seq=2 ack=2              a segment (only the fields written are compared; len is 0 if not)
    0.000  us  TIME-WAIT until 60.000              a state entered
    0.000  us  fails ECONNRESET                    an error for the user
    0.000  us  released                            a close that lingered is over
    0.000  us  drops PAWS                          a segment dropped; compared only when the trace has such a line

`...  quiet` at the end only moves the clock.  On failure both traces are printed, the first difference marked.
"""

import re
from dataclasses import dataclass, field, replace

from timewait.clock import SECOND
from timewait.tcp import profiles
from timewait.tcp.connection import Options
from timewait.tcp.events import Dropped, Entered, Event, Failed, FourTuple, Released, Send
from timewait.tcp.profile import IsnScheme, Profile, TimestampScope
from timewait.tcp.stack import Stack
from timewait.tcp.states import State
from timewait.wire.segment import (
    Flag,
    MaximumSegmentSize,
    NoOperation,
    Option,
    Sack,
    SackPermitted,
    Segment,
    Timestamps,
    WindowScale,
)
from timewait.wire.seq import MASK, diff

US = bytes([10, 0, 0, 1])
PEER = bytes([10, 0, 0, 2])
OUR_PORT = 4000
PEER_PORT = 80
OUR_ISN = 0xFFFF_FFFB
PEER_ISN = 0xFFFF_FFF6
# The clock stands here when a trace begins, so that timestamps are not zero and waits can lie in the past.
EPOCH = 1_000 * SECOND
# The peer's timestamps count from here.
PEER_CLOCK = 7_000_000

_LINE = re.compile(r"^\s*([0-9.]+)\s+(us|peer)(?:\s*(>)\s*(?:us|peer)|(:))?\s*(.*?)\s*$")
_FIELD = re.compile(r"(\w+)=(\S+)")


@dataclass
class Line:
    at: int
    kind: str
    text: str
    fields: dict[str, str] = field(default_factory=dict)

    def matches(self, other: "Line") -> bool:
        if (self.at, self.kind, self.text) != (other.at, other.kind, other.text):
            return False
        return all(other.fields.get(name) == value for name, value in self.fields.items())

    def __str__(self) -> str:
        arrow = {"in": "peer > us  ", "out": "us > peer  ", "call": "us: ", "end": "peer", "says": "us  "}[self.kind]
        fields = " ".join(f"{name}={value}" for name, value in self.fields.items())
        return f"{self.at / SECOND:8.3f}  {arrow}{self.text} {fields}".rstrip()


def parse(trace: str) -> list[Line]:
    lines = []
    for raw in trace.splitlines():
        text = raw.split("#")[0]
        if not text.strip():
            continue
        match = _LINE.match(text)
        assert match, f"no trace line: {raw!r}"
        at, who, arrow, colon, rest = match.groups()
        moment = round(float(at) * SECOND)
        if rest == "quiet":
            lines.append(Line(moment, "end", "quiet"))
        elif colon:
            lines.append(Line(moment, "call", rest))
        elif not arrow:
            lines.append(Line(moment, "says", " ".join(rest.split())))
        else:
            flags, *_ = rest.split() or ["-"]
            fields = dict(_FIELD.findall(rest))
            if who == "us":
                fields.setdefault("len", "0")
            lines.append(Line(moment, "in" if who == "peer" else "out", flags if "=" not in flags else "-", fields))
    return lines


def flag_names(flags: int) -> str:
    order = (Flag.SYN, Flag.FIN, Flag.RST, Flag.PSH, Flag.URG, Flag.ACK)
    return ",".join(str(each.name) for each in order if flags & each and each is not Flag.PSH) or "-"


class Player:
    """One stack with one connection that a trace is about."""

    def __init__(
        self,
        profile: str | Profile,
        *,
        sysctls: dict[str, int] | None = None,
        options: Options | None = None,
        timestamps: bool = False,
        sack: bool = False,
        scale: int | None = None,
        passive: bool = False,
        listening: bool = False,
        window: int = 65535,
        changes: dict[str, object] | None = None,
    ) -> None:
        base = profiles.get(profile) if isinstance(profile, str) else profile
        base = base.changed(
            isn=IsnScheme.CONSTANT,
            isn_passive=None,
            isn_constant=OUR_ISN,
            ts_scope=TimestampScope.NONE,
            **(changes or {}),
        )
        self.stack = Stack(base, [US])
        for name, value in (sysctls or {}).items():
            self.stack.set_sysctl(name, value)
        self.options = options or Options()
        self.timestamps = timestamps
        self.sack = sack
        self.scale = scale
        self.passive = passive
        self.window = window
        self.now = EPOCH
        self.key = FourTuple(US, OUR_PORT, PEER, PEER_PORT)
        self.actual: list[Line] = []
        self.listener = 0
        self.handle = 0
        self.silent = True
        if passive or listening:
            self.listener = self.stack.socket(replace(self.options, reuse_address=True))
            assert self.stack.bind(self.listener, US, OUR_PORT) is None
            assert self.stack.listen(self.listener, 8) is None
        if not passive:
            self.handle = self.stack.socket(replace(self.options, reuse_address=True))
            assert self.stack.bind(self.handle, US, OUR_PORT) is None or listening

    # --- Stimuli

    def peer_options(self, opening: bool, ts: str | None) -> tuple[Option, ...]:
        found: list[Option] = []
        if opening:
            found.append(MaximumSegmentSize(1460))
            if self.sack:
                found.append(SackPermitted())
            if self.scale is not None:
                found += [NoOperation(), WindowScale(self.scale)]
        if ts is not None:
            value, _, echo = ts.partition("/")
            found.append(Timestamps((PEER_CLOCK + int(value)) & MASK, (EPOCH // 1_000_000 + int(echo or 0)) & MASK))
        return tuple(found)

    def inject(self, line: Line) -> list[Event]:
        fields = line.fields
        flags = 0
        if line.text != "-":
            for name in line.text.split(","):
                flags |= Flag[name]
        ts = fields.get("ts", "0" if self.timestamps else None)
        if ts == "none":
            ts = None
        options = self.peer_options(bool(flags & Flag.SYN), ts)
        if "sack" in fields:
            blocks = []
            for block in fields["sack"].split(","):
                left, _, right = block.partition("-")
                blocks.append(((OUR_ISN + int(left)) & MASK, (OUR_ISN + int(right)) & MASK))
            options += (Sack(tuple(blocks)),)
        size = int(fields.get("len", "0"))
        start = int(fields.get("seq", "0"))
        segment = Segment(
            PEER,
            PEER_PORT,
            US,
            OUR_PORT,
            (PEER_ISN + start) & MASK,
            (OUR_ISN + int(fields["ack"])) & MASK if "ack" in fields else 0,
            int(flags),
            int(fields.get("win", self.window)),
            options,
            pattern(start, size),
            int(fields.get("urg", "0")),
        )
        return self.stack.receive(segment, self.now)

    def call(self, line: Line) -> list[Event]:
        words, _, wanted = line.text.partition("=") if "==" not in line.text else (line.text, "", "")
        verb, *args = words.split()
        stack, now = self.stack, self.now
        result: object = None
        events: list[Event] = []
        match verb:
            case "close":
                result, events = stack.close(self.handle, now)
            case "close-listener":
                result, events = stack.close(self.listener, now)
            case "abort":
                result, events = stack.abort(self.handle, now)
            case "shutdown":
                result, events = stack.shutdown(self.handle, now, args[0] if args else "write")  # type: ignore[arg-type]
            case "send":
                size = int(args[0])
                result, events = stack.send(self.handle, bytes(size), now, urgent="urgent" in args)
            case "recv":
                data, events = stack.recv(self.handle, int(args[0]), now)
                result = len(data) if isinstance(data, bytes) else data
            case "connect":
                result, events = stack.connect(self.handle, PEER, PEER_PORT, now)
            case "accept":
                found = stack.accept(self.listener)
                if isinstance(found, int):
                    self.handle = found
                result = "ok" if isinstance(found, int) else found
            case "error":
                result = stack.take_error(self.handle)
            case "sysctl":
                stack.set_sysctl(args[0], int(args[1]))
            case "holds-port":
                result = stack.ports.held(OUR_PORT)
            case "state":
                result = stack.state(self.handle)
            case "waiting":
                result = len(stack.waits)
            case "counter":
                result = stack.counters[args[0]]
            case "option":
                result = stack.set_option(self.handle, **{args[0]: eval(args[1])})
            case _:
                raise AssertionError(f"no such call: {verb}")
        if wanted.strip():
            assert str(result) == wanted.strip(), f"{line}: the result was {result}"
        return events

    # --- What comes out

    def note(self, events: list[Event]) -> None:
        at = self.now - EPOCH
        for event in events:
            match event:
                case Send(segment):
                    self.actual.append(Line(at, "out", flag_names(segment.flags), self.describe(segment)))
                case Entered(key, state, until) if key == self.key:
                    ending = f" until {(until - EPOCH) / SECOND:.3f}" if until is not None else ""
                    self.actual.append(Line(at, "says", f"{state}{ending}"))
                case Failed(_, error):
                    self.actual.append(Line(at, "says", f"fails {error}"))
                case Released(_, failure):
                    self.actual.append(Line(at, "says", f"released {failure or ''}".strip()))
                case Dropped(_, reason):
                    self.actual.append(Line(at, "says", f"drops {reason.name}"))
                case _:
                    pass

    def describe(self, segment: Segment) -> dict[str, str]:
        fields = {"seq": str(diff(segment.seq, OUR_ISN)), "len": str(len(segment.payload)), "win": str(segment.window)}
        if segment.flags & Flag.ACK:
            fields["ack"] = str(diff(segment.ack, PEER_ISN))
        if segment.flags & Flag.URG:
            fields["urg"] = str(segment.urgent)
        for option in segment.options:
            match option:
                case Timestamps(value, echo):
                    seen = diff(echo, PEER_CLOCK) if echo else 0
                    fields["ts"] = f"{diff(value, EPOCH // 1_000_000)}/{seen}"
                case Sack(blocks):
                    fields["sack"] = ",".join(
                        f"{diff(left, PEER_ISN)}-{diff(right, PEER_ISN)}" for left, right in blocks
                    )
                case _:
                    pass
        kinds = {0: "eol", 1: "nop", 2: "mss", 3: "wscale", 4: "sackok", 5: "sack", 8: "ts"}
        if segment.flags & Flag.SYN:
            fields["opt"] = ",".join(kinds.get(option.kind, "?") for option in segment.options)
        return fields

    def run_until(self, at: int) -> None:
        moment = EPOCH + at
        for _ in range(100_000):
            due = self.stack.next_deadline()
            if due is None or due > moment:
                break
            self.now = max(due, self.now)
            self.note(self.stack.expire(self.now))
        else:
            raise AssertionError("timers never end")
        self.now = max(moment, self.now)

    def step(self, line: Line) -> None:
        self.run_until(line.at)
        if line.kind == "in":
            self.actual.append(line)
            self.note(self.inject(line))
        elif line.kind == "call":
            self.actual.append(line)
            self.note(self.call(line))

    def quietly(self, trace: str) -> None:
        """Do what a trace says without looking at what comes of it."""
        for line in parse(trace):
            self.step(line)
        self.actual.clear()

    def to(self, state: State) -> None:
        """Bring the connection to `state`, at time 0, with one SYN and at most one FIN sent by each side."""
        window = ""
        if self.passive:
            self.quietly(f"0 peer > us SYN seq=0{window}")
            if state is State.SYN_RECEIVED:
                return
            self.quietly("0 peer > us ACK seq=1 ack=1\n0 us: accept = ok")
        else:
            self.quietly("0 us: connect")
            if state is State.SYN_SENT:
                return
            self.quietly("0 peer > us SYN,ACK seq=0 ack=1")
        leave = "close" if not self.held else "shutdown"
        steps = {
            State.ESTABLISHED: "",
            State.FIN_WAIT_1: f"0 us: {leave}",
            State.FIN_WAIT_2: f"0 us: {leave}\n0 peer > us ACK seq=1 ack=2",
            State.CLOSING: f"0 us: {leave}\n0 peer > us FIN,ACK seq=1 ack=1",
            State.TIME_WAIT: f"0 us: {leave}\n0 peer > us FIN,ACK seq=1 ack=2",
            State.CLOSE_WAIT: "0 peer > us FIN,ACK seq=1 ack=1",
            State.LAST_ACK: f"0 peer > us FIN,ACK seq=1 ack=1\n0 us: {leave}",
        }
        self.quietly(steps[state])
        assert self.stack.state_of(self.key) is state

    held = False


def pattern(start: int, size: int) -> bytes:
    """Octets that tell their own place in the stream."""
    return bytes((start + each) % 251 for each in range(size))


def play(
    profile: str | Profile,
    trace: str,
    start: State | None = None,
    *,
    held: bool = False,
    sysctls: dict[str, int] | None = None,
    options: Options | None = None,
    timestamps: bool = False,
    sack: bool = False,
    scale: int | None = None,
    passive: bool = False,
    listening: bool = False,
    window: int = 65535,
    **changes: object,
) -> Player:
    """Play a trace against a stack and compare.

    `held`: the user closes only the writing side on the way to `start`.
    """
    player = Player(
        profile,
        sysctls=sysctls,
        options=options,
        timestamps=timestamps,
        sack=sack,
        scale=scale,
        passive=passive,
        listening=listening,
        window=window,
        changes=changes,
    )
    player.held = held
    if start is not None:
        player.to(start)
    expected = parse(trace)
    with_drops = any(line.kind == "says" and line.text.startswith("drops") for line in expected)
    for line in expected:
        player.step(line)
    actual = [line for line in player.actual if with_drops or not line.text.startswith("drops")]
    wanted = [line for line in expected if line.kind != "end"]
    compare(wanted, actual)
    return player


def compare(wanted: list[Line], actual: list[Line]) -> None:
    for index in range(max(len(wanted), len(actual))):
        expects = wanted[index] if index < len(wanted) else None
        got = actual[index] if index < len(actual) else None
        if expects is None or got is None or not expects.matches(got):
            raise AssertionError("the traces differ\n" + side_by_side(wanted, actual, index))


def side_by_side(wanted: list[Line], actual: list[Line], at: int) -> str:
    rows = []
    for index in range(max(len(wanted), len(actual))):
        left = str(wanted[index]) if index < len(wanted) else "-"
        right = str(actual[index]) if index < len(actual) else "-"
        rows.append(f"{'>>' if index == at else '  '} {left:<62} | {right}")
    return "\n".join([f"   {'expected':<62} | happened", *rows])
