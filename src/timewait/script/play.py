"""`play`: a script run against a stack under test, event by event, until it ends or something is not as it says.

Knows times, the order of events, which connection a packet belongs to and what counts as a mismatch.  Numbers inside
packets are mapped and compared in `matching`; the stack is a `World`.  Follows packetdrill's run.c and run_packet.c.
"""

from collections import deque
from typing import Final

from timewait.clock import MS, SECOND, Duration
from timewait.errors import UsageError
from timewait.script import assertions, matching, offload
from timewait.script.calls import MAKES_DESCRIPTOR, agrees, evaluate, out_name, shown, strerror, with_descriptors
from timewait.script.matching import GIVEN_BACK, NOT_ACCEPTED, Flow, PacketError, Phase
from timewait.script.mistake import MistakeError, ScriptError
from timewait.script.outcome import Failure, Outcome
from timewait.script.syntax import (
    ANYTHING,
    Assertions,
    Call,
    Command,
    Event,
    IcmpPacket,
    Number,
    Place,
    Script,
    TcpPacket,
    TimeKind,
    When,
)
from timewait.script.world import Returned, Seen, UnknownCallError, UnknownCommandError, World
from timewait.wire.packet import Packet
from timewait.wire.segment import ACK, PSH, SYN, MaximumSegmentSize

# How much longer than due a packet is waited for, to say when it came after all.
_LOOK_AHEAD: Final = 3600 * SECOND
# packetdrill's own; a kernel's timers tick in 4 ms at HZ=250 and may be 1/8 late (Documentation/timers), and this
# program has no priority over what else a machine does.
_TOLERANCE: Final = 4 * MS
_TOLERANCE_REAL: Final = 30 * MS
_LOOK_AHEAD_REAL: Final = 1 * SECOND
# Ports of the script's side, one after the other: IANA's dynamic range, RFC 6335 section 6.
_FIRST_PORT: Final = 49152


def play(script: Script, world: World, *, strict: bool = False, tolerance: Duration | None = None) -> Outcome:
    """Run a script.  `strict`: what the stack sent and no line expected is a failure at the end too.

    `tolerance`: how far times may be off, in ns; None: the script's own.  Virtual time is exact, but scripts are not:
    what they were written on answered a little later than they say, and their tolerance covers that.  The world is
    left open.  Raises `ScriptError`, with the place, for what the world does not know: a call, a constant, a setting, a
    command.
    """
    player = _Player(script, world, tolerance)
    failure: Failure | None = None
    try:
        player.run()
        if strict:
            player.leave_nothing()
    except _MismatchError as mismatch:
        failure = mismatch.failure
    except (UnknownCallError, UnknownCommandError, UsageError) as error:
        mistake = MistakeError(player.spot(error.what), error.what, error.hint)
        raise ScriptError(script.name, player.line(), mistake) from None
    player.drain()
    return Outcome(
        name=script.name, stack=world.stack, failure=failure, virtual=world.now(), packets=tuple(player.crossed)
    )


