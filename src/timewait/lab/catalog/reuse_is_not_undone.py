"""A port is taken over from TIME-WAIT for a connect() that then fails: the old wait is gone all the same."""

from timewait.lab.scenario import Observation, Scenario, Settings, Stage, linux, observed, rfc
from timewait.lab.steps import CLIENT, SERVER, Counting, closed, listen, opened, result, settled, state

_SOURCE = "__inet_check_established(), net/ipv4/inet_hashtables.c: inet_twsk_deschedule_put()"


def run(stage: Stage, settings: Settings) -> list[Observation]:
    """Let the client's port wait, close the listener, connect again."""
    host = stage.host
    listener = listen(host)
    closed(host, *opened(host, listener))
    before = settled(host, CLIENT.port, SERVER.port, ["TIME-WAIT"])
    host.close(listener)
    counting = Counting(host)
    again = host.connect(SERVER, source=CLIENT, reuse_address=True)
    return [
        observed("the client is in", before, rfc("TIME-WAIT", "RFC 9293 3.10.7.4, FIN-WAIT-2: FIN")),
        observed("connect() with nobody listening", result(again), linux("ECONNREFUSED", "RFC 9293 3.10.7.1: RST")),
        observed("waits taken over", counting.by("TcpExt.TWRecycled"), linux(1, f"TWRecycled, {_SOURCE}")),
        observed("left at the client", state(host, CLIENT.port, SERVER.port), linux("nothing", _SOURCE)),
    ]


SCENARIO = Scenario(
    question="Does TIME-WAIT come back when the connect() that took over its port fails?",
    sources=(f"Linux: {_SOURCE}",),
    run=run,
    tags=("reuse", "time-wait"),
)
