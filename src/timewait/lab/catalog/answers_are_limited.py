"""How many answers a run of strange segments gets: one each half second, but for those with text or FIN."""

from timewait.clock import MS, SECOND
from timewait.lab.hand import SILENCE, Hand
from timewait.lab.scenario import Observation, Scenario, Settings, Stage, linux, observed
from timewait.lab.steps import Counting, listen
from timewait.tcp.states import State
from timewait.wire.segment import ACK, FIN, SYN

_LIMIT = "__tcp_oow_rate_limited(), net/ipv4/tcp_input.c: tcp_invalid_ratelimit = 500 ms; not for segments with text"
_PORT = 80
_RUN = 4

# State, words, how the segment is written, answers to four at once, and whether there are more after the pause.
_RUNS = (
    (State.CLOSE_WAIT, "SYN", {"flags": SYN}, 1),
    (State.CLOSE_WAIT, "ACK below the window", {"flags": ACK, "seq": -10}, 1),
    (State.CLOSE_WAIT, "old text", {"flags": ACK, "seq": -10, "payload": b"old"}, _RUN),
    (State.CLOSE_WAIT, "FIN again", {"flags": FIN | ACK, "seq": -2}, _RUN),
    (State.TIME_WAIT, "SYN", {"flags": SYN, "seq": -10}, 1),
    (State.TIME_WAIT, "ACK below the window", {"flags": ACK, "seq": -10}, 1),
    (State.TIME_WAIT, "old text", {"flags": ACK, "seq": -10, "payload": b"old"}, _RUN),
    (State.TIME_WAIT, "FIN again", {"flags": FIN | ACK, "seq": -1}, _RUN),
)


def run(stage: Stage, settings: Settings) -> list[Observation]:
    """Send each kind of segment four times at once, and once more after the limit's half second."""
    host = stage.host
    listener = listen(host, stage.at("host", _PORT))
    hands = [Hand(stage, _PORT, 40000 + at) for at in range(len(_RUNS))]
    for hand, (state, *_) in zip(hands, _RUNS, strict=True):
        hand.bring(hand.open(listener), state)
    stage.wait(600 * MS)
    counting = Counting(host)
    counts = []
    for times in (_RUN, 1):
        for hand, (_, _, segment, _) in zip(hands, _RUNS, strict=True):
            hand.mark()
            for _ in range(times):
                hand.put(hand.segment(**segment))  # type: ignore[arg-type]
        stage.wait(SILENCE)
        counts.append([len(hand.heard()) for hand in hands])
        stage.wait(600 * MS)
    found = []
    for at, (state, words, _, answers) in enumerate(_RUNS):
        name = f"{state}: {words}"
        found.append(observed(f"{name}: answers to four at once", counts[0][at], linux(answers, _LIMIT)))
        found.append(observed(f"{name}: to one more, later", counts[1][at], linux(1, _LIMIT)))
    skipped = counting.by("TcpExt.TCPACKSkippedTimeWait")
    found.append(observed("TCPACKSkippedTimeWait", skipped, linux(2 * (_RUN - 1), _LIMIT)))
    return found


SCENARIO = Scenario(
    question="How often is a strange segment answered?",
    sources=("RFC 5961 7", f"Linux: {_LIMIT}"),
    run=run,
    wires=("wire",),
    tags=("time-wait", "segments", "network", "F6", "F7", "H10", "H11"),
    lasts=2 * SECOND,
)
