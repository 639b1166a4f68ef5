"""The limit on TIME-WAIT records: what is closed beyond it gets none, and late text for it is answered with RST."""

from timewait.lab.scenario import Observation, Parameter, Scenario, Settings, Stage, linux, observed
from timewait.lab.steps import (
    CLIENT,
    SERVER,
    Counting,
    at_port,
    closed,
    listen,
    opened,
    result,
    settled,
    state,
    until,
)

_LIMIT = "net.ipv4.tcp_max_tw_buckets"
_SOURCE = "inet_twsk_alloc(), net/ipv4/inet_timewait_sock.c"


def run(stage: Stage, settings: Settings) -> list[Observation]:
    """Close more connections than may wait, then leave one half-closed beyond the limit."""
    host = stage.host
    host.set_sysctl(_LIMIT, str(settings["limit"]))
    listener = listen(host)
    counting = Counting(host)
    closes, limit = settings["closes"], settings["limit"]
    sources = [at_port(CLIENT, CLIENT.port + at) for at in range(closes)]
    for source in sources:
        closed(host, *opened(host, listener, source=source))
    until(host, lambda: counting.by("TcpExt.TCPTimeWaitOverflow") + counting.by("TcpExt.TW") >= closes)
    waiting = [state(host, source.port, SERVER.port) == "TIME-WAIT" for source in sources]
    overflow = counting.by("TcpExt.TCPTimeWaitOverflow")

    late = at_port(CLIENT, CLIENT.port + closes)
    client, server = opened(host, listener, source=late)
    host.close(client)
    gone = settled(host, late.port, SERVER.port, ["nothing"])
    first = host.send(server, b"late")
    settled(host, SERVER.port, late.port, ["nothing"])
    second = host.send(server, b"later")
    kept = min(limit, closes)
    full = closes >= limit
    return [
        observed("in TIME-WAIT", sum(waiting), linux(kept, _SOURCE)),
        observed("they are the oldest", all(waiting[:kept]), linux(True, f"{_SOURCE}: nothing is evicted")),
        observed("closes without TIME-WAIT", overflow, linux(closes - kept, f"TCPTimeWaitOverflow, {_SOURCE}")),
        observed(
            "a half-closed connection beyond the limit",
            gone,
            linux("nothing" if full else "FIN-WAIT-2", "tcp_time_wait(): FIN-WAIT-2 is a record too"),
        ),
        observed("its peer's send()", result(first), linux("ok", "tcp_sendmsg(): the peer's end is in CLOSE-WAIT")),
        observed("its peer's next send()", result(second), linux("EPIPE", "tcp_reset(), net/ipv4/tcp_input.c")),
    ]


SCENARIO = Scenario(
    question="What becomes of connections closed when no more may wait?",
    sources=("Linux: Documentation/networking/ip-sysctl.rst, tcp_max_tw_buckets", f"Linux: {_SOURCE}"),
    run=run,
    tags=("limit", "time-wait", "I7"),
    parameters=(
        Parameter("limit", 10, "net.ipv4.tcp_max_tw_buckets", 1, 1000),
        Parameter("closes", 50, "connections closed by the client", 1, 2000),
    ),
)
