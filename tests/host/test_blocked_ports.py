"""Ports that bind() takes from every destination, held to the kernel: connect() until none is left, and count."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from needs import require_namespaces
from timewait.endpoint import Endpoint
from timewait.host import bound
from timewait.host.budget import Budget, budgets
from timewait.host.causes import Question, Verdict, judge
from timewait.host.findings import examine
from timewait.host.limits import Limits
from timewait.host.look import Look
from timewait.host.snapshot import Snapshot, Unclear
from timewait.host.snapshot_file import anonymous, from_text, to_text
from timewait.lab.kernel import KernelHost
from timewait.report.doctor import data
from troubles import SERVICE, TROUBLES, ends, look, narrow, spend

OTHERS = [Endpoint("127.0.0.1", 5433), Endpoint("127.0.0.1", 5434)]
OWN = Endpoint("127.0.0.1", 0)
PORTS = 200
# Binds to each port named, to any for 0, and waits.
HOLD = """
import socket, sys
held = []
for port in map(int, sys.argv[1:]):
    held.append(socket.socket())
    held[-1].bind(("127.0.0.1", port))
print("ready", flush=True)
sys.stdin.read()
"""


@contextlib.contextmanager
def holding(host: KernelHost, *ports: int) -> Iterator[None]:
    """Have a program hold ports by bind() alone."""
    command = [sys.executable, "-c", HOLD, *map(str, ports)]
    process = host.start(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    try:
        yield
    finally:
        process.communicate(b"", timeout=60)


def bound_and_closed(host: KernelHost, to: Endpoint, listener: int, ports: list[int]) -> None:
    """Connect from ports given to bind(), and close: what stays is in TIME-WAIT."""
    for port in ports:
        client = host.connect(to, source=OWN._replace(port=port), reuse_address=False)
        assert client.ok, client
        host.close(client.value)
        host.close(host.accept(listener).value)


def connects_left(host: KernelHost, to: Endpoint, listener: int) -> int:
    """Connect until the kernel has no port left."""
    count = 0
    while (client := host.connect(to)).ok:
        host.accept(listener)
        count += 1
    assert client.error == "EADDRNOTAVAIL"
    return count


def towards(seen: Snapshot, to: Endpoint) -> Budget:
    (found,) = (each for each in budgets(seen) if (each.address, each.port) == to)
    return found


def has_bound_sockets(seen: Snapshot) -> bool:
    """Whether this kernel dumps sockets that are bound and no more: since 6.8."""
    return tuple(map(int, seen.kernel.split(".")[:2])) >= (6, 8)


def test_what_is_certain_is_counted_to_the_port(tmp_path: Path) -> None:
    """Listeners, bound sockets, ports named in bind(): no guess is in it, and IP_BIND_ADDRESS_NO_PORT takes none."""
    require_namespaces()
    with KernelHost() as host:
        listener = narrow(host, PORTS)
        other = host.listen(OTHERS[0]).value
        for port in (40000, 40001, 40002):
            assert host.listen(Endpoint("127.0.0.1", port)).ok
        for port in (40020, 40021, 40022, 40023, 40024):
            assert host.connect(OTHERS[0], source=OWN._replace(port=port)).ok
            host.accept(other)
        with holding(host, 40010, 40011, 40012, 40013, 0, 0):
            for _ in range(20):
                assert host.connect(OTHERS[0], source=OWN, late=True).ok
                host.accept(other)
            for _ in range(10):
                ends(host, listener)
            seen = look(host, tmp_path, TROUBLES["quiet"])
            found, left = towards(seen, SERVICE), connects_left(host, SERVICE, listener)
            rest = towards(seen, OTHERS[0]), connects_left(host, OTHERS[0], other)
    if not has_bound_sockets(seen):
        pytest.skip("sockets that are bound and no more are not dumped before Linux 6.8")
    assert (found.size, found.used, found.blocked) == (PORTS - 3 - 6 - 5, 10, 6 + 5)
    assert found.headroom == found.headroom_least == left == 176
    assert (rest[0].blocked, rest[0].used) == (6, 5 + 20)
    assert rest[0].headroom == rest[1]


def test_what_waits_is_told_between_two_bounds(tmp_path: Path) -> None:
    """TIME-WAIT of bind() to port 0, of named ports, of connect(): only what destinations share is known."""
    require_namespaces()
    with KernelHost() as host:
        listener = narrow(host, PORTS)
        others = [host.listen(to).value for to in OTHERS]
        bound_and_closed(host, OTHERS[1], others[1], list(range(40100, 40110)))
        bound_and_closed(host, OTHERS[0], others[0], [0] * 15)  # bind() to port 0 leaves out what is taken
        for to, heard in zip(OTHERS, others, strict=True):
            spend(host, heard, 60, to=to)
        spend(host, listener, 5)
        seen = look(host, tmp_path, TROUBLES["quiet"])
        found, left = towards(seen, SERVICE), connects_left(host, SERVICE, listener)
    assert left == PORTS - 15 - 10 - 5
    assert found.headroom_least is not None
    assert found.headroom_least <= left <= found.headroom == PORTS - 5
    # Of two times 60 ports out of 175 some are shared, whatever the kernel chose.
    assert found.unclear is not None
    assert 25 <= found.unclear <= 15 + 10 + 2 * 60


def test_peers_of_a_service_that_has_gone_do_not_pass_for_destinations_that_share_a_port(tmp_path: Path) -> None:
    """Its port stays blocked while its sockets wait: accepted ones belong to the listener's bucket."""
    require_namespaces()
    gone = Endpoint("127.0.0.1", 40050)
    with KernelHost() as host:
        listener = narrow(host, PORTS)
        served = host.listen(gone).value
        spend(host, served, 8, first="server", to=gone)
        host.close(served)
        spend(host, listener, 5)
        seen = look(host, tmp_path, TROUBLES["quiet"])
        found, left = towards(seen, SERVICE), connects_left(host, SERVICE, listener)
    assert found.headroom_least is not None
    assert found.headroom_least <= left == PORTS - 5 - 1 < found.headroom


