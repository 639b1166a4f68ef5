"""How long TIME-WAIT lasts, and how far the waits of one host are spread."""

from statistics import median

from timewait.clock import MS, SECOND
from timewait.lab.scenario import Observation, Parameter, Scenario, Settings, Stage, linux, observed, rfc
from timewait.lab.steps import A_MINUTE, CLIENT, SERVER, at_port, lifetimes, listen, opened, until

_LOOK = 100 * MS


def run(stage: Stage, settings: Settings) -> list[Observation]:
    """Let many connections wait, begun at different moments, and see when each record goes."""
    host = stage.host
    listener = listen(host)
    began = {}
    for at in range(settings["waits"]):
        source = at_port(CLIENT, CLIENT.port + at)
        client, server = opened(host, listener, source=source)
        host.close(client)
        began[source.port] = host.now()
        host.close(server)
        host.wait(settings["apart_ms"] * MS)
    until(host, lambda: _waits(stage) == settings["waits"])
    there = _waits(stage)
    host.wait(50 * SECOND)
    lasted = sorted(lifetimes(host, began, 200 * SECOND, _LOOK).values())
    foretold = (
        rfc(240 * SECOND, "RFC 9293 3.4.2 (MUST-13): two MSL of 2 minutes"),
        linux(60 * SECOND, "TCP_TIMEWAIT_LEN, include/net/tcp.h; no sysctl changes it"),
    )
    return [
        observed("connections in TIME-WAIT", there, rfc(settings["waits"], "RFC 9293 3.3.2")),
        observed("that ended", len(lasted), rfc(settings["waits"], "RFC 9293 3.10.8: TIME-WAIT TIMEOUT")),
        *(
            observed(f"{name} wait", int(choose(lasted)), *foretold, within=A_MINUTE, time=True)
            for name, choose in (("shortest", min), ("median", median), ("longest", max))
            if lasted
        ),
    ]


def _waits(stage: Stage) -> int:
    return sum(row.state == "TIME-WAIT" for row in stage.host.sockets(peer_port=SERVER.port))


SCENARIO = Scenario(
    question="How long does TIME-WAIT last, and how much do single waits differ?",
    sources=("RFC 9293 3.4.2 (MUST-13)", "Linux: TCP_TIMEWAIT_LEN, include/net/tcp.h; kernel/time/timer.c"),
    run=run,
    tags=("time", "time-wait", "H2"),
    parameters=(
        Parameter("waits", 20, "connections", 1, 1000),
        Parameter("apart_ms", 100, "time between one and the next", 0, 1000),
    ),
    lasts=65 * SECOND,
)
