"""Two clients behind one NAT, whose clocks differ: the second uses the port that the first had."""

from timewait.clock import MS, SECOND
from timewait.lab.middlebox import Nat, last_clock, shift_clock
from timewait.lab.scenario import WORLDS, Observation, Scenario, Settings, Stage, Within, linux, observed, rfc
from timewait.lab.steps import RFC1337, closed_between, listen, reopened, result, set_if_any
from timewait.sim import faults
from timewait.wire.seq import MASK

_AHEAD = "RFC 6191 2: the timestamp is greater"
_BEHIND = "tcp_timewait_state_process(): PAWS rejects it; tcp_rcv_synsent_state_process(): RST for the ACK, SYN again"
_SPARED = "tcp_timewait_state_process(): tcp_rfc1337; every SYN is refused again"
_PORT = 80
# A SYN that is not answered is sent again after a second (RFC 6298 2).
_TIMEOUT = 950 * MS
_SOON = 600 * MS
_ONE_MORE = Within(0, 1, "a second after the first comes another, if a busy machine gives up later than that")


def run(stage: Stage, settings: Settings) -> list[Observation]:
    """A connection of the first client's, closed by the server; then the second's, its clock ahead or behind."""
    Nat(stage, "nat", ["first", "second"], "server")
    return [
        *_one(stage, "its clock ahead", 40000, 1000, 0, 1),
        *_one(stage, "its clock behind", 40001, -10_000, 0, 2),
        *_one(stage, "behind, and tcp_rfc1337 = 1", 40002, -10_000, 1, 2),
    ]


def _one(stage: Stage, words: str, source: int, ahead: int, rfc1337: int, syns: int) -> list[Observation]:
    server = stage["server"]
    set_if_any(server, RFC1337, rfc1337)
    listener = listen(server, stage.at("server", _PORT))
    first = reopened(stage, "first", "server", listener, _PORT, source)
    closed_between(stage, "server", first.server, "first", first.client, _PORT, source)
    shift_clock(stage, "second", "nat", source, (last_clock(stage, "first") + ahead) & MASK)
    before = len(stage.sent("second", faults.syn))
    again = stage["second"].connect(
        stage.at("server", _PORT),
        source=stage.at("second", source),
        reuse_address=True,
        timeout=_SOON if rfc1337 else _TIMEOUT,
    )
    sent = len(stage.sent("second", faults.syn)) - before
    server.close(listener)
    fails = bool(rfc1337)
    why = _SPARED if fails else _BEHIND if ahead < 0 else _AHEAD
    told = linux("ETIMEDOUT", why) if fails else linux("ok", why) if ahead < 0 else rfc("ok", why)
    return [
        observed(f"{words}: connect() within a timeout", result(again), told),
        observed(f"{words}: SYNs sent", sent, linux(syns, why), within=_ONE_MORE if fails else None),
    ]


SCENARIO = Scenario(
    question="What happens to the second of two clients behind one NAT that use the same port?",
    sources=("RFC 6191 2", "RFC 7323 5.3", f"Linux: {_BEHIND}"),
    run=run,
    hosts=("server", "first", "second"),
    wires=("nat",),
    worlds=WORLDS,
    tags=("server-closes", "nat", "timestamps", "network", "H25", "H26"),
    lasts=2 * SECOND,
)
