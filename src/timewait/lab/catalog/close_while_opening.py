"""A close before the connection is there: nothing is sent, nothing is left."""

from timewait.clock import MS
from timewait.lab.scenario import Observation, Scenario, Settings, Stage, linux, observed, rfc
from timewait.lab.steps import CLIENT, SERVER, Counting, at_port, listen, result, state

_SOURCE = "RFC 9293 3.10.4, SYN-SENT: delete the TCB"


def run(stage: Stage, settings: Settings) -> list[Observation]:
    """Fill the accept queue so that SYNs are dropped; connect, and give up while in SYN-SENT."""
    host = stage.host
    listen(host, backlog=1)
    for at in range(1, 5):
        if not host.connect(SERVER, source=at_port(CLIENT, CLIENT.port + at), timeout=200 * MS).ok:
            break
    counting = Counting(host)
    given_up = host.connect(SERVER, source=CLIENT, reuse_address=True, timeout=50 * MS)
    sent = counting.by("Tcp.OutRsts")
    left = state(host, CLIENT.port, SERVER.port)
    again = host.listen(CLIENT, reuse_address=False)
    return [
        observed("connect() is given up after 50 ms", result(given_up), linux("ETIMEDOUT", "tcp_conn_request(): full")),
        observed("segments with RST", sent, rfc(0, _SOURCE)),
        observed("left", left, rfc("nothing", _SOURCE)),
        observed("listen() on its port", result(again), rfc("ok", _SOURCE)),
    ]


SCENARIO = Scenario(
    question="What does close() do before a connection is established?",
    sources=(_SOURCE,),
    run=run,
    tags=("close", "syn-sent", "A7"),
)
