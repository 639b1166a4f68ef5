"""A RST to each closing state: at the very number, beside it, at the window's edge; and what the user reads then."""

from timewait.lab.cases import Case, Table, case
from timewait.lab.scenario import Foretold, Observation, Scenario, Settings, Stage, linux, observed, rfc
from timewait.lab.steps import read
from timewait.tcp.states import CLOSE_WAIT, CLOSING, FIN_WAIT_1, FIN_WAIT_2, LAST_ACK, State
from timewait.wire.segment import RST

_SOURCE = "tcp_validate_incoming(), net/ipv4/tcp_input.c"
_EXACT = "RFC 9293 3.10.7.4, second: RST at RCV.NXT"
_WITHIN = "RFC 5961 3: challenge ACK"
_OUTSIDE = "RFC 9293 3.10.7.4, first: not acceptable"
_AFTER_FIN = "tcp_reset_check(), net/ipv4/tcp_input.c: at RCV.NXT-1 after the peer's FIN"
_READ = "tcp_recvmsg_locked(), net/ipv4/tcp.c"
STATES = (FIN_WAIT_1, FIN_WAIT_2, CLOSING, CLOSE_WAIT, LAST_ACK)
# Where the peer's FIN has been.
_AFTER = (CLOSING, CLOSE_WAIT, LAST_ACK)


def _cases(state: State) -> tuple[Case, ...]:
    held = {"orphan": False}
    below: tuple[Foretold, ...] = (rfc("nothing; kept", _OUTSIDE),)
    if state in _AFTER:
        below = (linux("nothing; gone", _AFTER_FIN), *below)
    return (
        case(state, "RST at R", RST, rfc("nothing; gone", _EXACT), **held),
        case(state, "RST at R+10", RST, rfc("ACK; kept", _WITHIN), seq=10, **held),
        case(state, "RST at R-1", RST, *below, seq=-1, **held),
        case(state, "RST at R-2", RST, rfc("nothing; kept", _OUTSIDE), seq=-2, **held),
        case(state, "RST far outside", RST, rfc("nothing; kept", _OUTSIDE), seq=1 << 30, **held),
    )


CASES = tuple(each for state in STATES for each in _cases(state))


def run(stage: Stage, settings: Settings) -> list[Observation]:
    """Put each RST to a connection of its own; read where it ended one."""
    table = Table(stage, CASES)
    found = table.play()
    for connection, each in zip(table.connections, CASES, strict=True):
        if each.name != "RST at R" or each.state is LAST_ACK:
            continue
        got = read(stage.host.receive(connection))
        said = [] if each.state is CLOSING else [rfc("ECONNRESET", f"{_EXACT}: connection reset")]
        if each.state in _AFTER:
            said.append(linux("the end", f"{_READ}: the end of the stream comes before the error"))
        found.append(observed(f"{each.state}: then recv() gives", got, *said))
    return found


SCENARIO = Scenario(
    question="Which RST ends a connection that is being closed?",
    sources=("RFC 9293 3.10.7.4", "RFC 5961 3", f"Linux: {_SOURCE}"),
    run=run,
    wires=("wire",),
    tags=("close", "segments", "reset", "E1", "E2", "E4", "E6"),
)
