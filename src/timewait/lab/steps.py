"""The steps that many scenarios share: open a connection, close it, see what is left at each end.

Knows the contract `lab.host.Host` alone.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from timewait.clock import MS, SECOND, Duration, Instant
from timewait.endpoint import Endpoint
from timewait.errors import UnavailableError
from timewait.lab.scenario import measured
from timewait.sim.faults import fin, lose
from timewait.system.counters import moved

if TYPE_CHECKING:
    from timewait.lab.host import Host, Outcome
    from timewait.lab.stage import Stage
    from timewait.system.socket_table import Socket

SERVER: Final = Endpoint("127.0.0.1", 44400)
CLIENT: Final = Endpoint("127.0.0.1", 44500)
NOTHING: Final = "nothing"

TIMESTAMPS: Final = "net.ipv4.tcp_timestamps"
REUSE: Final = "net.ipv4.tcp_tw_reuse"
RFC1337: Final = "net.ipv4.tcp_rfc1337"
REUSE_DELAY: Final = "net.ipv4.tcp_tw_reuse_delay"
RANGE: Final = "net.ipv4.ip_local_port_range"

_PIECE: Final = 128 * 1024
# How often a scenario looks whether something has happened.
_LOOK: Final = 2 * MS
# A segment and its answer on loopback take microseconds, a delayed ACK 40 ms; a busy machine longer.
SOON: Final = 5 * SECOND


# LVL_GRAN, kernel/time/timer.c: what is to last a minute ends with one of the timer wheel's slots, of 512 ticks at
# 250 Hz, of 4096 at 1000 Hz.
A_MINUTE: Final = measured(4100 * MS, "the timer wheel fires up to 2.05 s (HZ=250) or 4.1 s (HZ=1000) late")
# A look that took longer says nothing about when; that many are made.
_QUICK: Final = 50 * MS
_LOOKS: Final = 50
_Seen = TypeVar("_Seen")


class Pair(NamedTuple):
    """The two ends of one connection."""

    client: int
    server: int


def must(outcome: "Outcome", what: str) -> Any:
    """Return the value of a call without which there is no experiment."""
    if not outcome.ok:
        raise UnavailableError(f"{what}: {outcome.call}() gave {outcome.error}", "another run, or the engine, may do")
    return outcome.value


def result(outcome: "Outcome") -> str:
    """Return what a call came to, as an observation: "ok", or the errno's name, and the call if it was not the last."""
    if outcome.ok:
        return "ok"
    return outcome.error if outcome.call != "bind" else f"{outcome.error} from bind()"


def read(outcome: "Outcome") -> str:
    """Return what a receive came to: "the end" of the stream, how many octets, or the errno's name."""
    if not outcome.ok:
        return result(outcome)
    return f"{len(outcome.value)} octets" if outcome.value else "the end"


def polled(host: "Host", connection: int) -> str:
    """Return what poll() reports, as an observation."""
    return ", ".join(host.poll(connection)) or NOTHING


def at_port(end: Endpoint, port: int) -> Endpoint:
    """Return another port of the same address."""
    return Endpoint(end.address, port)


def listen(host: "Host", at: Endpoint = SERVER, *, reuse_address: bool = True, backlog: int = 4096) -> int:
    """Listen, or give up."""
    listener: int = must(host.listen(at, reuse_address=reuse_address, backlog=backlog), f"listening on {at}")
    return listener


def opened(
    host: "Host",
    listener: int,
    to: Endpoint = SERVER,
    source: Endpoint | None = CLIENT,
    *,
    reuse_address: bool = True,
    options: Mapping[str, int] | None = None,
) -> Pair:
    """Open a connection and take it from the accept queue, or give up."""
    client = must(host.connect(to, source=source, reuse_address=reuse_address, options=options), f"connecting to {to}")
    return Pair(client, must(host.accept(listener), "accepting"))


def tried(host: "Host", listener: int, to: Endpoint = SERVER, source: Endpoint | None = None, **how: Any) -> "Outcome":
    """Make one connect() and return what it came to; a connection that it made is accepted and closed at once.

    Left in the accept queue, it would be what the next accept() returns.
    """
    outcome = host.connect(to, source=source, reuse_address=source is not None, **how)
    if outcome.ok:
        closed(host, outcome.value, must(host.accept(listener), "accepting"))
    return outcome


def end(host: "Host", local: int, peer: int) -> "Socket | None":
    """Return what stands on the four-tuple at the end with this local port."""
    return next((row for row in host.sockets(local_port=local, peer_port=peer) if row.state != "LISTEN"), None)


def state(host: "Host", local: int, peer: int) -> str:
    """Return the state of the end with this local port, as an observation."""
    row = end(host, local, peer)
    return row.state if row else NOTHING


def settled(host: "Host", local: int, peer: int, wanted: Iterable[str]) -> str:
    """Wait until that end is in one of these states; return the one it has then."""
    states = frozenset(wanted)
    until(host, lambda: state(host, local, peer) in states)
    return state(host, local, peer)


