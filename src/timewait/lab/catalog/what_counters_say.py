"""The kernel's counters about TIME-WAIT: what moves them, whatever their names say."""

from timewait.lab.scenario import Observation, Scenario, Settings, Stage, linux, observed
from timewait.lab.steps import CLIENT, SERVER, Counting, at_port, closed, listen, opened, settled, tried

_ARMED = "inet_twsk_schedule(), net/ipv4/inet_timewait_sock.c: counted when begun"


def run(stage: Stage, settings: Settings) -> list[Observation]:
    """Begin one TIME-WAIT, one FIN-WAIT-2 of 60 s and one of 2 s, then take one over."""
    host = stage.host
    listener = listen(host)
    counting = Counting(host)
    before = host.counters()["sockstat.TCP.tw"]
    closed(host, *opened(host, listener))
    settled(host, CLIENT.port, SERVER.port, ["TIME-WAIT"])
    begun = [(counting.by("TcpExt.TW"), counting.by("TcpExt.TWKilled"))]
    for at, linger2 in enumerate((0, 2), 1):
        source = at_port(CLIENT, CLIENT.port + at)
        client, _ = opened(host, listener, source=source)
        if linger2:
            host.set_option(client, "TCP_LINGER2", linger2)
        host.close(client)
        settled(host, source.port, SERVER.port, ["FIN-WAIT-2"])
        begun.append((counting.by("TcpExt.TW"), counting.by("TcpExt.TWKilled")))
    held = host.counters()["sockstat.TCP.tw"] - before
    tried(host, listener, source=CLIENT)
    return [
        observed("TIME-WAIT: TW, TWKilled", _pair(begun[0]), linux("1, 0", _ARMED)),
        observed("FIN-WAIT-2 of 60 s: TW, TWKilled", _pair(begun[1]), linux("2, 0", _ARMED)),
        observed("FIN-WAIT-2 of 2 s: TW, TWKilled", _pair(begun[2]), linux("2, 1", f"{_ARMED}; at most 4 s: TWKilled")),
        observed("tw in /proc/net/sockstat", held, linux(3, "tw_refcount: FIN-WAIT-2 records count too")),
        observed("taken over: TWRecycled", counting.by("TcpExt.TWRecycled"), linux(1, "__inet_check_established()")),
    ]


def _pair(values: tuple[int, int]) -> str:
    return ", ".join(map(str, values))


SCENARIO = Scenario(
    question="What do the counters TW, TWKilled and TWRecycled count?",
    sources=(f"Linux: {_ARMED}", "Linux: __inet_check_established(), net/ipv4/inet_hashtables.c"),
    run=run,
    tags=("counters", "time-wait"),
)
