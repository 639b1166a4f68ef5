"""`EngineWorld`: the engine as the stack under test, in virtual time; no network, no clock, no kernel.

A `World` over one `tcp.stack.Stack`.  Its calls are in `engine_calls`, the commands of its host in `commands`.
"""

from collections import deque
from collections.abc import Mapping
from pathlib import PurePath
from random import Random
from typing import Final

from timewait.clock import SECOND, Duration, Instant
from timewait.errors import TimewaitError
from timewait.script import engine_calls, tcp_info
from timewait.script.addresses import addresses_of, mtu_of
from timewait.script.commands import Commands
from timewait.script.process import Answer, Job, Process
from timewait.script.syntax import Call, Script
from timewait.script.world import CommandResult, Returned, Seen, UnknownCallError
from timewait.tcp import profiles
from timewait.tcp.connection import Connection
from timewait.tcp.events import (
    Acceptable,
    Connected,
    Delivered,
    EndOfFile,
    Events,
    Failed,
    FourTuple,
    Released,
    Send,
    Writable,
)
from timewait.tcp.icmp import IcmpError
from timewait.tcp.stack import Stack
from timewait.wire import icmp, ip
from timewait.wire.errors import WireError
from timewait.wire.packet import build, parse_packet
from timewait.wire.segment import Segment

# The host was booted before the script began; clocks that count from there stand at some number.
_BOOTED: Final = 86_400 * SECOND
# More than any exchange needs at one instant.
_AT_ONCE: Final = 100_000

_KINDS: Final = {
    icmp.Reason.NETWORK_UNREACHABLE: IcmpError.NETWORK_UNREACHABLE,
    icmp.Reason.HOST_UNREACHABLE: IcmpError.HOST_UNREACHABLE,
    icmp.Reason.PROTOCOL_UNREACHABLE: IcmpError.PROTOCOL_UNREACHABLE,
    icmp.Reason.PORT_UNREACHABLE: IcmpError.PORT_UNREACHABLE,
    icmp.Reason.PROHIBITED: IcmpError.PROHIBITED,
    icmp.Reason.UNREACHABLE: IcmpError.HOST_UNREACHABLE,
    icmp.Reason.TOO_BIG: IcmpError.FRAGMENTATION_NEEDED,
    icmp.Reason.TIME_EXCEEDED: IcmpError.TIME_EXCEEDED,
}
_HAPPENED: Final = (Acceptable, Connected, Delivered, EndOfFile, Failed, Writable)


