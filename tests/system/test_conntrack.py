"""Connection tracking: its file read, and a private namespace that tracks."""

import pytest

from needs import require_namespaces
from timewait.clock import SECOND
from timewait.errors import UnavailableError
from timewait.lab.kernel import KernelHost
from timewait.lab.steps import CLIENT, SERVER, closed, listen, opened, settled
from timewait.system.conntrack import Tracked, parsed

BACK = "src=10.0.0.2 dst=10.0.0.1 sport=80 dport=40000 [ASSURED] mark=0 zone=0 use=2"
TEXT = f"""\
ipv4     2 udp      17 29 src=10.0.0.1 dst=10.0.0.2 sport=5353 dport=53 {BACK}
ipv4     2 tcp      6 431999 ESTABLISHED src=10.0.0.1 dst=10.0.0.2 sport=40000 dport=80 {BACK}
ipv6     10 tcp      6 118 TIME_WAIT src=::1 dst=::1 sport=40001 dport=80 {BACK}
"""


def test_tcp_entries_are_read_and_others_passed_over() -> None:
    assert parsed(TEXT) == [
        Tracked("ESTABLISHED", 431999 * SECOND, 40000, 80),
        Tracked("TIME-WAIT", 118 * SECOND, 40001, 80),
    ]


@pytest.mark.parametrize("text", ["", "tcp 6", "\0" * 99, TEXT[:140]])
def test_what_is_no_entry_is_none(text: str) -> None:
    assert all(isinstance(each, Tracked) for each in parsed(text))


def test_a_closed_connection_waits_120_s_in_the_table() -> None:
    """tcp_timeouts, net/netfilter/nf_conntrack_proto_tcp.c."""
    require_namespaces()
    with KernelHost() as host:
        try:
            host.track()
        except UnavailableError as error:
            pytest.skip(error.what)
        closed(host, *opened(host, listen(host)))
        settled(host, CLIENT.port, SERVER.port, ["TIME-WAIT"])
        (entry,) = host.tracked()
    assert entry.state == "TIME-WAIT"
    assert 115 * SECOND <= entry.time_left <= 120 * SECOND


def test_the_machine_s_own_stack_is_left_alone() -> None:
    with KernelHost(private=False) as host, pytest.raises(UnavailableError, match="nothing is tracked"):
        host.track()
