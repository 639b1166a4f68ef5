"""TIME-WAIT deleted by hand (ss -K): the pair is free at once, as if there had been no TIME-WAIT."""

from timewait.lab.scenario import Observation, Scenario, Settings, Stage, linux, observed
from timewait.lab.steps import CLIENT, SERVER, TIMESTAMPS, Counting, closed, listen, opened, result, settled, tried

_SOURCE = "tcp_abort(), net/ipv4/tcp.c: inet_twsk_deschedule_put()"


def run(stage: Stage, settings: Settings) -> list[Observation]:
    """Let the client wait without timestamps, be refused, delete the record, connect."""
    host = stage.host
    host.set_sysctl(TIMESTAMPS, "0")
    listener = listen(host)
    closed(host, *opened(host, listener))
    settled(host, CLIENT.port, SERVER.port, ["TIME-WAIT"])
    before = tried(host, listener, source=CLIENT)
    counting = Counting(host)
    deleted = host.destroy(CLIENT.port, SERVER.port)
    resets = counting.by("Tcp.OutRsts")
    after = tried(host, listener, source=CLIENT)
    return [
        observed("connect() over it", result(before), linux("EADDRNOTAVAIL", "tcp_twsk_unique()")),
        observed("records deleted", deleted.value or 0, linux(1, _SOURCE)),
        observed("segments with RST", resets, linux(0, _SOURCE)),
        observed("connect() then", result(after), linux("ok", _SOURCE)),
    ]


SCENARIO = Scenario(
    question="What does deleting TIME-WAIT sockets by hand do?",
    sources=("ss(8): -K", f"Linux: {_SOURCE}; CONFIG_INET_DIAG_DESTROY"),
    run=run,
    tags=("time-wait", "reconnect", "tools"),
)
