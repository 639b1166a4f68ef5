"""Every kind of segment in TIME-WAIT, on connections with timestamps: what is answered, and what the wait does."""

from typing import Any

from timewait.lab.cases import Case, Table, case
from timewait.lab.scenario import Foretold, Observation, Scenario, Settings, Stage, linux, rfc
from timewait.tcp.states import State
from timewait.wire.segment import ACK, FIN, RST, SYN

_SOURCE = "tcp_timewait_state_process(), net/ipv4/tcp_minisocks.c"
_RST = "RFC 9293 3.10.7.4, second: RST, with RFC 5961 3"
_FIN = "RFC 9293 3.10.7.4, eighth: FIN in TIME-WAIT"
_SYN = "RFC 6191 2"
_PAWS = "RFC 7323 5.3, R1: not for RST"
_REFUSED = "RFC 9293 3.10.7.4, fourth: challenge ACK (RFC 6191 2 would be silent)"
_OUTSIDE = "RFC 9293 3.10.7.4, first: not acceptable"


def _case(name: str, flags: int, *foretold: Foretold, **segment: Any) -> Case:
    return case(State.TIME_WAIT, name, flags, *foretold, timestamps=True, **segment)


CASES = (
    _case("ACK at R, newer timestamp", ACK, linux("nothing; wait restarted", _SOURCE), ts=1),
    _case("ACK at R, equal timestamp", ACK, linux("nothing; wait restarted", _SOURCE)),
    _case("ACK at R, no timestamp", ACK, linux("nothing; wait restarted", _SOURCE), ts=None),
    _case("ACK at R, older timestamp", ACK, linux("ACK; wait restarted", _SOURCE), ts=-1),
    _case("ACK at R of what was never sent", ACK, linux("nothing; wait restarted", _SOURCE), ack=100),
    _case("ACK at R of long ago", ACK, linux("nothing; wait restarted", _SOURCE), ack=-1_000_000),
    _case("no flags at R", 0, linux("nothing; wait restarted", _SOURCE)),
    _case("ACK at R-1", ACK, linux("ACK; wait restarted", _SOURCE), seq=-1),
    _case("ACK at R+1", ACK, linux("ACK; wait restarted", _SOURCE), seq=1),
    _case("FIN,ACK again", FIN | ACK, rfc("ACK; wait restarted", _FIN), seq=-1),
    _case("FIN,ACK again, older timestamp", FIN | ACK, linux("ACK; wait restarted", _SOURCE), seq=-1, ts=-1),
    _case("FIN without ACK again", FIN, linux("ACK; wait kept", _SOURCE), seq=-1),
    _case("text at R", ACK, linux("ACK; wait restarted", _SOURCE), payload=b"late"),
    _case("text below R", ACK, linux("ACK; wait restarted", _SOURCE), seq=-1000, payload=b"late"),
    _case("text without ACK", 0, linux("ACK; wait kept", _SOURCE), payload=b"late"),
    _case("RST at R", RST, linux("nothing; gone", _SOURCE), rfc("nothing; gone", _RST), ts=None),
    _case("RST,ACK at R", RST | ACK, linux("nothing; gone", _SOURCE), rfc("nothing; gone", _RST)),
    _case(
        "RST at R, older timestamp",
        RST,
        linux("nothing; wait kept", _SOURCE),
        rfc("nothing; gone", "RFC 7323 5.2"),
        ts=-1,
    ),
    _case("RST at R+1", RST, linux("nothing; wait kept", _SOURCE), rfc("ACK; wait kept", _RST), seq=1, ts=None),
    _case("RST at R-1", RST, rfc("nothing; wait kept", _OUTSIDE), seq=-1, ts=None),
    _case("SYN above R, newer timestamp", SYN, rfc("SYN,ACK; SYN-RECEIVED", _SYN), seq=1, ts=1),
    _case("SYN above R, equal timestamp", SYN, rfc("SYN,ACK; SYN-RECEIVED", _SYN), seq=1),
    _case("SYN above R, no timestamp", SYN, rfc("SYN,ACK; SYN-RECEIVED", _SYN), seq=1, ts=None),
    _case("SYN 2^31-1 above R", SYN, linux("SYN,ACK; SYN-RECEIVED", _SOURCE), seq=(1 << 31) - 1),
    _case("SYN below R, newer timestamp", SYN, rfc("SYN,ACK; SYN-RECEIVED", _SYN), seq=-1000, ts=1),
    _case("SYN at R, newer timestamp", SYN, rfc("SYN,ACK; SYN-RECEIVED", _SYN), ts=1),
    _case(
        "SYN at R, equal timestamp",
        SYN,
        rfc("ACK; wait kept", _REFUSED),
    ),
    _case("SYN at R, no timestamp", SYN, rfc("ACK; wait kept", _REFUSED), ts=None),
    _case(
        "SYN above R, older timestamp",
        SYN,
        linux("ACK; wait restarted", _SOURCE),
        rfc("ACK; wait kept", _REFUSED),
        seq=1,
        ts=-1,
    ),
    _case("SYN,ACK", SYN | ACK, linux("ACK; wait restarted", _SOURCE)),
    _case("SYN,RST at R", SYN | RST, linux("nothing; gone", _SOURCE)),
    _case("SYN,RST above R", SYN | RST, linux("nothing; wait kept", _SOURCE), seq=1),
    _case("SYN,FIN above R", SYN | FIN, linux("nothing; gone", _SOURCE), seq=1, ts=1),
)


def run(stage: Stage, settings: Settings) -> list[Observation]:
    """Put each segment to a connection of its own."""
    return Table(stage, CASES).play()


SCENARIO = Scenario(
    question="What does each kind of segment do in TIME-WAIT, after a connection with timestamps?",
    sources=("RFC 9293 3.10.7.4", "RFC 6191 2", "RFC 5961 3", f"Linux: {_SOURCE}"),
    run=run,
    wires=("wire",),
    tags=(
        *("time-wait", "segments", "reset", "timestamps", "H4", "H5", "H6", "H7", "H8", "H9", "H10", "H11", "H12"),
        *("H13", "H14", "H16", "H17", "H18", "H19", "H21", "H25", "H26", "H27", "H29", "H31"),
    ),
)
