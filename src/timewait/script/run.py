"""`Run`: where a script's run is: its place and times, its connections and descriptors, the packets that crossed.

Shared by `play`, which goes through the events, and by what it hands them to: `call_events` and `packet_events`.
"""

from collections import deque
from typing import Final, NoReturn

from timewait.clock import MS, SECOND, Duration
from timewait.script.flow import Flow
from timewait.script.outcome import Failure
from timewait.script.syntax import Place, Script, TimeKind, When
from timewait.script.world import Seen, World

# packetdrill's own; a kernel's timers tick in 4 ms at HZ=250 and may be 1/8 late (Documentation/timers), and this
# program has no priority over what else a machine does.
_TOLERANCE: Final = 4 * MS
_TOLERANCE_REAL: Final = 30 * MS


class MismatchError(Exception):
    """The script and the stack differ."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.detail)
        self.failure = failure


class Run:
    """One run of a script against a world."""

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
        self.descriptors: dict[int, int] = {}  # the script's number -> the world's
        self.waiting: deque[Seen] = deque()  # packets taken from the world that no line has had yet
        self.crossed: list[tuple[Duration, bool, bytes]] = []  # when, whether outbound, octets

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
        when = f"at {seconds(first)} sec" if first == last else f"in time range {seconds(first)}~{seconds(last)} sec"
        return (
            f"timing error: expected {what} {when} but happened at {seconds(now)} sec; tolerance {seconds(slack)} sec"
        )

    def fail(self, what: str, detail: str, script_packet: str = "", actual_packet: str = "") -> NoReturn:
        """End the run."""
        raise MismatchError(
            Failure(
                place=self.place,
                what=what,
                detail=detail,
                script_packet=script_packet,
                actual_packet=actual_packet,
            )
        )


def seconds(time: Duration) -> str:
    """Return a time as the language writes it."""
    return f"{time / SECOND:.6f}"