def held(local: str, to: int, *ports: int, no_port: bool = False) -> list[bound.Held]:
    return [bound.Held((local, "192.0.2.1", to), port, no_port) for port in ports]


def test_a_port_that_two_destinations_of_one_address_share_was_chosen_by_connect() -> None:
    clients = held("10.0.0.1", 80, 1, 2) + held("10.0.0.1", 81, 2, 3)
    assert bound.unclear(clients, set(), binds_share=False) == (
        Unclear("10.0.0.1", "192.0.2.1", 80, 1),
        Unclear("10.0.0.1", "192.0.2.1", 81, 1),
    )
    assert sum(row.ports for row in bound.unclear(clients, set(), binds_share=True)) == 3


def test_two_addresses_may_be_given_one_port_by_bind() -> None:
    clients = held("10.0.0.1", 80, 1, 2) + held("10.0.0.2", 80, 2, 3)
    assert Unclear("", "", 0, 1) in bound.unclear(clients, set(), binds_share=False)


def test_what_is_known_is_not_unclear() -> None:
    clients = held("10.0.0.1", 80, 1, no_port=True) + held("10.0.0.1", 80, 2)
    assert bound.unclear(clients, {2}, binds_share=False) == ()


def test_ports_that_live_sockets_own_are_a_finding_that_names_who(tmp_path: Path) -> None:
    require_namespaces()
    with KernelHost() as host:
        listener = narrow(host, 100)
        ends(host, listener)
        with holding(host, *[0] * 60):
            seen = look(host, tmp_path, TROUBLES["quiet"])
            if not has_bound_sockets(seen):
                pytest.skip("sockets that are bound and no more are not dumped before Linux 6.8")
            (finding,) = examine(seen)
            assert connects_left(host, SERVICE, listener) == 39
    assert (finding.id, finding.severity.name) == ("explicit-binds", "WARNING")
    assert finding.headline == "60 of 100 ports are taken from every destination by bind()"
    (who,) = (text for label, text in finding.evidence if label == "who")
    assert who.startswith("python")
    assert data(seen, [finding])["destinations"][0]["budget"] == 40
    assert from_text(to_text(seen), "") == seen
    assert anonymous(seen, b"key").bound[0].ports == seen.bound[0].ports


def test_explain_tells_who_left_no_port(tmp_path: Path) -> None:
    """Nothing goes to the destination yet, and bind() has taken every port."""
    require_namespaces()
    with KernelHost() as host:
        listener = narrow(host, 50)
        with holding(host, *[0] * 50):
            seen = look(host, tmp_path, TROUBLES["quiet"])
            if not has_bound_sockets(seen):
                pytest.skip("sockets that are bound and no more are not dumped before Linux 6.8")
            assert connects_left(host, SERVICE, listener) == 0
    (finding,) = examine(seen)
    assert (finding.id, finding.severity.name) == ("explicit-binds", "CRITICAL")
    verdicts = {cause.cause: cause for cause in judge("EADDRNOTAVAIL", Look(seen, Limits()), Question(SERVICE))}
    confirmed = [cause.evidence for cause in verdicts.values() if cause.verdict is Verdict.CONFIRMED]
    assert confirmed == ["50 of 50 ports of the range for certain"]
