"""The last ACK is lost: the peer's FIN comes again, and only TIME-WAIT can answer it."""

from timewait.clock import MS, SECOND, Instant
from timewait.lab.scenario import WORLDS, Observation, Parameter, Scenario, Settings, Stage, observed, rfc
from timewait.lab.steps import at_once, end, opened_between, settled, state
from timewait.sim import faults

_FIN = "RFC 9293 3.10.7.4, eighth: TIME-WAIT, FIN"
_PORT, _CLIENT = 80, 40000


def run(stage: Stage, settings: Settings) -> list[Observation]:
    """The client closes first; its first ACKs of the server's FIN are lost, and one gets through.

    On a busy machine the FIN may come again before both ends were seen, and several may stand in line: an ACK more
    would meet a server that has gone, whose RST ends the wait.
    """
    pair = opened_between(stage, "client", "server", _PORT, _CLIENT)
    client, server = stage["client"], stage["server"]
    lost = stage.fault("client", "server", faults.lose(faults.pure_ack, times=settings["losses"]))
    stage.fault("client", "server", faults.lose(faults.pure_ack, skip=1, times=None))
    early = stage.fault("server", "client", faults.hold(faults.fin, skip=1, times=None))
    client.close(pair.client)
    settled(server, _PORT, _CLIENT, ["CLOSE-WAIT"])
    server.close(pair.server)
    waits = settled(client, _CLIENT, _PORT, ["TIME-WAIT"])
    first = _ends(stage)
    kept = state(server, _PORT, _CLIENT)
    stage.release(early)
    stage.until(lambda: lost.hits == settings["losses"], 60 * SECOND)
    gone = settled(server, _PORT, _CLIENT, ["nothing"])
    anew = _ends(stage) - first
    fins = stage.sent("server", faults.fin)
    return [
        observed("the client's state", waits, rfc("TIME-WAIT", "RFC 9293 3.5, figure 12")),
        observed("the server's, without the ACK", kept, rfc("LAST-ACK", "RFC 9293 3.5, figure 12")),
        observed("FINs for each ACK lost, and one", len(fins) > lost.hits > 0, rfc(True, "RFC 9293 3.8.1")),
        observed("all of them alike", len({(each.seq, each.flags) for each in fins}) == 1, rfc(True, "RFC 9293 3.8.1")),
        observed("left at the server then", gone, rfc("nothing", "RFC 9293 3.10.7.4, fifth: LAST-ACK")),
        observed("the wait began anew", anew > 100 * MS, rfc(True, _FIN)),
    ]


def _ends(stage: Stage) -> Instant:
    """Return when the client's wait ends; 0 if there is none."""
    row, now = at_once(lambda: stage.now, lambda: end(stage["client"], _CLIENT, _PORT))
    return 0 if row is None or row.time_left is None else now + row.time_left


SCENARIO = Scenario(
    question="What if the last ACK is lost?",
    sources=(_FIN, "RFC 9293 3.6.1"),
    run=run,
    hosts=("client", "server"),
    worlds=WORLDS,
    tags=("time-wait", "network", "H4", "H5", "B1", "D10"),
    parameters=(Parameter("losses", 1, "how often the ACK is lost at least", 1, 4),),
    lasts=SECOND,
)
