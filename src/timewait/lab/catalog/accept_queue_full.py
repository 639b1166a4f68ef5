"""A SYN that TIME-WAIT would give way to meets a full accept queue: the SYN is dropped, and the wait is gone too."""

from timewait.clock import MS
from timewait.lab.scenario import Observation, Scenario, Settings, Stage, linux, observed, rfc
from timewait.lab.steps import CLIENT, SERVER, Counting, at_port, listen, must, opened, result, settled, state, tried

_SOURCE = "tcp_v4_rcv(), net/ipv4/tcp_ipv4.c: inet_twsk_deschedule_put() before tcp_conn_request()"


def run(stage: Stage, settings: Settings) -> list[Observation]:
    """Let the server's end wait, fill the accept queue, reconnect; then empty the queue and reconnect once more."""
    host = stage.host
    listener = listen(host, backlog=1)
    client, server = opened(host, listener)
    host.close(server)
    host.close(client)
    before = settled(host, SERVER.port, CLIENT.port, ["TIME-WAIT"])
    for at in range(1, 5):  # Linux queues one more than the backlog
        if not host.connect(SERVER, source=at_port(CLIENT, CLIENT.port + at), timeout=200 * MS).ok:
            break
    counting = Counting(host)
    refused = host.connect(SERVER, source=CLIENT, reuse_address=True, timeout=200 * MS)
    left = state(host, SERVER.port, CLIENT.port)
    overflows = counting.by("TcpExt.ListenOverflows")
    must(host.accept(listener), "accepting")
    again = tried(host, listener, source=CLIENT)
    return [
        observed("the server's end is in", before, rfc("TIME-WAIT", "RFC 9293 3.10.7.4, FIN-WAIT-2: FIN")),
        observed(
            "connect() within 200 ms", result(refused), linux("ETIMEDOUT", "tcp_conn_request(): queue full, drop")
        ),
        observed("SYNs dropped", overflows, linux(1, "ListenOverflows, tcp_conn_request(), net/ipv4/tcp_input.c")),
        observed("left at the server's end", left, linux("nothing", _SOURCE)),
        observed("with room in the queue, connect() gives", result(again), rfc("ok", "RFC 9293 3.10.7.2")),
    ]


SCENARIO = Scenario(
    question="Is TIME-WAIT kept when the SYN that would end it cannot be taken?",
    sources=("RFC 9293 3.6.1 (MAY-2)", f"Linux: {_SOURCE}"),
    run=run,
    tags=("server-closes", "time-wait", "H19"),
)
