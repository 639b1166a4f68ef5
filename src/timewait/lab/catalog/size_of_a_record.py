"""What a connection in TIME-WAIT takes of the kernel's memory, beside one that is open."""

from timewait.lab.scenario import KERNEL, Observation, Scenario, Settings, Stage, Within, linux, observed

_RECORD = "struct tcp_timewait_sock, include/linux/tcp.h: 248 octets, aligned"
_SOCKET = "struct tcp_sock, include/linux/tcp.h"
_BUCKETS = "struct inet_bind_bucket, inet_bind2_bucket, include/net/inet_hashtables.h; cache lines"
_BUILD = Within(64, 64, "fields come and go with versions and options of the kernel")
_CACHES = ("tw_sock_TCP", "TCP", "tcp_bind_bucket", "tcp_bind2_bucket")


def run(stage: Stage, settings: Settings) -> list[Observation]:
    """Read what the objects take that one connection has at either end."""
    sizes = stage.host.object_sizes(_CACHES)
    record, socket = sizes["tw_sock_TCP"], sizes["TCP"]
    port = sizes["tcp_bind_bucket"] + sizes["tcp_bind2_bucket"]
    return [
        observed("octets of a TIME-WAIT record", record, linux(256, _RECORD), within=_BUILD),
        observed("of an open connection's socket", socket),
        observed("at least eight times as much", socket >= 8 * record, linux(True, _SOCKET)),
        observed("of a port that is held", port, linux(256, _BUCKETS), within=_BUILD),
        observed("a wait at a server, whose port is there anyway", record, linux(256, _RECORD), within=_BUILD),
        observed("a wait at a client, with its port", record + port, linux(512, _BUCKETS), within=_BUILD),
    ]


SCENARIO = Scenario(
    question="How much memory does a connection in TIME-WAIT take?",
    sources=(f"Linux: {_RECORD}", f"Linux: {_BUCKETS}"),
    run=run,
    tags=("memory", "time-wait"),
    worlds=(KERNEL,),
)
