"""Whose timestamps let a port in TIME-WAIT be used again: the old connection's, not the new one's."""

from timewait.lab.scenario import Observation, Scenario, Settings, Stage, linux, observed
from timewait.lab.steps import CLIENT, SERVER, TIMESTAMPS, at_port, closed, listen, opened, result, settled, tried

_SOURCE = "tcp_twsk_unique(), net/ipv4/tcp_ipv4.c: ts_recent_stamp of the record"


def run(stage: Stage, settings: Settings) -> list[Observation]:
    """Make a connection with or without timestamps, change the setting, connect again from the same port."""
    host = stage.host
    listener = listen(host)
    found = []
    for at, (old, new) in enumerate(((1, 1), (1, 0), (0, 1), (0, 0))):
        source = at_port(CLIENT, CLIENT.port + at)
        host.set_sysctl(TIMESTAMPS, str(old))
        pair = opened(host, listener, source=source)
        used = host.info(pair.client).timestamps
        closed(host, *pair)
        settled(host, source.port, SERVER.port, ["TIME-WAIT"])
        host.set_sysctl(TIMESTAMPS, str(new))
        words = ["with" if each else "without" for each in (used, new)]
        again = tried(host, listener, source=source)
        foretold = linux("ok" if old else "EADDRNOTAVAIL", _SOURCE)
        found.append(observed(f"old {words[0]}, new {words[1]}", result(again), foretold))
    return found


SCENARIO = Scenario(
    question="Does it help a reconnect to switch timestamps on now?",
    sources=("RFC 6191 2", "RFC 7323 5", f"Linux: {_SOURCE}"),
    run=run,
    tags=("reconnect", "reuse", "timestamps", "I5"),
)
