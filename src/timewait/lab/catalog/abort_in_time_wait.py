"""The descriptor outlives the connection: calls on it in TIME-WAIT, and an abort there."""

from timewait.lab.scenario import Observation, Scenario, Settings, Stage, linux, observed, rfc
from timewait.lab.steps import CLIENT, SERVER, Counting, listen, must, opened, polled, read, result, settled

_POLL = "tcp_poll(), net/ipv4/tcp.c"


def run(stage: Stage, settings: Settings) -> list[Observation]:
    """Bring the client into TIME-WAIT with its descriptor open and text unread, use it, then abort."""
    host = stage.host
    client, server = opened(host, listen(host))
    host.half_close(client)
    writable = polled(host, client)
    must(host.send(server, b"last words"), "sending")
    host.close(server)
    before = settled(host, CLIENT.port, SERVER.port, ["TIME-WAIT"])
    seen, hung_up = host.info(client).state, polled(host, client)
    got, after = host.receive(client), host.receive(client)
    again = host.half_close(client)
    counting = Counting(host)
    host.abort(client)
    left = settled(host, CLIENT.port, SERVER.port, [before])
    return [
        observed(
            "after shutdown() poll() reports", writable, linux("OUT", f"{_POLL}: SEND_SHUTDOWN alone, no hang-up")
        ),
        observed("the client is in", before, rfc("TIME-WAIT", "RFC 9293 3.10.7.4, FIN-WAIT-2: FIN")),
        observed("its descriptor says", seen, linux("CLOSED", "tcp_time_wait(), net/ipv4/tcp_minisocks.c: tcp_done()")),
        observed("and poll() reports", hung_up, linux("IN, OUT, HUP, RDHUP", f"{_POLL}: TCP_CLOSE, both sides shut")),
        observed("text received before is read", read(got), rfc("10 octets", "RFC 9293 3.9.1.3: RECEIVE")),
        observed("then", read(after), rfc("the end", "RFC 9293 3.10.7.4, eighth: FIN")),
        observed("shutdown() there", result(again), linux("ENOTCONN", "inet_shutdown(), net/ipv4/af_inet.c")),
        observed(
            "after an abort there, left",
            left,
            rfc("nothing", "RFC 9293 3.10.5: ABORT in TIME-WAIT deletes the TCB"),
            linux("TIME-WAIT", "tcp_time_wait(): the record is no longer the descriptor's"),
        ),
        observed("segments with RST it sent", counting.by("Tcp.OutRsts"), rfc(0, "RFC 9293 3.10.5: TIME-WAIT, no RST")),
    ]


SCENARIO = Scenario(
    question="What can a program still do with a descriptor whose connection is in TIME-WAIT?",
    sources=("RFC 9293 3.10.5", "Linux: tcp_time_wait(), net/ipv4/tcp_minisocks.c; tcp_poll(), net/ipv4/tcp.c"),
    run=run,
    tags=("close", "time-wait", "A18", "D15", "H32", "H33"),
)
