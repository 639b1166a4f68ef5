"""`CallEvents`: the system calls of a script: made when they are due, their ends compared, what they make followed.

Knows which descriptor stands for which connection.  What a call does is the world's.
"""

from timewait.clock import Duration
from timewait.script import messages
from timewait.script.calls import MAKES_DESCRIPTOR, agrees, evaluate, out_name, shown, strerror, with_descriptors
from timewait.script.flow import GIVEN_BACK, NOT_ACCEPTED, Flow, Phase
from timewait.script.run import Run, seconds
from timewait.script.syntax import ANYTHING, Array, Call, Event, Number, TimeKind, Word
from timewait.script.world import Returned


class CallEvents:
    """The calls of one run."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.blocked: tuple[Event, Call, Duration] | None = None

    def call(self, event: Event, call: Call) -> None:
        """Make a call; one that blocks is looked at again when the next call is due."""
        mapped = with_descriptors(call, self.run.descriptors)
        flow = self.before(call)
        returned = self.run.world.call(mapped, blocking=event.until is not None)
        if returned is None and event.until is None:
            self.run.fail(
                f"in {call.name} call", "the call blocks; say when it returns: +0...0.2 " + call.name + "(...)"
            )
        if returned is None:
            assert event.until is not None
            base = 0 if event.when.kind is TimeKind.ABSOLUTE else self.run.world.now() - event.when.time
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
        late = self.run.off(first, last, returned.ended, "system call return")
        if late:
            self.run.place = event.place
            assert isinstance(event.action, Call)
            self.run.fail(f"in {event.action.name} call", late)

    def settle_blocked(self, before: Duration | None) -> None:
        """See how the call that blocks ended; `before`: when the next call is due, None at the end of the script."""
        if self.blocked is None:
            return
        event, call, base = self.blocked
        self.blocked = None
        until = event.until
        assert until is not None
        patience = base + (until.time if until.latest is None else until.latest) + self.run.tolerance
        if before is not None:
            patience = max(patience, before)
        returned = self.run.world.finish(max(patience, self.run.world.now()))
        if returned is None:
            self.run.place = event.place
            self.run.fail(f"in {call.name} call", f"the call still blocks at {seconds(self.run.world.now())} sec")
        place, self.run.place = self.run.place, event.place
        self.returned_in_time(event, base, returned)
        self.after(call, with_descriptors(call, self.run.descriptors), returned, self.flow_of(call))
        self.run.place = place

    def flow_of(self, call: Call) -> Flow | None:
        """Return the flow of the descriptor that a call is about."""
        number = call.arguments[0] if call.arguments else None
        if not isinstance(number, Number):
            return None
        return next((flow for flow in reversed(self.run.flows) if flow.descriptor == number.value), None)

    def before(self, call: Call) -> Flow | None:
        """Follow what a call is about to do to its flow, as the segments it causes come at once."""
        flow = self.flow_of(call)
        connects = call.name == "connect" or (call.name in ("sendto", "sendmsg") and "MSG_FASTOPEN" in repr(call))
        if flow is not None and connects and flow.phase is Phase.DISSOLVED:
            again = Flow(descriptor=flow.descriptor)
            flow.descriptor = GIVEN_BACK
            self.run.flows.append(again)
            flow = again
        if flow is not None and connects and flow.phase is Phase.NEW:
            flow.phase = Phase.CONNECTING
            flow.remote_port = self.run.world.addresses.connect_port
            self.run.under_test = flow
        return flow

    def after(self, call: Call, mapped: Call, returned: Returned, flow: Flow | None) -> None:
        """Compare a call's end with what the script says, and follow what it made."""
        fault = self.fault(call, mapped, returned)
        if fault and "syscall" not in self.run.script.options.non_fatal:
            self.run.fail(f"in {call.name} call", fault)
        if returned.errno:
            return
        if call.name in MAKES_DESCRIPTOR:
            number = returned.value if call.result is ANYTHING else evaluate(call.result, self.run.world.system)
            self.run.descriptors[number] = returned.value
            if call.name == "socket":
                self.run.under_test = Flow(descriptor=number)
                self.run.flows.append(self.run.under_test)
            elif call.name.startswith("accept"):
                self.accepted(number)
        elif call.name == "connect" and call.arguments[1:2] == (Word("AF_UNSPEC"),) and flow is not None:
            flow.phase = Phase.DISSOLVED
        elif call.name == "pipe":
            self.name_both_ends(call, returned)
        elif call.name == "listen" and flow is not None:
            flow.phase = Phase.LISTENING
            flow.local_port = self.run.world.addresses.bind_port
            self.run.under_test = flow
        elif call.name == "close" and flow is not None:
            flow.descriptor = GIVEN_BACK
            if flow.phase is Phase.LISTENING:
                self.forget_children(flow)
            assert isinstance(call.arguments[0], Number)
            self.run.descriptors.pop(call.arguments[0].value, None)

    def name_both_ends(self, call: Call, returned: Returned) -> None:
        """Note what a pipe's two descriptors are called."""
        match call.arguments[:1], (returned.out or {}).get(0):
            case (Array(names),), Array(ends) if len(names) == len(ends):
                for name, end in zip(names, ends, strict=True):
                    if isinstance(name, Number) and isinstance(end, Number):
                        self.run.descriptors[name.value] = end.value

    def forget_children(self, listener: Flow) -> None:
        """Connections that a listener made and nobody accepted end with it; accept() returns none of them any more."""
        for flow in self.run.flows:
            if flow.descriptor == NOT_ACCEPTED and flow.local_port == listener.local_port:
                flow.descriptor = GIVEN_BACK

    def accepted(self, number: int) -> None:
        """Give the oldest passive flow without a descriptor the one that accept() returned.

        With Fast Open that may be before the handshake is over: RFC 7413 section 4.2.2.
        """
        for phase in (Phase.OPEN, Phase.PASSIVE_ANSWERED):
            for flow in self.run.flows:
                if flow.descriptor == NOT_ACCEPTED and flow.phase is phase:
                    flow.descriptor = number
                    return

    def fault(self, call: Call, mapped: Call, returned: Returned) -> str:
        """Return what is wrong with a call's result, in packetdrill's words; empty if nothing is."""
        system = self.run.world.system
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
            actual = messages.in_time(expected, actual, self.run.tolerance)
            if not agrees(expected, actual, system):
                name = out_name(call.name, index)
                return f"Bad {call.name} {name}: expected: {shown(expected)} actual: {shown(actual)}"
        return ""


def _same_errno(one: str, other: str) -> bool:
    """Whether two names are one error: EWOULDBLOCK is EAGAIN on every system that is played here."""
    alias = {"EWOULDBLOCK": "EAGAIN", "ENOTSUP": "EOPNOTSUPP"}
    return alias.get(one, one) == alias.get(other, other)
