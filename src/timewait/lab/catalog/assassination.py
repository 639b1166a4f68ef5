"""TIME-WAIT assassination: an old duplicate draws an ACK, the ACK draws a RST, and the RST ends the wait."""

from timewait.lab.hand import SILENCE
from timewait.lab.scenario import WORLDS, Observation, Scenario, Settings, Stage, linux, observed, rfc
from timewait.lab.steps import RFC1337, closed_between, listen, must, reopened, set_if_any, state
from timewait.sim import faults

_CHAIN = "RFC 1337 1, figure 1"
_SPARED = "tcp_timewait_state_process(), net/ipv4/tcp_minisocks.c: tcp_rfc1337"
_PORT = 80


def run(stage: Stage, settings: Settings) -> list[Observation]:
    """Close by the server after some text of the client's; replay that text, with tcp_rfc1337 off and on."""
    return [*_one(stage, 0, 40000), *_one(stage, 1, 40001)]


def _one(stage: Stage, rfc1337: int, source: int) -> list[Observation]:
    server = stage["server"]
    set_if_any(server, RFC1337, rfc1337)
    listener = listen(server, stage.at("server", _PORT))
    pair = reopened(stage, "client", "server", listener, _PORT, source)
    must(stage["client"].send(pair.client, b"some text"), "sending")
    must(server.receive(pair.server), "receiving")
    closed_between(stage, "server", pair.server, "client", pair.client, _PORT, source)
    old = [each for each in stage.sent("client", faults.text) if each.source_port == source][-1]
    acks, resets = len(stage.sent("server", faults.pure_ack)), len(stage.sent("client", faults.rst))
    stage.replay(old)
    stage.wait(SILENCE)
    left = state(server, _PORT, source)
    server.close(listener)
    words = f"tcp_rfc1337 = {rfc1337}"
    told = linux("TIME-WAIT", _SPARED) if rfc1337 else rfc("nothing", _CHAIN)
    return [
        observed(f"{words}: ACKs it draws", len(stage.sent("server", faults.pure_ack)) - acks, rfc(1, _CHAIN)),
        observed(f"{words}: RSTs these draw", len(stage.sent("client", faults.rst)) - resets, rfc(1, _CHAIN)),
        observed(f"{words}: left at the server", left, told),
    ]


SCENARIO = Scenario(
    question="Can one stray segment end a TIME-WAIT?",
    sources=("RFC 1337 1, 3", "RFC 9293 3.10.7.4", f"Linux: {_SPARED}"),
    run=run,
    hosts=("server", "client"),
    worlds=WORLDS,
    tags=("server-closes", "time-wait", "reset", "assassination", "network", "H12", "H14", "H15"),
)
