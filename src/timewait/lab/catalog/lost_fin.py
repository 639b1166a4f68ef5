"""A FIN that never arrives: it is sent again, after a time that doubles, and given up when it was sent often enough."""

from itertools import pairwise

from timewait.clock import MS, SECOND
from timewait.lab.scenario import (
    STALL,
    TICK,
    WORLDS,
    Known,
    Observation,
    Parameter,
    Scenario,
    Settings,
    Stage,
    Within,
    linux,
    observed,
    rfc,
)
from timewait.lab.steps import NOTHING, opened_between, set_if_any, state, until
from timewait.sim import faults

_PORT, _CLIENT = 80, 40000
_GIVEN_UP = "tcp_out_of_resources(), tcp_orphan_retries(), net/ipv4/tcp_timer.c"
_RETRIES = "net.ipv4.tcp_orphan_retries"


def run(stage: Stage, settings: Settings) -> list[Observation]:
    """Lose every FIN of the client's; let a host that has the setting give an orphan up soon."""
    client = stage["client"]
    set_if_any(client, _RETRIES, settings["retries"])
    pair = opened_between(stage, "client", "server", _PORT, _CLIENT)
    stage.fault("client", "server", faults.lose(faults.fin, times=None))
    client.close(pair.client)
    seen = state(client, _CLIENT, _PORT)
    limited = client.sysctl(_RETRIES) is not None
    stage.until(lambda: len(stage.sent("client", faults.fin)) > settings["retries"], 60 * SECOND)
    if limited:
        until(client, lambda: state(client, _CLIENT, _PORT) == NOTHING, 120 * SECOND, 20 * MS)
    gone = state(client, _CLIENT, _PORT)
    syn, ack = stage.sent_at("client")[:2]
    times = stage.sent_at("client", faults.fin)
    gaps = [later - earlier for earlier, later in pairwise(times)]
    ratios = [100 * later // max(earlier, 1) for earlier, later in pairwise(gaps)]
    late = "ticks of the timer (kernel/time/timer.c: an eighth); a busy machine sends up to 300 ms late, twice"
    found = [
        observed("the client is in", seen, rfc("FIN-WAIT-1", "RFC 9293 3.10.4: CLOSE")),
        observed(
            "sent again first after",
            gaps[0] if gaps else 0,
            linux(200 * MS, "TCP_RTO_MIN, include/net/tcp.h: HZ/5, and the smoothed round trip"),
            within=Within(TICK, 25 * MS + 2 * STALL + 3 * (ack - syn), f"{late}; three round trips (RFC 6298 2.2)"),
            time=True,
        ),
        observed(
            "then each time after so many % of the last",
            max(ratios, default=0),
            rfc(200, "RFC 6298 5.5: back off the timer"),
            within=Within(
                10, 300, f"{late}: the largest, which a time drawn out makes larger; 100 would be no doubling"
            ),
        ),
        observed("all FINs alike", len(set(_numbers(stage))) == 1, rfc(True, "RFC 9293 3.8.1")),
    ]
    if limited:
        found.append(observed("in the end, left at the client", gone, linux("nothing", _GIVEN_UP)))
        found.append(observed("FINs in all", len(times)))
    peer = state(stage["server"], _PORT, _CLIENT)
    found.append(observed("the server is still in", peer, rfc("ESTABLISHED", "RFC 9293 3.5.1: half-open")))
    return found


def _numbers(stage: Stage) -> list[tuple[int, int]]:
    return [(each.seq, each.ack) for each in stage.sent("client", faults.fin)]


SCENARIO = Scenario(
    question="How often, and how long, is a FIN sent again that nobody acknowledges?",
    sources=("RFC 9293 3.8.1, 3.8.3", "RFC 6298 5.5", f"Linux: {_GIVEN_UP}"),
    run=run,
    hosts=("client", "server"),
    worlds=WORLDS,
    tags=("close", "network", "retransmission", "B1", "B12"),
    parameters=(Parameter("retries", 3, "tcp_orphan_retries: how patient a host is with an orphan", 2, 5),),
    lasts=7 * SECOND,
    known=(
        Known(
            "FINs in all",
            "the kernel's first repetition is a tail loss probe, which counts as none; the engine sends no such",
            "tcp_send_loss_probe(), net/ipv4/tcp_output.c; RFC 8985 7",
            since=(3, 10),
        ),
    ),
)
