"""SYNs that PAWS refuses restart the wait each time: a client with an older clock keeps alive what keeps it out."""

from timewait.clock import MS, SECOND, Instant
from timewait.lab.hand import SILENCE, Hand
from timewait.lab.scenario import STALL, Observation, Parameter, Scenario, Settings, Stage, Within, linux, observed, rfc
from timewait.lab.steps import Counting, at_once, end, listen
from timewait.tcp.states import State
from timewait.wire.segment import SYN

_SOURCE = "tcp_timewait_state_process(), net/ipv4/tcp_minisocks.c: inet_twsk_reschedule() for what PAWS rejects"
_PORT, _OWN = 80, 40000
# Twice what `at_once` may be off by.
_LOOK = 100 * MS


def run(stage: Stage, settings: Settings) -> list[Observation]:
    """Send SYNs with an older timestamp and a higher number, and others with a lower number, to two connections."""
    host = stage.host
    listener = listen(host, stage.at("host", _PORT))
    hands = [Hand(stage, _PORT, _OWN + at, timestamps=True) for at in range(2)]
    for hand in hands:
        hand.bring(hand.open(listener), State.TIME_WAIT)
    stage.wait(SILENCE)
    counting = Counting(host)
    began = [_end(stage, hand) for hand in hands]
    for _ in range(settings["syns"]):
        stage.wait(settings["apart_ms"] * MS)
        hands[0].put(hands[0].segment(SYN, seq=1000, ts=-1000))
        hands[1].put(hands[1].segment(SYN, seq=-1000))
    stage.wait(SILENCE)
    put_off = [_end(stage, hand) - before for hand, before in zip(hands, began, strict=True)]
    passed = settings["syns"] * settings["apart_ms"] * MS
    late = "each SYN is put on the way late on a busy machine; a look is taken to be made up to 50 ms too early"
    return [
        observed(
            "refused by PAWS: the wait ends later by",
            put_off[0],
            linux(passed, _SOURCE),
            rfc(0, "RFC 7323 5.3: not acceptable, ACK and drop"),
            within=Within(_LOOK, passed // 2 + STALL, late),
            time=True,
        ),
        observed(
            "refused by its number: it ends when it would have",
            abs(put_off[1]) < _LOOK,
            rfc(True, "RFC 9293 3.10.7.4, fourth: nothing restarts it"),
        ),
        observed(
            "PAWS refused", counting.by("TcpExt.PAWSTimewait"), linux(settings["syns"], f"{_SOURCE}; PAWSTimewait")
        ),
    ]


def _end(stage: Stage, hand: Hand) -> Instant:
    """Return when the wait ends; 0 if there is none."""
    row, now = at_once(lambda: stage.now, lambda: end(stage.host, _PORT, hand.own))
    return 0 if row is None or row.time_left is None else now + row.time_left


SCENARIO = Scenario(
    question="Can a client keep a TIME-WAIT alive that refuses it?",
    sources=("RFC 7323 5.3", f"Linux: {_SOURCE}"),
    run=run,
    wires=("wire",),
    tags=("server-closes", "timestamps", "network", "H7", "H26", "H31"),
    parameters=(
        Parameter("syns", 5, "how many SYNs of each kind", 1, 50),
        Parameter("apart_ms", 600, "how far apart they are", 1, 10000),
    ),
    lasts=4 * SECOND,
)
