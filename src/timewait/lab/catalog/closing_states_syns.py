"""A SYN, and a SYN,ACK, to each closing state: a challenge ACK, whatever the number."""

from timewait.clock import MS, SECOND
from timewait.lab.cases import Case, Table, case
from timewait.lab.catalog.closing_states_resets import STATES
from timewait.lab.scenario import Observation, Scenario, Settings, Stage, rfc
from timewait.tcp.states import State
from timewait.wire.segment import ACK, SYN

_SOURCE = "tcp_validate_incoming(), net/ipv4/tcp_input.c: tcp_send_challenge_ack()"
_SYN = "RFC 9293 3.10.7.4, fourth: challenge ACK (RFC 5961 4)"
# RFC 5961 7 suggests ten challenge ACKs in five seconds; stacks that keep to it allow as many in one.
_APART = 110 * MS


def _cases(state: State) -> tuple[Case, ...]:
    usual = rfc("ACK; kept", _SYN)
    return (
        case(state, "SYN at R", SYN, usual, orphan=False),
        case(state, "SYN in the window", SYN, usual, seq=100, orphan=False),
        case(state, "SYN below R", SYN, usual, seq=-1000, orphan=False),
        case(state, "SYN far outside", SYN, usual, seq=1 << 30, orphan=False),
        case(state, "SYN,ACK at R", SYN | ACK, usual, orphan=False),
    )


CASES = tuple(each for state in STATES for each in _cases(state))


def run(stage: Stage, settings: Settings) -> list[Observation]:
    """Put each segment to a connection of its own."""
    return Table(stage, CASES).play(pause=_APART)


SCENARIO = Scenario(
    question="What does a SYN get from a connection that is being closed?",
    sources=("RFC 9293 3.10.7.4", "RFC 5961 4", f"Linux: {_SOURCE}"),
    run=run,
    wires=("wire",),
    tags=("close", "segments", "F1", "F4", "F5"),
    lasts=4 * SECOND,
)
