"""The peer's FIN comes while ours waits behind text that the window keeps back; and FINs again from CLOSING."""

from timewait.clock import MS
from timewait.lab.hand import SILENCE, Hand
from timewait.lab.scenario import Observation, Scenario, Settings, Stage, observed, rfc
from timewait.lab.steps import listen, must, settled, state
from timewait.sim import faults
from timewait.wire.segment import ACK, FIN

_SIMULTANEOUS = "RFC 9293 3.10.7.4, eighth: FIN in FIN-WAIT-1, ours not acknowledged"
_AGAIN = "RFC 9293 3.8.1: retransmission; 3.10.7.4: <ACK=RCV.NXT>"
_PORT, _OWN = 80, 40000


def run(stage: Stage, settings: Settings) -> list[Observation]:
    """Close the window, let the host write and close, send a FIN, open the window; then ask for everything again."""
    host = stage.host
    hand = Hand(stage, _PORT, _OWN)
    connection = hand.open(listen(host, stage.at("host", _PORT)))
    hand.put(hand.segment(ACK, window=0))
    stage.wait(SILENCE)
    must(host.send(connection, b"the text"), "sending")
    host.close(connection)
    before = state(host, _PORT, _OWN)
    hand.mark()
    fin = hand.segment(FIN | ACK, window=0)
    hand.put(fin)
    hand.seq = fin.end
    between = settled(host, _PORT, _OWN, ["CLOSING"])
    early = any(len(each.payload) > 1 for each in hand.heard())  # one octet is a probe of the window
    hand.put(hand.segment(ACK))
    last = hand.hears(lambda each: bool(each.flags & FIN))
    text = next((each for each in hand.heard() if len(each.payload) > 1), None)
    again = len(stage.sent("host", faults.fin))
    stage.until(lambda: len(stage.sent("host", faults.fin)) > again, 3000 * MS)
    repeated = stage.sent("host", faults.fin)[-1]
    return [
        observed("with its FIN queued, the host is in", before, rfc("FIN-WAIT-1", "RFC 9293 3.10.4: CLOSE")),
        observed("text sent into the closed window", early, rfc(False, "RFC 9293 3.8.6.1")),
        observed("with the peer's FIN there, it is in", between, rfc("CLOSING", _SIMULTANEOUS)),
        observed("its text then acknowledges the FIN", text is not None and text.ack == hand.seq, rfc(True, _AGAIN)),
        observed("its FIN too", last is not None and last.ack == hand.seq, rfc(True, _AGAIN)),
        observed("and every time it is sent again", repeated.ack == hand.seq, rfc(True, _AGAIN)),
    ]


SCENARIO = Scenario(
    question="What if the peer's FIN comes before ours could leave?",
    sources=("RFC 9293 3.10.4, 3.10.7.4", "RFC 9293 3.8.1"),
    run=run,
    wires=("wire",),
    tags=("close", "network", "retransmission", "B2", "B7"),
    lasts=2_000_000_000,
)
