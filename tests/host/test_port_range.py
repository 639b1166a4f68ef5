"""What ends of the port range of one parity cost, on this kernel: one port of each search, and no half."""

import pytest

from needs import require_namespaces
from timewait.lab.kernel import KernelHost
from troubles import RANGE, SERVICE, narrow, spend


@pytest.mark.parametrize(("high", "used"), [(40002, 2), (40003, 4)])
def test_of_three_ports_two_are_ever_used_and_of_four_four(high: int, used: int) -> None:
    """net/ipv4/inet_hashtables.c, __inet_hash_connect: `remaining &= ~1U`, and a start below that."""
    require_namespaces()
    with KernelHost() as host:
        listener = narrow(host, 4)
        host.set_sysctl(RANGE, f"40000 {high}")
        spend(host, listener, used)
        assert host.connect(SERVICE).error == "EADDRNOTAVAIL"
