"""The client closes, and runs out of ports towards one destination: how many connects it has, and for how long."""

from timewait.clock import MS, SECOND
from timewait.lab.scenario import Observation, Parameter, Scenario, Settings, Stage, linux, observed
from timewait.lab.steps import A_MINUTE, RANGE, REUSE, listen, result, set_if_any, tried, until

_SOURCE = "__inet_hash_connect(), net/ipv4/inet_hashtables.c; TCP_TIMEWAIT_LEN"


def run(stage: Stage, settings: Settings) -> list[Observation]:
    """Use up a small range, then try until a port is free again."""
    host = stage.host
    ports = settings["ports"]
    set_if_any(host, REUSE, 0)
    host.set_sysctl(RANGE, f"50000 {50000 + ports - 1}")
    listener = listen(host)
    began = host.now()
    count = 0
    while (outcome := tried(host, listener)).ok and count <= ports:
        count += 1
    host.wait(55 * SECOND)
    free = until(host, lambda: tried(host, listener).ok, 300 * SECOND, 100 * MS)
    lasted = host.now() - began
    # By now all have gone, or do within the spread of the waits.
    again = 1 if free else 0
    host.wait(5 * SECOND)
    while again < 2 * ports and tried(host, listener).ok:
        again += 1
    return [
        observed("connects", count, linux(ports, _SOURCE)),
        observed("then connect() gives", result(outcome), linux("EADDRNOTAVAIL", f"connect(2); {_SOURCE}")),
        observed("until", lasted, linux(60 * SECOND, _SOURCE), within=A_MINUTE, time=True),
        observed("connects thereafter", again, linux(ports, _SOURCE)),
    ]


SCENARIO = Scenario(
    question="How many connects to one destination has a client that closes first, and how soon again?",
    sources=("connect(2): EADDRNOTAVAIL", "Linux: __inet_hash_connect(); TCP_TIMEWAIT_LEN, include/net/tcp.h"),
    run=run,
    tags=("ports", "exhaustion", "time", "rate"),
    parameters=(Parameter("ports", 8, "ports in the range", 2, 1000),),
    lasts=68 * SECOND,
)
