"""The server's end waits, its listener is gone, and the client connects from the same port."""

from timewait.clock import MS, SECOND
from timewait.lab.scenario import (
    Observation,
    Parameter,
    Scenario,
    Settings,
    Stage,
    Within,
    linux,
    measured,
    observed,
    rfc,
)
from timewait.lab.steps import CLIENT, RFC1337, SERVER, Counting, listen, opened, result, set_if_any, settled, state

_SOURCE = "tcp_v4_rcv(), net/ipv4/tcp_ipv4.c, do_time_wait: no listener, so ACK"


def run(stage: Stage, settings: Settings) -> list[Observation]:
    """Close by the server, then the listener; connect from the same port."""
    host = stage.host
    assassinated = not settings["rfc1337"]
    set_if_any(host, RFC1337, settings["rfc1337"])
    listener = listen(host)
    client, server = opened(host, listener)
    host.close(server)
    host.close(client)
    before = settled(host, SERVER.port, CLIENT.port, ["TIME-WAIT"])
    host.close(listener)
    counting = Counting(host)
    again = host.connect(SERVER, source=CLIENT, reuse_address=True, timeout=120 * SECOND)
    sent = counting.by("TcpExt.TCPSynRetrans")
    within = Within(5 * SECOND, 5 * SECOND, "SYNs are sent again less and less often")
    if assassinated:
        within = measured(300 * MS, "two ticks of the timer each way; less than a timeout of 1 s")
    took = linux(0 if assassinated else 67 * SECOND, f"{_SOURCE}; tcp_timewait_state_process(): tcp_rfc1337")
    return [
        observed("the server's end is in", before, rfc("TIME-WAIT", "RFC 9293 3.10.7.4, FIN-WAIT-2: FIN")),
        observed("connect() gives", result(again), rfc("ECONNREFUSED", "RFC 9293 3.10.7.1: RST")),
        observed("after", again.took, took, within=within, time=True),
        observed("the SYN was sent again", sent > 0, linux(True, _SOURCE)),
        observed(
            "left at the server's end",
            state(host, SERVER.port, CLIENT.port),
            linux("nothing", "RFC 9293 3.10.7.4, second: RST in TIME-WAIT; tcp_timewait_state_process()"),
        ),
    ]


SCENARIO = Scenario(
    question="What does a client get that reconnects to a service which has just gone?",
    sources=("RFC 9293 3.10.7.1, 3.10.7.4", f"Linux: {_SOURCE}", "RFC 1337"),
    run=run,
    tags=("server-closes", "reset", "assassination", "H14", "H24"),
    parameters=(Parameter("rfc1337", 0, "net.ipv4.tcp_rfc1337; with 1 a kernel takes over a minute", 0, 1),),
)
