"""The rate at which a client that closes first can go on: ports divided by how long each is held."""

from timewait.clock import MS, SECOND
from timewait.lab.scenario import Observation, Parameter, Scenario, Settings, Stage, Within, linux, observed
from timewait.lab.steps import RANGE, REUSE, REUSE_DELAY, Counting, listen, tried

_SOURCE = "tcp_twsk_unique(), net/ipv4/tcp_ipv4.c: ports / tcp_tw_reuse_delay"


def run(stage: Stage, settings: Settings) -> list[Observation]:
    """Connect as often as possible for a while, from a small range, and count."""
    host = stage.host
    ports, held = settings["ports"], settings["delay_ms"] * MS
    host.set_sysctl(REUSE, "1")
    host.set_sysctl(REUSE_DELAY, str(settings["delay_ms"]))
    host.set_sysctl(RANGE, f"50000 {50000 + ports - 1}")
    listener = listen(host)
    counting = Counting(host)
    began = host.now()
    made = 0
    while host.now() < began + settings["seconds"] * SECOND:
        if tried(host, listener).ok:
            made += 1
        else:
            host.wait(MS)
    most = ports * -(-settings["seconds"] * SECOND // held)
    within = Within(most * 3 // 4, ports, "one round more; a busy machine tries less often, yet far more than ports")
    return [
        observed(f"connects in {settings['seconds']} s", made, linux(most, _SOURCE), within=within),
        observed(
            "of them over a port that waited",
            counting.by("TcpExt.TWRecycled"),
            linux(most - ports, "TWRecycled, __inet_check_established()"),
            within=within,
        ),
    ]


SCENARIO = Scenario(
    question="How many connects a second can a client sustain that closes first, with tcp_tw_reuse?",
    sources=("Linux: Documentation/networking/ip-sysctl.rst, tcp_tw_reuse_delay", f"Linux: {_SOURCE}"),
    run=run,
    tags=("ports", "rate", "reuse", "I4"),
    parameters=(
        Parameter("ports", 8, "ports in the range", 2, 1000),
        Parameter("delay_ms", 200, "net.ipv4.tcp_tw_reuse_delay", 10, 60000),
        Parameter("seconds", 2, "how long to go on", 1, 3600),
    ),
    lasts=2 * SECOND,
)
