"""Programs on a stack without any link: segments by hand, a clock that stands still."""

import pytest

from timewait.clock import SECOND
from timewait.endpoint import Endpoint
from timewait.errors import UnavailableError
from timewait.lab.program import Program
from timewait.lab.programs import Channel, Programs
from timewait.tcp import profiles
from timewait.tcp.connection import Options
from timewait.tcp.events import Errno
from timewait.tcp.stack import Stack
from timewait.wire.segment import ACK, FIN, RST, SYN, Segment

US, PEER = bytes([192, 0, 2, 2]), bytes([192, 0, 2, 1])
HERE = Endpoint("192.0.2.2", 80)


class Notes(Program):
    def __init__(self) -> None:
        self.heard: list[object] = []

    def opened(self, channel: Channel) -> None:
        self.heard.append("opened")

    def received(self, channel: Channel, data: bytes) -> None:
        self.heard.append(data)

    def ended(self, channel: Channel) -> None:
        self.heard.append("ended")

    def failed(self, channel: Channel, error: Errno) -> None:
        self.heard.append(error)

    def writable(self, channel: Channel) -> None:
        self.heard.append("writable")


class Peer:
    """Says segments to a server's programs; `seq` is what comes next from us."""

    def __init__(self, program: Program, options: Options | None = None) -> None:
        self.programs = Programs(Stack(profiles.get("linux"), [US]), lambda: SECOND)
        self.programs.serve(HERE, lambda: program, options=options or Options())
        self.says(SYN, 1000, 0)
        self.seq = self.programs.outgoing[-1].seq + 1

    def says(self, flags: int, seq: int, ack: int | None = None, data: bytes = b"") -> None:
        acked = self.seq if ack is None else ack
        segment = Segment(PEER, 40_000, US, 80, seq, acked, flags, 64_000, (), data)
        self.programs.take(self.programs.stack.receive(segment, SECOND))
        self.programs.settle()

    @property
    def channel(self) -> Channel:
        return next(iter(self.programs.channels.values()))


def test_text_and_the_end_may_come_with_what_opens_the_connection() -> None:
    """The bare ACK was lost, so nobody has the connection yet when its text and FIN come."""
    notes = Notes()
    Peer(notes).says(ACK | FIN, 1001, data=b"all of it")
    assert notes.heard == ["opened", b"all of it", "ended"]


def test_what_comes_in_order_is_told_in_order() -> None:
    notes = Notes()
    peer = Peer(notes)
    peer.says(ACK, 1001)
    peer.says(ACK, 1001, data=b"one")
    peer.says(ACK | FIN, 1004, data=b"two")
    assert notes.heard == ["opened", b"one", b"two", "ended"]


def test_a_reset_fails_the_program_and_closes_its_channel() -> None:
    notes = Notes()
    peer = Peer(notes)
    peer.says(ACK, 1001)
    channel = peer.channel
    peer.says(RST, 1001)
    assert notes.heard == ["opened", Errno.ECONNRESET]
    assert peer.programs.channels == {}
    assert channel.send(b"late") == 0
    assert channel.name is None
    channel.close()
    channel.abort()
    channel.half_close()


def test_who_could_not_send_all_is_told_when_there_is_room() -> None:
    notes = Notes()
    peer = Peer(notes, Options(send_buffer=1000))
    peer.says(ACK, 1001)
    assert peer.channel.send(bytes(1500)) == 1000
    peer.says(ACK, 1001, peer.seq + 536)
    assert notes.heard == ["opened", "writable"]
    assert peer.channel.send(bytes(1500)) > 0


def test_an_abort_resets() -> None:
    peer = Peer(Notes())
    peer.says(ACK, 1001)
    peer.channel.abort()
    assert peer.programs.outgoing[-1].flags & RST
    assert peer.programs.channels == {}


def test_a_refusal_on_the_spot_is_told_like_any_other() -> None:
    programs = Programs(Stack(profiles.get("linux"), [US]), lambda: SECOND)
    notes = Notes()
    programs.connect(Endpoint("2001:db8::1", 80), notes)
    programs.connect(Endpoint("192.0.2.1", 80), notes, source=Endpoint("192.0.2.9", 0))
    assert notes.heard == [Errno.ENETUNREACH, Errno.EADDRNOTAVAIL]
    assert programs.channels == {}


def test_a_port_can_be_served_once() -> None:
    programs = Programs(Stack(profiles.get("linux"), [US]), lambda: SECOND)
    programs.serve(HERE, Notes)
    with pytest.raises(UnavailableError, match=r"192\.0\.2\.2:80: EADDRINUSE"):
        programs.serve(HERE, Notes)
