"""tcp_fin_timeout above TIME-WAIT's length: for as long as it is above, FIN-WAIT-2 stays a full socket.

A full socket on the four-tuple refuses every connect(); the small record that follows, for as long again, gives way.
So a setting of 62 s does not make 62 s of it but four.
"""

from timewait.clock import SECOND
from timewait.lab.scenario import Observation, Parameter, Scenario, Settings, Stage, linux, measured, observed, rfc
from timewait.lab.steps import CLIENT, SERVER, end, listen, opened, result, settled, tried, until

_SOURCE = "tcp_keepalive_timer(), net/ipv4/tcp_timer.c: tcp_fin_time() less TCP_TIMEWAIT_LEN, twice"


def run(stage: Stage, settings: Settings) -> list[Observation]:
    """Close one side, reconnect while the socket is full, and once more when it has become a record."""
    host = stage.host
    host.set_sysctl("net.ipv4.tcp_fin_timeout", str(60 + settings["above_s"]))
    listener = listen(host)
    client, _ = opened(host, listener)
    began = host.close(client).began
    stands = settled(host, CLIENT.port, SERVER.port, ["FIN-WAIT-2"])
    before = end(host, CLIENT.port, SERVER.port)
    early = tried(host, listener, source=CLIENT)
    until(host, lambda: _small(stage), patience=2 * settings["above_s"] * SECOND)
    shrunk = host.now() - began
    late = tried(host, listener, source=CLIENT)
    span = settings["above_s"] * SECOND
    within = measured(span // 4, "the timer wheel fires up to an eighth late")
    return [
        observed("the client is in", stands, rfc("FIN-WAIT-2", "RFC 9293 3.10.7.4, FIN-WAIT-1: our FIN acked")),
        observed("it is a small record", before is not None and before.mini, linux(False, _SOURCE)),
        observed("connect() over it", result(early), linux("EADDRNOTAVAIL", "__inet_check_established(): no record")),
        observed("it becomes one after", shrunk, linux(span, _SOURCE), within=within, time=True),
        observed("connect() over that", result(late), linux("ok", "tcp_twsk_unique(): twp is NULL")),
    ]


def _small(stage: Stage) -> bool:
    row = end(stage.host, CLIENT.port, SERVER.port)
    return row is not None and row.mini


SCENARIO = Scenario(
    question="What changes when tcp_fin_timeout is above 60 seconds?",
    sources=("Linux: Documentation/networking/ip-sysctl.rst, tcp_fin_timeout", f"Linux: {_SOURCE}"),
    run=run,
    tags=("reconnect", "fin-wait-2", "sysctl", "time", "C2"),
    parameters=(Parameter("above_s", 3, "seconds above 60", 1, 60),),
    lasts=4 * SECOND,
)
