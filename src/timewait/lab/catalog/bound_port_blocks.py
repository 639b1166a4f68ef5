"""A port in TIME-WAIT that was chosen by bind(), and one that connect() chose: what each still allows."""

from timewait.lab.scenario import Observation, Scenario, Settings, Stage, linux, observed
from timewait.lab.steps import (
    CLIENT,
    REUSE,
    SERVER,
    at_port,
    closed,
    listen,
    one_port,
    opened,
    result,
    set_if_any,
    settled,
    tried,
)

_SOURCE = "__inet_hash_connect(), net/ipv4/inet_hashtables.c: tb->fastreuse >= 0"
_IN_USE = linux("EADDRINUSE from bind()", "inet_bind_conflict(): the old socket had no SO_REUSEADDR")


def run(stage: Stage, settings: Settings) -> list[Observation]:
    """Let a port wait towards one destination; connect to another from a range of just that port."""
    host = stage.host
    set_if_any(host, REUSE, 1)
    first = listen(host)
    elsewhere = at_port(SERVER, SERVER.port + 1)
    second = listen(host, elsewhere)
    found = []
    for at, (name, bound) in enumerate((("bind()", True), ("connect()", False))):
        source = at_port(CLIENT, CLIENT.port + at)
        one_port(host, source.port)
        closed(host, *opened(host, first, source=source if bound else None, reuse_address=False))
        settled(host, source.port, SERVER.port, ["TIME-WAIT"])
        other = tried(host, second, elsewhere)
        found.append(
            observed(
                f"port chosen by {name}: connect() elsewhere",
                result(other),
                linux("EADDRNOTAVAIL" if bound else "ok", _SOURCE),
            )
        )
        if bound:
            explicit = tried(host, second, elsewhere, source)
            found.append(observed("the same with bind() again", result(explicit), _IN_USE))
    return found


SCENARIO = Scenario(
    question="Does a port that waits towards one destination serve for another?",
    sources=(f"Linux: {_SOURCE}",),
    run=run,
    tags=("ports", "bind", "I1", "I3"),
)
