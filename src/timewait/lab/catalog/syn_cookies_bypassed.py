"""A SYN that ends TIME-WAIT is not answered with a SYN cookie, even where every other one is."""

from timewait.lab.scenario import KERNEL, Observation, Scenario, Settings, Stage, linux, observed
from timewait.lab.steps import CLIENT, SERVER, Counting, at_port, closed, listen, opened, result, settled, tried

_SOURCE = "tcp_conn_request(), net/ipv4/tcp_input.c: isn (tcp_tw_isn) is not 0"


def run(stage: Stage, settings: Settings) -> list[Observation]:
    """Answer all SYNs with cookies; connect anew, then over a pair that waits."""
    host = stage.host
    host.set_sysctl("net.ipv4.tcp_syncookies", "2")
    listener = listen(host)
    counting = Counting(host)
    client, server = opened(host, listener)
    first = counting.by("TcpExt.SyncookiesSent")
    closed(host, server, client)
    settled(host, SERVER.port, CLIENT.port, ["TIME-WAIT"])
    again = tried(host, listener, source=CLIENT)
    over = counting.by("TcpExt.SyncookiesSent") - first
    other = tried(host, listener, source=at_port(CLIENT, CLIENT.port + 1))
    fresh = counting.by("TcpExt.SyncookiesSent") - first - over
    return [
        observed("cookies for a fresh pair", first, linux(1, "tcp_syn_flood_action(): tcp_syncookies = 2")),
        observed("connect() over TIME-WAIT", result(again), linux("ok", "RFC 6191 2")),
        observed("cookies for it", over, linux(0, _SOURCE)),
        observed("connect() from another port", result(other), linux("ok", "RFC 9293 3.10.7.2")),
        observed("cookies for that", fresh, linux(1, "tcp_syn_flood_action(): tcp_syncookies = 2")),
    ]


SCENARIO = Scenario(
    question="Do SYN cookies apply to a connection that follows one in TIME-WAIT?",
    sources=("Linux: Documentation/networking/ip-sysctl.rst, tcp_syncookies", f"Linux: {_SOURCE}"),
    run=run,
    tags=("server-closes", "isn", "sysctl", "H19", "H20"),
    worlds=(KERNEL,),
)
