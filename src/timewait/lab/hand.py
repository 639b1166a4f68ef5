"""`Hand`: the end of one connection at a wire, its segments written by a scenario; no stack answers there.

Keeps the numbers that a segment written by hand would otherwise have to repeat, and judges nothing.
"""

from collections.abc import Callable
from ipaddress import ip_address
from typing import Final

from timewait.clock import MS, Duration
from timewait.lab.stage import Stage
from timewait.lab.steps import must
from timewait.tcp.states import State
from timewait.trace import flag_names
from timewait.wire.segment import ACK, FIN, PSH, RST, SYN, MaximumSegmentSize, Option, Segment, Timestamps
from timewait.wire.seq import MASK, diff

# Near the end of the numbers, so that every comparison has to wrap.
_ISS: Final = 0xFFFF_FF80
_TSVAL: Final = 0xFFFF_FF00
# An answer to a segment takes well under a millisecond; this long passes before its absence is believed.
SILENCE: Final = 30 * MS
_WINDOW: Final = 60_000


class Hand:
    """One connection's end.  `seq`: what it sends next; `ack`: what it has had; `tsval`: its clock, moved by hand.

    `base` is the host's first number.
    """

    def __init__(
        self, stage: Stage, port: int, own: int, *, host: str = "host", wire: str = "wire", timestamps: bool = False
    ) -> None:
        self.stage = stage
        self.host = stage[host]
        self.wire = stage.wire(wire)
        self.own = own
        self.port = port
        self.timestamps = timestamps
        self.seq = _ISS
        self.ack = self.base = 0
        self.tsval = _TSVAL
        self.window = 0
        self._echo = 0
        self._mine = ip_address(stage.address(wire)).packed
        self._theirs = ip_address(stage.address(host)).packed
        self._marked = len(self.wire.heard)

    # -- segments --------------------------------------------------------------------------------------------------

    def segment(
        self,
        flags: int,
        *,
        seq: int = 0,
        ack: int = 0,
        ts: int | None = 0,
        payload: bytes = b"",
        anyway: bool = False,
        window: int = _WINDOW,
    ) -> Segment:
        """Write a segment: `seq`, `ack` and `ts` count from the next number, what was had, and the clock.

        `ts` None: no timestamps, though the connection has them; `anyway`: timestamps, though it has none.
        """
        options: tuple[Option, ...] = (MaximumSegmentSize(1460),) if flags & SYN else ()
        if ts is not None and (self.timestamps or anyway):
            options += (Timestamps((self.tsval + ts) & MASK, self._echo if flags & ACK else 0),)
        number = (self.ack + ack) & MASK if flags & ACK else 0
        where = self._mine, self.own, self._theirs, self.port
        return Segment(*where, (self.seq + seq) & MASK, number, flags, window, options, payload)

    def put(self, segment: Segment) -> None:
        """Put a segment on the link."""
        self.stage.network.send(self.wire, segment)

    def send(self, flags: int, *, payload: bytes = b"") -> Segment:
        """Send the next segment, and count what it occupies."""
        segment = self.segment(flags, payload=payload)
        self.put(segment)
        self.seq = segment.end
        return segment

    def heard(self) -> list[Segment]:
        """Return what the host sent to this end since `mark`."""
        return [each for each in self.wire.heard[self._marked :] if self._is_ours(each)]

    def mark(self) -> None:
        """Forget what was heard."""
        self._marked = len(self.wire.heard)

    def _is_ours(self, segment: Segment) -> bool:
        return segment.destination_port == self.own and segment.source_port == self.port

    def hears(self, wanted: Callable[[Segment], bool]) -> Segment | None:
        """Wait until the host has sent something since `mark`, and take it as had; None if it does not."""

        def found() -> Segment | None:
            return next((each for each in self.heard() if wanted(each)), None)

        self.stage.until(lambda: found() is not None)
        segment = found()
        if segment is not None:
            self.take(segment)
        return segment

    def take(self, segment: Segment) -> None:
        """Count a segment of the host's as had."""
        self.ack = segment.end
        self.window = segment.window
        if segment.timestamps is not None:
            self._echo = segment.timestamps.value

    # -- a connection's course -------------------------------------------------------------------------------------

    def open(self, listener: int) -> int:
        """Open from here; return the host's connection."""
        self.mark()
        self.send(SYN)
        answer = self.hears(lambda each: each.flags & (SYN | ACK) == SYN | ACK)
        if answer is not None:
            self.base = answer.seq
            self.send(ACK)
        connection: int = must(self.host.accept(listener), "accepting")
        return connection

    def listen(self) -> None:
        """Answer the host's SYN from now on, and acknowledge nothing else."""

        def answer(segment: Segment) -> None:
            if self._is_ours(segment) and segment.flags & (SYN | ACK) == SYN:
                self.timestamps = segment.timestamps is not None
                self.base = segment.seq
                self.seq = _ISS
                self.take(segment)
                self.send(SYN | ACK)

        self.wire.answers.append(answer)

    def hears_fin(self) -> None:
        """Wait for the host's FIN."""
        self.hears(lambda each: bool(each.flags & FIN))

    def bring(self, connection: int, state: State, *, orphan: bool = True) -> None:
        """Bring the host's end from ESTABLISHED into a closing state; `orphan`: its user is gone, where one may be."""
        close = self.host.close if orphan else self.host.half_close
        self.mark()
        if state in (State.CLOSE_WAIT, State.LAST_ACK):
            self.send(FIN | ACK)
            self.hears(lambda each: each.ack == self.seq)
            if state is State.LAST_ACK:
                close(connection)
                self.hears_fin()
            return
        close(connection)
        self.hears_fin()
        if state is State.CLOSING:
            self.ack = (self.ack - 1) & MASK
            self.send(FIN | ACK)
            self.ack = (self.ack + 1) & MASK
        elif state is State.FIN_WAIT_2:
            self.send(ACK)
        elif state is State.TIME_WAIT:
            self.send(FIN | ACK)


def answers(hands: list[Hand], segments: list[Segment], pause: Duration = 0) -> list[list[Segment]]:
    """Put one segment for each hand, `pause` apart; return what each hears, but for FINs that timers send again."""
    for hand in hands:
        hand.mark()
    for hand, segment in zip(hands, segments, strict=True):
        hand.put(segment)
        if pause:
            hand.stage.wait(pause)
    hands[0].stage.wait(SILENCE)
    return [[each for each in hand.heard() if not each.flags & FIN] for hand in hands]


def described(hand: Hand, heard: list[Segment]) -> str:
    """Return in words what a host answered: "nothing", "ACK", "RST,ACK" ..; of an ACK how it differs from the usual."""
    words = []
    for each in heard:
        text = flag_names(each.flags & ~PSH)
        if each.flags & (SYN | RST) == 0:
            odd = [
                (name, diff(got, usual)) for name, got, usual in (("S", each.seq, hand.ack), ("R", each.ack, hand.seq))
            ]
            text += "".join(f" at {name}{by:+}" for name, by in odd if by)
        words.append(text)
    return " and ".join(words) or "nothing"
