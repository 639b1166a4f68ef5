"""The kernel's own TIME-WAIT, as the engine at the other end of the link sees it.

The kernel closes first, so its end waits; what the engine sends then, by itself or by hand, shows the kernel's rules.
RFC 9293 section 3.10.7.4; Linux: tcp_timewait_state_process(), net/ipv4/tcp_minisocks.c.
"""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from ipaddress import ip_address

import pytest

from bridged import V4, V6, Family, World, world
from timewait.clock import MS, SECOND, Duration
from timewait.endpoint import Endpoint
from timewait.lab.program import Program
from timewait.lab.programs import Channel
from timewait.tcp.events import Entered, Errno, Event
from timewait.tcp.states import State
from timewait.wire import packet
from timewait.wire.segment import ACK, FIN, RST, SYN, MaximumSegmentSize, Segment
from timewait.wire.seq import MASK

FAMILIES = pytest.mark.parametrize("family", [V4, V6], ids=["IPv4", "IPv6"])
PORT = 7000
SOURCE = 40_000


@dataclass
class Wiretap:
    """A link that records segments and loses those that `loses` picks."""

    loses: Callable[[Segment, bool], bool] = lambda segment, from_kernel: False
    from_kernel: list[Segment] = field(default_factory=list)
    from_engine: list[Segment] = field(default_factory=list)

    def __call__(self, data: bytes, from_kernel: bool) -> Duration | None:
        with contextlib.suppress(Exception):
            segment = packet.parse(data)
            (self.from_kernel if from_kernel else self.from_engine).append(segment)
            if self.loses(segment, from_kernel):
                return None
        return 0

    def clear(self) -> None:
        self.from_kernel.clear()
        self.from_engine.clear()


class Client(Program):
    """Closes when the peer has; notes what happened."""

    def __init__(self) -> None:
        self.happened: list[str] = []

    def opened(self, channel: Channel) -> None:
        self.happened.append("opened")

    def ended(self, channel: Channel) -> None:
        self.happened.append("ended")
        channel.close()

    def failed(self, channel: Channel, error: Errno) -> None:
        self.happened.append(error)


@dataclass
class Waiting:
    """A connection whose kernel end is in TIME-WAIT and whose engine end is gone.

    `ours` and `theirs` are the next sequence numbers of the engine's and the kernel's side.
    """

    both: World
    tap: Wiretap
    family: Family
    listener: int
    ours: int = 0
    theirs: int = 0

    def segment(self, flags: int, seq: int, ack: int = 0) -> Segment:
        source, destination = ip_address(self.family.engine).packed, ip_address(self.family.kernel).packed
        options = (MaximumSegmentSize(1440),) if flags & SYN else ()
        return Segment(source, SOURCE, destination, PORT, seq & MASK, ack & MASK, flags, 64_000, options)

    def answers(self, segment: Segment) -> list[tuple[int, int, int]]:
        """Inject a segment; return flags, seq and ack of what the kernel says, none of which reaches the engine.

        The kernel takes a packet in the write that injects it, so its answer stands ready by then.
        """
        self.tap.clear()
        self.tap.loses = lambda _, from_kernel: from_kernel
        self.both.bridge.inject(segment)
        self.both.bridge.run(lambda: bool(self.tap.from_kernel), limit=50 * MS)
        return [(each.flags, each.seq, each.ack) for each in self.tap.from_kernel]

    def state(self) -> str:
        """Return the kernel's state of the four-tuple."""
        found = [each.state for each in self.both.host.sockets(local_port=PORT, peer_port=SOURCE)]
        return found[0] if found else "CLOSED"


@contextlib.contextmanager
def waiting(
    family: Family, timestamps: bool = False, loses: Callable[[Segment, bool], bool] | None = None
) -> Iterator[Waiting]:
    """Open, exchange nothing, close from the kernel's side, and let the engine close too."""
    tap = Wiretap()
    if loses is not None:
        tap.loses = loses
    with world(fate=tap) as both:
        host, bridge = both
        host.set_sysctl("net.ipv4.tcp_timestamps", "1" if timestamps else "0")
        listener = host.listen(Endpoint(family.kernel, PORT)).value
        gone: list[Event] = []
        bridge.programs.watch = lambda event: (
            gone.append(event) if isinstance(event, Entered) and event.state is State.CLOSED else None
        )
        client = Client()
        bridge.programs.connect(Endpoint(family.kernel, PORT), client, source=Endpoint(family.engine, SOURCE))
        accepted = host.accept(listener)
        assert accepted.ok
        host.close(accepted.value)
        assert bridge.run(lambda: bool(gone), limit=5 * SECOND), client.happened
        assert client.happened == ["opened", "ended"]
        last = tap.from_engine[-1]
        yield Waiting(both, tap, family, listener, (last.seq + 1) & MASK, last.ack)


