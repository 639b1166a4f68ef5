"""The edges of FIN-WAIT-2's length: tcp_fin_timeout of 0, TCP_LINGER2 far above its limit."""

from timewait.clock import MS, SECOND
from timewait.lab.scenario import Observation, Scenario, Settings, Stage, linux, measured, observed
from timewait.lab.steps import CLIENT, SERVER, at_port, lifetimes, listen, opened, settled

_FLOOR = "tcp_fin_time(), include/net/tcp.h: at least 3.5 timeouts of 200 ms"
_CAP = "TCP_FIN_TIMEOUT_MAX, include/net/tcp.h; full for 60 s, then a record for 60 s"
_SHORT = measured(300 * MS, "the timer wheel; a timeout measured above 200 ms")
_LONG = measured(8200 * MS, "two timers, each fires up to 4.1 s late (HZ=1000)")


def run(stage: Stage, settings: Settings) -> list[Observation]:
    """Close one side of two connections, and see when each record goes."""
    host = stage.host
    listener = listen(host)
    asked, floor = CLIENT, at_port(CLIENT, CLIENT.port + 1)
    pairs = {source: opened(host, listener, source=source) for source in (asked, floor)}
    host.set_option(pairs[asked].client, "TCP_LINGER2", 1000)
    began = {asked.port: host.close(pairs[asked].client).began}
    settled(host, asked.port, SERVER.port, ["FIN-WAIT-2"])
    host.set_sysctl("net.ipv4.tcp_fin_timeout", "0")
    began[floor.port] = host.close(pairs[floor].client).began
    lasted = lifetimes(host, {floor.port: began[floor.port]}, 10 * SECOND, 5 * MS)
    host.wait(100 * SECOND)
    lasted |= lifetimes(host, {asked.port: began[asked.port]}, 60 * SECOND, 100 * MS)
    none = 0
    return [
        observed(
            "tcp_fin_timeout = 0",
            lasted.get(floor.port, none),
            linux(700 * MS, _FLOOR),
            within=_SHORT,
            time=True,
        ),
        observed(
            "TCP_LINGER2 = 1000 s",
            lasted.get(asked.port, none),
            linux(120 * SECOND, _CAP),
            within=_LONG,
            time=True,
        ),
    ]


SCENARIO = Scenario(
    question="How short and how long can FIN-WAIT-2 be made?",
    sources=("tcp(7): TCP_LINGER2", f"Linux: {_FLOOR}", f"Linux: {_CAP}"),
    run=run,
    tags=("time", "fin-wait-2", "sysctl", "C2"),
    lasts=126 * SECOND,
)
