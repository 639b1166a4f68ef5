"""tcp_tw_recycle: a setting that Linux had until 4.12."""

from timewait.lab.scenario import Known, Observation, Scenario, Settings, Stage, linux, observed
from timewait.lab.steps import CLIENT, SERVER, closed, end, listen, opened, settled

_SOURCE = "net/ipv4/sysctl_net_ipv4.c: taken out in 4.12"
_OLD = "tcp_time_wait(), net/ipv4/tcp_minisocks.c until 4.11: 3.5 timeouts with recycling on"


def run(stage: Stage, settings: Settings) -> list[Observation]:
    """Look for the setting, and whether a TIME-WAIT is begun with its minute to go."""
    host = stage.host
    there = host.sysctl("net.ipv4.tcp_tw_recycle") is not None
    listener = listen(host)
    closed(host, *opened(host, listener))
    stands = settled(host, CLIENT.port, SERVER.port, ["TIME-WAIT"])
    row = end(host, CLIENT.port, SERVER.port)
    whole = row is not None and (row.time_left or 0) > 50 * 10**9
    return [
        observed("the host has tcp_tw_recycle", there, linux(False, _SOURCE)),
        observed("the client is in", stands, linux("TIME-WAIT", "RFC 9293 3.10.7.4, FIN-WAIT-2: FIN")),
        observed("for a minute", whole, linux(True, "TCP_TIMEWAIT_LEN, include/net/tcp.h")),
    ]


SCENARIO = Scenario(
    question="Is there still a tcp_tw_recycle to set?",
    sources=(f"Linux: {_SOURCE}", f"Linux: {_OLD}"),
    run=run,
    tags=("sysctl", "time-wait", "recycle"),
    known=(Known("the host has tcp_tw_recycle", "it was taken out in 4.12", _SOURCE, before=(4, 12)),),
)
