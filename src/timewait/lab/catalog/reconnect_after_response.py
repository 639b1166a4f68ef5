"""A request, its response, a close, and a reconnect from the same port: too soon it fails, a moment later it does not.

After an exchange the receiver delays its ACKs, that of the FIN too, unless its program closes.  Until then the client
is a full socket in FIN-WAIT-1; after it, a FIN-WAIT-2 record, which gives way.
"""

from typing import TYPE_CHECKING

from timewait.clock import MS, Duration
from timewait.endpoint import Endpoint
from timewait.lab.scenario import Observation, Parameter, Scenario, Settings, Stage, linux, observed
from timewait.lab.steps import CLIENT, SERVER, at_port, exchanged, listen, opened, result, state, tried

if TYPE_CHECKING:
    from timewait.lab.host import Host

# TCP_DELACK_MIN, HZ/25, include/net/tcp.h.
_DELAYED_ACK = 40 * MS
_ATTEMPTS = 200
_SOURCE = "TCP_DELACK_MIN, include/net/tcp.h; __inet_check_established(), net/ipv4/inet_hashtables.c"


def run(stage: Stage, settings: Settings) -> list[Observation]:
    """Reconnect after each of the two pauses."""
    host = stage.host
    listener = listen(host)
    found = []
    for at, name in enumerate(("early_ms", "late_ms")):
        pause = settings[name] * MS
        stands, came_to = _reconnected(host, listener, at_port(CLIENT, CLIENT.port + at * _ATTEMPTS), pause)
        states, ends = ("FIN-WAIT-1", "EADDRNOTAVAIL") if pause < _DELAYED_ACK else ("FIN-WAIT-2", "ok")
        when = f"{settings[name]} ms after close()"
        found.append(observed(f"{when}, the client is in", stands, linux(states, _SOURCE)))
        found.append(observed(f"{when}, connect() gives", came_to, linux(ends, _SOURCE)))
    return found


def _reconnected(host: "Host", listener: int, first: Endpoint, pause: Duration) -> tuple[str, str]:
    """Return the client's state after the pause and what connect() then gives.

    A busy machine may let much more time pass: then the round says nothing, and the next port has its turn.
    """
    for at in range(_ATTEMPTS):
        source = at_port(first, first.port + at)
        pair = opened(host, listener, source=source)
        exchanged(host, pair)
        closing = host.close(pair.client)
        host.wait(pause)
        stands = state(host, source.port, SERVER.port)
        again = tried(host, listener, source=source)
        in_time = pause >= _DELAYED_ACK or again.ended - closing.began < _DELAYED_ACK - 2 * MS
        if in_time or (stands == "FIN-WAIT-1" and not again.ok):  # or the ACK was later still
            return stands, result(again)
    return "(never in time)", "(never in time)"


SCENARIO = Scenario(
    question="After a request and its response, how long must a client wait to use its port again?",
    sources=("RFC 9293 3.8.6.3 (SHLD-18): delayed ACKs", "Linux: TCP_DELACK_MIN, include/net/tcp.h"),
    run=run,
    tags=("reconnect", "reuse", "delayed-ack", "B4"),
    parameters=(
        Parameter("early_ms", 20, "pause between close and connect", 0, 1000),
        Parameter("late_ms", 100, "the longer pause", 0, 1000),
    ),
    alone=True,
)
