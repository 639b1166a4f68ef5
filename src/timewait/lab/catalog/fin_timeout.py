"""net.ipv4.tcp_fin_timeout and TCP_LINGER2: which wait they shorten, and which they do not."""

from timewait.clock import MS, SECOND
from timewait.lab.scenario import Observation, Parameter, Scenario, Settings, Stage, linux, measured, observed, rfc
from timewait.lab.steps import CLIENT, SERVER, at_port, closed, lifetimes, listen, opened, read, result, settled, state

_LOOK = 50 * MS
_WHEEL = "the timer wheel fires up to an eighth late (kernel/time/timer.c)"
_CLOSE = "__tcp_close(), net/ipv4/tcp.c; tcp_fin_time(), include/net/tcp.h"


def run(stage: Stage, settings: Settings) -> list[Observation]:
    """Let connections wait in FIN-WAIT-2 and in TIME-WAIT side by side, and see when each goes."""
    host = stage.host
    host.set_sysctl("net.ipv4.tcp_fin_timeout", str(settings["fin_timeout_s"]))
    listener = listen(host)
    waiting, orphan, own, answered, held = (at_port(CLIENT, CLIENT.port + at) for at in range(5))
    pairs = {source: opened(host, listener, source=source) for source in (waiting, orphan, own, answered, held)}
    host.set_option(pairs[own].client, "TCP_LINGER2", settings["linger2_s"])
    began = {}
    for source in (waiting, orphan, own, answered):
        began[source.port] = host.close(pairs[source].client).began
    host.close(pairs[waiting].server)
    host.half_close(pairs[held].client)
    settled(host, held.port, SERVER.port, ["FIN-WAIT-2"])
    states = {source: state(host, source.port, SERVER.port) for source in (waiting, orphan)}
    # The peer answers with its FIN while the record is in FIN-WAIT-2: true TIME-WAIT begins.
    host.wait(settings["fin_timeout_s"] * SECOND // 2)
    began[answered.port] = host.now()
    host.close(pairs[answered].server)
    turned = settled(host, answered.port, SERVER.port, ["TIME-WAIT"])
    lasted = lifetimes(host, began, 150 * SECOND, _LOOK)
    kept = state(host, held.port, SERVER.port)
    sent, got = host.send(pairs[held].server, b"late"), host.receive(pairs[held].client)
    closed(host, *pairs[held])

    def time(name: str, port: int, expected: int, source: str) -> Observation:
        within = measured(expected * SECOND // 8 + _LOOK, _WHEEL)
        value = lasted.get(port, 0)
        return observed(name, value, linux(expected * SECOND, source), within=within, time=True)

    length = "TCP_TIMEWAIT_LEN, include/net/tcp.h"
    return [
        observed("both closed", states[waiting], rfc("TIME-WAIT", "RFC 9293 3.10.7.4, FIN-WAIT-2: FIN")),
        observed("one closed", states[orphan], rfc("FIN-WAIT-2", "RFC 9293 3.10.7.4, FIN-WAIT-1: our FIN acked")),
        time("FIN-WAIT-2, its program gone", orphan.port, settings["fin_timeout_s"], _CLOSE),
        time("FIN-WAIT-2 with TCP_LINGER2", own.port, settings["linger2_s"], f"tcp(7): TCP_LINGER2; {_CLOSE}"),
        time("TIME-WAIT", waiting.port, 60, length),
        observed("a late FIN of the peer makes it", turned, rfc("TIME-WAIT", "RFC 9293 3.10.7.4, FIN-WAIT-2: FIN")),
        time("that TIME-WAIT", answered.port, 60, length),
        observed("FIN-WAIT-2, its program there, after all that", kept, rfc("FIN-WAIT-2", "RFC 9293 3.6: no timeout")),
        observed("its peer's send()", result(sent), rfc("ok", "RFC 9293 3.10.2: SEND in CLOSE-WAIT")),
        observed("it reads", read(got), rfc("4 octets", "RFC 9293 3.10.3: RECEIVE in FIN-WAIT-2")),
    ]


SCENARIO = Scenario(
    question="Do tcp_fin_timeout and TCP_LINGER2 shorten TIME-WAIT?",
    sources=("Linux: Documentation/networking/ip-sysctl.rst, tcp_fin_timeout", "tcp(7): TCP_LINGER2"),
    run=run,
    tags=("time", "time-wait", "fin-wait-2", "sysctl", "C1", "C2", "C4", "H2"),
    parameters=(
        Parameter("fin_timeout_s", 4, "net.ipv4.tcp_fin_timeout", 2, 59),
        Parameter("linger2_s", 8, "TCP_LINGER2 of one socket", 1, 60),
    ),
    lasts=67 * SECOND,
)
