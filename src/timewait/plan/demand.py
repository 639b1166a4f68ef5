"""Words and units of a demand: how connects come, who chooses their ports, rates and durations as people write them."""

import re
from enum import StrEnum

from timewait.errors import UsageError

_RATE = re.compile(
    r"(?P<number>\d{1,15}(?:\.\d{1,15})?)\s*(?P<scale>k|M)?\s*(?:/\s*(?P<unit>s|sec|min|m|h|d))?", re.ASCII
)
_SCALES = {None: 1.0, "k": 1e3, "M": 1e6}
_SECONDS = {None: 1.0, "s": 1.0, "sec": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(?P<number>\d{1,15}(?:\.\d{1,15})?)\s*(?P<unit>us|ms|s|m|min|h|d)?", re.ASCII)
_UNITS = {None: 1.0, "us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}


class Arrivals(StrEnum):
    """How connects come: as a clock ticks, or each by itself (a Poisson process)."""

    CONSTANT = "constant"
    POISSON = "poisson"


class Binding(StrEnum):
    """Who chooses a client's port: connect(), which knows the destination; bind() to port 0; the program itself."""

    LATE = "late"
    BIND = "bind"
    EXPLICIT = "explicit"


def parse_rate(text: str, *, bare: bool = True) -> float:
    """Return a rate in events a second: `500`, `500/s`, `30k/min`, `1.5M/h`.  `bare`: without a unit it is a second's.

    Raises `UsageError` for anything else.
    """
    found = _RATE.fullmatch(text.strip())
    if found and (bare or found["unit"]):
        return float(found["number"]) * _SCALES[found["scale"]] / _SECONDS[found["unit"]]
    wanted = "a number, with /s, /min or /h if it is not a second's: 500/s, 30k/min"
    if found:
        raise UsageError(f"{text!r} has no unit", f"{text.strip()}/s, {text.strip()}/min or {text.strip()}/h")
    if _DURATION.fullmatch(text.strip()):
        raise UsageError(f"{text!r} is a duration, not a rate", wanted)
    raise UsageError(f"{text[:40]!r} is no rate", wanted)


def parse_duration(text: str) -> float:
    """Return a duration in seconds: `200ms`, `5min`, `1h`, `2d`, or 0.  Raises `UsageError` for anything else."""
    found = _DURATION.fullmatch(text.strip())
    if found and (found["unit"] or not float(found["number"])):
        return float(found["number"]) * _UNITS[found["unit"]]
    wanted = "a number with its unit: 200ms, 1.5s, 5min, 1h, 2d"
    if found:
        raise UsageError(f"{text!r} has no unit", f"{text.strip()}ms, {text.strip()}s or {text.strip()}min")
    if _RATE.fullmatch(text.strip()):
        raise UsageError(f"{text!r} is a rate, not a duration", wanted)
    raise UsageError(f"{text[:40]!r} is no duration", wanted)
