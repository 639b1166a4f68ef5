"""TCP_LINGER2 below zero: no FIN-WAIT-2 at all, and a peer that is reset."""

from timewait.lab.scenario import Observation, Scenario, Settings, Stage, linux, observed
from timewait.lab.steps import CLIENT, SERVER, at_port, listen, opened, read, result, settled

_SOURCE = "tcp_rcv_state_process(), net/ipv4/tcp_input.c: linger2 < 0"


def run(stage: Stage, settings: Settings) -> list[Observation]:
    """Close a connection with the option, and one without it."""
    host = stage.host
    listener = listen(host)
    client, server = opened(host, listener)
    host.set_option(client, "TCP_LINGER2", -1)
    host.close(client)
    left = settled(host, CLIENT.port, SERVER.port, ["nothing", "FIN-WAIT-2"])
    peer = settled(host, SERVER.port, CLIENT.port, ["nothing"])
    got, sent = host.receive(server), host.send(server, b"an answer")
    other = at_port(CLIENT, CLIENT.port + 1)
    plain = opened(host, listener, source=other)
    host.close(plain.client)
    usual = settled(host, other.port, SERVER.port, ["FIN-WAIT-2"])
    return [
        observed("without it, the closer waits in", usual, linux("FIN-WAIT-2", _SOURCE)),
        observed("with it, left at the closer", left, linux("nothing", _SOURCE)),
        observed("left at the peer", peer, linux("nothing", _SOURCE)),
        observed("the peer reads", read(got), linux("the end", "tcp_recvmsg_locked(): SOCK_DONE before sk_err")),
        observed("the peer's send()", result(sent), linux("EPIPE", "tcp_reset(), net/ipv4/tcp_input.c")),
    ]


SCENARIO = Scenario(
    question="What does a negative TCP_LINGER2 do?",
    sources=("tcp(7): TCP_LINGER2", f"Linux: {_SOURCE}"),
    run=run,
    tags=("close", "reset", "fin-wait-2", "C2"),
)
