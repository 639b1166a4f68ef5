"""ACKs and FINs to each closing state: which number moves it, and which is answered."""

from timewait.lab.cases import Table, case
from timewait.lab.scenario import Observation, Scenario, Settings, Stage, linux, rfc
from timewait.tcp.states import CLOSE_WAIT, CLOSING, FIN_WAIT_1, FIN_WAIT_2, LAST_ACK
from timewait.wire.segment import ACK, FIN

_LINUX = "tcp_rcv_state_process(), net/ipv4/tcp_input.c"
_ACKED_AT_ONCE = "tcp_data_queue(), net/ipv4/tcp_input.c: quick ACKs at first (RFC 9293 3.6, case 1: acknowledged)"
_ACKED = "RFC 9293 3.10.7.4, fifth: our FIN is acknowledged"
_NOT_YET = "RFC 9293 3.10.7.4, fifth: our FIN is not acknowledged"
_UNSENT = "RFC 9293 3.10.7.4, fifth: acks something not yet sent"
_FIN = "RFC 9293 3.10.7.4, eighth: FIN"
_FIRST = "RFC 9293 3.10.7.4, first: not acceptable"
_NO_ACK = "RFC 9293 3.10.7.4, fifth: the ACK bit is off"
_TEXT = "RFC 9293 3.10.7.4, seventh: should not occur, ignored"

CASES = (
    case(FIN_WAIT_1, "ACK of our FIN", ACK, rfc("nothing; FIN-WAIT-2", _ACKED), orphan=False),
    case(FIN_WAIT_1, "ACK short of it", ACK, rfc("nothing; kept", _NOT_YET), ack=-1, orphan=False),
    case(FIN_WAIT_1, "ACK of what was not sent", ACK, rfc("ACK; kept", _UNSENT), ack=100, orphan=False),
    case(FIN_WAIT_1, "FIN with ACK of ours", FIN | ACK, rfc("ACK at R+1; TIME-WAIT", _FIN), orphan=False),
    case(FIN_WAIT_1, "FIN without", FIN | ACK, rfc("ACK at R+1; CLOSING", _FIN), ack=-1, orphan=False),
    case(FIN_WAIT_1, "no ACK bit", 0, rfc("nothing; kept", _NO_ACK), orphan=False),
    case(FIN_WAIT_1, "ACK outside the window", ACK, rfc("ACK; kept", _FIRST), seq=-10, orphan=False),
    case(FIN_WAIT_1, "text", ACK, linux("ACK at R+4; FIN-WAIT-2", _ACKED_AT_ONCE), payload=b"more", orphan=False),
    case(FIN_WAIT_2, "FIN", FIN | ACK, rfc("ACK at R+1; TIME-WAIT", _FIN), orphan=False),
    case(FIN_WAIT_2, "ACK again", ACK, rfc("nothing; kept", "RFC 9293 3.10.7.4, fifth"), orphan=False),
    case(FIN_WAIT_2, "text", ACK, linux("ACK at R+4; kept", _ACKED_AT_ONCE), payload=b"more", orphan=False),
    case(FIN_WAIT_2, "no ACK bit", 0, rfc("nothing; kept", _NO_ACK), orphan=False),
    case(FIN_WAIT_2, "ACK outside the window", ACK, rfc("ACK; kept", _FIRST), seq=-10, orphan=False),
    case(CLOSING, "ACK of our FIN", ACK, rfc("nothing; TIME-WAIT", _ACKED), orphan=False),
    case(CLOSING, "ACK short of it", ACK, rfc("nothing; kept", _NOT_YET), ack=-1, orphan=False),
    case(
        CLOSING,
        "FIN again, with ACK of ours",
        FIN | ACK,
        linux("nothing; TIME-WAIT", "tcp_sequence(), net/ipv4/tcp_input.c: ends at RCV.NXT, so it is acceptable"),
        rfc("ACK; kept", _FIRST),
        seq=-1,
        orphan=False,
    ),
    case(CLOSE_WAIT, "FIN again", FIN | ACK, rfc("ACK; kept", _FIRST), seq=-1, orphan=False),
    case(CLOSE_WAIT, "text beyond the FIN", ACK, rfc("nothing; kept", _TEXT), payload=b"more", orphan=False),
    case(CLOSE_WAIT, "no ACK bit", 0, rfc("nothing; kept", _NO_ACK), orphan=False),
    case(CLOSE_WAIT, "ACK outside the window", ACK, rfc("ACK; kept", _FIRST), seq=-10, orphan=False),
    case(LAST_ACK, "ACK of our FIN", ACK, rfc("nothing; gone", _ACKED)),
    case(LAST_ACK, "ACK short of it", ACK, rfc("nothing; kept", _NOT_YET), ack=-1),
    case(LAST_ACK, "ACK of what was not sent", ACK, rfc("ACK; kept", _UNSENT), ack=100),
    case(LAST_ACK, "FIN again, short of it", FIN | ACK, rfc("ACK; kept", _FIRST), seq=-1, ack=-1),
    case(LAST_ACK, "no ACK bit", 0, rfc("nothing; kept", _NO_ACK)),
)


def run(stage: Stage, settings: Settings) -> list[Observation]:
    """Put each segment to a connection of its own."""
    return Table(stage, CASES).play()


SCENARIO = Scenario(
    question="Which ACK, and which FIN, moves a connection that is being closed?",
    sources=("RFC 9293 3.10.7.4", "RFC 5961 5", f"Linux: {_LINUX}"),
    run=run,
    wires=("wire",),
    tags=(
        *("close", "segments", "B3", "B4", "B5", "B6", "B8", "B13", "C1", "D1", "D2", "D3", "D5", "D6", "D10", "D11"),
        *("G1", "G2", "H1"),
    ),
)
