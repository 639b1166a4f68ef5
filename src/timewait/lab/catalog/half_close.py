"""Half-close: the client ends its direction, and the other one goes on."""

from timewait.lab.scenario import Observation, Scenario, Settings, Stage, observed, rfc
from timewait.lab.steps import CLIENT, SERVER, closed, listen, opened, read, result, settled, state


def run(stage: Stage, settings: Settings) -> list[Observation]:
    """Close the client's sending side, let the server answer, then close that side too."""
    host = stage.host
    client, server = opened(host, listen(host))
    closing = host.half_close(client)
    seen = host.receive(server)
    waiting = settled(host, CLIENT.port, SERVER.port, ["FIN-WAIT-2"])
    peer = state(host, SERVER.port, CLIENT.port)
    sent = host.send(server, b"still here")
    got = host.receive(client)
    refused = host.send(client, b"too late")
    again = host.half_close(client)
    closed(host, server, client)
    left = settled(host, CLIENT.port, SERVER.port, ["TIME-WAIT"])
    return [
        observed("shutdown() of the sending side", result(closing), rfc("ok", "RFC 9293 3.6.1: half-duplex close")),
        observed("the server reads", read(seen), rfc("the end", "RFC 9293 3.10.7.4, eighth: FIN")),
        observed("the client is then in", waiting, rfc("FIN-WAIT-2", "RFC 9293 3.10.7.4, FIN-WAIT-1: our FIN acked")),
        observed("the server is then in", peer, rfc("CLOSE-WAIT", "RFC 9293 3.10.7.4, ESTABLISHED: FIN")),
        observed("the server's send()", result(sent), rfc("ok", "RFC 9293 3.10.2: SEND in CLOSE-WAIT")),
        observed("octets the client reads", len(got.value or b""), rfc(10, "RFC 9293 3.10.3: RECEIVE in FIN-WAIT-2")),
        observed("the client's send()", result(refused), rfc("EPIPE", "RFC 9293 3.10.2: closing; POSIX send(): EPIPE")),
        observed("shutdown() once more", result(again), rfc("ok", "RFC 9293 3.10.4: an ok is acceptable")),
        observed("both closed, the client is in", left, rfc("TIME-WAIT", "RFC 9293 3.10.7.4, FIN-WAIT-2: FIN")),
    ]


SCENARIO = Scenario(
    question="What still works after one side has closed only its own direction?",
    sources=("RFC 9293 3.6, 3.6.1, 3.10.2 to 3.10.4", "RFC 1122 4.2.2.13"),
    run=run,
    tags=("close", "half-close", "A1", "A3", "A4", "A5", "C1", "D4"),
)
