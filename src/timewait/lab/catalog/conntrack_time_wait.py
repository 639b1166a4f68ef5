"""Connection tracking keeps a TIME-WAIT of its own, twice as long as the hosts', at every box a connection passes."""

from timewait.clock import SECOND
from timewait.lab.scenario import KERNEL, Observation, Scenario, Settings, Stage, Within, linux, observed
from timewait.lab.steps import CLIENT, SERVER, at_port, closed, lifetimes, listen, opened, settled

_TIMEOUTS = "tcp_timeouts, net/netfilter/nf_conntrack_proto_tcp.c"
_READ = Within(2 * SECOND, 0, "it is read a moment later, in whole seconds; a busy machine")
_LATE = Within(5 * SECOND, SECOND, "read when the record has gone, which the timer wheel makes up to 4.1 s late")


def run(stage: Stage, settings: Settings) -> list[Observation]:
    """Track a connection, close it, reconnect; then wait until a host's record of another has gone."""
    host = stage.host
    host.track()
    listener = listen(host)
    pair = opened(host, listener)
    opening = _entry(stage, CLIENT.port)[0]
    closed(host, *pair)
    settled(host, CLIENT.port, SERVER.port, ["TIME-WAIT"])
    state, left = _entry(stage, CLIENT.port)
    again = opened(host, listener)
    reopened = _entry(stage, CLIENT.port)[0]
    closed(host, *again)
    other = at_port(CLIENT, CLIENT.port + 1)
    closed(host, *opened(host, listener, source=other))
    began = host.now()
    host.wait(55 * SECOND)
    lasted = lifetimes(host, {other.port: began}, 20 * SECOND, SECOND // 10).get(other.port, 0)
    later, rest = _entry(stage, other.port)
    return [
        observed("tracked as", opening, linux("ESTABLISHED", "tcp_conntracks, nf_conntrack_proto_tcp.c")),
        observed("after the close", state, linux("TIME-WAIT", "tcp_conntracks, nf_conntrack_proto_tcp.c")),
        observed("for", left, linux(120 * SECOND, _TIMEOUTS), within=_READ, time=True),
        observed(
            "a reconnect meanwhile is tracked as",
            reopened,
            linux("ESTABLISHED", "nf_conntrack_tcp_packet(): a SYN in TIME-WAIT begins a new entry"),
        ),
        observed("when the host's record has gone", later, linux("TIME-WAIT", _TIMEOUTS)),
        observed("it has left", rest, linux(120 * SECOND - lasted, _TIMEOUTS), within=_LATE, time=True),
    ]


def _entry(stage: Stage, port: int) -> tuple[str, int]:
    """Return the state and the time left of the entry with this client port."""
    found = [each for each in stage.host.tracked() if each.source_port == port]
    return (found[0].state, found[0].time_left) if found else ("nothing", 0)


SCENARIO = Scenario(
    question="How long does a packet filter remember a connection that is closed?",
    sources=("Linux: Documentation/networking/nf_conntrack-sysctl.rst", f"Linux: {_TIMEOUTS}"),
    run=run,
    tags=("conntrack", "time-wait", "time", "limit"),
    worlds=(KERNEL,),
    lasts=64 * SECOND,
)
