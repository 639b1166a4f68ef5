"""A FIN overtaken by a later ACK of the same end: its ACK number is old by then, and it counts all the same."""

from timewait.lab.hand import Hand, answers, described
from timewait.lab.scenario import Observation, Scenario, Settings, Stage, observed, rfc
from timewait.lab.steps import listen, state
from timewait.tcp.states import State
from timewait.wire.segment import ACK, FIN

_OLD = "RFC 9293 3.10.7.4, fifth: a duplicate ACK can be ignored; the segment goes on"
_PORT, _OWN = 80, 40000


def run(stage: Stage, settings: Settings) -> list[Observation]:
    """The ACK of the host's FIN comes first, then a FIN written before it."""
    host = stage.host
    hand = Hand(stage, _PORT, _OWN)
    connection = hand.open(listen(host, stage.at("host", _PORT)))
    hand.bring(connection, State.FIN_WAIT_2)
    old = hand.segment(FIN | ACK, ack=-1)
    (heard,) = answers([hand], [old])
    return [
        observed("the FIN's answer", described(hand, heard), rfc("ACK at R+1", _OLD)),
        observed("then the host is in", state(host, _PORT, _OWN), rfc("TIME-WAIT", _OLD)),
    ]


SCENARIO = Scenario(
    question="Does a FIN still count when a later ACK has overtaken it?",
    sources=("RFC 9293 3.10.7.4",),
    run=run,
    wires=("wire",),
    tags=("close", "network", "B11"),
)
