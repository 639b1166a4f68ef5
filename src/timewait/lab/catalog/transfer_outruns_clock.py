"""A transfer faster than the ISN clock: the next connection's first sequence number lies below the old one's last.

Linux's clock makes 15.6 million steps a second, one for each octet that a connection may send without overtaking it.
"""

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
from timewait.lab.steps import (
    CLIENT,
    RFC1337,
    SERVER,
    TIMESTAMPS,
    Counting,
    listen,
    opened,
    result,
    set_if_any,
    settled,
    transferred,
    tried,
)

_HZ = 15_625_000  # seq_scale(), net/core/secure_seq.c: one step in 64 ns
_SOURCE = "tcp_timewait_state_process(), net/ipv4/tcp_minisocks.c; seq_scale(), net/core/secure_seq.c"
_SOON = measured(300 * MS, "two ticks of the timer; less than a timeout of 1 s")
_LATE = Within(5 * SECOND, 5 * SECOND, "SYNs are sent again less and less often")


def run(stage: Stage, settings: Settings) -> list[Observation]:
    """Send from client to server without timestamps, close by the server, reconnect from the same port."""
    host = stage.host
    host.set_sysctl(TIMESTAMPS, "0")
    set_if_any(host, RFC1337, settings["rfc1337"])
    listener = listen(host)
    client, server = opened(host, listener)
    octets = settings["megabytes"] * 1_000_000
    began = host.now()
    transferred(host, client, server, octets)
    host.close(server)
    host.close(client)
    outrun = octets > (host.now() - began) * _HZ // SECOND
    before = settled(host, SERVER.port, CLIENT.port, ["TIME-WAIT"])
    counting = Counting(host)
    again = tried(host, listener, source=CLIENT, timeout=120 * SECOND)
    slow = bool(settings["rfc1337"])
    return [
        observed("the transfer outran the clock", outrun, linux(True, "seq_scale(): 15.6 MB/s")),
        observed("the server's end is in", before, rfc("TIME-WAIT", "RFC 9293 3.10.7.4, FIN-WAIT-2: FIN")),
        observed("connect() gives", result(again), linux("ok", _SOURCE)),
        observed("the SYN had to be sent again", counting.by("TcpExt.TCPSynRetrans") > 0, linux(True, _SOURCE)),
        observed(
            "after",
            again.took,
            linux(67 * SECOND if slow else 0, _SOURCE),
            within=_LATE if slow else _SOON,
            time=True,
        ),
    ]


SCENARIO = Scenario(
    question="What if a connection sends more octets than the ISN clock ticks meanwhile?",
    sources=("RFC 9293 3.4.1 (MUST-8), 3.6.1 (MAY-2)", "RFC 6528 3", f"Linux: {_SOURCE}"),
    run=run,
    tags=("server-closes", "isn", "rate", "H19", "H21"),
    parameters=(
        Parameter("megabytes", 50, "millions of octets to send", 1, 2000),
        Parameter("rfc1337", 0, "net.ipv4.tcp_rfc1337; with 1 a kernel takes a minute longer", 0, 1),
    ),
    alone=True,
    lasts=2 * SECOND,
)
