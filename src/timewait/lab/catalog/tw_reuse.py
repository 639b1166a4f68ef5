"""net.ipv4.tcp_tw_reuse: whether connect() takes over a port of its own choice from TIME-WAIT, and when."""

from timewait.clock import MS
from timewait.lab.scenario import Observation, Parameter, Scenario, Settings, Stage, linux, observed
from timewait.lab.steps import (
    CLIENT,
    REUSE,
    REUSE_DELAY,
    SERVER,
    TIMESTAMPS,
    Counting,
    closed,
    listen,
    one_port,
    opened,
    result,
    settled,
    tried,
)

_SOURCE = "tcp_twsk_unique(), net/ipv4/tcp_ipv4.c"
_REFUSED, _TAKEN = linux("EADDRNOTAVAIL", _SOURCE), linux("ok", _SOURCE)


def run(stage: Stage, settings: Settings) -> list[Observation]:
    """For each value, and without timestamps, connect at once and after the delay, from a range of one port."""
    host = stage.host
    listener = listen(host)
    delay = settings["delay_ms"]
    host.set_sysctl(REUSE_DELAY, str(delay))
    found = []
    counting = Counting(host)
    for at, (value, timestamps) in enumerate(((0, 1), (1, 1), (2, 1), (1, 0))):
        host.set_sysctl(REUSE, str(value))
        host.set_sysctl(TIMESTAMPS, str(timestamps))
        port = CLIENT.port + at
        one_port(host, port)
        closed(host, *opened(host, listener, source=None, reuse_address=False))
        settled(host, port, SERVER.port, ["TIME-WAIT"])
        name = f"tcp_tw_reuse = {value}" + ("" if timestamps else ", no timestamps")
        early = tried(host, listener)
        host.wait((delay + settings["margin_ms"]) * MS)
        late = tried(host, listener)
        found.append(observed(f"{name}: at once", result(early), _REFUSED))
        found.append(observed(f"{name}: after the delay", result(late), _TAKEN if value and timestamps else _REFUSED))
    found.append(
        observed("taken over", counting.by("TcpExt.TWRecycled"), linux(2, "TWRecycled, __inet_check_established()"))
    )
    return found


SCENARIO = Scenario(
    question="What do the three values of tcp_tw_reuse do on loopback, and what do they need?",
    sources=(
        "RFC 6191 3",
        "Linux: Documentation/networking/ip-sysctl.rst, tcp_tw_reuse, tcp_tw_reuse_delay",
        f"Linux: {_SOURCE}",
    ),
    run=run,
    tags=("reuse", "ports", "sysctl", "I4"),
    parameters=(
        Parameter("delay_ms", 1000, "net.ipv4.tcp_tw_reuse_delay", 200, 60000),
        Parameter("margin_ms", 50, "how long after the delay the second attempt is made", 5, 10000),
    ),
    lasts=5_000_000_000,
)
