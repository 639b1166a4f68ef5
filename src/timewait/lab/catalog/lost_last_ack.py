"""The last ACK is lost: the peer's FIN comes again, and only TIME-WAIT can answer it."""

from timewait.clock import MS, SECOND
from timewait.lab.scenario import WORLDS, Observation, Parameter, Scenario, Settings, Stage, observed, rfc
from timewait.lab.steps import opened_between, settled, state
from timewait.sim import faults

_FIN = "RFC 9293 3.10.7.4, eighth: TIME-WAIT, FIN"
_PORT, _CLIENT = 80, 40000


def run(stage: Stage, settings: Settings) -> list[Observation]:
    """The client closes first; its ACKs of the server's FIN are lost until so many were, and both ends were seen."""
    pair = opened_between(stage, "client", "server", _PORT, _CLIENT)
    client, server = stage["client"], stage["server"]
    lost = stage.fault("client", "server", faults.lose(faults.pure_ack, times=None))
    client.close(pair.client)
    settled(server, _PORT, _CLIENT, ["CLOSE-WAIT"])
    server.close(pair.server)
    waits = settled(client, _CLIENT, _PORT, ["TIME-WAIT"])
    first, then = _left(stage), stage.now
    kept = state(server, _PORT, _CLIENT)
    stage.until(lambda: lost.hits >= settings["losses"], 60 * SECOND)
    stage.mend("client", "server")
    gone = settled(server, _PORT, _CLIENT, ["nothing"])
    less, passed = first - _left(stage), stage.now - then
    fins = stage.sent("server", faults.fin)
    return [
        observed("the client's state", waits, rfc("TIME-WAIT", "RFC 9293 3.5, figure 12")),
        observed("the server's, without the ACK", kept, rfc("LAST-ACK", "RFC 9293 3.5, figure 12")),
        observed("FINs for each ACK lost, and one", len(fins) == lost.hits + 1, rfc(True, "RFC 9293 3.8.1")),
        observed("all of them alike", len({(each.seq, each.flags) for each in fins}) == 1, rfc(True, "RFC 9293 3.8.1")),
        observed("left at the server then", gone, rfc("nothing", "RFC 9293 3.10.7.4, fifth: LAST-ACK")),
        observed("the wait began anew", less < passed - 100 * MS, rfc(True, _FIN)),
    ]


def _left(stage: Stage) -> int:
    rows = stage["client"].sockets(local_port=_CLIENT)
    return next((row.time_left or 0 for row in rows), 0)


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
