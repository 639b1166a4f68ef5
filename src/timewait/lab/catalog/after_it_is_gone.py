"""What a segment gets that comes for a connection which is over: after LAST-ACK, and after FIN-WAIT-2 ran out."""

from timewait.clock import SECOND
from timewait.lab.hand import Hand, answers, described
from timewait.lab.scenario import Observation, Scenario, Settings, Stage, linux, observed, rfc
from timewait.lab.steps import listen, set_if_any, settled
from timewait.tcp.states import State
from timewait.wire.segment import ACK, FIN

_CLOSED = "RFC 9293 3.10.7.1: CLOSED"
_TIMEOUT = "Documentation/networking/ip-sysctl.rst: tcp_fin_timeout"
_PORT = 80


def run(stage: Stage, settings: Settings) -> list[Observation]:
    """Let a LAST-ACK end in order and a FIN-WAIT-2 by its timeout; send an ACK and a FIN to each."""
    host = stage.host
    set_if_any(host, "net.ipv4.tcp_fin_timeout", 1)
    listener = listen(host, stage.at("host", _PORT))
    found = []
    hands = [Hand(stage, _PORT, 40000 + at) for at in range(4)]
    for hand, state in zip(hands, [State.LAST_ACK] * 2 + [State.FIN_WAIT_2] * 2, strict=True):
        hand.bring(hand.open(listener), state)
    for hand in hands[:2]:
        hand.put(hand.segment(ACK))
    left = [settled(host, _PORT, hand.own, ["nothing"]) for hand in hands]
    segments = [hand.segment(flags) for hand, flags in zip(hands, (ACK, FIN | ACK, ACK, FIN | ACK), strict=True)]
    heard = answers(hands, segments)
    for hand, gone, answer, segment, words in zip(
        hands,
        left,
        heard,
        segments,
        ("after LAST-ACK, an ACK", "after LAST-ACK, a FIN", "after FIN-WAIT-2, an ACK", "after FIN-WAIT-2, a FIN"),
        strict=True,
    ):
        if "FIN-WAIT-2" in words:
            found.append(observed(f"{words}: what is left", gone, linux("nothing", _TIMEOUT)))
            if gone != "nothing":
                continue
        found.append(observed(f"{words} gets", described(hand, answer), rfc("RST", _CLOSED)))
        exact = bool(answer) and answer[0].seq == segment.ack
        found.append(observed(f"{words}: the RST has its ACK's number", exact, rfc(True, f"{_CLOSED}, <SEQ=SEG.ACK>")))
    return found


SCENARIO = Scenario(
    question="What does a segment get whose connection is over?",
    sources=(_CLOSED, f"Linux: {_TIMEOUT}"),
    run=run,
    wires=("wire",),
    tags=("close", "reset", "network", "C2", "C3", "D10", "D12"),
    lasts=3 * SECOND,
)
