"""What a TCP does on its way out: one row a behaviour, each played against three profiles.

A row says what is expected in words, with its basis (sections of RFC 9293 where only a number stands), and has traces.
`both` holds for every profile that has no traces of its own; a string in place of traces says why there are none.
R is RCV.NXT, S is SND.NXT; the states are CW (CLOSE-WAIT), FW1, FW2 (FIN-WAIT), CL (CLOSING), LA (LAST-ACK), TW
(TIME-WAIT).  What is expected comes from the documents and from measurement, never from a run of the engine.

Long because it is one table: rows share their traces, and are looked up by their id, whichever state they are about.
"""

from dataclasses import dataclass
from typing import Any

import pytest

from play import Player, play
from timewait.tcp import profiles
from timewait.tcp.connection import Options
from timewait.tcp.events import Errno
from timewait.tcp.states import State
from wire_pair import Pair

EST, FW1, FW2, CW = State.ESTABLISHED, State.FIN_WAIT_1, State.FIN_WAIT_2, State.CLOSE_WAIT
CL, LA, TW, SS, SR = State.CLOSING, State.LAST_ACK, State.TIME_WAIT, State.SYN_SENT, State.SYN_RECEIVED
QUICK = Options(quick_ack=True)


@dataclass(frozen=True)
class Case:
    trace: str
    start: State | None
    settings: dict[str, Any]


def case(trace: str, start: State | None = None, **settings: Any) -> Case:
    settings.setdefault("options", QUICK)
    return Case(trace, start, settings)


@dataclass(frozen=True)
class Row:
    says: str
    basis: str
    both: list[Case] | str
    linux: list[Case] | str | None = None
    freebsd: list[Case] | str | None = None
    rfc9293: list[Case] | str | None = None

    def cases(self, profile: str) -> list[Case] | str:
        own: list[Case] | str | None = getattr(self, profile)
        return self.both if own is None else own


# The RST of an abort: RFC 9293 section 3.10.5 writes no ACK, Linux and BSD send one.
def aborts(lead: str, seq: int, ack: int, start: State | None, **settings: Any) -> dict[str, list[Case]]:
    bare = f"{lead}\n0.000 us CLOSED\n0.000 us > peer RST seq={seq}"
    full = f"{lead}\n0.000 us CLOSED\n0.000 us > peer RST,ACK seq={seq} ack={ack}"
    return {
        "both": [case(full, start, **settings)],
        "rfc9293": [case(bare, start, **settings)],
    }


def _reset_while_opening(error: str) -> list[Case]:
    """A passive end listens again; an active one, in a simultaneous open, is told the error."""
    return [
        case(
            "0 peer > us RST seq=1\n0 us CLOSED\n0 peer > us SYN seq=0\n0 us SYN-RECEIVED\n"
            "0 us > peer SYN,ACK seq=0 ack=1",
            SR,
            passive=True,
        ),
        case(
            f"""
            0.000 peer > us SYN seq=0
            0.000 us SYN-RECEIVED
            0.000 us > peer SYN,ACK seq=0 ack=1
            0.000 peer > us RST seq=1
            0.000 us CLOSED
            0.000 us fails {error}
            """,
            SS,
        ),
    ]


def each(states: tuple[State, ...], trace: str, **settings: Any) -> list[Case]:
    """One trace in several states; S is 2 where our FIN is out, R is 2 where the peer's came."""
    cases = []
    for state in states:
        s = 1 if state is CW else 2
        r = 1 if state in (FW1, FW2) else 2
        filled = trace
        for name, value in (("S", s), ("R", r)):
            filled = filled.replace(f"{{{name}}}", str(value))
            for offset in (-1000, -5, -1, 1, 5, 100, 200000):
                filled = filled.replace(f"{{{name}{offset:+d}}}", str(value + offset))
        cases.append(case(filled, state, **settings))
    return cases


CLOSING_STATES = (CW, FW1, FW2, CL, LA)
TW_OTHERS = (
    "ACK seq=30 ack=2",
    "ACK seq=90000 ack=2",
    "ACK seq=2 ack=2 len=9",
    "SYN,ACK seq=2 ack=2",
    "ACK seq=3 ack=900",
)
CHALLENGE = "0.000 us > peer ACK seq={S} ack={R}"

