"""The trap without timestamps: a connection open so long that its successor's first sequence number looks old.

Linux's ISN clock ticks every 64 ns and comes round in 274.9 s.  After a connection of 137.4 to 274.9 s (modulo that)
the new SYN is not above the old sequence numbers, and TIME-WAIT refuses it.
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
    tried,
)

_TICK = 64  # nanoseconds: seq_scale(), net/core/secure_seq.c
_ROUND = _TICK << 32
_SOURCE = "tcp_timewait_state_process(), net/ipv4/tcp_minisocks.c; seq_scale(), net/core/secure_seq.c"


def run(stage: Stage, settings: Settings) -> list[Observation]:
    """Hold a connection without timestamps for a while, close it from the server, reconnect from the same port."""
    host = stage.host
    host.set_sysctl(TIMESTAMPS, "0")
    set_if_any(host, RFC1337, settings["rfc1337"])
    listener = listen(host)
    client, server = opened(host, listener)
    host.wait(settings["hold_s"] * SECOND)
    host.close(server)
    host.close(client)
    before = settled(host, SERVER.port, CLIENT.port, ["TIME-WAIT"])
    counting = Counting(host)
    again = tried(host, listener, source=CLIENT, timeout=120 * SECOND)
    trapped = settings["hold_s"] * SECOND % _ROUND > _ROUND // 2
    slow = trapped and bool(settings["rfc1337"])
    within = Within(5 * SECOND, 5 * SECOND, "SYNs are sent again less and less often") if slow else None
    within = within or measured(300 * MS, "two ticks of the timer; less than a timeout of 1 s")
    return [
        observed("the server's end is in", before, rfc("TIME-WAIT", "RFC 9293 3.10.7.4, FIN-WAIT-2: FIN")),
        observed("connect() gives", result(again), linux("ok", _SOURCE)),
        observed("the SYN had to be sent again", counting.by("TcpExt.TCPSynRetrans") > 0, linux(trapped, _SOURCE)),
        observed("after", again.took, linux(67 * SECOND if slow else 0, _SOURCE), within=within, time=True),
    ]


SCENARIO = Scenario(
    question="Is a new connection's first sequence number always above the old one's last?",
    sources=("RFC 9293 3.4.1 (MUST-8), 3.6.1 (MAY-2)", "RFC 6528 3", f"Linux: {_SOURCE}"),
    run=run,
    tags=("server-closes", "isn", "time", "H19", "H21"),
    parameters=(
        Parameter("hold_s", 138, "how long the first connection lasts", 0, 100_000),
        Parameter("rfc1337", 0, "net.ipv4.tcp_rfc1337; with 1 a kernel takes a minute longer", 0, 1),
    ),
    lasts=140 * SECOND,
)