class EngineWorld:
    """The engine under a script.

    `settings`: sysctls set before anything else, as `--set` has them.  `seed` decides ISNs, ports and timestamps.
    Raises `UsageError` for a profile, an address or a setting that there is not.
    """

    def __init__(self, script: Script, *, profile: str, settings: Mapping[str, str], seed: int = 0) -> None:
        self.virtual = True
        chosen = profiles.get(profile)
        options = script.options
        self.stack = chosen.name
        self.system = "freebsd" if any(name.startswith("net.inet.") for name in chosen.sysctls) else "linux"
        self.addresses = addresses_of(options)
        chance = Random(seed)
        self.tcp = Stack(chosen, (self.addresses.local,), chance.randbytes(16), chance, mtu_of(options))
        self.process = Process(self)
        self.commands = Commands(self, self.process, PurePath(script.name).parent)
        self._now: Instant = _BOOTED
        self._marks: dict[FourTuple, tuple[int, int]] = {}
        self._sent: deque[Seen] = deque()
        self._job: tuple[Job, Duration] | None = None
        self._ended: Returned | None = None
        for name, value in settings.items():
            self.commands.set_sysctl(name, value)

    # --- Time

    def now(self) -> Duration:
        """Return the time since the script began."""
        return self._now - _BOOTED

    def instant(self) -> Instant:
        """Return the stack's time."""
        return self._now

    def wait_until(self, time: Duration) -> None:
        """Let time pass up to `time`; timers of that very moment wait, for those of a real stack fire a little late."""
        while self._step(time + _BOOTED - 1):
            pass
        self._now = max(self._now, time + _BOOTED)

    def _step(self, limit: Instant) -> bool:
        """Do what is due next, if that is by `limit`; whether anything was."""
        job = self._job[0] if self._job else None
        due = self.tcp.next_deadline()
        if job is not None and job.deadline is not None and (due is None or job.deadline < due):
            due = job.deadline
        if due is None or due > limit:
            return False
        self._now = max(self._now, due)
        self.perform(self.tcp.expire(self._now))
        self._retry()
        return True

    # --- Packets

    def inject(self, packet: bytes) -> None:
        """Deliver an IP packet to the stack, now."""
        try:
            if ip.parse(packet).protocol == ip.TCP:
                segment, _, tos, *_ = parse_packet(packet)
                self.perform(self.tcp.receive(segment, self._now, tos & 3 == 3))
            else:
                self._inject_icmp(packet)
        except WireError as error:
            raise TimewaitError(f"the stack cannot read the packet: {error}") from None
        self._retry()

    def _inject_icmp(self, packet: bytes) -> None:
        try:
            error = icmp.parse(packet)
        except WireError:
            return  # no error about a segment: nothing to TCP
        kind = _KINDS.get(error.reason)
        if kind is not None:
            quoted = Segment(
                error.source, error.source_port, error.destination, error.destination_port, error.seq, 0, 0, 0
            )
            self.perform(self.tcp.unreachable(kind, quoted, self._now, error.mtu))

    def next_packet(self, patience: Duration) -> Seen | None:
        """Return the oldest packet not yet taken, waiting until the time `patience`."""
        for _ in range(_AT_ONCE):
            if self._sent:
                return self._sent.popleft()
            if not self._step(patience + _BOOTED):
                break
        else:
            raise TimewaitError(f"the stack's timers keep firing and nothing is sent, at {self.now()} ns")
        self._now = max(self._now, patience + _BOOTED)
        return None

    def perform(self, events: Events) -> None:
        """Send what is to be sent, and note what happened."""
        for event in events:
            if isinstance(event, Send):
                self._sent.append(Seen(self.now(), self._packet(event)))
                if self.process.errors:
                    self.process.left(event.segment)
            elif isinstance(event, Released):
                self.process.released.add(event.handle)
            elif isinstance(event, _HAPPENED):
                self.process.happened(event.handle)
        if self.process.errors:
            self.process.look_for_acknowledged()

    def _packet(self, event: Send) -> bytes:
        """Return a segment as IP carries it: lifetime and class of service as its socket last had them."""
        segment = event.segment
        key = FourTuple(*segment[:4])
        conn = self.tcp.connections.get(key)
        if conn is not None:
            self._marks[key] = conn.options.ttl, conn.options.tos & ~3
        ttl, tos = self._marks.get(key, (64, 0))
        return build(segment, ttl, tos | event.ecn)

    # --- Calls

    def call(self, call: Call, *, blocking: bool = False) -> Returned | None:
        """Make a call; None if it did not return at once: `finish` has its end.  See `world.World.call`."""
        if self._job is not None:
            raise UnknownCallError("a call is made while another still blocks")
        job = engine_calls.start(self.process, call)
        began = self.now()
        answer = job.attempt()
        if answer is None and not job.blocks:
            answer = job.late
        if answer is not None:
            return _returned(answer, began, self.now())
        self._job = job, began
        self._ended = None
        return None

    def _retry(self) -> None:
        """Try the call that blocks again."""
        if self._job is None:
            return
        job, began = self._job
        answer = job.attempt()
        if answer is None and job.deadline is not None and job.deadline <= self._now:
            answer = job.late
        if answer is not None:
            self._job = None
            self._ended = _returned(answer, began, self.now())

    def finish(self, patience: Duration) -> Returned | None:
        """Return how the blocking call ended, waiting until the time `patience`; None if it still blocks."""
        while self._job is not None and self._step(patience + _BOOTED):
            pass
        if self._job is not None:
            self._now = max(self._now, patience + _BOOTED)
            self._job = None
            return None
        ended, self._ended = self._ended, None
        return ended

    # --- Everything else

    def command(self, text: str) -> CommandResult:
        """Run a command of the host; the engine answers it itself."""
        return self.commands.run(text)

    def tcp_info(self, handle: int) -> Mapping[str, int]:
        """Return the fields of tcp_info of a descriptor of the process."""
        descriptor = self.process.open.get(handle)
        if descriptor is None or not isinstance(self.tcp.handles.get(descriptor.handle), Connection):
            raise UnknownCallError(f"descriptor {handle} is no connection")
        return tcp_info.fields(self.tcp, self.system, descriptor.handle, self._now)

    def close(self) -> None:
        """Nothing to end: the world is a value."""


def _returned(answer: Answer, began: Duration, ended: Duration) -> Returned:
    return Returned(answer.value, began, ended, answer.errno, answer.out)