ROWS: dict[str, Row] = {
    "A1": Row(
        "CLOSE in ESTABLISHED sends a FIN and moves to FW1",
        "3.10.4",
        [case("0 us: close\n0 us FIN-WAIT-1\n0 us > peer FIN,ACK seq=1 ack=1", EST)],
    ),
    "A2": Row(
        "the FIN is queued behind unsent data even when the window is full",
        "3.10.4",
        [
            case(
                """
                0.000 us: send 1500 = 1500
                0.000 us > peer ACK seq=1 ack=1 len=1000
                0.000 us: close
                0.000 us FIN-WAIT-1
                0.010 peer > us ACK seq=1 ack=1001 win=1000
                0.010 us > peer FIN,ACK seq=1001 ack=1 len=500
                """,
                EST,
                window=1000,
            )
        ],
    ),
    "A3": Row(
        "closing only the write side leaves receiving intact",
        "3.6, 3.6.1",
        [
            case(
                """
                0.000 us: shutdown = None
                0.000 us FIN-WAIT-1
                0.000 us > peer FIN,ACK seq=1 ack=1
                0.010 peer > us ACK seq=1 ack=2
                0.010 us FIN-WAIT-2
                0.020 peer > us ACK seq=1 ack=2 len=10
                0.020 us > peer ACK seq=2 ack=11
                0.020 us: recv 99 = 10
                """,
                EST,
            )
        ],
    ),
    "A4": Row(
        "sending after that fails",
        "3.10.2",
        [case("0 us: send 1 = EPIPE", FW1, held=True), case("0 us: send 1 = EPIPE", FW2, held=True)],
    ),
    "A5": Row(
        "closing the write side again in FW1 and FW2 is harmless",
        "3.10.4, where an error is allowed",
        [case("0 us: shutdown = None", FW1, held=True), case("0 us: shutdown = None", FW2, held=True)],
    ),
    "A6": Row(
        "closing only the read side sends nothing; later data is still acknowledged",
        "none",
        [case("0 us: shutdown read = None\n0 peer > us ACK seq=1 ack=1 len=10\n0 us > peer ACK seq=1 ack=11", EST)],
    ),
    "A7": Row(
        "CLOSE in SYN-SENT drops the connection without any segment",
        "3.10.4",
        [case("0 us: close\n0 us CLOSED", SS)],
    ),
    "A8": Row(
        "the SYN-ACK that arrives afterwards gets RST with seq = SEG.ACK",
        "3.10.7.1",
        [case("0 us: close\n0 us CLOSED\n0 peer > us SYN,ACK seq=0 ack=1\n0 us > peer RST seq=1", SS)],
    ),
    "A9": Row(
        "CLOSE of a listener sends nothing; half-open children are forgotten and their ACK gets RST",
        "3.10.4",
        [
            case(
                "0 us: close-listener\n0 us CLOSED\n0.1 peer > us ACK seq=1 ack=1\n0.1 us > peer RST seq=1",
                SR,
                passive=True,
            )
        ],
    ),
    "A10": Row(
        "CLOSE of a listener resets connections not yet accepted",
        "3.10.5 by analogy",
        **aborts(
            """
            0.000 peer > us SYN seq=0
            0.000 us SYN-RECEIVED
            0.000 us > peer SYN,ACK seq=0 ack=1
            0.000 peer > us ACK seq=1 ack=1
            0.000 us ESTABLISHED
            0.000 us: close-listener
            """,
            1,
            1,
            None,
            passive=True,
        ),
    ),
    "A11": Row(
        "CLOSE in SYN-RECEIVED with nothing queued sends FIN, to FW1",
        "3.10.4",
        [
            case(
                """
                0.000 peer > us SYN seq=0
                0.000 us SYN-RECEIVED
                0.000 us > peer SYN,ACK seq=0 ack=1
                0.000 us: close
                0.000 us FIN-WAIT-1
                0.000 us > peer FIN,ACK seq=1 ack=1
                """,
                SS,
            )
        ],
    ),
    "A12": Row(
        "CLOSE in CW sends FIN, to LA",
        "3.10.4",
        [case("0 us: close\n0 us LAST-ACK\n0 us > peer FIN,ACK seq=1 ack=2", CW)],
    ),
    "A13": Row(
        "full close with unread data sends RST, not FIN",
        "SHLD-3; RFC 2525 2.17",
        **aborts(
            "0 peer > us ACK seq=1 ack=1 len=10\n0 us > peer ACK seq=1 ack=11\n0 us: close",
            1,
            11,
            EST,
        )
        | {
            "freebsd": [  # tcp_disconnect(), tcp_usrreq.c: sbflush()
                case(
                    """
                    0 peer > us ACK seq=1 ack=1 len=10
                    0 us > peer ACK seq=1 ack=11
                    0 us: close
                    0 us FIN-WAIT-1
                    0 us > peer FIN,ACK seq=1 ack=11
                    """,
                    EST,
                )
            ]
        },
    ),
    "A14": Row(
        "the same after a FIN was sent: RST carries SND.NXT, past the FIN",
        "SHLD-3",
        **aborts(
            "0 peer > us ACK seq=1 ack=1 len=10\n0 us > peer ACK seq=2 ack=11\n0 us: close",
            2,
            11,
            FW1,
            held=True,
        )
        | {
            "freebsd": [
                case(
                    """
                    0 peer > us ACK seq=1 ack=1 len=10
                    0 us > peer ACK seq=2 ack=11
                    0 us: close
                    """,
                    FW1,
                    held=True,
                )
            ]
        },
    ),
    "A15": Row(
        "octets sent again that were already read do not count as unread",
        "RFC 2525 2.17",
        [
            case(
                """
                0.000 peer > us ACK seq=1 ack=1 len=10
                0.000 us > peer ACK seq=1 ack=11
                0.000 us: recv 10 = 10
                0.010 peer > us ACK seq=1 ack=1 len=10
                0.010 us > peer ACK seq=1 ack=11
                0.010 us: close
                0.010 us FIN-WAIT-1
                0.010 us > peer FIN,ACK seq=1 ack=11
                """,
                EST,
            )
        ],
    ),
    "A16": Row(
        "ABORT in ESTABLISHED, FW1, FW2, CW sends RST at SND.NXT",
        "3.10.5",
        [
            case("0 us: abort\n0 us CLOSED\n0 us > peer RST,ACK seq=1 ack=1", EST),
            case("0 us: abort\n0 us CLOSED\n0 us > peer RST,ACK seq=2 ack=1", FW1, held=True),
            case("0 us: abort\n0 us CLOSED\n0 us > peer RST,ACK seq=2 ack=1", FW2, held=True),
            case("0 us: abort\n0 us CLOSED\n0 us > peer RST,ACK seq=1 ack=2", CW),
        ],
        rfc9293=[
            case("0 us: abort\n0 us CLOSED\n0 us > peer RST seq=1", EST),
            case("0 us: abort\n0 us CLOSED\n0 us > peer RST seq=2", FW1, held=True),
            case("0 us: abort\n0 us CLOSED\n0 us > peer RST seq=2", FW2, held=True),
            case("0 us: abort\n0 us CLOSED\n0 us > peer RST seq=1", CW),
        ],
    ),
    "A17": Row(
        "ABORT in CL or LA deletes the connection silently",
        "3.10.5",
        [case("0 us: abort\n0 us CLOSED", CL, held=True), case("0 us: abort\n0 us CLOSED", LA, held=True)],
    ),
    "A18": Row(
        "ABORT in TW deletes the connection silently",
        "3.10.5",
        [case("0 us: abort\n0 us CLOSED\n0 us: waiting = 0", TW, held=True)],
        linux=[case("0 us: abort\n0 us: waiting = 1\n60 us CLOSED\n61 peer quiet", TW, held=True)],
        # tcp_usr_close(), tcp_usrreq.c: nothing is disconnected in TIME-WAIT
        freebsd=[case("0 us: abort\n0 us: waiting = 1\n60 us CLOSED\n61 peer quiet", TW, held=True)],
    ),
    "A19": Row(
        "ABORT leaves no TIME-WAIT behind",
        "3.6",
        [
            case("0 us: abort\n0 us CLOSED\n0 us > peer RST,ACK seq=2 ack=1\n0 us: waiting = 0", FW1, held=True),
        ],
        rfc9293=[case("0 us: abort\n0 us CLOSED\n0 us > peer RST seq=2\n0 us: waiting = 0", FW1, held=True)],
    ),
    "A20": Row(
        "linger above 0 holds CLOSE until the FIN is acknowledged or time is out",
        "none",
        [
            case(
                """
                0.000 us: close = EINPROGRESS
                0.000 us FIN-WAIT-1
                0.000 us > peer FIN,ACK seq=1 ack=1
                0.100 peer > us ACK seq=1 ack=2
                0.100 us FIN-WAIT-2
                0.100 us released
                """,
                EST,
                options=Options(linger=5_000_000_000),
            ),
            case(
                """
                0.000 us: close = EINPROGRESS
                0.000 us FIN-WAIT-1
                0.000 us > peer FIN,ACK seq=1 ack=1
                0.100 us released EAGAIN
                0.110 peer quiet
                """,
                EST,
                options=Options(linger=100_000_000),
            ),
        ],
    ),
    "B1": Row(
        "a FIN that is not acknowledged is sent again with doubling timeout",
        "3.8.1",
        "timeouts differ",
        rfc9293=[
            case(
                "1 us > peer FIN,ACK seq=1 ack=1\n3 us > peer FIN,ACK seq=1 ack=1\n7 us > peer FIN,ACK seq=1 ack=1", FW1
            )
        ],
        linux=[
            case(
                "0.2 us > peer FIN,ACK seq=1 ack=1\n"
                "0.6 us > peer FIN,ACK seq=1 ack=1\n1.4 us > peer FIN,ACK seq=1 ack=1",
                FW1,
            )
        ],
        freebsd=[
            # TCPT_RANGESET(), tcp_timer.h: rexmit_slop of 200 ms is added after the doubling, to 30, 60 and 120 ms.
            case(
                "0.23 us > peer FIN,ACK seq=1 ack=1\n"
                "0.49 us > peer FIN,ACK seq=1 ack=1\n0.81 us > peer FIN,ACK seq=1 ack=1\n1 peer quiet",
                FW1,
            ),
        ],
    ),
    "B2": Row(
        "a FIN sent again from CL carries the newer acknowledgment number",
        "3.8.1",
        "timeouts differ",
        rfc9293=[case("1 us > peer FIN,ACK seq=1 ack=2", CL)],
        linux=[case("0.2 us > peer FIN,ACK seq=1 ack=2", CL)],
        freebsd=[case("0.23 us > peer FIN,ACK seq=1 ack=2", CL)],
    ),
    "B3": Row(
        "an ACK of data but not of the FIN keeps FW1",
        "3.10.7.4",
        [
            case(
                """
                0.000 us: send 10 = 10
                0.000 us > peer ACK seq=1 ack=1 len=10
                0.000 us: close
                0.000 us FIN-WAIT-1
                0.000 us > peer FIN,ACK seq=11 ack=1
                0.010 peer > us ACK seq=1 ack=11
                0.010 us: state
                """,
                EST,
            )
        ],
    ),
    "B4": Row(
        "an ACK of the FIN moves FW1 to FW2, nothing is sent",
        "3.10.7.4",
        [case("0 peer > us ACK seq=1 ack=2\n0 us FIN-WAIT-2", FW1)],
    ),
    "B5": Row(
        "FIN plus ACK of ours in FW1: ACK, straight to TW",
        "3.10.7.4",
        [
            case(
                "0 peer > us FIN,ACK seq=1 ack=2\n0 us FIN-WAIT-2\n"
                "0 us > peer ACK seq=2 ack=2\n0 us TIME-WAIT until 60.000",
                FW1,
            )
        ],
        rfc9293=[
            case(
                "0 peer > us FIN,ACK seq=1 ack=2\n0 us FIN-WAIT-2\n0 us > peer ACK seq=2 ack=2\n"
                "0 us TIME-WAIT until 240.000",
                FW1,
            )
        ],
    ),
    "B6": Row(
        "FIN without ACK of ours in FW1: ACK <SND.NXT, RCV.NXT>, to CL",
        "3.10.7.4",
        [case("0 peer > us FIN,ACK seq=1 ack=1\n0 us CLOSING\n0 us > peer ACK seq=2 ack=2", FW1)],
        freebsd=[case("0 peer > us FIN,ACK seq=1 ack=1\n0 us CLOSING\n0 us > peer FIN,ACK seq=1 ack=2", FW1)],
    ),
    "B7": Row(
        "a peer's FIN that arrives before ours could leave: still CL; later data and FIN carry the ACK",
        "3.10.7.4",
        [
            case(
                """
                0.000 us: send 1500 = 1500
                0.000 us > peer ACK seq=1 ack=1 len=1000
                0.000 us: shutdown
                0.000 us FIN-WAIT-1
                0.010 peer > us FIN,ACK seq=1 ack=1 win=1000
                0.010 us CLOSING
                0.010 us > peer ACK seq=1001 ack=2
                0.020 peer > us ACK seq=2 ack=1001 win=1000
                0.020 us > peer FIN,ACK seq=1001 ack=2 len=500
                """,
                EST,
                window=1000,
            )
        ],
    ),
    "B8": Row(
        "data in FW1 and FW2 is delivered and acknowledged while the user still reads",
        "3.10.7.4",
        [
            case("0 peer > us ACK seq=1 ack=1 len=10\n0 us > peer ACK seq=2 ack=11\n0 us: recv 9 = 9", FW1, held=True),
            case("0 peer > us ACK seq=1 ack=2 len=10\n0 us > peer ACK seq=2 ack=11\n0 us: recv 9 = 9", FW2, held=True),
        ],
    ),
    "B9": Row(
        "new data after a full close gets RST and ends the connection",
        "SHLD-3",
        [
            case("0 peer > us ACK seq=1 ack=1 len=10\n0 us > peer RST seq=1\n0 us CLOSED", FW1),
            case("0 peer > us ACK seq=1 ack=2 len=10\n0 us > peer RST seq=2\n0 us CLOSED", FW2),
        ],
    ),
    "B10": Row(
        "FIN with data after a full close in FW2 likewise",
        "SHLD-3",
        [case("0 peer > us FIN,ACK seq=1 ack=2 len=10\n0 us > peer RST seq=2\n0 us CLOSED", FW2)],
    ),
    "B11": Row(
        "a FIN overtaken by the peer's later pure ACK is accepted despite its old number",
        "3.10.7.4",
        [
            case(
                """
                0.000 peer > us ACK seq=2 ack=2
                0.000 us FIN-WAIT-2
                0.010 peer > us FIN,ACK seq=1 ack=1
                0.010 us > peer ACK seq=2 ack=2
                0.010 us TIME-WAIT until 60.010
                """,
                FW1,
                held=True,
            )
        ],
        rfc9293=[
            case(
                """
                0.000 peer > us ACK seq=2 ack=2
                0.000 us FIN-WAIT-2
                0.010 peer > us FIN,ACK seq=1 ack=1
                0.010 us > peer ACK seq=2 ack=2
                0.010 us TIME-WAIT until 240.010
                """,
                FW1,
                held=True,
            )
        ],
    ),
    "B12": Row(
        "a FIN never acknowledged: the connection is given up",
        "3.8.3, 3.10.8",
        "played in test_a_fin_never_acknowledged_is_given_up, for the number of segments differs",
    ),
    "B13": Row(
        "an ACK above SND.NXT in FW1 or LA is answered with an ACK and dropped",
        "3.10.7.4; RFC 5961 5",
        each((FW1, LA), "0 peer > us ACK seq={R} ack=500\n0 us > peer ACK seq={S} ack={R}"),
    ),
    "C1": Row(
        "FIN in FW2: ACK, to TW",
        "3.10.7.4",
        [case("0 peer > us FIN,ACK seq=1 ack=2\n0 us > peer ACK seq=2 ack=2\n0 us TIME-WAIT until 60.000", FW2)],
        rfc9293=[
            case("0 peer > us FIN,ACK seq=1 ack=2\n0 us > peer ACK seq=2 ack=2\n0 us TIME-WAIT until 240.000", FW2)
        ],
    ),
    "C2": Row(
        "FW2 has no protocol timeout; stacks bound it once the user is gone",
        "none",
        [case("60 us CLOSED\n61 peer quiet", FW2)],
        rfc9293=[case("100000 peer quiet", FW2)],
    ),
    "C3": Row(
        "after that timeout any ACK or FIN gets RST",
        "3.10.7.1",
        [case("60 us CLOSED\n61 peer > us FIN,ACK seq=1 ack=2\n61 us > peer RST seq=2", FW2)],
        rfc9293="FW2 does not end by itself",
    ),
    "C4": Row(
        "FW2 held by a user never expires",
        "none",
        [case("100000 peer quiet", FW2, held=True)],
    ),
    "C5": Row(
        "SYN at or above R on an orphaned FW2: challenge ACK",
        "RFC 5961 4",
        [case("0 peer > us SYN seq=1\n0 us > peer ACK seq=2 ack=1\n0 us: counter TCPChallengeACK = 1", FW2)],
        linux=[case("0 peer > us SYN seq=1\n0 us > peer RST,ACK seq=5 ack=2\n0 us CLOSED", FW2)],
    ),
    "C6": Row(
        "in-window RST not at R on an orphaned FW2: challenge ACK",
        "RFC 5961 3",
        [case("0 peer > us RST seq=50\n0 us > peer ACK seq=2 ack=1", FW2)],
        linux=[case("0 peer > us RST seq=50\n0 us CLOSED", FW2)],
    ),
    "D1": Row(
        "ACK of our FIN moves CL to TW, nothing is sent",
        "3.10.7.4",
        [case("0 peer > us ACK seq=2 ack=2\n0 us TIME-WAIT until 60.000", CL)],
        rfc9293=[case("0 peer > us ACK seq=2 ack=2\n0 us TIME-WAIT until 240.000", CL)],
    ),
    "D2": Row(
        "an ACK that does not cover our FIN keeps CL",
        "3.10.7.4",
        [case("0 peer > us ACK seq=2 ack=1", CL)],
    ),
    "D3": Row(
        "the peer's FIN again, now covering ours, in CL",
        "3.10.7.4: unacceptable, ACK and drop; stacks take the acknowledgment",
        "differs",
        linux=[case("0 peer > us FIN,ACK seq=1 ack=2\n0 us TIME-WAIT until 60.000", CL)],
        freebsd=[case("0 peer > us FIN,ACK seq=1 ack=2\n0 us > peer ACK seq=2 ack=2\n0 us TIME-WAIT until 60.000", CL)],
        rfc9293=[case("0 peer > us FIN,ACK seq=1 ack=2\n0 us > peer ACK seq=2 ack=2", CL)],
    ),
    "D4": Row(
        "a user in CW can still send; data is acknowledged normally",
        "3.6",
        [case("0 us: send 10 = 10\n0 us > peer ACK seq=1 ack=2 len=10\n0 peer > us ACK seq=2 ack=11", CW)],
    ),
    "D5": Row(
        "a duplicate FIN in CW or LA is acknowledged again, the state kept",
        "3.10.7.4",
        each((CW, LA), "0 peer > us FIN,ACK seq=1 ack=1\n0 us > peer ACK seq={S} ack=2"),
    ),
    "D6": Row(
        "text beyond the FIN in CW is ignored",
        "3.10.7.4",
        [case("0 peer > us ACK seq=2 ack=1 len=10", CW)],
    ),
    "D7": Row(
        "FIN with data: data first, then the end of file, one ACK for both",
        "3.10.7.4",
        [
            case(
                "0 peer > us FIN,ACK seq=1 ack=1 len=10\n0 us CLOSE-WAIT\n0 us > peer ACK seq=1 ack=12\n"
                "0 us: recv 99 = 10\n0 us: recv 99 = 0",
                EST,
            )
        ],
    ),
    "D8": Row(
        "a FIN out of order waits for the hole to fill",
        "3.10.7.4",
        [
            case(
                """
                0.000 peer > us FIN,ACK seq=11 ack=1
                0.000 us > peer ACK seq=1 ack=1
                0.010 peer > us ACK seq=1 ack=1 len=10
                0.010 us CLOSE-WAIT
                0.010 us > peer ACK seq=1 ack=12
                """,
                EST,
            )
        ],
    ),
    "D9": Row(
        "a FIN into a closed window is accepted",
        "3.10.7.4, special allowance",
        [
            case(
                """
                0.000 peer > us ACK seq=1 ack=1 len=10
                0.000 us > peer ACK seq=1 ack=11 win=0
                0.010 peer > us FIN,ACK seq=11 ack=1
                0.010 us CLOSE-WAIT
                0.010 us > peer ACK seq=1 ack=12
                """,
                EST,
                options=Options(quick_ack=True, receive_buffer=10),
            )
        ],
    ),
    "D10": Row(
        "ACK of our FIN in LA deletes the connection; no TW",
        "3.10.7.4",
        [case("0 peer > us ACK seq=2 ack=2\n0 us CLOSED\n0 us: waiting = 0", LA)],
    ),
    "D11": Row("an ACK short of our FIN keeps LA", "3.10.7.4", [case("0 peer > us ACK seq=2 ack=1", LA)]),
    "D12": Row(
        "anything later for that four-tuple gets RST",
        "3.10.7.1",
        [case("0 peer > us ACK seq=2 ack=2\n0 us CLOSED\n0 peer > us ACK seq=2 ack=2\n0 us > peer RST seq=2", LA)],
    ),
    "D13": Row(
        "the passive closer never holds the port in TW",
        "3.6",
        [case("0 peer > us ACK seq=2 ack=2\n0 us CLOSED\n0 us: holds-port = False", LA)],
    ),
    "D14": Row(
        "reading after the peer's FIN sends no window updates",
        "none",
        [
            case(
                """
                0.000 peer > us ACK seq=1 ack=1 len=1460
                0.000 us > peer ACK seq=1 ack=1461
                0.000 peer > us FIN,ACK seq=1461 ack=1 len=1460
                0.000 us CLOSE-WAIT
                0.000 us > peer ACK seq=1 ack=2922
                0.010 us: recv 9999 = 2920
                """,
                EST,
                options=Options(quick_ack=True, receive_buffer=3000),
            )
        ],
    ),
    "D15": Row(
        "octets received before TW stay readable after it ends",
        "3.9.1",
        [
            case(
                """
                0.000 peer > us FIN,ACK seq=1 ack=2 len=10
                0.000 us > peer ACK seq=2 ack=12
                0.000 us TIME-WAIT until 60.000
                60.00 us CLOSED
                300.0 us: recv 99 = 10
                300.0 us: recv 99 = 0
                """,
                FW2,
                held=True,
            )
        ],
        rfc9293=[
            case(
                """
                0.000 peer > us FIN,ACK seq=1 ack=2 len=10
                0.000 us > peer ACK seq=2 ack=12
                0.000 us TIME-WAIT until 240.000
                240.0 us CLOSED
                300.0 us: recv 99 = 10
                300.0 us: recv 99 = 0
                """,
                FW2,
                held=True,
            )
        ],
    ),
    "E1": Row(
        "RST at R in CW, FW1, FW2, CL, LA closes; the user sees a reset",
        "3.10.7.4; RFC 5961 3",
        each(CLOSING_STATES, "0 peer > us RST seq={R}\n0 us CLOSED\n0 us fails ECONNRESET", held=True),
        linux=[
            *each((FW1, FW2, CL, LA), "0 peer > us RST seq={R}\n0 us CLOSED\n0 us fails ECONNRESET", held=True),
            *each((CW,), "0 peer > us RST seq={R}\n0 us CLOSED\n0 us fails EPIPE", held=True),
        ],
    ),
    "E2": Row(
        "RST in the window, not at R: challenge ACK, nothing else",
        "RFC 5961 3",
        each(CLOSING_STATES, "0 peer > us RST seq={R+100}\n" + CHALLENGE, held=True),
    ),
    "E3": Row(
        "RFC 793 mode: any RST in the window closes",
        "RFC 793",
        "no such mode",
        freebsd=each(
            CLOSING_STATES,
            "0 peer > us RST seq={R+100}\n0 us CLOSED\n0 us fails ECONNRESET",
            held=True,
            sysctls={"net.inet.tcp.insecure_rst": 1},
        ),
    ),
    "E4": Row(
        "RST at R-1 is ignored silently",
        "3.10.7.4",
        each(CLOSING_STATES, "0 peer > us RST seq={R-1}", held=True),
        linux=[
            *each((FW1, FW2), "0 peer > us RST seq={R-1}", held=True),
            *each((CL, LA), "0 peer > us RST seq={R-1}\n0 us CLOSED\n0 us fails ECONNRESET", held=True),
            *each((CW,), "0 peer > us RST seq={R-1}\n0 us CLOSED\n0 us fails EPIPE", held=True),
        ],
    ),
    "E5": Row(
        "RST at R+RCV.WND is ignored silently",
        "3.10.7.4",
        [case("0 peer > us RST seq=65536", FW1)],
        linux=[
            case("0 peer > us RST seq=64241\n0 us > peer ACK seq=2 ack=1", FW1),
            case("0 peer > us RST seq=64242", FW1),
        ],
        # 65700 behind a header that says 65535, when it opened the connection
        freebsd=[
            case("0 peer > us RST seq=65701", FW1),
            case("0 peer > us RST seq=65700\n0 us > peer ACK seq=2 ack=1", FW1),
            case("0 peer > us RST seq=65536", FW1, passive=True),
            case("0 peer > us RST seq=65535\n0 us > peer ACK seq=2 ack=1", FW1, passive=True),
        ],
    ),
    "E6": Row(
        "a RST never draws a RST",
        "3.5.2",
        [case("0 peer > us RST seq=5"), case("0 peer > us RST,ACK seq=5 ack=7")],
    ),
    "E7": Row(
        "RST in SYN-RECEIVED: back to LISTEN when passive, refused when active",
        "3.10.7.4",
        _reset_while_opening("ECONNREFUSED"),
        # tcp_reset(), net/ipv4/tcp_input.c; measured
        linux=_reset_while_opening("ECONNRESET"),
    ),
    "F1": Row(
        "SYN in CW, FW1, FW2, CL, LA at any number: challenge ACK",
        "RFC 5961 4",
        [
            *each(CLOSING_STATES, "0 peer > us SYN seq={R}\n" + CHALLENGE, held=True),
            *each(CLOSING_STATES, "0 peer > us SYN seq={R-1000}\n" + CHALLENGE, held=True),
            *each(CLOSING_STATES, "0 peer > us SYN seq={R+200000}\n" + CHALLENGE, held=True),
        ],
    ),
    "F2": Row(
        "RFC 793 mode, SYN in the window: RST+ACK <SND.NXT, RCV.NXT>, the user sees a reset; outside: ACK",
        "RFC 793",
        "no such mode",
        freebsd=[
            *each(
                CLOSING_STATES,
                "0 peer > us SYN seq={R+5}\n0 us > peer RST,ACK seq={S} ack={R}\n0 us CLOSED\n0 us fails ECONNRESET",
                held=True,
                sysctls={"net.inet.tcp.insecure_syn": 1},
            ),
            *each(
                CLOSING_STATES,
                "0 peer > us SYN seq={R-5}\n" + CHALLENGE,
                held=True,
                sysctls={"net.inet.tcp.insecure_syn": 1},
            ),
        ],
    ),
    "F3": Row(
        "in that mode it is the SYN's own number that must lie in the window, not that of a FIN behind it",
        "3.10.7.4",
        "no such mode",
        freebsd=each(
            CLOSING_STATES,
            "0 peer > us SYN,FIN seq={R-1}\n" + CHALLENGE,
            held=True,
            sysctls={"net.inet.tcp.insecure_syn": 1},
        ),
    ),
    "F4": Row(
        "SYN-ACK is treated as SYN",
        "RFC 5961 4",
        each(CLOSING_STATES, "0 peer > us SYN,ACK seq={R} ack=1\n" + CHALLENGE, held=True),
    ),
    "F5": Row(
        "a challenge ACK counts our FIN",
        "RFC 5961 3, 4",
        [case("0 peer > us SYN seq=1\n0 us > peer ACK seq=2 ack=1", FW1)],
    ),
    "F6": Row(
        "challenge ACKs are rate limited",
        "RFC 5961 7",
        "limits differ",
        rfc9293=[
            case("0 peer > us SYN seq=1\n0 us > peer ACK seq=2 ack=1\n" * 10 + "0 peer > us SYN seq=1", FW2, held=True),
        ],
        linux=[
            case(
                """
                0.000 peer > us SYN seq=1
                0.000 us > peer ACK seq=2 ack=1
                0.100 peer > us SYN seq=1
                0.100 us: counter TCPACKSkippedChallenge = 1
                0.499 peer > us SYN seq=1
                0.500 peer > us SYN seq=1
                0.500 us > peer ACK seq=2 ack=1
                """,
                FW2,
                held=True,
            )
        ],
        freebsd="no limit of its own; the limit on ICMP and RST counts other segments",
    ),
    "F7": Row(
        "the limit exempts segments with data or FIN",
        "none",
        each(
            (CW, FW2),
            "0 peer > us ACK seq={R+200000} ack=1 len=5\n0 us > peer ACK seq={S} ack={R}\n"
            "0.01 peer > us ACK seq={R+200000} ack=1 len=5\n0.01 us > peer ACK seq={S} ack={R}\n"
            "0.02 peer > us FIN,ACK seq={R+200000} ack=1\n0.02 us > peer ACK seq={S} ack={R}",
            held=True,
        ),
    ),
    "G1": Row(
        "an unacceptable segment other than RST in a closing state: ACK, drop",
        "3.10.7.4",
        each(CLOSING_STATES, "0 peer > us ACK seq={R+200000} ack=1\n0 us > peer ACK seq={S} ack={R}", held=True),
    ),
    "G2": Row(
        "an acceptable segment without ACK bit is dropped",
        "3.10.7.4",
        each(CLOSING_STATES, "0 peer > us - seq={R} len=5\n0 us drops NO_ACK", held=True),
    ),
    "G3": Row(
        "ACK below SND.UNA - MAX.SND.WND: challenge ACK",
        "RFC 5961 5",
        each(
            CLOSING_STATES,
            "0 peer > us ACK seq={R} ack=-70000\n0 us drops ACK_TOO_OLD\n0 us > peer ACK seq={S} ack={R}",
            held=True,
        ),
    ),
    # --- TIME-WAIT.  RFC 9293's wait is 240 s, the others' 60 s.
    "H1": Row(
        "TW is entered from FW1, FW2 and CL",
        "3.3.2",
        [
            case(
                "0 peer > us FIN,ACK seq=1 ack=2\n0 us FIN-WAIT-2\n"
                "0 us > peer ACK seq=2 ack=2\n0 us TIME-WAIT until 60.000",
                FW1,
            ),
            case("0 peer > us FIN,ACK seq=1 ack=2\n0 us > peer ACK seq=2 ack=2\n0 us TIME-WAIT until 60.000", FW2),
            case("0 peer > us ACK seq=2 ack=2\n0 us TIME-WAIT until 60.000", CL),
        ],
        rfc9293=[
            case(
                "0 peer > us FIN,ACK seq=1 ack=2\n0 us FIN-WAIT-2\n"
                "0 us > peer ACK seq=2 ack=2\n0 us TIME-WAIT until 240.000",
                FW1,
            ),
            case("0 peer > us FIN,ACK seq=1 ack=2\n0 us > peer ACK seq=2 ack=2\n0 us TIME-WAIT until 240.000", FW2),
            case("0 peer > us ACK seq=2 ack=2\n0 us TIME-WAIT until 240.000", CL),
        ],
    ),
    "H2": Row(
        "TW lasts 2 MSL, then the connection is gone",
        "MUST-13",
        [case("59.9 us: waiting = 1\n60 us CLOSED\n60 us: waiting = 0", TW)],
        rfc9293=[case("239.9 us: waiting = 1\n240 us CLOSED\n240 us: waiting = 0", TW)],
    ),
    "H3": Row(
        "a segment after expiry gets RST with seq = SEG.ACK",
        "3.10.7.1",
        [case("60 us CLOSED\n60 peer > us FIN,ACK seq=1 ack=2\n60 us > peer RST seq=2", TW)],
        rfc9293=[case("240 us CLOSED\n240 peer > us FIN,ACK seq=1 ack=2\n240 us > peer RST seq=2", TW)],
    ),
    "H4": Row(
        "the FIN again is answered with ACK <SND.NXT, RCV.NXT>, and (H5) restarts the timer",
        "3.10.7.4",
        [
            case(
                "30 peer > us FIN,ACK seq=1 ack=2\n30 us > peer ACK seq=2 ack=2\n"
                "30 us TIME-WAIT until 90.000\n90 us CLOSED",
                TW,
            )
        ],
        rfc9293=[
            case("30 peer > us FIN,ACK seq=1 ack=2\n30 us > peer ACK seq=2 ack=2\n30 us TIME-WAIT until 270.000", TW)
        ],
    ),
    "H6": Row(
        "other segments with ACK restart it too",
        "none: the text is silent",
        [case(f"5 peer > us {segment}\n5 us > peer ACK seq=2 ack=2\n6 us: waiting = 1", TW) for segment in TW_OTHERS],
        linux=[
            case(f"5 peer > us {segment}\n5 us > peer ACK seq=2 ack=2\n5 us TIME-WAIT until 65.000", TW)
            for segment in TW_OTHERS
        ],
    ),
    "H7": Row(
        "RST, bare SYN and FIN without ACK do not restart it",
        "none",
        [
            case("5 peer > us RST seq=9\n60 us CLOSED\n61 peer quiet", TW),
            case("5 peer > us SYN seq=2\n60 us CLOSED\n61 peer quiet", TW),
            case("5 peer > us FIN seq=2\n60 us CLOSED\n61 peer quiet", TW),
        ],
        linux=[
            case("5 peer > us RST seq=9\n60 us CLOSED\n61 peer quiet", TW),
            case("5 peer > us SYN seq=2\n5 us > peer ACK seq=2 ack=2\n60 us CLOSED\n61 peer quiet", TW),
            case("5 peer > us FIN seq=2\n5 us > peer ACK seq=2 ack=2\n60 us CLOSED\n61 peer quiet", TW),
        ],
        rfc9293=[
            case("5 peer > us RST seq=90000\n240 us CLOSED\n241 peer quiet", TW),
            case("5 peer > us SYN seq=2\n5 us > peer ACK seq=2 ack=2\n240 us CLOSED\n241 peer quiet", TW),
            case("5 peer > us FIN seq=2\n240 us CLOSED\n241 peer quiet", TW),
        ],
    ),
    "H8": Row(
        "a pure ACK at R is not answered, else two ends in TW would acknowledge for ever",
        "the literal text says acknowledge",
        [case("5 peer > us ACK seq=2 ack=2", TW)],
        linux=[case("5 peer > us ACK seq=2 ack=2\n5 us TIME-WAIT until 65.000", TW)],
    ),
    "H9": Row(
        "a pure ACK elsewhere in the window is answered",
        "3.10.7.4, unclear",
        [case("5 peer > us ACK seq=30 ack=2\n5 us > peer ACK seq=2 ack=2", TW)],
        linux=[case("5 peer > us ACK seq=30 ack=2\n5 us > peer ACK seq=2 ack=2\n5 us TIME-WAIT until 65.000", TW)],
    ),
    "H10": Row(
        "a pure ACK outside the window is answered",
        "3.10.7.4",
        [case("5 peer > us ACK seq=90000 ack=2\n5 us > peer ACK seq=2 ack=2", TW)],
        linux=[
            case(
                """
                5.0 peer > us ACK seq=90000 ack=2
                5.0 us > peer ACK seq=2 ack=2
                5.0 us TIME-WAIT until 65.000
                5.4 peer > us ACK seq=90000 ack=2
                5.4 us TIME-WAIT until 65.400
                """,
                TW,
            )
        ],
    ),
    "H11": Row(
        "FIN-ACK at any number is answered",
        "3.10.7.4",
        [
            case(f"5 peer > us FIN,ACK seq={seq} ack=2\n5 us > peer ACK seq=2 ack=2\n5 us TIME-WAIT until 65.000", TW)
            for seq in (-900, 1, 2, 70, 90000)
        ],
        # tcp_twcheck(): seq + 1 == tw->rcv_nxt restarts, no other FIN.
        freebsd=[
            case("5 peer > us FIN,ACK seq=1 ack=2\n5 us > peer ACK seq=2 ack=2\n5 us TIME-WAIT until 65.000", TW),
            *(
                case(f"5 peer > us FIN,ACK seq={seq} ack=2\n5 us > peer ACK seq=2 ack=2", TW)
                for seq in (-900, 2, 70, 90000)
            ),
        ],
        rfc9293=[
            case(f"5 peer > us FIN,ACK seq={seq} ack=2\n5 us > peer ACK seq=2 ack=2\n5 us TIME-WAIT until 245.000", TW)
            for seq in (-900, 1, 2, 70, 90000)
        ],
    ),
    "H12": Row(
        "data in TW is ignored but answered",
        "3.10.7.4",
        [case("5 peer > us ACK seq=2 ack=2 len=9\n5 us > peer ACK seq=2 ack=2", TW)],
        linux=[case("5 peer > us ACK seq=2 ack=2 len=9\n5 us > peer ACK seq=2 ack=2\n5 us TIME-WAIT until 65.000", TW)],
    ),
    "H13": Row(
        "FIN without ACK: silent when in the window, ACK when outside",
        "3.10.7.4",
        "differs",
        rfc9293=[
            case("5 peer > us FIN seq=2", TW),
            case("5 peer > us FIN seq=1\n5 us > peer ACK seq=2 ack=2", TW),
        ],
        linux=[
            case("5 peer > us FIN seq=2\n5 us > peer ACK seq=2 ack=2", TW),
            case("5 peer > us FIN seq=1\n5 us > peer ACK seq=2 ack=2", TW),
        ],
        freebsd=[case("5 peer > us FIN seq=2", TW), case("5 peer > us FIN seq=1", TW)],
    ),
    "H14": Row(
        "RST at R closes TW at once (assassination)",
        "3.10.7.4",
        [case("5 peer > us RST seq=2\n5 us CLOSED", TW)],
        freebsd=[case("5 peer > us RST seq=2\n5 us: waiting = 1", TW)],
    ),
    "H15": Row(
        "alternative: every RST in TW is ignored",
        "RFC 1337 F1",
        [case("5 peer > us RST seq=2\n5 us: waiting = 1", TW)],
        linux=[case("5 peer > us RST seq=2\n5 us: waiting = 1", TW, sysctls={"tcp_rfc1337": 1})],
        rfc9293=[case("5 peer > us RST seq=2\n5 us: waiting = 1", TW, sysctls={"rfc.rfc1337": 1})],
    ),
    "H16": Row(
        "RST elsewhere in the window in TW: challenge ACK",
        "RFC 5961 3",
        [case("5 peer > us RST seq=50\n5 us: waiting = 1", TW)],
        rfc9293=[case("5 peer > us RST seq=50\n5 us > peer ACK seq=2 ack=2", TW)],
    ),
    "H17": Row("RST outside the window in TW has no effect", "3.10.7.4", [case("5 peer > us RST seq=90000", TW)]),
    "H18": Row(
        "RST with a stale timestamp in TW has no effect",
        "RFC 1337 F2",
        [case("5 peer > us RST seq=2 ts=-5", TW, timestamps=True)],
        rfc9293="RFC 7323 section 5.3 exempts resets from the check; F2 is another choice",
    ),
    "H19": Row(
        "SYN above R may reopen the connection, even far outside the window",
        "MAY-2; 3.6.1",
        [
            case(
                f"5 peer > us SYN seq={seq}\n5 us SYN-RECEIVED\n5 us > peer SYN,ACK seq=65539 ack={seq + 1}",
                TW,
                passive=True,
            )
            for seq in (3, 90000)
        ],
        freebsd=[
            case(f"5 peer > us SYN seq={seq}\n5 us SYN-RECEIVED\n5 us > peer SYN,ACK ack={seq + 1}", TW, passive=True)
            for seq in (3, 90000)
        ],
    ),
    "H20": Row(
        "the new ISN then exceeds the old send sequence",
        "MAY-2 (1)",
        [case("5 peer > us SYN seq=9\n5 us SYN-RECEIVED\n5 us > peer SYN,ACK seq=65539 ack=10", TW, passive=True)],
        freebsd="it draws a new number from its clock",
    ),
    "H21": Row(
        "SYN at or below R does not reopen; ACK, or silence",
        "3.10.7.4",
        [case(f"5 peer > us SYN seq={seq}\n5 us > peer ACK seq=2 ack=2", TW, passive=True) for seq in (2, 1, -900)],
        freebsd=[case(f"5 peer > us SYN seq={seq}", TW, passive=True) for seq in (2, 1, -900)],
    ),
    "H22": Row(
        "without reuse any SYN in TW draws a challenge ACK and TW stays",
        "RFC 5961 4",
        "no such switch",
        rfc9293=[
            case(
                "5 peer > us SYN seq=90\n5 us > peer ACK seq=2 ack=2\n5 us: waiting = 1",
                TW,
                passive=True,
                sysctls={"rfc.reopen": 0},
            )
        ],
        linux=[case("5 peer > us SYN seq=90\n5 us > peer ACK seq=2 ack=2\n5 us: waiting = 1", TW)],
    ),
    "H23": Row(
        "RFC 793 mode: a SYN in the window draws RST+ACK and TW ends",
        "RFC 793",
        "no such mode",
        freebsd=[
            case("5 peer > us SYN seq=2\n5 us: waiting = 1", TW, sysctls={"net.inet.tcp.insecure_syn": 1}),
        ],
    ),
    "H24": Row(
        "reopening with no listener present",
        "none",
        [case("5 peer > us SYN seq=90\n5 us > peer ACK seq=2 ack=2\n5 us: waiting = 1", TW)],
        freebsd=[case("5 peer > us SYN seq=90\n5 us CLOSED\n5 us > peer RST,ACK seq=5 ack=91", TW)],
    ),
    "H25": Row(
        "SYN with a newer timestamp reopens although its number is lower",
        "SHLD-4; RFC 6191",
        [
            case(
                "5 peer > us SYN seq=-900 ts=5\n5 us SYN-RECEIVED\n5 us > peer SYN,ACK seq=65539 ack=-899",
                TW,
                passive=True,
                timestamps=True,
            )
        ],
        freebsd=[case("5 peer > us SYN seq=-900 ts=5", TW, passive=True, timestamps=True)],
    ),
    "H26": Row(
        "equal timestamp: decided by number; older timestamp: refused, ACK",
        "RFC 6191",
        [
            case(
                "5 peer > us SYN seq=9 ts=0\n5 us SYN-RECEIVED\n5 us > peer SYN,ACK seq=65539 ack=10",
                TW,
                passive=True,
                timestamps=True,
            ),
            case("5 peer > us SYN seq=1 ts=0\n5 us > peer ACK seq=2 ack=2", TW, passive=True, timestamps=True),
            case("5 peer > us SYN seq=9 ts=-1\n5 us > peer ACK seq=2 ack=2", TW, passive=True, timestamps=True),
        ],
        linux=[
            case(
                "5 peer > us SYN seq=9 ts=0\n5 us SYN-RECEIVED\n5 us > peer SYN,ACK seq=65539 ack=10",
                TW,
                passive=True,
                timestamps=True,
            ),
            case("5 peer > us SYN seq=1 ts=0\n5 us > peer ACK seq=2 ack=2", TW, passive=True, timestamps=True),
            case(
                "5 peer > us SYN seq=9 ts=-1\n5 us > peer ACK seq=2 ack=2\n5 us TIME-WAIT until 65.000",
                TW,
                passive=True,
                timestamps=True,
            ),
        ],
        freebsd=[
            case(
                f"5 peer > us SYN seq=9 ts={ts}\n5 us SYN-RECEIVED\n5 us > peer SYN,ACK ack=10",
                TW,
                passive=True,
                timestamps=True,
            )
            for ts in (0, -1)
        ],
    ),
    "H27": Row(
        "the old connection had timestamps, the SYN has none: decided by number",
        "RFC 6191",
        [
            case(
                "5 peer > us SYN seq=9 ts=none\n5 us SYN-RECEIVED\n5 us > peer SYN,ACK ack=10",
                TW,
                passive=True,
                timestamps=True,
            ),
            case("5 peer > us SYN seq=1 ts=none\n5 us > peer ACK seq=2 ack=2", TW, passive=True, timestamps=True),
        ],
        freebsd=[
            case(
                "5 peer > us SYN seq=9 ts=none\n5 us SYN-RECEIVED\n5 us > peer SYN,ACK ack=10",
                TW,
                passive=True,
                timestamps=True,
            ),
            case("5 peer > us SYN seq=1 ts=none", TW, passive=True, timestamps=True),
        ],
    ),
    "H28": Row(
        "the old connection had none, the SYN has one, its number lower: reopen",
        "RFC 6191",
        "differs",
        rfc9293=[case("5 peer > us SYN seq=-9 ts=5\n5 us SYN-RECEIVED\n5 us > peer SYN,ACK ack=-8", TW, passive=True)],
        linux=[case("5 peer > us SYN seq=-9 ts=5\n5 us > peer ACK seq=2 ack=2", TW, passive=True)],
        freebsd=[case("5 peer > us SYN seq=-9 ts=5", TW, passive=True)],
    ),
    "H29": Row(
        "SYN+FIN above R reopens like SYN",
        "none",
        [case("5 peer > us SYN,FIN seq=9\n5 us SYN-RECEIVED\n5 us > peer SYN,ACK ack=10", TW, passive=True)],
        linux=[case("5 peer > us SYN,FIN seq=9\n5 us CLOSED\n5 us: waiting = 0", TW, passive=True)],
    ),
    "H30": Row(
        "SYN+FIN is discarded on arrival when so configured, TW stays",
        "none",
        "no such switch",
        freebsd=[
            case(
                "5 peer > us SYN,FIN seq=9\n5 us drops SYN_FIN\n5 us: waiting = 1",
                TW,
                passive=True,
                sysctls={"net.inet.tcp.drop_synfin": 1},
            )
        ],
    ),
    "H31": Row(
        "ACKs from TW echo the newest valid timestamp; a PAWS failure is still acknowledged",
        "RFC 7323",
        [
            case(
                """
                5.0 peer > us ACK seq=2 ack=2 ts=50
                6.0 peer > us FIN,ACK seq=1 ack=2 ts=40
                6.0 us > peer ACK seq=2 ack=2 ts=6000/50
                6.0 us TIME-WAIT until 66.000
                """,
                TW,
                timestamps=True,
            )
        ],
        # RFC 7323 section 5.3 R1: an acknowledgment, and the segment is dropped.
        rfc9293=[
            case(
                """
                5.0 peer > us ACK seq=2 ack=2 ts=50
                6.0 peer > us FIN,ACK seq=1 ack=2 ts=40
                6.0 us > peer ACK seq=2 ack=2 ts=6000/50
                """,
                TW,
                timestamps=True,
            )
        ],
        linux=[
            case(
                """
                5.0 peer > us ACK seq=2 ack=2 ts=50
                5.0 us TIME-WAIT until 65.000
                6.0 peer > us FIN,ACK seq=1 ack=2 ts=40
                6.0 us > peer ACK seq=2 ack=2 ts=6000/50
                6.0 us TIME-WAIT until 66.000
                """,
                TW,
                timestamps=True,
            )
        ],
    ),
    "H32": Row(
        "closing or holding the descriptor in TW changes nothing; no error is pending",
        "3.10.4",
        [case("5 us: error = None\n5 us: close = None\n5 us: waiting = 1", TW, held=True)],
    ),
    "H33": Row(
        "closing the write side in TW fails",
        "none; the state that the user sees differs",
        [case("5 us: state = TIME-WAIT\n5 us: shutdown = ENOTCONN", TW, held=True)],
        linux=[case("5 us: state = CLOSED\n5 us: shutdown = ENOTCONN", TW, held=True)],
    ),
}


