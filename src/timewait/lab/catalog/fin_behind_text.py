"""A close behind more text than the peer has room for: the FIN waits its turn."""

from timewait.clock import MS
from timewait.lab.scenario import Observation, Scenario, Settings, Stage, observed, rfc
from timewait.lab.steps import CLIENT, SERVER, listen, opened, read, result, settled, state

_PIECE = bytes(65536)
_MOST = 8 << 20


def run(stage: Stage, settings: Settings) -> list[Observation]:
    """Write until nothing more is taken, close the sending side, then let the peer read it all."""
    host = stage.host
    client, server = opened(host, listen(host))
    written = 0
    while written < _MOST and (sent := host.send(client, _PIECE, timeout=50 * MS)).ok:
        written += sent.value
    closing = host.half_close(client)
    stuck = state(host, CLIENT.port, SERVER.port), state(host, SERVER.port, CLIENT.port)
    got = 0
    while (last := host.receive(server)).ok and last.value:
        got += len(last.value)
    after = settled(host, CLIENT.port, SERVER.port, ["FIN-WAIT-2"])
    queued = "RFC 9293 3.10.4: CLOSE is queued until all SENDs have been segmentized"
    return [
        observed("close with text queued", result(closing), rfc("ok", queued)),
        observed("the closer is in", stuck[0], rfc("FIN-WAIT-1", queued)),
        observed("the peer is still in", stuck[1], rfc("ESTABLISHED", queued)),
        observed("all that was written is read", got == written, rfc(True, queued)),
        observed("then", read(last), rfc("the end", "RFC 9293 3.10.7.4, eighth: FIN")),
        observed("the closer is then in", after, rfc("FIN-WAIT-2", "RFC 9293 3.10.7.4, FIN-WAIT-1: our FIN acked")),
    ]


SCENARIO = Scenario(
    question="Is anything lost when a program closes behind text that was not sent yet?",
    sources=("RFC 9293 3.10.4",),
    run=run,
    tags=("close", "A1", "A2", "B4"),
)
