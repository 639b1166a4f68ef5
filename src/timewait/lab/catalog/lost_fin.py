"""A FIN that never arrives: it is sent again, after a time that doubles, and given up when it was sent often enough."""

from itertools import pairwise

from timewait.clock import MS, SECOND
from timewait.lab.scenario import (
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
from timewait.lab.steps import opened_between, set_if_any, settled, state
from timewait.sim import faults
from timewait.trace import Moved

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
    stage.until(lambda: len(_times(stage)) > settings["retries"], 60 * SECOND)
    gone = settled(client, _CLIENT, _PORT, ["nothing"]) if limited else ""
    times = _times(stage)
    gaps = [later - earlier for earlier, later in pairwise(times)]
    ratios = [100 * later // earlier for earlier, later in pairwise(gaps)]
    why = "whole ticks of the timer, and waking up on a busy machine"
    found = [
        observed("the client is in", seen, rfc("FIN-WAIT-1", "RFC 9293 3.10.4: CLOSE")),
        observed(
            "sent again first after",
            gaps[0] if gaps else 0,
            linux(200 * MS, "TCP_RTO_MIN, include/net/tcp.h: HZ/5, and the smoothed round trip"),
            within=Within(0, 300 * MS, why),
            time=True,
        ),
        observed(
            "then each time after so many % of the last",
            ratios[-1] if ratios else 0,
            rfc(200, "RFC 6298 5.5: back off the timer"),
            within=Within(60, 100, why),
        ),
        observed("all FINs alike", len(set(_numbers(stage))) == 1, rfc(True, "RFC 9293 3.8.1")),
    ]
    if limited:
        found.append(observed("in the end, left at the client", gone, linux("nothing", _GIVEN_UP)))
        found.append(observed("FINs in all", len(times)))
    peer = state(stage["server"], _PORT, _CLIENT)
    found.append(observed("the server is still in", peer, rfc("ESTABLISHED", "RFC 9293 3.5.1: half-open")))
    return found


def _times(stage: Stage) -> list[int]:
    fins = (each for each in stage.trace.sent() if isinstance(each, Moved) and faults.fin(each.segment))
    return [each.time for each in fins if each.host == "client"]


def _numbers(stage: Stage) -> list[tuple[int, int]]:
    return [(each.seq, each.ack) for each in stage.sent("client", faults.fin)]


SCENARIO = Scenario(
    question="How often, and how long, is a FIN sent again that nobody acknowledges?",
    sources=("RFC 9293 3.8.1, 3.8.3", "RFC 6298 5.5", f"Linux: {_GIVEN_UP}"),
    run=run,
    hosts=("client", "server"),
    worlds=WORLDS,
    tags=("close", "network", "retransmission", "B1", "B12"),
    parameters=(Parameter("retries", 2, "tcp_orphan_retries: how patient a host is with an orphan", 2, 5),),
    lasts=2 * SECOND,
    known=(
        Known(
            "FINs in all",
            "the kernel's first repetition is a tail loss probe, which counts as none; the engine sends no such",
            "tcp_send_loss_probe(), net/ipv4/tcp_output.c; RFC 8985 7",
            since=(3, 10),
        ),
    ),
)
