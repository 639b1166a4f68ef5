"""Segments at the very edge of a window: a RST at its end, an ACK from long before, a SYN where nobody listens."""

from timewait.lab.cases import FIRST, PORT, Table, case
from timewait.lab.hand import SILENCE, Hand, answers, described
from timewait.lab.scenario import Observation, Scenario, Settings, Stage, linux, observed, rfc
from timewait.lab.steps import end
from timewait.tcp.states import CLOSE_WAIT, TIME_WAIT
from timewait.wire.segment import ACK, RST, SYN

_EDGE = "tcp_sequence(), net/ipv4/tcp_input.c: after(seq, rcv_nxt + window), so the edge itself is let in"
_OUTSIDE = "RFC 9293 3.10.7.4, first: not acceptable"
_OLD_ACK = "RFC 9293 3.10.7.4, fifth (MAY-12); RFC 5961 5: older than any window"
_UNSENT = "tcp_ack(), net/ipv4/tcp_input.c: min(max_window, bytes_acked), of octets never sent"
_SYN = "RFC 9293 3.10.7.4, fourth: challenge ACK"

CASES = (
    case(
        CLOSE_WAIT,
        "ACK of 100,000 octets ago",
        ACK,
        rfc("ACK; kept", _OLD_ACK),
        ack=-100_000,
        orphan=False,
    ),
    case(
        CLOSE_WAIT,
        "ACK of 100 octets ago",
        ACK,
        linux("ACK; kept", _UNSENT),
        rfc("nothing; kept", _OLD_ACK),
        ack=-100,
        orphan=False,
    ),
)


def run(stage: Stage, settings: Settings) -> list[Observation]:
    """Send to CLOSE-WAIT what lies at its windows' edges, then SYNs to a TIME-WAIT whose listener is gone."""
    host = stage.host
    table = Table(stage, CASES)
    found = table.play()
    for at, (by, told) in enumerate(
        (
            (-1, (rfc("ACK", "RFC 5961 3: challenge ACK"),)),
            (0, (linux("ACK", _EDGE), rfc("nothing", _OUTSIDE))),
            (1, (rfc("nothing", _OUTSIDE),)),
        )
    ):
        hand = Hand(stage, PORT, FIRST + 10 + at)
        hand.bring(hand.open(table.listener), CLOSE_WAIT)
        (heard,) = answers([hand], [hand.segment(RST, seq=_window(hand) + by)])
        found.append(
            observed(
                f"RST at the window's end{by:+}" if by else "RST at the window's end", described(hand, heard), *told
            )
        )

    waiting = [Hand(stage, PORT, FIRST + 20 + at) for at in range(2)]
    for hand in waiting:
        hand.bring(hand.open(table.listener), TIME_WAIT)
    stage.wait(SILENCE)
    host.close(table.listener)
    syns = [hand.segment(SYN, seq=seq) for hand, seq in zip(waiting, (1000, -1000), strict=True)]
    for hand, words, heard in zip(waiting, ("above R", "below R"), answers(waiting, syns), strict=True):
        name = f"TIME-WAIT without a listener: SYN {words}"
        found.append(observed(f"{name} gets", described(hand, heard), rfc("ACK", _SYN)))
        row = end(host, PORT, hand.own)
        found.append(observed(f"{name} leaves", row.state if row else "nothing", rfc("TIME-WAIT", _SYN)))
    return found


def _window(hand: Hand) -> int:
    """Return how far the host's window reaches from what is sent next, by its last word."""
    last = hand.heard()[-1]
    return last.window - (hand.seq - last.ack)


SCENARIO = Scenario(
    question="What do segments get that lie just inside, or just outside?",
    sources=("RFC 9293 3.10.7.4", "RFC 5961 3, 5", f"Linux: {_EDGE}"),
    run=run,
    wires=("wire",),
    tags=("close", "time-wait", "segments", "network", "E5", "G3", "H22", "H24"),
)
