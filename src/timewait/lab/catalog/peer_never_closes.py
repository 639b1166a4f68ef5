"""The client closes and reconnects from its port; the server has not closed the old connection and is still in it."""

from timewait.clock import MS, SECOND
from timewait.lab.scenario import Observation, Scenario, Settings, Stage, linux, measured, observed, rfc
from timewait.lab.steps import CLIENT, SERVER, Counting, listen, must, opened, read, result, settled, state

_WITHIN = measured(300 * MS, "two ticks of the timer; less than the first timeout of 1 s")
_FAST = "tcp_rcv_synsent_state_process(), net/ipv4/tcp_input.c: SYN again after two ticks, since 5.6"


def run(stage: Stage, settings: Settings) -> list[Observation]:
    """Close the client alone, reconnect, look at the old connection."""
    host = stage.host
    listener = listen(host)
    client, old = opened(host, listener)
    host.close(client)
    before = settled(host, CLIENT.port, SERVER.port, ["FIN-WAIT-2"]), state(host, SERVER.port, CLIENT.port)
    counting = Counting(host)
    again = host.connect(SERVER, source=CLIENT, reuse_address=True, timeout=30 * SECOND)
    accepted = must(host.accept(listener), "accepting") if again.ok else 0
    got, sent = host.receive(old), host.send(old, b"to whom?")
    exchanged = host.send(again.value, b"hello") if again.ok else again
    heard = host.receive(accepted) if again.ok else again
    return [
        observed("the client is in", before[0], rfc("FIN-WAIT-2", "RFC 9293 3.10.7.4, FIN-WAIT-1: our FIN acked")),
        observed("the server is in", before[1], rfc("CLOSE-WAIT", "RFC 9293 3.10.7.4, ESTABLISHED: FIN")),
        observed("connect() gives", result(again), linux("ok", "tcp_twsk_unique(): twp is NULL")),
        observed("after", again.took, linux(0, _FAST), within=_WITHIN, time=True),
        observed("SYNs sent again", counting.by("TcpExt.TCPSynRetrans"), linux(1, _FAST)),
        observed(
            "challenge ACKs",
            counting.by("TcpExt.TCPChallengeACK"),
            linux(1, "RFC 9293 3.10.7.4, fourth; RFC 5961 4"),
        ),
        observed("the old connection reads", read(got), linux("the end", "tcp_recvmsg_locked(): SOCK_DONE first")),
        observed("the old connection's send()", result(sent), linux("EPIPE", "RFC 9293 3.5.1: reset; tcp_reset()")),
        observed("the new one sends", result(exchanged), linux("ok", "RFC 9293 3.10.2")),
        observed("and the server reads", read(heard), linux("5 octets", "RFC 9293 3.10.3")),
    ]


SCENARIO = Scenario(
    question="What if a client reconnects from its port while the server has not noticed that it left?",
    sources=("RFC 9293 3.5.1: half-open connections", "RFC 5961 4", f"Linux: {_FAST}"),
    run=run,
    tags=("reconnect", "half-open", "reset", "F1"),
)
