"""Time in whole nanoseconds: the units, and how a duration is written.

An instant or a duration is a plain int: exact to add, to compare and to repeat.  No clock is read here; `now` is
always passed in.
"""

from typing import Final, TypeAlias

Instant: TypeAlias = int  # nanoseconds since whatever zero the clock has
Duration: TypeAlias = int  # nanoseconds

US: Final = 1_000
MS: Final = 1_000_000
SECOND: Final = 1_000_000_000


def seconds(value: float) -> Duration:
    """Return `value` seconds in nanoseconds, rounded to the nearest."""
    return round(value * SECOND)


def milliseconds(value: float) -> Duration:
    """Return `value` milliseconds in nanoseconds, rounded to the nearest."""
    return round(value * MS)


def readable(duration: Duration) -> str:
    """Write a duration as people say it: three figures at most, in the largest unit that fits."""
    for unit, name in ((SECOND, "s"), (MS, "ms"), (US, "us")):
        if abs(duration) >= unit:
            return f"{duration / unit:.3g} {name}" if abs(duration) < 1000 * unit else f"{duration / unit:.0f} {name}"
    return f"{duration} ns"
