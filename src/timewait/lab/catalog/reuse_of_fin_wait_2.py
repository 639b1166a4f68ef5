"""tcp_tw_reuse and a port whose last connection is in FIN-WAIT-2, the peer not having closed yet."""

from timewait.clock import MS
from timewait.lab.scenario import Known, Observation, Parameter, Scenario, Settings, Stage, linux, observed
from timewait.lab.steps import CLIENT, REUSE, REUSE_DELAY, SERVER, listen, one_port, opened, result, settled, tried

_SOURCE = "tcp_twsk_unique(), net/ipv4/tcp_ipv4.c: tw_substate, since 6.12"


def run(stage: Stage, settings: Settings) -> list[Observation]:
    """Connect from a range of one port while it is in FIN-WAIT-2, then when the peer's FIN has come."""
    host = stage.host
    listener = listen(host)
    delay = settings["delay_ms"]
    host.set_sysctl(REUSE, "1")
    host.set_sysctl(REUSE_DELAY, str(delay))
    one_port(host, CLIENT.port)
    client, server = opened(host, listener, source=None, reuse_address=False)
    host.close(client)
    first = settled(host, CLIENT.port, SERVER.port, ["FIN-WAIT-2"])
    host.wait((delay + 50) * MS)
    while_half = tried(host, listener)
    host.close(server)
    second = settled(host, CLIENT.port, SERVER.port, ["TIME-WAIT"])
    at_once = tried(host, listener)
    host.wait((delay + 50) * MS)
    after = tried(host, listener)
    return [
        observed("the client is in", first, linux("FIN-WAIT-2", "__tcp_close(), net/ipv4/tcp.c")),
        observed("after the delay, connect() gives", result(while_half), linux("EADDRNOTAVAIL", _SOURCE)),
        observed("the peer closes, the client is in", second, linux("TIME-WAIT", "tcp_timewait_state_process()")),
        observed("at once, connect() gives", result(at_once), linux("EADDRNOTAVAIL", "the delay counts from the FIN")),
        observed("after the delay again", result(after), linux("ok", _SOURCE)),
    ]


SCENARIO = Scenario(
    question="Does tcp_tw_reuse help while the peer has not closed?",
    sources=(f"Linux: {_SOURCE}",),
    run=run,
    tags=("reuse", "fin-wait-2", "ports", "I4"),
    parameters=(Parameter("delay_ms", 1000, "net.ipv4.tcp_tw_reuse_delay", 200, 60000),),
    known=(
        Known(
            "after the delay, connect() gives",
            "FIN-WAIT-2 is taken over too, unless the stable kernel has the change",
            "tcp_twsk_unique(): tw_substate is looked at since 6.12",
            before=(6, 12),
        ),
    ),
    lasts=3_000_000_000,
)
