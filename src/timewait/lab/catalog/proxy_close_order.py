"""A proxy is a client of its backend: what it costs who of the two closes first."""

from timewait.endpoint import Endpoint
from timewait.lab.scenario import Observation, Parameter, Scenario, Settings, Stage, linux, observed, rfc
from timewait.lab.steps import RANGE, REUSE, listen, must, set_if_any, until

_PROXY, _CALLER = Endpoint("127.0.0.2", 8080), Endpoint("127.0.0.4", 0)
_ACTIVE = "RFC 9293 3.6, figure 12: who sends the first FIN waits"
_REOPENS = "RFC 9293 3.6.1 (MAY-2); RFC 6191 2"


def run(stage: Stage, settings: Settings) -> list[Observation]:
    """Carry requests through the proxy until it has no port left, the proxy closing first; then the backend."""
    host = stage.host
    ports, requests = settings["ports"], settings["requests"]
    set_if_any(host, REUSE, 0)
    front = listen(host, _PROXY)
    found = []
    for at, (closer, backend) in enumerate(
        (("proxy", Endpoint("127.0.0.3", 9000)), ("backend", Endpoint("127.0.0.3", 9001)))
    ):
        low = 50000 + 1000 * at
        host.set_sysctl(RANGE, f"{low} {low + ports - 1}")
        back = listen(host, backend)
        served = 0
        for number in range(requests):
            source = Endpoint(_CALLER.address, 20000 + 2000 * at + number)
            caller = must(host.connect(_PROXY, source=source), "calling the proxy")
            inside = must(host.accept(front), "accepting at the proxy")
            forward = host.connect(backend, source=Endpoint(_PROXY.address, 0), late=True)
            if forward.ok:
                served += 1
                answering = must(host.accept(back), "accepting at the backend")
                ends = (forward.value, answering) if closer == "proxy" else (answering, forward.value)
                for end in ends:
                    host.close(end)
            host.close(caller)  # the caller's own ports are not what this is about
            host.close(inside)
        waits = _waiting(stage, backend)
        kept = min(requests, ports)
        mine = closer == "proxy"
        limit = linux(kept, "__inet_hash_connect(), net/ipv4/inet_hashtables.c") if mine else rfc(requests, _REOPENS)
        found += [
            observed(f"the {closer} closes first: requests served, of {requests}", served, limit),
            observed(f"the {closer} closes first: TIME-WAIT at the proxy", waits[0], rfc(kept if mine else 0, _ACTIVE)),
            observed(f"the {closer} closes first: at the backend, some", waits[1] > 0, rfc(not mine, _ACTIVE)),
        ]
    return found


def _waiting(stage: Stage, backend: Endpoint) -> tuple[int, int]:
    """Return how many records there are at the proxy's end and at the backend's."""
    host = stage.host

    def count(**ports: int) -> int:
        return sum(row.state == "TIME-WAIT" for row in host.sockets(**ports))

    until(host, lambda: not any(row.state == "LAST-ACK" for row in host.sockets()))
    return count(peer_port=backend.port), count(local_port=backend.port)


SCENARIO = Scenario(
    question="Should a proxy or its backend close their connections first?",
    sources=(_ACTIVE, _REOPENS),
    run=run,
    tags=("ports", "exhaustion", "proxy", "server-closes", "D13"),
    parameters=(
        Parameter("ports", 8, "ports that the proxy may use", 2, 1000),
        Parameter("requests", 24, "requests, each over connections of its own", 1, 1000),
    ),
)