class _MismatchError(Exception):
    """The script and the stack differ."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.detail)
        self.failure = failure


class _Player:
    """One run."""

    def __init__(self, script: Script, world: World, tolerance: Duration | None) -> None:
        self.script = script
        self.world = world
        options = script.options
        own = _TOLERANCE if world.virtual else _TOLERANCE_REAL
        self.tolerance = tolerance if tolerance is not None else own if options.tolerance is None else options.tolerance
        self.percent = options.tolerance_percent or 0.0 if tolerance is None else 0.0
        self.place = Place(1)
        self.earlier: Duration = 0  # when the last event was
        self.flows: list[Flow] = []
        self.under_test: Flow | None = None
        self.descriptors: dict[int, int] = {}
        self.blocked: tuple[Event, Call, Duration] | None = None
        self.waiting: deque[Seen] = deque()
        self.rest: Seen | None = None  # of a packet that a line expected shorter
        self.crossed: list[tuple[Duration, bool, bytes]] = []
        self.unexpected: list[Packet] = []
        self.next_port = _FIRST_PORT

    # --- Events in their order

    def run(self) -> None:
        """Go through the script."""
        for place, text in self.script.init:
            self.place = place
            self.command(text)
        for text in self.script.options.init_scripts:
            self.command(text)
        for event in self.script.events:
            self.place = event.place
            self.act(event)
            self.earlier = self.world.now()
        self.settle_blocked(None)
        if self.waiting and self.waiting[0] is self.rest:
            octets = len(matching.read(self.rest.packet).segment.payload)
            self.fail("handling packet", f"the last packet has {octets} octets more than its line expects")
        for place, text in self.script.cleanup:
            self.place = place
            self.command(text)

    def line(self) -> str:
        """Return the line that the run is at."""
        lines = self.script.lines
        return lines[self.place.line - 1] if self.place.line <= len(lines) else ""

    def spot(self, problem: str) -> Place:
        """Return where in that line the last word of a problem stands that does stand there; else where it begins."""
        line = self.line()
        words = [word.strip("`,:;()") for word in problem.split()]
        at = max((line.find(word) for word in words if len(word) > 2), default=-1)
        return Place(self.place.line, at + 1) if at >= 0 else self.place

    def act(self, event: Event) -> None:
        """Do what one event says, or see it happen."""
        action = event.action
        first, last = self.due(event.when)
        if isinstance(action, TcpPacket) and not action.inbound:
            self.expect(action, event.when, first, last)
            return
        if isinstance(action, Call) and self.blocked is not None:
            self.settle_blocked(first)
        kind = _description(action)
        if event.when.kind is not TimeKind.ANY:
            if first > self.world.now():
                self.world.wait_until(first)
            late = self.off(first, last, self.world.now(), kind)
            if late:
                self.fail(f"handling {kind}", late)
        match action:
            case TcpPacket():
                self.inject(action)
            case IcmpPacket():
                self.inject_icmp(action)
            case Call():
                self.call(event, action)
            case Command(text):
                self.command(text)
            case Assertions(text):
                self.check(text)

    # --- Times

    def due(self, when: When) -> tuple[Duration, Duration]:
        """Return the first and the last moment at which an event may be, tolerance apart."""
        base = 0 if when.kind is TimeKind.ABSOLUTE else self.world.now()
        first = base + when.time
        return first, first if when.latest is None else base + when.latest

    def off(self, first: Duration, last: Duration, now: Duration, what: str) -> str:
        """Return the words for something that was at the wrong time; empty if the time was right."""
        slack = max(self.tolerance, round(self.percent / 100 * max(0, first - self.earlier)))
        if first - slack <= now <= last + slack:
            return ""
        when = f"at {_seconds(first)} sec" if first == last else f"in time range {_seconds(first)}~{_seconds(last)} sec"
        return (
            f"timing error: expected {what} {when} but happened at {_seconds(now)} sec; tolerance {_seconds(slack)} sec"
        )

    def fail(self, what: str, detail: str, script_packet: str = "", actual_packet: str = "") -> None:
        """End the run."""
        raise _MismatchError(
            Failure(
                place=self.place,
                what=what,
                detail=detail,
                script_packet=script_packet,
                actual_packet=actual_packet,
            )
        )

    # --- Calls

    def call(self, event: Event, call: Call) -> None:
        """Make a call; one that blocks is looked at again when the next call is due."""
        mapped = with_descriptors(call, self.descriptors)
        flow = self.before(call)
        returned = self.world.call(mapped, blocking=event.until is not None)
        if returned is None and event.until is None:
            self.fail(f"in {call.name} call", "the call blocks; say when it returns: +0...0.2 " + call.name + "(...)")
        if returned is None:
            assert event.until is not None
            base = 0 if event.when.kind is TimeKind.ABSOLUTE else self.world.now() - event.when.time
            self.blocked = (event, call, base)
            return
        if event.until is not None:
            base = 0 if event.when.kind is TimeKind.ABSOLUTE else returned.began - event.when.time
            self.returned_in_time(event, base, returned)
        self.after(call, mapped, returned, flow)

    def returned_in_time(self, event: Event, base: Duration, returned: Returned) -> None:
        """Check when a blocking call returned."""
        until = event.until
        if until is None or until.kind is TimeKind.ANY:
            return
        first = base + until.time
        last = first if until.latest is None else base + until.latest
        late = self.off(first, last, returned.ended, "system call return")
        if late:
            self.place = event.place
            assert isinstance(event.action, Call)
            self.fail(f"in {event.action.name} call", late)

    def settle_blocked(self, before: Duration | None) -> None:
        """See how the call that blocks ended; `before`: when the next call is due, None at the end of the script."""
        if self.blocked is None:
            return
        event, call, base = self.blocked
        self.blocked = None
        until = event.until
        assert until is not None
        patience = base + (until.time if until.latest is None else until.latest) + self.tolerance
        if before is not None:
            patience = max(patience, before)
        returned = self.world.finish(max(patience, self.world.now()))
        if returned is None:
            self.place = event.place
            self.fail(f"in {call.name} call", f"the call still blocks at {_seconds(self.world.now())} sec")
            return
        place, self.place = self.place, event.place
        self.returned_in_time(event, base, returned)
        self.after(call, with_descriptors(call, self.descriptors), returned, self.flow_of(call))
        self.place = place

    def flow_of(self, call: Call) -> Flow | None:
        """Return the flow of the descriptor that a call is about."""
        number = call.arguments[0] if call.arguments else None
        if not isinstance(number, Number):
            return None
        return next((flow for flow in reversed(self.flows) if flow.descriptor == number.value), None)

    def before(self, call: Call) -> Flow | None:
        """Follow what a call is about to do to its flow, as the segments it causes come at once."""
        flow = self.flow_of(call)
        connects = call.name == "connect" or (call.name in ("sendto", "sendmsg") and "MSG_FASTOPEN" in repr(call))
        if flow is not None and connects and flow.phase is Phase.NEW:
            flow.phase = Phase.CONNECTING
            flow.remote_port = self.world.addresses.connect_port
            self.under_test = flow
        return flow

    def after(self, call: Call, mapped: Call, returned: Returned, flow: Flow | None) -> None:
        """Compare a call's end with what the script says, and follow what it made."""
        fault = self.fault(call, mapped, returned)
        if fault and "syscall" not in self.script.options.non_fatal:
            self.fail(f"in {call.name} call", fault)
        if returned.errno:
            return
        if call.name in MAKES_DESCRIPTOR:
            number = returned.value if call.result is ANYTHING else evaluate(call.result, self.world.system)
            self.descriptors[number] = returned.value
            if call.name == "socket":
                self.under_test = Flow(descriptor=number)
                self.flows.append(self.under_test)
            elif call.name.startswith("accept"):
                self.accepted(number)
        elif call.name == "listen" and flow is not None:
            flow.phase = Phase.LISTENING
            flow.local_port = self.world.addresses.bind_port
            self.under_test = flow
        elif call.name == "close" and flow is not None:
            flow.descriptor = GIVEN_BACK
            if flow.phase is Phase.LISTENING:
                self.forget_children(flow)
            assert isinstance(call.arguments[0], Number)
            self.descriptors.pop(call.arguments[0].value, None)

    def forget_children(self, listener: Flow) -> None:
        """Connections that a listener made and nobody accepted end with it; accept() returns none of them any more."""
        for flow in self.flows:
            if flow.descriptor == NOT_ACCEPTED and flow.local_port == listener.local_port:
                flow.descriptor = GIVEN_BACK

    def accepted(self, number: int) -> None:
        """Give the oldest passive flow without a descriptor the one that accept() returned."""
        for flow in self.flows:
            if flow.descriptor == NOT_ACCEPTED and flow.phase is Phase.OPEN:
                flow.descriptor = number
                return

    def fault(self, call: Call, mapped: Call, returned: Returned) -> str:
        """Return what is wrong with a call's result, in packetdrill's words; empty if nothing is."""
        system = self.world.system
        got = f"{returned.value}"
        if returned.errno:
            got = f"-1 with errno {returned.errno} ({strerror(returned.errno)})"
        if call.result is not ANYTHING:
            if call.name in MAKES_DESCRIPTOR and returned.value >= 0:
                right = not call.errno
            else:
                right = agrees(call.result, Number(returned.value), system)
            if not right:
                return f"Expected result {shown(call.result)} but got {got}"
            if call.errno and call.errno != returned.errno and not _same_errno(call.errno, returned.errno):
                return (
                    f"Expected errno {call.errno} ({strerror(call.errno)}) but got"
                    f" {returned.errno or 'none'} ({strerror(returned.errno) if returned.errno else 'success'})"
                )
        if returned.errno:
            return ""
        for index, actual in (returned.out or {}).items():
            expected = mapped.arguments[index] if index < len(mapped.arguments) else ANYTHING
            if not agrees(expected, actual, system):
                name = out_name(call.name, index)
                return f"Bad {call.name} {name}: expected: {shown(expected)} actual: {shown(actual)}"
        return ""

    # --- Commands and assertions

    def command(self, text: str) -> None:
        """Run a command of the host; a status other than 0 is a failure."""
        result = self.world.command(text)
        if result.status:
            said = result.output.strip()
            self.fail(
                "executing command",
                f"`{text.strip()}`: non-zero status {result.status}" + (f"\n{said}" if said else ""),
            )

    def check(self, text: str) -> None:
        """Evaluate the assertions of one `%{ }%`."""
        flow = self.under_test
        if flow is None or flow.descriptor not in self.descriptors:
            self.fail("executing code", "no socket to look at")
            return
        try:
            wrong = assertions.check(text, self.world.tcp_info(self.descriptors[flow.descriptor]))
        except assertions.AssertionSyntaxError as error:
            self.fail("executing code", str(error))
            return
        if wrong:
            self.fail("executing code", wrong)

    # --- Packets in

    def flow_for(self, packet: TcpPacket | IcmpPacket) -> Flow:
        """Return the flow that a packet of the script belongs to: the one under test, or a new child of it."""
        flow = self.under_test
        if isinstance(packet, TcpPacket) and packet.ports is not None:
            wanted = packet.ports if packet.inbound else packet.ports[::-1]
            for each in self.flows:
                if (each.remote_port, each.local_port) == wanted:
                    return each
        if flow is None:
            raise PacketError("no matching socket for script packet")
        if isinstance(packet, IcmpPacket):
            return flow
        syn = "S" in packet.flags
        if packet.inbound and flow.phase in (Phase.LISTENING, Phase.NEW):
            child = Flow(
                phase=Phase.PASSIVE,
                local_port=self.world.addresses.bind_port,
                remote_port=self.next_port,
                remote_isn=packet.seq if flow.phase is Phase.LISTENING and isinstance(packet.seq, int) else 0,
                descriptor=flow.descriptor if flow.phase is Phase.NEW else NOT_ACCEPTED,
            )
            self.next_port += 1
            self.flows.append(child)
            self.under_test = child
            return child
        if not packet.inbound and flow.phase is Phase.CONNECTING and syn and "." not in packet.flags:
            flow.phase = Phase.SYN_SENT
            flow.script_isn = packet.seq if isinstance(packet.seq, int) else 0
        return flow

    def inject(self, packet: TcpPacket) -> None:
        """Send a packet of the script to the stack."""
        addresses = self.world.addresses
        try:
            flow = self.flow_for(packet)
            syn, ack = "S" in packet.flags, "." in packet.flags
            if flow.phase is Phase.PASSIVE_ANSWERED and ack:
                flow.phase = Phase.OPEN
            elif flow.phase is Phase.SYN_SENT and syn and ack:
                flow.phase = Phase.OPEN
                flow.remote_isn = packet.seq if isinstance(packet.seq, int) else 0
            if syn:
                self.note_syn(flow, packet)
            octets = matching.inbound(packet, flow, addresses.local, addresses.remote)
        except PacketError as error:
            self.fail("handling packet", error.what, matching.written(packet))
            return
        self.send(octets)

    def note_syn(self, flow: Flow, packet: TcpPacket) -> None:
        """Remember what a SYN of the script offers."""
        if "." not in packet.flags and isinstance(packet.seq, int):
            flow.asked = packet.seq
        for spec in packet.options or ():
            option = matching.plain_option(spec)
            if isinstance(option, MaximumSegmentSize):
                flow.peer_mss = option.size

    def inject_icmp(self, packet: IcmpPacket) -> None:
        """Send an ICMP error of the script to the stack."""
        addresses = self.world.addresses
        try:
            flow = self.flow_for(packet)
            octets = matching.inbound_icmp(packet, flow, addresses.local, addresses.remote)
        except PacketError as error:
            self.fail("handling packet", error.what)
            return
        self.send(octets)

    def send(self, octets: bytes) -> None:
        """Deliver octets, now."""
        self.crossed.append((self.world.now(), False, octets))
        self.world.inject(octets)

    # --- Packets out

    def next(self, patience: Duration) -> Seen | None:
        """Return the next packet that the stack sent, whatever it is."""
        if self.waiting:
            return self.waiting.popleft()
        seen = self.world.next_packet(max(patience, self.world.now()))
        if seen is not None:
            self.crossed.append((seen.time, True, seen.packet))
        return seen

    def next_of(self, flow: Flow, patience: Duration) -> tuple[Seen, Packet] | None:
        """Return the flow's next packet; packets of other flows are passed over, as packetdrill does."""
        while (seen := self.next(patience)) is not None:
            packet = matching.read(seen.packet)
            segment = packet.segment
            opens = flow.phase is Phase.SYN_SENT and segment.flags & (SYN | ACK) == SYN
            if opens and segment.destination_port == flow.remote_port and not flow.local_port:
                flow.local_port = segment.source_port
                flow.live_isn = segment.seq
            if flow.fits(segment):
                return seen, packet
            self.unexpected.append(packet)
        return None

    def expect(self, packet: TcpPacket, when: When, first: Duration, last: Duration) -> None:
        """See the packet that the script expects next."""
        script_packet = f"{_seconds(first)} {matching.written(packet)}"
        try:
            flow = self.flow_for(packet)
            ahead = _LOOK_AHEAD if self.world.virtual else _LOOK_AHEAD_REAL
            found = self.next_of(flow, last + self.tolerance + ahead)
        except PacketError as error:
            self.fail("handling packet", error.what, script_packet)
            return
        if found is None:
            self.fail(
                "handling packet",
                f"timing error: expected outbound packet at {_seconds(first)} sec but none came",
                script_packet,
            )
            return
        seen, live = found
        self.learn(flow, packet, live)
        live = self.joined(flow, packet, live, seen.time)
        actual = matching.as_scripted(live, flow, packet)
        wrong = matching.difference(packet, actual, self.ticks())
        if not wrong and when.kind is not TimeKind.ANY:
            wrong = self.off(first, last, seen.time, "outbound packet")
        if wrong and "packet" not in self.script.options.non_fatal:
            actual_packet = f"{_seconds(seen.time)} {matching.written_actual(actual)}"
            self.fail("handling packet", wrong, script_packet, actual_packet)

    def ticks(self) -> int | None:
        """Return by how many ticks a timestamp may be off; None where the script does not ask for the check."""
        tick = self.script.options.tcp_ts_tick
        return self.tolerance // tick if tick else None

    def learn(self, flow: Flow, packet: TcpPacket, live: Packet) -> None:
        """Learn the stack's ISN from its SYN-ACK, and again when it answers the SYN of a new incarnation."""
        segment = live.segment
        if not ({"S", "."} <= packet.flags and segment.flags & (SYN | ACK) == SYN | ACK):
            return
        new = flow.phase is Phase.PASSIVE
        if not new and (flow.asked is None or segment.ack != flow.asked + 1 or segment.seq == flow.live_isn):
            return
        flow.script_isn = packet.seq if isinstance(packet.seq, int) else 0
        flow.live_isn = segment.seq
        flow.phase = Phase.PASSIVE_ANSWERED
        if not new:
            assert flow.asked is not None
            flow.remote_isn = flow.asked
            flow.first_stamp = None

    def joined(self, flow: Flow, packet: TcpPacket, live: Packet, time: Duration) -> Packet:
        """Join segments up to the length expected, where that is more than a segment can have.

        A kernel marks with PSH, besides the end of a write, wherever its congestion control and offload end a run of
        text: that is no failure where the script has none.
        """
        if 0 < packet.length < len(live.segment.payload) and not self.world.virtual:
            return self.cut(live, packet.length, "P" in packet.flags, time)
        if not self.world.virtual and live.segment.payload and "P" not in packet.flags:
            live = live._replace(segment=live.segment._replace(flags=live.segment.flags & ~PSH))
        largest = min(flow.peer_mss, self.script.options.mtu - (40 if len(live.segment.source) == 4 else 60))
        while largest < packet.length and len(live.segment.payload) < packet.length:
            seen = self.next(self.world.now())
            if seen is None:
                break
            following = matching.read(seen.packet)
            both = offload.joined(live, following)
            if both is not None and len(both.segment.payload) > packet.length and not self.world.virtual:
                missing = packet.length - len(live.segment.payload)
                both = offload.joined(live, self.cut(following, missing, "P" in packet.flags, seen.time))
            elif both is None or len(both.segment.payload) > packet.length:
                self.waiting.appendleft(seen)
                break
            assert both is not None
            live = both
            if "P" in packet.flags:
                # Where offload cuts a long packet, and so which pieces say PSH, is no matter of the connection's.
                live = live._replace(segment=live.segment._replace(flags=live.segment.flags | PSH))
            elif not self.world.virtual:
                live = live._replace(segment=live.segment._replace(flags=live.segment.flags & ~PSH))
        return live

    def cut(self, live: Packet, size: int, push: bool, time: Duration) -> Packet:
        """Return the first `size` octets of a packet; the rest is there for the next line.

        Where offload ends a long packet is no matter of the connection's either.
        """
        first, rest = offload.cut(live, size, push)
        self.rest = Seen(time, rest)
        self.waiting.appendleft(self.rest)
        return first

    # --- The end

    def leave_nothing(self) -> None:
        """Fail if the stack sent anything that no line expected."""
        try:
            while (seen := self.next(self.world.now())) is not None:
                self.unexpected.append(matching.read(seen.packet))
        except PacketError as error:
            self.fail("handling packet", error.what)
        if self.unexpected:
            packet = self.unexpected[0]
            for flow in self.flows:
                if flow.fits(packet.segment):
                    shape = TcpPacket(inbound=False, flags=frozenset(), seq=0, length=0)
                    packet = matching.as_scripted(packet, flow, shape)
                    break
            self.fail(
                "handling packet",
                f"{len(self.unexpected)} outbound packet(s) that no line expects",
                actual_packet=matching.written_actual(packet),
            )

    def drain(self) -> None:
        """Take what was sent and not looked at, for the record of packets."""
        while self.next(self.world.now()) is not None:
            pass


def _description(action: object) -> str:
    match action:
        case TcpPacket() | IcmpPacket():
            return "inbound packet"
        case Call():
            return "system call start"
        case Command():
            return "command"
    return "data collection for code"


def _seconds(time: Duration) -> str:
    return f"{time / SECOND:.6f}"


def _same_errno(one: str, other: str) -> bool:
    """Whether two names are one error: EWOULDBLOCK is EAGAIN on every system that is played here."""
    alias = {"EWOULDBLOCK": "EAGAIN", "ENOTSUP": "EOPNOTSUPP"}
    return alias.get(one, one) == alias.get(other, other)