@FAMILIES
def test_the_kernel_that_closed_first_waits_and_the_engine_does_not(family: Family) -> None:
    with waiting(family) as wait:
        assert wait.state() == "TIME-WAIT"
        assert wait.both.bridge.stack.sockets() == []


@FAMILIES
def test_a_fin_sent_again_is_acknowledged_from_time_wait(family: Family) -> None:
    """The kernel's last ACK is lost; our FIN comes again after the timeout, and only TIME-WAIT can answer it."""
    lost: list[Segment] = []

    def last_ack(segment: Segment, from_kernel: bool) -> bool:
        if not lost and from_kernel and segment.flags == ACK:
            lost.append(segment)
            return True
        return False

    with waiting(family, loses=last_ack) as wait:
        fins = [each for each in wait.tap.from_engine if each.flags & FIN]
        assert len(fins) == 2
        assert fins[0] == fins[1]
        assert wait.tap.from_kernel[-1] == lost[0]
        assert wait.state() == "TIME-WAIT"


@FAMILIES
def test_a_fin_once_more_is_acknowledged_once_more(family: Family) -> None:
    with waiting(family) as wait:
        again = wait.segment(FIN | ACK, wait.ours - 1, wait.theirs)
        assert wait.answers(again) == [(ACK, wait.theirs, wait.ours)]
        assert wait.state() == "TIME-WAIT"


@FAMILIES
def test_a_syn_with_a_higher_number_reopens(family: Family) -> None:
    """RFC 9293 MAY-2.  The new ISS lies 65,537 above the old connection's last number."""
    with waiting(family) as wait:
        assert wait.answers(wait.segment(SYN, wait.ours + 1)) == [
            (SYN | ACK, (wait.theirs + 65_537) & MASK, (wait.ours + 2) & MASK)
        ]
        assert wait.state() == "SYN-RECEIVED"


@FAMILIES
def test_a_syn_at_or_below_the_last_number_is_answered_with_an_ack(family: Family) -> None:
    with waiting(family) as wait:
        assert wait.answers(wait.segment(SYN, wait.ours)) == [(ACK, wait.theirs, wait.ours)]
        assert wait.state() == "TIME-WAIT"


@FAMILIES
@pytest.mark.parametrize("timestamps", [False, True], ids=["no timestamps", "timestamps"])
def test_the_engine_connects_again_from_the_same_port(family: Family, timestamps: bool) -> None:
    """What fails when the client closed first works when the server did: the asymmetry that this project began with."""
    with waiting(family, timestamps) as wait:
        assert wait.state() == "TIME-WAIT"
        client = Client()
        host, bridge = wait.both
        bridge.programs.connect(Endpoint(family.kernel, PORT), client, source=Endpoint(family.engine, SOURCE))
        assert host.accept(wait.listener).ok
        assert client.happened == ["opened"]
        assert wait.state() == "ESTABLISHED"


@FAMILIES
def test_a_reset_at_the_next_number_ends_the_wait(family: Family) -> None:
    """TIME-WAIT assassination, RFC 1337 section 1: net.ipv4.tcp_rfc1337 is 0."""
    with waiting(family) as wait:
        assert wait.answers(wait.segment(RST, wait.ours)) == []
        assert wait.state() == "CLOSED"


@FAMILIES
def test_a_reset_elsewhere_does_not(family: Family) -> None:
    with waiting(family) as wait:
        assert wait.answers(wait.segment(RST, wait.ours + 1)) == []
        assert wait.state() == "TIME-WAIT"


@FAMILIES
def test_with_rfc_1337_no_reset_ends_the_wait(family: Family) -> None:
    with waiting(family) as wait:
        wait.both.host.set_sysctl("net.ipv4.tcp_rfc1337", "1")
        assert wait.answers(wait.segment(RST, wait.ours)) == []
        assert wait.state() == "TIME-WAIT"


@FAMILIES
def test_an_old_duplicate_assassinates_the_wait(family: Family) -> None:
    """RFC 1337 figure 1: the ACK that an old duplicate draws meets nobody, and the RST for it ends the wait."""
    with waiting(family) as wait:
        wait.tap.clear()
        old = wait.segment(ACK, wait.ours - 1000, wait.theirs)._replace(payload=b"old")
        wait.both.bridge.inject(old)
        reset = wait.segment(RST, wait.ours)._replace(window=0)
        assert wait.both.bridge.run(lambda: wait.tap.from_engine[-1].flags == RST, limit=SECOND)
        assert [each.flags for each in wait.tap.from_kernel] == [ACK]
        assert wait.tap.from_engine == [old, reset]
        assert wait.state() == "CLOSED"
