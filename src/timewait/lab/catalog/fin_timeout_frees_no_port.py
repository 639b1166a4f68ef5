"""tcp_fin_timeout set to 2: the ports of a client that closed first stay held."""

from timewait.clock import SECOND
from timewait.lab.scenario import Observation, Parameter, Scenario, Settings, Stage, linux, observed
from timewait.lab.steps import RANGE, REUSE, SERVER, closed, listen, must, result, set_if_any, tried

_SOURCE = "tcp_time_wait(), net/ipv4/tcp_minisocks.c: TCP_TIMEWAIT_LEN for TIME-WAIT, the timeout for FIN-WAIT-2 only"


def run(stage: Stage, settings: Settings) -> list[Observation]:
    """Use a small range up, wait longer than the timeout, try again; then the same with servers that do not close."""
    host = stage.host
    ports = settings["ports"]
    set_if_any(host, REUSE, 0)
    host.set_sysctl("net.ipv4.tcp_fin_timeout", "2")
    listener = listen(host)
    found = []
    for at, (name, both) in enumerate((("both sides closed", True), ("the client alone closed", False))):
        low = 50000 + at * 1000
        host.set_sysctl(RANGE, f"{low} {low + ports - 1}")
        made = 0
        while made <= ports and (outcome := host.connect(SERVER)).ok:
            server = must(host.accept(listener), "accepting")
            if both:
                closed(host, outcome.value, server)
            else:
                host.close(outcome.value)
            made += 1
        host.wait(4 * SECOND)
        again = tried(host, listener)
        found.append(observed(f"{name}: connects", made, linux(ports, "__inet_hash_connect()")))
        found.append(
            observed(f"{name}: four seconds later", result(again), linux("EADDRNOTAVAIL" if both else "ok", _SOURCE))
        )
    return found


SCENARIO = Scenario(
    question="Does a lower tcp_fin_timeout give ports back sooner?",
    sources=("Linux: Documentation/networking/ip-sysctl.rst, tcp_fin_timeout", f"Linux: {_SOURCE}"),
    run=run,
    tags=("ports", "exhaustion", "fin-wait-2", "sysctl", "C2", "C3"),
    parameters=(Parameter("ports", 8, "ports in the range", 2, 1000),),
    lasts=9 * SECOND,
)
