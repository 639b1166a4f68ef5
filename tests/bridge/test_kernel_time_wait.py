"""The kernel's own TIME-WAIT, as the engine at the other end of the link sees it.

The kernel closes first, so its end waits; what the engine sends then, by itself or by hand, shows the kernel's rules.
RFC 9293 section 3.10.7.4; Linux: tcp_timewait_state_process(), net/ipv4/tcp_minisocks.c.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address

import pytest

from bridged import V4, V6, Family, World, world
from timewait.clock import MS, SECOND
from timewait.endpoint import Endpoint
from timewait.lab.program import Program
from timewait.lab.programs import Channel
from timewait.sim import faults
from timewait.tcp.events import Entered, Errno, Event
from timewait.tcp.states import State
from timewait.wire.segment import ACK, FIN, RST, SYN, MaximumSegmentSize, Segment
from timewait.wire.seq import MASK

FAMILIES = pytest.mark.parametrize("family", [V4, V6], ids=["IPv4", "IPv6"])
PORT = 7000
SOURCE = 40_000


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
    family: Family
    listener: int
    ours: int = 0
    theirs: int = 0

    def segment(self, flags: int, seq: int, ack: int = 0) -> Segment:
        source, destination = ip_address(self.family.engine).packed, ip_address(self.family.kernel).packed
        options = (MaximumSegmentSize(1440),) if flags & SYN else ()
        return Segment(source, SOURCE, destination, PORT, seq & MASK, ack & MASK, flags, 64_000, options)

    def sent(self, name: str) -> list[Segment]:
        """Return what an end has sent so far, whatever became of it."""
        trace = self.both.bridge.network.trace
        assert trace is not None
        return [each.segment for each in trace.sent() if each.host == name]

    def answers(self, segment: Segment) -> list[tuple[int, int, int]]:
        """Inject a segment; return flags, seq and ack of what the kernel says, none of which reaches the engine.

        The kernel takes a packet in the write that injects it, so its answer stands ready by then.
        """
        before = len(self.sent("kernel"))
        self.both.bridge.from_kernel.faults.append(faults.lose(faults.every, times=None))
        self.both.bridge.inject(segment)
        self.both.bridge.run(lambda: len(self.sent("kernel")) > before, limit=50 * MS)
        return [(each.flags, each.seq, each.ack) for each in self.sent("kernel")[before:]]

    def state(self) -> str:
        """Return the kernel's state of the four-tuple."""
        found = [each.state for each in self.both.host.sockets(local_port=PORT, peer_port=SOURCE)]
        return found[0] if found else "CLOSED"


@contextlib.contextmanager
def waiting(family: Family, timestamps: bool = False, loses: faults.Fault | None = None) -> Iterator[Waiting]:
    """Open, exchange nothing, close from the kernel's side, and let the engine close too."""
    with world(traced=True) as both:
        host, bridge = both
        if loses is not None:
            bridge.from_kernel.faults.append(loses)
        host.set_sysctl("net.ipv4.tcp_timestamps", "1" if timestamps else "0")
        listener = host.listen(Endpoint(family.kernel, PORT)).value
        gone: list[Event] = []
        record = bridge.programs.watch
        assert record is not None

        def watch(event: Event) -> None:
            record(event)
            if isinstance(event, Entered) and event.state is State.CLOSED:
                gone.append(event)

        bridge.programs.watch = watch
        client = Client()
        bridge.programs.connect(Endpoint(family.kernel, PORT), client, source=Endpoint(family.engine, SOURCE))
        accepted = host.accept(listener)
        assert accepted.ok
        host.close(accepted.value)
        assert bridge.run(lambda: bool(gone), limit=10 * SECOND), client.happened
        assert client.happened == ["opened", "ended"]
        wait = Waiting(both, family, listener)
        last = wait.sent("engine")[-1]
        wait.ours, wait.theirs = (last.seq + 1) & MASK, last.ack
        yield wait


@FAMILIES
def test_the_kernel_that_closed_first_waits_and_the_engine_does_not(family: Family) -> None:
    with waiting(family) as wait:
        assert wait.state() == "TIME-WAIT"
        assert wait.both.bridge.stack.sockets() == []


@FAMILIES
def test_a_fin_sent_again_is_acknowledged_from_time_wait(family: Family) -> None:
    """The kernel's last ACK is lost; our FIN comes again after the timeout, and only TIME-WAIT can answer it."""
    lost = faults.lose(faults.pure_ack, times=1)
    with waiting(family, loses=lost) as wait:
        fins = [each for each in wait.sent("engine") if each.flags & FIN]
        assert len(fins) == 2
        assert fins[0] == fins[1]
        assert lost.hits == 1
        assert wait.sent("kernel")[-1] == wait.sent("kernel")[-2]
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
        old = wait.segment(ACK, wait.ours - 1000, wait.theirs)._replace(payload=b"old")
        before = [len(wait.sent(name)) for name in ("kernel", "engine")]
        wait.both.bridge.inject(old)
        reset = wait.segment(RST, wait.ours)._replace(window=0)
        assert wait.both.bridge.run(lambda: wait.sent("engine")[-1].flags == RST, limit=10 * SECOND)
        assert [each.flags for each in wait.sent("kernel")[before[0] :]] == [ACK]
        assert wait.sent("engine")[before[1] :] == [old, reset]
        assert wait.both.bridge.run(lambda: wait.state() == "CLOSED", limit=10 * SECOND)