def until(host: "Host", true: Callable[[], bool], patience: Duration = SOON, look: Duration = _LOOK) -> bool:
    """Let time pass until something is true; return False when patience ended first."""
    deadline = host.now() + patience
    while not true():
        if host.now() >= deadline:
            return False
        host.wait(look)
    return True


def at_once(now: Callable[[], Instant], look: Callable[[], _Seen]) -> tuple[_Seen, Instant]:
    """Look, and tell when, to 50 ms: on a busy machine a look may be drawn out, and is made again."""
    for _ in range(_LOOKS):
        before = now()
        seen = look()
        if now() - before < _QUICK:
            break
    return seen, before


def lifetimes(host: "Host", began: Mapping[int, Instant], patience: Duration, look: Duration) -> dict[int, Duration]:
    """Return for each client port how long after its beginning its end was gone; those that stay are left out.

    Looked for until all are gone or `patience` has passed: a duration is too long by up to `look`.
    """
    found: dict[int, Duration] = {}

    def all_gone() -> bool:
        there = {row.local.port for row in host.sockets(peer_port=SERVER.port)}
        now = host.now()
        found.update((port, now - began[port]) for port in began if port not in there and port not in found)
        return len(found) == len(began)

    until(host, all_gone, patience, look)
    return found


def transferred(host: "Host", sender: int, receiver: int, octets: int) -> None:
    """Carry so many octets from one end to the other, read as they come, or give up."""
    piece, sent, got = bytes(_PIECE), 0, 0
    while got < octets:
        if sent < octets:
            sent += must(host.send(sender, piece[: octets - sent]), "sending")
        data = must(host.receive(receiver, _PIECE), "receiving")
        got += len(data)


def exchanged(host: "Host", pair: Pair) -> bool:
    """Send a request and its response; return whether both were read."""
    for sender, receiver in ((pair.client, pair.server), (pair.server, pair.client)):
        must(host.send(sender, b"a line"), "sending")
        if not must(host.receive(receiver), "receiving"):
            return False
    return True


def filled(host: "Host", sender: int, most: int = 64 << 20) -> int:
    """Write until nothing more is taken, the peer not reading; return how many octets were."""
    written = 0
    while written < most and (sent := host.send(sender, bytes(65536), timeout=50 * MS)).ok:
        written += sent.value
    return written


def closed(host: "Host", first: int, second: int) -> None:
    """Close one end, then the other."""
    host.close(first)
    host.close(second)


def set_if_any(host: "Host", name: str, value: int) -> None:
    """Make a setting on a host that has it; for values that others have without saying so."""
    if host.sysctl(name) is not None:
        host.set_sysctl(name, str(value))


def one_port(host: "Host", port: int) -> None:
    """Leave connect() a single port to choose."""
    host.set_sysctl(RANGE, f"{port} {port}")


class Counting:
    """The host's counters from now on."""

    def __init__(self, host: "Host") -> None:
        self.host = host
        self.before = host.counters()

    def by(self, name: str) -> int:
        """Return by how much a counter has moved."""
        return moved(self.before, self.host.counters()).get(name, 0)


def opened_between(
    stage: "Stage", client: str, server: str, port: int, source: int = 0, *, options: Mapping[str, int] | None = None
) -> Pair:
    """Open a connection between two hosts of a network, to a listener made for it, or give up."""
    listener = listen(stage[server], stage.at(server, port))
    return reopened(stage, client, server, listener, port, source, options=options)


def reopened(
    stage: "Stage",
    client: str,
    server: str,
    listener: int,
    port: int,
    source: int = 0,
    *,
    options: Mapping[str, int] | None = None,
) -> Pair:
    """Open a connection between two hosts of a network and take it from the accept queue, or give up."""
    to, own = stage.at(server, port), stage.at(client, source)
    opening = stage[client].connect(to, source=own, reuse_address=True, options=options)
    return Pair(must(opening, f"connecting to {to}"), must(stage[server].accept(listener), "accepting"))


def closed_between(stage: "Stage", first: str, one: int, second: str, other: int, local: int, peer: int) -> None:
    """Close the end at `first`, then the one at `second`, and wait until the first waits and the second is gone.

    `local` and `peer` are the ports as the first has them.  On a busy machine the second's FIN may stand in line twice:
    the answer to the other one would meet nobody, and the RST for it end the wait.
    """
    repeated = lose(lambda each: each.source_port == peer and fin(each), skip=1, times=None)
    stage.fault(second, first, repeated)
    stage[first].close(one)
    settled(stage[second], peer, local, ["CLOSE-WAIT"])
    stage[second].close(other)
    settled(stage[second], peer, local, [NOTHING])
    settled(stage[first], local, peer, ["TIME-WAIT"])
    repeated.times = repeated.hits
