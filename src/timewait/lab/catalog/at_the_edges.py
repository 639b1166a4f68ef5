"""Segments at the edges: a RST at the end of the window, an ACK far too old, a SYN where nobody listens any more."""

from timewait.lab.cases import Table, case
from timewait.lab.hand import Hand, answers, described
from timewait.lab.scenario import Observation, Scenario, Settings, Stage, linux, observed, rfc
from timewait.lab.steps import listen, settled, state
from timewait.tcp.states import CLOSE_WAIT, FIN_WAIT_2, TIME_WAIT
from timewait.wire.segment import ACK, RST, SYN

_PORT, _OWN = 81, 41000
_OUTSIDE = "RFC 9293 3.10.7.4, first: not acceptable"
_EDGE = "tcp_sequence(), net/ipv4/tcp_input.c: the right edge is within; then RFC 5961 3"
_OLD = "RFC 5961 5: an ACK older than the largest window"
_SYN = "RFC 9293 3.10.7.4, fourth: challenge ACK; RFC 5961 4"
CASES = (
    case(CLOSE_WAIT, "ACK of long ago", ACK, rfc("ACK; kept", _OLD), ack=-1_000_000, orphan=False),
    case(TIME_WAIT, "SYN above R, nobody listens", SYN, rfc("ACK; wait kept", _SYN), seq=1000),
    case(TIME_WAIT, "SYN at R, nobody listens", SYN, rfc("ACK; wait kept", _SYN)),
)


def run(stage: Stage, settings: Settings) -> list[Observation]:
    """Put the cases with their listener gone; then a RST just past the window, and one beyond that."""
    table = Table(stage, CASES)
    stage.host.close(table.listener)
    found = table.play()
    listener = listen(stage.host, stage.at("host", _PORT))
    for at, (name, foretold) in enumerate(
        (
            ("just past the window", (rfc("nothing", _OUTSIDE), linux("ACK", _EDGE))),
            ("one beyond that", (rfc("nothing", _OUTSIDE),)),
        )
    ):
        hand = Hand(stage, _PORT, _OWN + at)
        hand.bring(hand.open(listener), FIN_WAIT_2, orphan=False)
        settled(stage.host, _PORT, hand.own, [str(FIN_WAIT_2)])
        (heard,) = answers([hand], [hand.segment(RST, seq=hand.window + at)])
        found.append(observed(f"{FIN_WAIT_2}: RST {name}", described(hand, heard), *foretold))
        found.append(observed(f"{name}: left", state(stage.host, _PORT, hand.own), rfc("FIN-WAIT-2", _OUTSIDE)))
    return found


SCENARIO = Scenario(
    question="What do segments at the very edge of what is acceptable do?",
    sources=("RFC 9293 3.10.7.4", "RFC 5961 3 to 5", f"Linux: {_EDGE}"),
    run=run,
    wires=("wire",),
    tags=("segments", "reset", "network", "E5", "G3", "H22", "H24"),
)
