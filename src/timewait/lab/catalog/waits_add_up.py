"""How many connections wait at a steady rate of closes: the rate times the time each waits (Little's law)."""

from timewait.clock import SECOND
from timewait.lab.scenario import Observation, Parameter, Scenario, Settings, Stage, Within, linux, observed
from timewait.lab.steps import Counting, closed, listen, opened

_SOURCE = "TCP_TIMEWAIT_LEN, include/net/tcp.h; Little: L = rate times time"


def run(stage: Stage, settings: Settings) -> list[Observation]:
    """Close so many connections a second until the first have stopped waiting, and count."""
    host = stage.host
    rate, seconds = settings["rate"], settings["seconds"]
    listener = listen(host)
    began = host.now()
    counting = Counting(host)
    made, most = 0, 0
    while host.now() < began + seconds * SECOND:
        due = (host.now() - began) * rate // SECOND + 1
        while made < due:
            closed(host, *opened(host, listener, source=None, reuse_address=False))
            made += 1
        most = max(most, host.counters()["sockstat.TCP.tw"])
        host.wait(SECOND // 4)
    closes = rate * seconds
    late = Within(3 * rate, 5 * rate, "the timer wheel fires up to 4.1 s late; a busy machine closes and looks late")
    return [
        observed("closes", counting.by("TcpExt.TW"), linux(closes, _SOURCE), within=Within(rate, rate, "one second")),
        observed("in TIME-WAIT at most", most, linux(min(60, seconds) * rate, _SOURCE), within=late),
    ]


SCENARIO = Scenario(
    question="How many sockets in TIME-WAIT does a rate of closes come to?",
    sources=(f"Linux: {_SOURCE}",),
    run=run,
    tags=("time-wait", "rate", "time", "limit", "H2"),
    parameters=(
        Parameter("rate", 20, "connections closed each second", 1, 1000),
        Parameter("seconds", 70, "for how long", 1, 3600),
    ),
    lasts=71 * SECOND,
)
