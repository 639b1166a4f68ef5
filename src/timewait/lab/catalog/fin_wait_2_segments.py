"""Every kind of segment to a FIN-WAIT-2 whose user has closed: on Linux a small record without RFC 5961."""

from typing import Any

from timewait.lab.cases import Case, Table, case
from timewait.lab.scenario import Foretold, Observation, Scenario, Settings, Stage, linux, rfc
from timewait.tcp.states import State
from timewait.wire.segment import ACK, FIN, RST, SYN

_SOURCE = "tcp_timewait_state_process(), net/ipv4/tcp_minisocks.c: TCP_FIN_WAIT2"
_FIN = "RFC 9293 3.10.7.4, eighth: FIN in FIN-WAIT-2"
_OUTSIDE = "RFC 9293 3.10.7.4, first: not acceptable"
_RST = "RFC 9293 3.10.7.4, second: RST, with RFC 5961 3"
_SYN = "RFC 9293 3.10.7.4, fourth: challenge ACK"
_GONE = "RFC 9293 3.6.1: text for a user who is gone (SHLD-3)"


def _case(name: str, flags: int, *foretold: Foretold, **segment: Any) -> Case:
    return case(State.FIN_WAIT_2, name, flags, *foretold, timestamps=True, **segment)


CASES = (
    _case("FIN,ACK at R", FIN | ACK, rfc("ACK at R+1; TIME-WAIT", _FIN)),
    _case("FIN,ACK at R, no timestamp", FIN | ACK, linux("ACK at R+1; TIME-WAIT", _SOURCE), ts=None),
    _case("ACK at R", ACK, linux("nothing; wait kept", _SOURCE)),
    _case("no flags at R", 0, linux("nothing; wait kept", _SOURCE)),
    _case("ACK out of the window", ACK, linux("ACK; wait kept", _SOURCE), seq=200_000),
    _case("ACK, older timestamp", ACK, linux("ACK; wait kept", _SOURCE), ts=-1),
    _case("old text", ACK, linux("ACK; wait kept", _SOURCE), seq=-1000, payload=b"late"),
    _case("SYN below R", SYN, linux("ACK; wait kept", _SOURCE), seq=-1000),
    _case("RST at R-1", RST, linux("ACK; wait kept", _SOURCE), rfc("nothing; kept", _OUTSIDE), seq=-1),
    _case("RST at R", RST, linux("nothing; gone", _SOURCE), rfc("nothing; gone", _RST)),
    _case("RST at R+1000", RST, linux("nothing; gone", _SOURCE), rfc("ACK; kept", _RST), seq=1000),
    _case("SYN at R", SYN, linux("RST,ACK; gone", _SOURCE), rfc("ACK; kept", _SYN)),
    _case("SYN in the window", SYN, linux("RST,ACK; gone", _SOURCE), rfc("ACK; kept", _SYN), seq=1000),
    _case("new text", ACK, rfc("RST; gone", _GONE), payload=b"more"),
    _case("new text with FIN", FIN | ACK, rfc("RST; gone", _GONE), payload=b"more"),
    _case("FIN beyond a gap", FIN | ACK, linux("RST; gone", _SOURCE), seq=10),
)


def run(stage: Stage, settings: Settings) -> list[Observation]:
    """Put each segment to a connection of its own."""
    return Table(stage, CASES).play()


SCENARIO = Scenario(
    question="What does each kind of segment do in FIN-WAIT-2, once nobody can read any more?",
    sources=("RFC 9293 3.6.1, 3.10.7.4", "RFC 5961 3, 4", f"Linux: {_SOURCE}"),
    run=run,
    wires=("wire",),
    tags=("fin-wait-2", "segments", "reset", "B10", "C1", "C5", "C6"),
)
