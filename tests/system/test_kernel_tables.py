"""The socket dump against the kernel's own text tables, in a private namespace with every kind of socket."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from needs import require_namespaces
from timewait.endpoint import Endpoint
from timewait.lab.kernel import KernelHost
from timewait.system.netlink import DumpState
from timewait.system.sock_diag import LISTEN, state_mask
from timewait.system.socket_table import Socket, stream

# /proc/net/tcp prints the kernel's state numbers in hexadecimal: include/net/tcp_states.h.
NUMBERS = {
    "01": "ESTABLISHED",
    "04": "FIN-WAIT-1",
    "05": "FIN-WAIT-2",
    "06": "TIME-WAIT",
    "08": "CLOSE-WAIT",
    "0A": "LISTEN",
}


@pytest.fixture
def host() -> Iterator[KernelHost]:
    require_namespaces()
    with KernelHost() as made:
        yield made


def endpoint(text: str) -> tuple[str, int]:
    """Read `0100007F:1F90`: words of the address as this machine's numbers, then the port."""
    words, port = text.split(":")
    packed = b"".join(bytes.fromhex(words[at : at + 8])[::-1] for at in range(0, len(words), 8))
    family = socket.AF_INET if len(packed) == 4 else socket.AF_INET6
    address = socket.inet_ntop(family, packed)
    return address.removeprefix("::ffff:") if "." in address else address, int(port, 16)


def proc_table(host: KernelHost) -> set[tuple[str, tuple[str, int], tuple[str, int], bool]]:
    """(state, local, peer, whether the timer is that of a mini-socket) of every line of both tables."""
    found = set()
    for name in ("tcp", "tcp6"):
        for line in Path(f"/proc/{host.pid}/net/{name}").read_text().splitlines()[1:]:
            words = line.split()
            found.add((NUMBERS[words[3]], endpoint(words[1]), endpoint(words[2]), words[5].startswith("03:")))
    return found


def own_table(host: KernelHost) -> set[tuple[str, tuple[str, int], tuple[str, int], bool]]:
    return {(row.state, (*row.local,), (*row.peer,), row.mini) for row in host.sockets()}


def connected(host: KernelHost, listener: int, to: Endpoint) -> tuple[int, int]:
    client = host.connect(to)
    assert client.ok, client
    server = host.accept(listener)
    assert server.ok, server
    return client.value, server.value


def only(host: KernelHost, state: str) -> list[Socket]:
    return [row for row in host.sockets() if row.state == state]


def test_every_kind_of_socket_is_listed_as_the_kernel_lists_it(host: KernelHost) -> None:
    for at in (Endpoint("127.0.0.1", 8001), Endpoint("::1", 8002), Endpoint("::", 8003)):
        assert host.listen(at).ok
    for to in (Endpoint("127.0.0.1", 8001), Endpoint("::1", 8002), Endpoint("127.0.0.1", 8003)):
        listener = to.port - 8000
        for ending in ("open", "time-wait", "half-closed"):
            client, server = connected(host, listener, to)
            if ending == "time-wait":
                host.close(client)
                host.close(server)
            elif ending == "half-closed":
                host.half_close(client)
    host.wait(50_000_000)  # a delayed ACK turns FIN-WAIT-1 into FIN-WAIT-2 meanwhile
    assert own_table(host) == proc_table(host)
    assert {row.state for row in host.sockets()} == {"LISTEN", "ESTABLISHED", "TIME-WAIT", "FIN-WAIT-2", "CLOSE-WAIT"}


def test_a_mapped_address_is_the_ipv4_address_it_is(host: KernelHost) -> None:
    host.listen(Endpoint("::", 8003))
    connected(host, 1, Endpoint("127.0.0.1", 8003))
    assert {row.local.address for row in only(host, "ESTABLISHED")} == {"127.0.0.1"}


def test_an_orphan_in_fin_wait_2_is_a_mini_socket_and_a_held_one_is_not(host: KernelHost) -> None:
    """net/ipv4/tcp.c __tcp_close: an orphan in FIN-WAIT-2 becomes a mini-socket; shutdown() leaves a full one."""
    host.listen(Endpoint("127.0.0.1", 8001))
    orphan, _ = connected(host, 1, Endpoint("127.0.0.1", 8001))
    held, _ = connected(host, 1, Endpoint("127.0.0.1", 8001))
    host.close(orphan)
    host.half_close(held)
    host.wait(50_000_000)
    found = sorted(only(host, "FIN-WAIT-2"), key=lambda row: row.mini)
    assert [(row.mini, row.time_left is None) for row in found] == [(False, True), (True, False)]


def test_a_fresh_time_wait_has_its_60_seconds_left(host: KernelHost) -> None:
    """TCP_TIMEWAIT_LEN, include/net/tcp.h."""
    host.listen(Endpoint("127.0.0.1", 8001))
    client, server = connected(host, 1, Endpoint("127.0.0.1", 8001))
    host.close(client)
    host.close(server)
    (row,) = only(host, "TIME-WAIT")
    assert row.time_left is not None
    assert 59_000_000_000 < row.time_left <= 60_100_000_000


def test_ports_and_peer_narrow_the_dump_in_the_kernel(host: KernelHost) -> None:
    for port in (8001, 8002):
        listener = host.listen(Endpoint("127.0.0.1", port)).value
        connected(host, listener, Endpoint("127.0.0.1", port))
    assert [row.peer.port for row in host.sockets(peer_port=8001)] == [8001]
    assert [row.local.port for row in host.sockets(local_port=8002)] == [8002, 8002]  # the listener is one of them


def test_more_rows_than_one_datagram_holds_arrive_complete(host: KernelHost) -> None:
    host.listen(Endpoint("127.0.0.1", 8001))
    for _ in range(400):
        client, server = connected(host, 1, Endpoint("127.0.0.1", 8001))
        host.close(client)
        host.close(server)
    found = only(host, "TIME-WAIT")
    assert len(found) == len({row.cookie for row in found}) == 400


def test_the_kernel_leaves_out_local_ports_inside_a_range() -> None:
    """net/ipv4/inet_diag.c, inet_diag_bc_run: both bounds belong to the range."""
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
        low, high = sorted(each.getsockname()[1] for each in (one, two))

        def seen(first: int, last: int) -> set[int]:
            rows = stream(state_mask(LISTEN), DumpState(), outside=(first, last))
            return {row.local.port for row in rows} & {low, high}

        assert seen(low, high) == set()
        assert seen(low, low) == {high}
        assert seen(low + 1, 65535) == {low}
        assert seen(0, high - 1) == {high}
        assert seen(high + 1, 65535) == {low, high}
