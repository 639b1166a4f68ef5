"""The server's end waits and the client comes back from the same port: with timestamps or not, with a lower number."""

from timewait.clock import MS
from timewait.lab.middlebox import shift_sequence
from timewait.lab.scenario import WORLDS, Foretold, Observation, Scenario, Settings, Stage, linux, observed, rfc
from timewait.lab.steps import (
    TIMESTAMPS,
    closed_between,
    listen,
    reopened,
    result,
)
from timewait.sim import faults
from timewait.wire.seq import MASK, diff

_TS = "RFC 6191 2: the timestamp is greater"
_SEQ = "RFC 9293 3.6.1 (MAY-2); RFC 6191 2: the sequence number is greater"
_REFUSED = "tcp_timewait_state_process(): neither is; tcp_rcv_synsent_state_process(): RST for the ACK, SYN again"
_ISN = "tcp_timewait_state_process(): tw_snd_nxt + 65535 + 2"
_PORT = 80
# A SYN that is not answered is sent again after a second (RFC 6298 2).
_TIMEOUT = 950 * MS


def run(stage: Stage, settings: Settings) -> list[Observation]:
    """Close by the server and connect again at once, in each of four ways."""
    found = []
    for at, (words, timestamps, lower, how) in enumerate(
        (
            ("timestamps", 1, False, rfc(1, _TS)),
            ("no timestamps", 0, False, rfc(1, _SEQ)),
            ("timestamps, a lower number", 1, True, rfc(1, _TS)),
            ("no timestamps, a lower number", 0, True, linux(2, _REFUSED)),
        )
    ):
        for host in stage.hosts:
            host.set_sysctl(TIMESTAMPS, str(timestamps))
        found += _one(stage, words, 40000 + at, lower, how)
    return found


def _one(stage: Stage, words: str, source: int, lower: bool, syns: Foretold) -> list[Observation]:
    client, server = stage["client"], stage["server"]
    listener = listen(server, stage.at("server", _PORT))
    pair = reopened(stage, "client", "server", listener, _PORT, source)
    closed_between(stage, "server", pair.server, "client", pair.client, _PORT, source)
    old = [each for each in stage.sent("client") if each.source_port == source][-1]
    if lower:
        shift_sequence(stage, "client", "server", source, (old.seq - 1000) & MASK)
    stage.wait(2 * MS)  # timestamps are of one millisecond
    before = len(stage.sent("client")), len(stage.sent("server"))
    again = client.connect(
        stage.at("server", _PORT), source=stage.at("client", source), reuse_address=True, timeout=_TIMEOUT
    )
    sent = [each for each in stage.sent("client")[before[0] :] if faults.syn(each)]
    opened = [each for each in stage.sent("server")[before[1] :] if faults.syn_ack(each)]
    if again.ok:
        server.accept(listener)
    server.close(listener)
    ok = linux("ok", _REFUSED) if syns.value == 2 else rfc("ok", syns.source)
    last = diff(opened[0].seq, old.ack) if opened else 0
    found = [
        observed(f"{words}: connect() within a timeout", result(again), ok),
        observed(f"{words}: SYNs sent", len(sent), syns),
    ]
    if not lower:
        found.append(observed(f"{words}: the server's number grew by", last, linux(65537, _ISN)))
    return found


SCENARIO = Scenario(
    question="Does a server's TIME-WAIT keep a client from coming back?",
    sources=("RFC 9293 3.6.1", "RFC 6191 2", f"Linux: {_REFUSED}"),
    run=run,
    hosts=("server", "client"),
    worlds=WORLDS,
    tags=("server-closes", "reuse", "timestamps", "network", "H19", "H20", "H25", "H27"),
)
