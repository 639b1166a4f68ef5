"""`Outcome`: how a script ended, as a value; `report` says it in packetdrill's words."""

from dataclasses import dataclass

from timewait.clock import Duration
from timewait.script.syntax import Place


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """What went wrong: `what` ("handling packet"), `detail` ("live packet field tcp_flags: expected: .. actual: ..").

    `script_packet`, `actual_packet`: both written in the language, one above the other, where packets differ.
    """

    place: Place
    what: str
    detail: str
    script_packet: str = ""
    actual_packet: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A script's end.  `failure` is None where it passed; `packets`: all that crossed, (time, outbound, octets)."""

    name: str
    stack: str
    failure: Failure | None
    virtual: Duration
    packets: tuple[tuple[Duration, bool, bytes], ...] = ()
