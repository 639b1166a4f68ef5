"""The FIN arrives before the text in front of it: it waits for the hole to fill."""

from timewait.lab.scenario import WORLDS, Observation, Scenario, Settings, Stage, observed, rfc
from timewait.lab.steps import opened_between, read, settled, state
from timewait.sim import faults

_PORT, _CLIENT = 80, 40000
_ORDER = "RFC 9293 3.10.7.4: segments are processed in sequence order"


def run(stage: Stage, settings: Settings) -> list[Observation]:
    """Hold the client's text back until its FIN has arrived, then let it go."""
    pair = opened_between(stage, "client", "server", _PORT, _CLIENT)
    server = stage["server"]
    held = stage.fault("client", "server", faults.hold(faults.text, times=None))
    stage["client"].send(pair.client, b"the text")
    stage["client"].close(pair.client)
    stage.until(lambda: bool(stage.sent("server", faults.pure_ack)))
    early = state(server, _PORT, _CLIENT)
    first = stage.sent("server", faults.pure_ack)[0]
    text = held.held[0]
    stage.release(held)
    late = settled(server, _PORT, _CLIENT, ["CLOSE-WAIT"])
    got = server.receive(pair.server)
    end = read(server.receive(pair.server))
    return [
        observed("with the FIN alone, the server is in", early, rfc("ESTABLISHED", _ORDER)),
        observed("its ACK asks for the text", first.ack == text.seq, rfc(True, _ORDER)),
        observed("with the text there, it is in", late, rfc("CLOSE-WAIT", "RFC 9293 3.10.7.4, eighth: FIN")),
        observed("it reads", read(got), rfc("8 octets", _ORDER)),
        observed("and then", end, rfc("the end", "RFC 9293 3.10.7.4, eighth: FIN")),
    ]


SCENARIO = Scenario(
    question="What if a FIN overtakes the text before it?",
    sources=("RFC 9293 3.10.7.4",),
    run=run,
    hosts=("server", "client"),
    worlds=WORLDS,
    tags=("close", "network", "D7", "D8"),
)
