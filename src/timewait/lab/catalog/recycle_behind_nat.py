"""tcp_tw_recycle, which Linux had until 4.12: a server that remembers one clock for all hosts behind a NAT."""

from timewait.clock import SECOND
from timewait.lab.middlebox import Nat, last_clock, shift_clock
from timewait.lab.scenario import Foretold, Observation, Scenario, Settings, Stage, linux, observed
from timewait.lab.steps import closed_between, listen, reopened, result
from timewait.sim import faults
from timewait.wire.seq import MASK

_OLD = "tcp_v4_conn_request(), net/ipv4/tcp_ipv4.c of 3.10: PAWSPassiveRejected, within TCP_PAWS_MSL = 60 s"
_GONE = "commit 4396e46187ca: tcp: remove tcp_tw_recycle, Linux 4.12"
_PORT, _FIRST, _SECOND = 80, 40000, 41000


def _told(old: str | int | bool, now: str | int | bool) -> tuple[Foretold, ...]:
    return Foretold(old, _OLD, "linux-3.10"), linux(now, _GONE)


def run(stage: Stage, settings: Settings) -> list[Observation]:
    """The first client's connection is closed by the server; the second, its clock behind, uses another port."""
    Nat(stage, "nat", ["first", "second"], "server")
    server = stage["server"]
    listener = listen(server, stage.at("server", _PORT))
    pair = reopened(stage, "first", "server", listener, _PORT, _FIRST)
    closed_between(stage, "server", pair.server, "first", pair.client, _PORT, _FIRST)
    shift_clock(stage, "second", "nat", _SECOND, (last_clock(stage, "first") - 10_000) & MASK)
    second = stage["second"]
    again = second.connect(stage.at("server", _PORT), source=stage.at("second", _SECOND), timeout=3 * SECOND)
    sent = len(stage.sent("second", faults.syn))
    answered = bool([each for each in stage.sent("nat") if each.destination_port == _SECOND])
    left = server.sysctl("net.ipv4.tcp_tw_recycle") is not None
    return [
        observed("the server has tcp_tw_recycle", left, *_told(True, False)),
        observed("the second client's connect() within 3 s", result(again), *_told("ETIMEDOUT", "ok")),
        observed("it is answered at all", answered, *_told(False, True)),
        observed("one SYN is enough", sent == 1, *_told(False, True)),
    ]


SCENARIO = Scenario(
    question="What did tcp_tw_recycle do to clients behind a NAT?",
    sources=(f"Linux: {_OLD}", _GONE),
    run=run,
    hosts=("server", "first", "second"),
    wires=("nat",),
    tags=("server-closes", "nat", "timestamps", "network", "advice"),
)
