"""net.ipv4.tcp_tw_reuse_delay: from when on exactly a port in TIME-WAIT may be chosen again."""

from timewait.clock import MS
from timewait.lab.scenario import Observation, Parameter, Scenario, Settings, Stage, linux, measured, observed
from timewait.lab.steps import CLIENT, REUSE, REUSE_DELAY, closed, listen, one_port, opened, tried, until

_DELAYS = (50, 200, 1000)
_WITHIN = measured(2 * MS, "it is looked for every 2 ms")


def run(stage: Stage, settings: Settings) -> list[Observation]:
    """For each delay, try from a range of one port until connect() succeeds."""
    host = stage.host
    listener = listen(host)
    host.set_sysctl(REUSE, "1")
    found = []
    for at, delay in enumerate((*_DELAYS, settings["delay_ms"])):
        host.set_sysctl(REUSE_DELAY, str(delay))
        one_port(host, CLIENT.port + at)
        pair = opened(host, listener, source=None, reuse_address=False)
        began = host.now()
        closed(host, *pair)
        took = [0]

        def succeeded(began: int = began, took: list[int] = took) -> bool:
            outcome = tried(host, listener)
            took[0] = outcome.ended - began
            return outcome.ok

        until(host, succeeded, patience=2 * delay * MS + 2000 * MS)
        foretold = linux(delay * MS, "tcp_twsk_unique(), net/ipv4/tcp_ipv4.c, since 6.14")
        found.append(observed(f"tcp_tw_reuse_delay = {delay}", took[0], foretold, within=_WITHIN, time=True))
    return found


SCENARIO = Scenario(
    question="When may connect() choose a port again whose last connection waits?",
    sources=("RFC 6191 3", "Linux: Documentation/networking/ip-sysctl.rst, tcp_tw_reuse_delay"),
    run=run,
    tags=("reuse", "ports", "sysctl", "time", "I4"),
    parameters=(Parameter("delay_ms", 10, "one more delay to try", 1, 60000),),
    lasts=2_000_000_000,
)
