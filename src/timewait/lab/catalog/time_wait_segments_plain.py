"""Segments in TIME-WAIT after a connection without timestamps: only the sequence number is left to judge a SYN by."""

from typing import Any

from timewait.lab.cases import Case, Table, case
from timewait.lab.scenario import Foretold, Observation, Scenario, Settings, Stage, linux, observed, rfc
from timewait.tcp.states import State
from timewait.wire.segment import ACK, FIN, RST, SYN
from timewait.wire.seq import diff

_SOURCE = "tcp_timewait_state_process(), net/ipv4/tcp_minisocks.c"
_ISN = "tcp_timewait_state_process(): tw_snd_nxt + 65535 + 2"
_MAY2 = "RFC 9293 3.6.1 (MAY-2), RFC 6191 2"
_REFUSED = "RFC 9293 3.10.7.4, fourth: challenge ACK"
_OPENED = "SYN,ACK; SYN-RECEIVED"
_FIN = "RFC 9293 3.10.7.4, eighth: FIN in TIME-WAIT"
_RST = "RFC 9293 3.10.7.4, second: RST, with RFC 5961 3"


def _case(name: str, flags: int, *foretold: Foretold, **segment: Any) -> Case:
    return case(State.TIME_WAIT, name, flags, *foretold, **segment)


CASES = (
    _case("SYN at R+1", SYN, rfc(_OPENED, _MAY2), seq=1),
    _case("SYN far above R", SYN, rfc(_OPENED, _MAY2), seq=1_000_000_000),
    _case("SYN at R", SYN, rfc("ACK; wait kept", _REFUSED)),
    _case("SYN below R", SYN, rfc("ACK; wait kept", _REFUSED), seq=-1000),
    _case(
        "SYN below R, with a timestamp",
        SYN,
        linux("ACK; wait kept", f"{_SOURCE}: options are not read, the old connection had none"),
        rfc(_OPENED, "RFC 6191 2: the previous connection had none, the SYN has"),
        seq=-1000,
        anyway=True,
    ),
    _case("SYN at R+1, with a timestamp", SYN, rfc(_OPENED, "RFC 6191 2"), seq=1, anyway=True),
    _case("FIN,ACK again", FIN | ACK, rfc("ACK; wait restarted", _FIN), seq=-1),
    _case("ACK at R", ACK, linux("nothing; wait restarted", _SOURCE)),
    _case("ACK below R", ACK, linux("ACK; wait restarted", _SOURCE), seq=-100),
    _case("text at R", ACK, linux("ACK; wait restarted", _SOURCE), payload=b"late"),
    _case("RST at R", RST, rfc("nothing; gone", _RST)),
    _case("RST at R+1", RST, linux("nothing; wait kept", _SOURCE), rfc("ACK; wait kept", _RST), seq=1),
    _case("SYN,FIN at R+1", SYN | FIN, linux("nothing; gone", f"{_SOURCE}; tcp_rcv_state_process(): FIN"), seq=1),
)


def run(stage: Stage, settings: Settings) -> list[Observation]:
    """Put each segment to a connection of its own; see which number the one that reopens begins with."""
    table = Table(stage, CASES)
    found = table.play()
    hand = table.hands[0]
    answer = next((each for each in hand.heard() if each.flags & SYN), None)
    found.append(
        observed(
            "the new first number is above the old last one",
            answer is not None and diff(answer.seq, hand.ack) > 0,
            rfc(True, "RFC 9293 3.6.1 (MAY-2): larger than the largest number used"),
        )
    )
    found.append(
        observed("by how much", 0 if answer is None else diff(answer.seq, hand.ack) % 1_000_000, linux(65537, _ISN))
    )
    return found


SCENARIO = Scenario(
    question="What does each kind of segment do in TIME-WAIT, after a connection without timestamps?",
    sources=("RFC 9293 3.6.1, 3.10.7.4", "RFC 6191 2", f"Linux: {_SOURCE}"),
    run=run,
    wires=("wire",),
    tags=("time-wait", "segments", "H4", "H5", "H6", "H8", "H10", "H12", "H14", "H16", "H19", "H20", "H21", "H28"),
)
