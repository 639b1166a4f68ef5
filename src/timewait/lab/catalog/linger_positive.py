"""SO_LINGER with a time: close() returns when the FIN is acknowledged, or when the time is up."""

from timewait.clock import SECOND
from timewait.lab.scenario import Observation, Parameter, Scenario, Settings, Stage, linux, measured, observed
from timewait.lab.steps import CLIENT, SERVER, at_port, filled, listen, opened, state

_SOURCE = "sk_stream_wait_close(), net/core/stream.c; POSIX: SO_LINGER"
_QUICK = measured(0, "less than the second that it might linger")


def run(stage: Stage, settings: Settings) -> list[Observation]:
    """Close with linger on: once with nothing to wait for, once while the peer does not read."""
    host = stage.host
    listener = listen(host)
    client, _ = opened(host, listener)
    host.set_option(client, "SO_LINGER", settings["linger_s"])
    prompt = host.close(client)
    other = at_port(CLIENT, CLIENT.port + 1)
    blocked, _ = opened(host, listener, source=other)
    host.set_option(blocked, "SO_LINGER", settings["linger_s"])
    filled(host, blocked)
    held = host.close(blocked)
    left = state(host, other.port, SERVER.port)
    third = at_port(CLIENT, CLIENT.port + 2)
    plain, _ = opened(host, listener, source=third)
    filled(host, plain)
    at_once = host.close(plain)
    span = settings["linger_s"] * SECOND
    late = measured(span // 8, "the timer wheel fires up to an eighth late")
    return [
        observed("close(), the FIN acknowledged at once", prompt.took, linux(0, _SOURCE), within=_QUICK, time=True),
        observed("close(), the peer not reading", held.took, linux(span, _SOURCE), within=late, time=True),
        observed("it leaves", left, linux("FIN-WAIT-1", f"{_SOURCE}: it goes on in the background")),
        observed("close() without it, not reading", at_once.took, linux(0, _SOURCE), within=_QUICK, time=True),
    ]


SCENARIO = Scenario(
    question="How long does close() take with SO_LINGER and a time above zero?",
    sources=("POSIX: SO_LINGER", "socket(7): SO_LINGER", f"Linux: {_SOURCE}"),
    run=run,
    tags=("close", "linger", "time", "A20", "A2"),
    parameters=(Parameter("linger_s", 1, "seconds to linger", 1, 60),),
    lasts=2 * SECOND,
)
