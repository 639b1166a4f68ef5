"""`play`: a script run against a stack under test, event by event, until it ends or something is not as it says.

Knows the order of events, and when each is due; calls are `call_events`, packets `packet_events`, and what they share
is the `Run`.  The stack is a `World`.  Follows packetdrill's run.c.
"""

from timewait.clock import Duration
from timewait.errors import UsageError
from timewait.script import assertions
from timewait.script.call_events import CallEvents
from timewait.script.mistake import MistakeError, ScriptError
from timewait.script.outcome import Failure, Outcome
from timewait.script.packet_events import PacketEvents
from timewait.script.run import MismatchError, Run
from timewait.script.syntax import Assertions, Call, Command, Event, IcmpPacket, Place, Script, TcpPacket, TimeKind
from timewait.script.world import UnknownCallError, UnknownCommandError, World


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
        player.play()
        if strict:
            player.packets.leave_nothing()
    except MismatchError as mismatch:
        failure = mismatch.failure
    except (UnknownCallError, UnknownCommandError, UsageError) as error:
        mistake = MistakeError(player.spot(error.what), error.what, error.hint)
        raise ScriptError(script.name, player.line(), mistake) from None
    player.packets.drain()
    return Outcome(
        name=script.name, stack=world.stack, failure=failure, virtual=world.now(), packets=tuple(player.run.crossed)
    )


class _Player:
    """One run, event by event."""

    def __init__(self, script: Script, world: World, tolerance: Duration | None) -> None:
        self.run = Run(script, world, tolerance)
        self.calls = CallEvents(self.run)
        self.packets = PacketEvents(self.run)

    def play(self) -> None:
        """Go through the script."""
        for place, text in self.run.script.init:
            self.run.place = place
            self.command(text)
        for text in self.run.script.options.init_scripts:
            self.command(text)
        for event in self.run.script.events:
            self.run.place = event.place
            self.act(event)
            self.run.earlier = self.run.world.now()
        self.calls.settle_blocked(None)
        self.packets.settle_rest()
        for place, text in self.run.script.cleanup:
            self.run.place = place
            self.command(text)

    def line(self) -> str:
        """Return the line that the run is at."""
        lines = self.run.script.lines
        return lines[self.run.place.line - 1] if self.run.place.line <= len(lines) else ""

    def spot(self, problem: str) -> Place:
        """Return where in that line the last word of a problem stands that does stand there; else where it begins."""
        line = self.line()
        words = [word.strip("`,:;()") for word in problem.split()]
        at = max((line.find(word) for word in words if len(word) > 2), default=-1)
        return Place(self.run.place.line, at + 1) if at >= 0 else self.run.place

    def act(self, event: Event) -> None:
        """Do what one event says, or see it happen."""
        action = event.action
        first, last = self.run.due(event.when)
        if isinstance(action, TcpPacket) and not action.inbound:
            self.packets.expect(action, event.when, first, last)
            return
        if isinstance(action, Call) and self.calls.blocked is not None:
            self.calls.settle_blocked(first)
        kind = _description(action)
        if event.when.kind is not TimeKind.ANY:
            if first > self.run.world.now():
                self.run.world.wait_until(first)
            late = self.run.off(first, last, self.run.world.now(), kind)
            if late:
                self.run.fail(f"handling {kind}", late)
        match action:
            case TcpPacket():
                self.packets.inject(action)
            case IcmpPacket():
                self.packets.inject_icmp(action)
            case Call():
                self.calls.call(event, action)
            case Command(text):
                self.command(text)
            case Assertions(text):
                self.check(text)

    def command(self, text: str) -> None:
        """Run a command of the host; a status other than 0 is a failure."""
        result = self.run.world.command(text)
        if result.status:
            said = result.output.strip()
            self.run.fail(
                "executing command",
                f"`{text.strip()}`: non-zero status {result.status}" + (f"\n{said}" if said else ""),
            )

    def check(self, text: str) -> None:
        """Evaluate the assertions of one `%{ }%`."""
        flow = self.run.under_test
        if flow is None or flow.descriptor not in self.run.descriptors:
            self.run.fail("executing code", "no socket to look at")
        try:
            wrong = assertions.check(text, self.run.world.tcp_info(self.run.descriptors[flow.descriptor]))
        except assertions.AssertionSyntaxError as error:
            self.run.fail("executing code", str(error))
        if wrong:
            self.run.fail("executing code", wrong)


def _description(action: object) -> str:
    match action:
        case TcpPacket() | IcmpPacket():
            return "inbound packet"
        case Call():
            return "system call start"
        case Command():
            return "command"
    return "data collection for code"
