"""What may stand between two hosts: a NAT, and links that shift numbers as if a host had other clocks."""

from collections.abc import Callable, Sequence
from ipaddress import ip_address

from timewait.lab.stage import Stage
from timewait.sim import faults
from timewait.wire.segment import ACK, SYN, Option, Segment, Timestamps
from timewait.wire.seq import MASK


class Nat:
    """A NAT at a wire's end: hosts inside it reach one outside by its address.  Ports stay as they are.

    The last who used a port gets what comes back for it.
    """

    def __init__(self, stage: Stage, name: str, inside: Sequence[str], outside: str) -> None:
        self._network = stage.network
        self._wire = stage.wire(name)
        self._own = ip_address(stage.address(name)).packed
        self._far = ip_address(stage.address(outside)).packed
        self._flows: dict[int, bytes] = {}
        for each in inside:
            stage.end(each).routes[self._far] = stage.link(each, name)
        self._wire.answers.append(self._translate)

    def _translate(self, segment: Segment) -> None:
        if segment.destination == self._far:
            self._flows[segment.source_port] = segment.source
            self._network.send(self._wire, segment._replace(source=self._own))
        elif (to := self._flows.get(segment.destination_port)) is not None:
            self._network.send(self._wire, segment._replace(destination=to))


def shift_sequence(stage: Stage, source: str, far: str, port: int, number: int) -> None:
    """Have the next SYN from a port of `source` arrive with this sequence number, all that follows shifted alike."""
    by = _First(lambda segment: number - segment.seq)

    def there(segment: Segment) -> Segment:
        return segment._replace(seq=(segment.seq + by(segment)) & MASK)

    def back(segment: Segment) -> Segment:
        return segment._replace(ack=(segment.ack - by.known) & MASK) if segment.flags & ACK else segment

    _alter(stage, source, far, port, there, back)


def shift_clock(stage: Stage, source: str, far: str, port: int, value: int) -> None:
    """Have the next SYN from a port of `source` arrive with this timestamp, and all that follows shifted alike.

    Segments without timestamps stay without.
    """
    by = _First(lambda segment: value - _clock(segment))

    def there(segment: Segment) -> Segment:
        shift = by(segment)
        return _retimed(segment, lambda option: Timestamps((option.value + shift) & MASK, option.echo))

    def back(segment: Segment) -> Segment:
        if not segment.flags & ACK:
            return segment
        return _retimed(segment, lambda option: Timestamps(option.value, (option.echo - by.known) & MASK))

    _alter(stage, source, far, port, there, back)


def last_clock(stage: Stage, name: str) -> int:
    """Return the last timestamp that a host sent; 0 where it sends none."""
    return next((_clock(each) for each in reversed(stage.sent(name)) if each.timestamps), 0)


def _clock(segment: Segment) -> int:
    return segment.timestamps.value if segment.timestamps else 0


class _First:
    """A shift that the first SYN decides."""

    def __init__(self, decide: Callable[[Segment], int]) -> None:
        self._decide = decide
        self._decided = False
        self.known = 0

    def __call__(self, segment: Segment) -> int:
        if not self._decided and segment.flags & SYN:
            self._decided = True
            self.known = self._decide(segment)
        return self.known


def _retimed(segment: Segment, change: Callable[[Timestamps], Timestamps]) -> Segment:
    options: tuple[Option, ...] = tuple(
        change(each) if isinstance(each, Timestamps) else each for each in segment.options
    )
    return segment._replace(options=options)


def _alter(
    stage: Stage,
    source: str,
    far: str,
    port: int,
    there: Callable[[Segment], Segment],
    back: Callable[[Segment], Segment],
) -> None:
    stage.fault(source, far, faults.alter(lambda segment: segment.source_port == port, there, times=None))
    stage.fault(far, source, faults.alter(lambda segment: segment.destination_port == port, back, times=None))