def params() -> list[Any]:
    found = []
    for name, row in ROWS.items():
        for profile in ("rfc9293", "freebsd", "linux"):
            cases = row.cases(profile)
            if isinstance(cases, str):
                continue
            for index, each_case in enumerate(cases):
                suffix = f"-{index + 1}" if len(cases) > 1 else ""
                found.append(pytest.param(profile, each_case, id=f"{name}-{profile}{suffix}"))
    return found


@pytest.mark.parametrize(("profile", "played"), params())
def test_behaviour(profile: str, played: Case) -> None:
    play(profile, played.trace, played.start, **played.settings)


# --- Ports: what bind() and connect() make of them


def closed(profile: str, options: Options, port: int | None = 40000, **changes: Any) -> Pair:
    pair = Pair(profiles.get(profile).changed(**changes), loopback=True)
    client, server = pair.connection(port=port, options=options)
    pair.close(client)
    pair.close(server, server=True)
    assert len(pair.client.waits) == 1
    return pair


EVERY = pytest.mark.parametrize("profile", ["rfc9293", "freebsd", "linux"])
REUSE = Options(reuse_address=True)


@EVERY
def test_i1_binding_a_port_in_time_wait_without_reuse_fails(profile: str) -> None:
    stack = closed(profile, REUSE).client
    assert stack.bind(stack.socket(), stack.addresses[0], 40000) is Errno.EADDRINUSE


