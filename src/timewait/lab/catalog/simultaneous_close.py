"""Both ends close before either's FIN arrives: both pass through CLOSING, and both have TIME-WAIT."""

from timewait.lab.scenario import WORLDS, Observation, Scenario, Settings, Stage, observed, rfc
from timewait.lab.steps import opened_between, settled, state
from timewait.sim import faults
from timewait.wire.segment import Segment

_BOTH = "RFC 9293 3.6, case 3; figure 13"
_PORT, _CLIENT = 80, 40000


def run(stage: Stage, settings: Settings) -> list[Observation]:
    """Hold both FINs until both have left, then let them go; later their ACKs, and FINs that timers sent again."""
    pair = opened_between(stage, "client", "server", _PORT, _CLIENT)
    ways = ("client", "server"), ("server", "client")
    held = [stage.fault(*way, faults.hold(faults.fin)) for way in ways]
    later = [stage.fault(*way, faults.hold(_answers, times=None)) for way in ways]
    stage["client"].close(pair.client)
    stage["server"].close(pair.server)
    both = ("client", _CLIENT, _PORT), ("server", _PORT, _CLIENT)
    before = [state(stage[name], local, peer) for name, local, peer in both]
    for fault in held:
        stage.release(fault)
    between = [settled(stage[name], local, peer, ["CLOSING"]) for name, local, peer in both]
    for fault in later:
        stage.release(fault)
    after = [settled(stage[name], local, peer, ["TIME-WAIT"]) for name, local, peer in both]
    found = []
    for words, states, foretold in (
        ("with its FIN on the way", before, "FIN-WAIT-1"),
        ("with the other's FIN there", between, "CLOSING"),
        ("with both acknowledged", after, "TIME-WAIT"),
    ):
        for (name, *_), seen in zip(both, states, strict=True):
            found.append(observed(f"{words}, the {name} is in", seen, rfc(foretold, _BOTH)))
    acked = [stage.sent(name, faults.pure_ack)[-1:] for name, *_ in both]  # FreeBSD answers with its FIN again
    ours = [stage.sent(name, faults.fin)[0] for name, *_ in both]
    for (name, *_), ack, own in zip(both, acked, ours, strict=True):
        found.append(
            observed(
                f"ACK of the {name} counts its own FIN",
                any(each.seq == own.end for each in ack),
                rfc(True, "RFC 9293 3.10.7.4: <SEQ=SND.NXT>"),
            )
        )
    return found


def _answers(segment: Segment) -> bool:
    return faults.pure_ack(segment) or faults.fin(segment)


SCENARIO = Scenario(
    question="Who waits when both close at once?",
    sources=("RFC 9293 3.6, 3.10.7.4",),
    run=run,
    hosts=("client", "server"),
    worlds=WORLDS,
    tags=("close", "time-wait", "network", "B6", "D1", "H1"),
)
