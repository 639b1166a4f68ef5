"""`Demand`: who connects where, how often, and who closes first."""

import re
from dataclasses import dataclass
from enum import StrEnum

from timewait.errors import UsageError

_RATE = re.compile(
    r"(?P<number>\d{1,15}(?:\.\d{1,15})?)\s*(?P<scale>k|M)?\s*(?:/\s*(?P<unit>s|sec|min|m|h|d))?", re.ASCII
)
_SCALES = {None: 1.0, "k": 1e3, "M": 1e6}
_SECONDS = {None: 1.0, "s": 1.0, "sec": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(?P<number>\d{1,15}(?:\.\d{1,15})?)\s*(?P<unit>us|ms|s|m|min|h|d)?", re.ASCII)
_UNITS = {None: 1.0, "us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
# Above, a float's rounding would show in a rate times a time.
_MOST_RATE = 1e9
_MOST_COUNT = 1_000_000


class Arrivals(StrEnum):
    """How connects come: as a clock ticks, or each by itself (a Poisson process)."""

    CONSTANT = "constant"
    POISSON = "poisson"


class Closer(StrEnum):
    """Who closes first, and so has the TIME-WAIT.  RFC 9293 section 3.6."""

    CLIENT = "client"
    SERVER = "server"


class Binding(StrEnum):
    """Who chooses a client's port: connect(), which knows the destination; bind() to port 0; the program itself."""

    LATE = "late"
    BIND = "bind"
    EXPLICIT = "explicit"


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """A flow of requests.  `rate`: requests a second, of all sources together; `hold`: seconds a connection is open.

    `per_connection`: requests that one connection carries before it is closed.  `sources`: addresses that connect;
    `destinations`: pairs of address and port that are connected to; both shared evenly.
    """

    rate: float
    sources: int = 1
    destinations: int = 1
    closer: Closer = Closer.CLIENT
    hold: float = 0.0
    per_connection: float = 1.0
    arrivals: Arrivals = Arrivals.POISSON
    binding: Binding = Binding.LATE
    octets: int = 0

    def __post_init__(self) -> None:
        """Refuse what cannot be.  Raises `UsageError` with the value."""
        if not 0 < self.rate <= _MOST_RATE:
            raise UsageError(
                f"a rate of {self.rate:g} requests a second cannot be planned", f"0 < rate <= {_MOST_RATE:g}"
            )
        for name, count in (("sources", self.sources), ("destinations", self.destinations)):
            if not 1 <= count <= _MOST_COUNT:
                raise UsageError(f"{count} {name} cannot be", f"from 1 to {_MOST_COUNT:,}")
        if self.hold < 0 or self.per_connection < 1 or self.octets < 0:
            raise UsageError(
                f"hold {self.hold:g} s, {self.per_connection:g} requests a connection, {self.octets} octets cannot be",
                "nothing may be negative, and a connection carries at least one request",
            )

    @property
    def connects(self) -> float:
        """Connections opened a second, of all sources together."""
        return self.rate / self.per_connection

    @property
    def per_budget(self) -> float:
        """Connections opened a second that share one budget of ports.

        A port chosen late is free again for each destination; one chosen by bind() is taken for all.
        """
        shares = self.sources * (self.destinations if self.binding is Binding.LATE else 1)
        return self.connects / shares


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