@EVERY
def test_i2_the_reuse_flag_must_be_set_on_the_old_and_the_new_socket(profile: str) -> None:
    for old, new, error in ((True, True, None), (False, True, Errno.EADDRINUSE), (True, False, Errno.EADDRINUSE)):
        stack = closed(profile, Options(reuse_address=old)).client
        assert stack.bind(stack.socket(Options(reuse_address=new)), stack.addresses[0], 40000) is error


@EVERY
def test_i3_the_same_port_on_another_address_is_free_and_another_destination_may_share_it(profile: str) -> None:
    pair = closed(profile, Options(), port=None, ephemeral_range=(40000, 40000))
    stack = pair.client
    assert pair.try_connect(destination=bytes([127, 0, 0, 50])) is None
    assert stack.bind(stack.socket(), bytes([127, 0, 0, 9]), 40000) is None


def test_i4_automatic_choice_may_reuse_the_tuple_after_a_second_where_the_profile_lets_it() -> None:
    for profile, error in (("linux", None), ("freebsd", Errno.EADDRNOTAVAIL), ("rfc9293", Errno.EADDRNOTAVAIL)):
        pair = closed(profile, Options(), port=None, ephemeral_range=(40000, 40000))
        pair.advance(999_999_999)
        assert pair.try_connect() is Errno.EADDRNOTAVAIL
        pair.advance(2)
        assert pair.try_connect() is error


