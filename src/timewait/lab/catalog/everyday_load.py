"""A desk's worth of connections to one place: how much of the port range they ever hold."""

from timewait.clock import MS, SECOND
from timewait.lab.scenario import Observation, Parameter, Scenario, Settings, Stage, Within, linux, observed
from timewait.lab.steps import listen, tried

_SOURCE = "ip_local_port_range, 32768 to 60999; TCP_TIMEWAIT_LEN, include/net/tcp.h"
_PORTS = 28232


def run(stage: Stage, settings: Settings) -> list[Observation]:
    """Connect at a steady rate, the client closing, with the host's own range, for longer than TIME-WAIT lasts."""
    host = stage.host
    rate, seconds = settings["rate"], settings["seconds"]
    listener = listen(host)
    began = host.now()
    made, refused, most = 0, 0, 0
    while host.now() < began + seconds * SECOND:
        while made <= (host.now() - began) * rate // SECOND:
            refused += not tried(host, listener).ok
            made += 1
        most = max(most, host.counters()["sockstat.TCP.tw"])
        host.wait(200 * MS)
    held = min(60, seconds) * rate
    late = Within(3 * rate, 5 * rate, "the timer wheel fires up to 4.1 s late; a busy machine looks late")
    return [
        observed("connects refused", refused, linux(0, _SOURCE)),
        observed("ports held at most", most, linux(held, _SOURCE), within=late),
        observed("more than a tenth of the range", most > _PORTS // 10, linux(held > _PORTS // 10, _SOURCE)),
    ]


SCENARIO = Scenario(
    question="Does a workstation's everyday use come near its port range?",
    sources=(f"Linux: {_SOURCE}",),
    run=run,
    tags=("ports", "rate", "time", "exhaustion"),
    parameters=(
        Parameter("rate", 10, "connects a second to one destination", 1, 1000),
        Parameter("seconds", 65, "for how long", 1, 3600),
    ),
    lasts=66 * SECOND,
)
