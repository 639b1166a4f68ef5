"""What connect() costs as the range of ports fills: little up to one half, much beyond it."""

from statistics import median

from timewait.lab.scenario import KERNEL, Observation, Parameter, Scenario, Settings, Stage, linux, observed
from timewait.lab.steps import RANGE, REUSE, SERVER, closed, listen, must, set_if_any

_LOW = 10000
_SOURCE = "__inet_hash_connect(), net/ipv4/inet_hashtables.c: ports of one parity first, tried one by one"


def run(stage: Stage, settings: Settings) -> list[Observation]:
    """Fill the range, each connection closed by the client, and take the time of each connect()."""
    host = stage.host
    ports = settings["ports"]
    set_if_any(host, REUSE, 0)
    host.set_sysctl(RANGE, f"{_LOW} {_LOW + ports - 1}")
    listener = listen(host)
    took = []
    for _ in range(ports):
        outcome = host.connect(SERVER)
        if not outcome.ok:
            break
        took.append(outcome.took)
        closed(host, outcome.value, must(host.accept(listener), "accepting"))
    quarter = ports // 4
    before, after = int(median(took[quarter : 2 * quarter])), int(median(took[3 * quarter :]))
    return [
        observed("connects", len(took), linux(ports, _SOURCE)),
        observed("median connect(), range 25 to 50 % full", before, time=True),
        observed("median connect(), range 75 to 100 % full", after, time=True),
        observed("twice as slow at least", after >= 2 * before, linux(True, _SOURCE)),
    ]


SCENARIO = Scenario(
    question="What does connect() cost below and above one half of the port range?",
    sources=(f"Linux: {_SOURCE}",),
    run=run,
    tags=("ports", "search", "time"),
    parameters=(Parameter("ports", 2048, "ports in the range", 1024, 50000),),
    worlds=(KERNEL,),
    lasts=4_000_000_000,
)
