"""SO_LINGER zero in one state after another: what is sent, and what is left at both ends."""

from timewait.lab.scenario import Observation, Scenario, Settings, Stage, observed, rfc
from timewait.lab.steps import CLIENT, SERVER, Counting, at_port, filled, listen, opened, settled, state

_ABORT = "RFC 9293 3.10.5: ABORT"
# The state that the client is brought into before it aborts.
_STATES = ("ESTABLISHED", "FIN-WAIT-1", "FIN-WAIT-2", "CLOSE-WAIT")


def run(stage: Stage, settings: Settings) -> list[Observation]:
    """Bring a connection into each state and abort it from the client's side."""
    host = stage.host
    listener = listen(host)
    found = []
    for at, wanted in enumerate(_STATES):
        source = at_port(CLIENT, CLIENT.port + at)
        client, server = opened(host, listener, source=source)
        if wanted == "FIN-WAIT-1":
            filled(host, client)  # the FIN waits behind text that the server does not read
        if wanted.startswith("FIN"):
            host.half_close(client)
        if wanted == "CLOSE-WAIT":
            host.half_close(server)
        stands = settled(host, source.port, SERVER.port, [wanted])
        counting = Counting(host)
        host.abort(client)
        gone = settled(host, SERVER.port, source.port, ["nothing"])
        resets = counting.by("Tcp.OutRsts")
        left = state(host, source.port, SERVER.port)
        found.append(observed(f"{stands}: segments with RST", resets, rfc(1, _ABORT)))
        found.append(observed(f"{stands}: left at its end", left, rfc("nothing", _ABORT)))
        found.append(observed(f"{stands}: left at the peer", gone, rfc("nothing", "RFC 9293 3.10.7.4, second: RST")))
        host.close(server)
    return found


SCENARIO = Scenario(
    question="What does an abort leave behind in each state?",
    sources=(_ABORT, "POSIX: SO_LINGER"),
    run=run,
    tags=("close", "reset", "linger", "A16", "A19"),
)