def test_i5_explicit_bind_with_reuse_and_connect_to_the_same_tuple_works_at_once_where_the_profile_lets_it() -> None:
    for profile, error in (("linux", None), ("freebsd", Errno.EADDRINUSE), ("rfc9293", Errno.EADDRNOTAVAIL)):
        assert closed(profile, REUSE).try_connect(port=40000, options=REUSE) is error


@EVERY
def test_i6_binding_the_port_of_an_orphaned_fin_wait_2_fails_until_it_expires(profile: str) -> None:
    pair = Pair(profile, loopback=True)
    client, _ = pair.connection(port=40000)
    pair.close(client)
    stack = pair.client
    assert stack.sockets()[-1].state is FW2
    assert stack.bind(stack.socket(), stack.addresses[0], 40000) is Errno.EADDRINUSE
    pair.advance(61 * 10**9)
    ends = profile != "rfc9293"
    assert (stack.bind(stack.socket(), stack.addresses[0], 40000) is None) is ends


@pytest.mark.parametrize(("profile", "kept"), [("linux", (40000, 40001)), ("lwip", (40001, 40002))])
def test_i7_a_full_table_evicts_the_oldest_or_enters_no_new_one(profile: str, kept: tuple[int, int]) -> None:
    pair = Pair(profiles.get(profile).changed(tw_limit=2))
    for port in (40000, 40001, 40002):
        client, server = pair.connection(port=port)
        pair.close(client)
        pair.close(server, server=True)
        pair.advance(1000)
    assert tuple(sorted(key.local_port for key, _ in pair.client.waits)) == kept


@pytest.mark.parametrize(("profile", "last"), [("rfc9293", 400), ("freebsd", 1000), ("linux", 200)])
def test_a_fin_never_acknowledged_is_given_up(profile: str, last: int) -> None:
    """B12: RFC 9293 sections 3.8.3 and 3.10.8; the user timeout, or a number of retransmissions."""
    player = Player(profile)
    player.to(FW1)
    player.run_until(last * 10**9)
    assert player.stack.connections == {}
    assert player.stack.next_deadline() is None
    assert player.stack.counters["TCPAbortOnTimeout"] == 1
