"""Ports that bind() chose: as many as the finding says are missing from every other destination."""

from pathlib import Path

import pytest

from needs import require_namespaces
from timewait.endpoint import Endpoint
from timewait.host.budget import late_ports
from timewait.host.findings import examine
from timewait.host.limits import Limits
from timewait.host.snapshot import Population, Snapshot
from timewait.host.snapshot_file import from_text
from timewait.lab.kernel import KernelHost
from troubles import HOSTS, TROUBLES, look

OTHER = Endpoint("127.0.0.1", 5433)


def recorded() -> tuple[Snapshot, Population]:
    seen = from_text((HOSTS / "explicit-binds.json").read_text(), "")
    (waits,) = seen.populations
    return seen, waits


def found(seen: Snapshot, limits: Limits | None = None) -> list[str]:
    return [finding.id for finding in examine(seen, limits)]


def test_every_other_destination_lacks_as_many_ports_as_are_named(tmp_path: Path) -> None:
    require_namespaces()
    with KernelHost() as host:
        TROUBLES["explicit-binds"].make(host)
        (finding,) = examine(look(host, tmp_path, TROUBLES["explicit-binds"]))
        listener = host.listen(OTHER).value
        opened = 0
        while (client := host.connect(OTHER)).ok:
            host.accept(listener)
            opened += 1
    assert client.error == "EADDRNOTAVAIL"
    assert opened == 100 - finding.numbers["ports"] == 70


def test_what_is_left_of_a_burst_of_connects_is_not_taken_for_binds() -> None:
    """The second half was used while the first was full; the first has come back meanwhile."""
    seen, waits = recorded()
    old = waits._replace(cells=((20, 30),))
    assert found(seen._replace(populations=(old,))) == []


def test_while_the_first_half_is_in_use_connect_takes_the_other_itself() -> None:
    seen, waits = recorded()
    first = waits._replace(late=False, sockets=26, cells=((20, 26),))
    assert "explicit-binds" not in found(seen._replace(populations=(waits, first)))
    assert "explicit-binds" in found(seen._replace(populations=(waits, first._replace(sockets=25, cells=((20, 25),)))))


def test_few_of_a_wide_range_are_nobodys_trouble() -> None:
    seen, _ = recorded()
    wide = seen._replace(sysctls=seen.sysctls | {"net.ipv4.ip_local_port_range": "32768 60999"})
    assert found(wide) == []
    assert found(seen, Limits(explicit_binds=0.31)) == []


@pytest.mark.parametrize(
    ("sysctls", "late"),
    [
        ({"net.ipv4.ip_local_port_range": "40000 40005"}, {40001, 40003, 40005}),
        ({"net.ipv4.ip_local_port_range": "40001 40004"}, {40002, 40004}),
        (
            {"net.ipv4.ip_local_port_range": "40000 40005", "net.ipv4.ip_local_reserved_ports": "40003-40004"},
            {40001, 40005},
        ),
        ({"net.ipv4.ip_local_port_range": "40000 40005", "net.ipv4.ip_local_port_step_width": "7"}, set()),
    ],
)
def test_the_half_that_connect_tries_last(sysctls: dict[str, str], late: set[int]) -> None:
    """The other parity than the lower bound's: __inet_hash_connect, net/ipv4/inet_hashtables.c."""
    assert late_ports(sysctls) == late
