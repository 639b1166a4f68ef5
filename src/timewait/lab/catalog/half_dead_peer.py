"""The client comes back while the server still waits for the last ACK: its SYN is questioned, and asked again."""

from timewait.clock import MS, Duration
from timewait.lab.scenario import WORLDS, Observation, Scenario, Settings, Stage, linux, measured, observed, rfc
from timewait.lab.steps import listen, reopened, result, settled, state
from timewait.sim import faults
from timewait.trace import Fate, Moved, flag_names
from timewait.wire.seq import add

_CHALLENGE = "RFC 9293 3.10.7.4, fourth: challenge ACK (RFC 5961 4)"
_RESET = "RFC 9293 3.10.7.3, first: SEG.ACK is not acceptable, RST"
_AGAIN = "tcp_rcv_synsent_state_process(), net/ipv4/tcp_input.c: the SYN again after TCP_TIMEOUT_MIN"
_REUSED = "__inet_check_established(), tcp_twsk_unique(): bound before connect(), the old connection had timestamps"
_FAST = measured(100 * MS, "two ticks of the timer; less than a timeout of 1 s")
_PORT, _CLIENT = 80, 40000


def run(stage: Stage, settings: Settings) -> list[Observation]:
    """The client closes first and its last ACK is lost; it connects again from the same port.

    The server's FIN does not come again: that is another scenario, and on a busy machine it would come in between.
    """
    client, server = stage["client"], stage["server"]
    listener = listen(server, stage.at("server", _PORT))
    pair = reopened(stage, "client", "server", listener, _PORT, _CLIENT)
    last = add(stage.sent("client")[0].seq, 2)
    lost = stage.fault(
        "client", "server", faults.lose(lambda each: faults.pure_ack(each) and each.seq == last, times=None)
    )
    stage.fault("server", "client", faults.lose(faults.fin, skip=1, times=None))
    client.close(pair.client)
    settled(server, _PORT, _CLIENT, ["CLOSE-WAIT"])
    server.close(pair.server)
    waits = settled(client, _CLIENT, _PORT, ["TIME-WAIT"])
    there = state(server, _PORT, _CLIENT)
    before = [len(stage.sent(name)) for name in ("client", "server")]
    again = client.connect(stage.at("server", _PORT), source=stage.at("client", _CLIENT), reuse_address=True)
    sent = stage.sent("client")[before[0] :]
    answered = [each for each in stage.sent("server")[before[1] :] if not faults.fin(each)]
    first = flag_names(answered[0].flags) if answered else "nothing"
    accepted = server.accept(listener)
    return [
        observed("the last ACK is lost", lost.hits > 0, rfc(True, "this scenario")),
        observed("the client is in", waits, rfc("TIME-WAIT", "RFC 9293 3.10.7.4, FIN-WAIT-2: FIN")),
        observed("the server is in", there, rfc("LAST-ACK", "RFC 9293 3.10.4: CLOSE in CLOSE-WAIT")),
        observed("connect() gives", result(again), linux("ok", _REUSED)),
        observed("it is answered first with", first, linux("ACK", _CHALLENGE)),
        observed("the client then resets", sum(map(faults.rst, sent)), linux(1, _RESET)),
        observed("SYNs", sum(map(faults.syn, sent)), linux(2, _AGAIN)),
        observed("the second, after that ACK came", _waited(stage), linux(0, _AGAIN), within=_FAST, time=True),
        observed("the server accepts", result(accepted), linux("ok", _AGAIN)),
    ]


def _waited(stage: Stage) -> Duration:
    """Return how long after an ACK came the client's last SYN left: too long only, whenever this program was late."""
    moved = [each for each in stage.trace.entries if isinstance(each, Moved) and each.host == "client"]
    came = [each.time for each in moved if each.fate is Fate.DELIVERED and faults.pure_ack(each.segment)]
    left = [each.time for each in moved if each.fate is Fate.SENT and faults.syn(each.segment)]
    return left[-1] - came[-1] if came else 0


SCENARIO = Scenario(
    question="What if the client comes back before the server has had its last ACK?",
    sources=("RFC 9293 3.10.7.3, 3.10.7.4", "RFC 5961 4", f"Linux: {_AGAIN}"),
    run=run,
    hosts=("client", "server"),
    worlds=WORLDS,
    tags=("reuse", "network", "F1", "I5"),
)
