"""Who may take which local port and four-tuple: bind() and connect() over TIME-WAIT, Linux 6.18 unless named.

Sources: net/ipv4/inet_hashtables.c (__inet_check_established, __inet_hash_connect), net/ipv4/tcp_ipv4.c
(tcp_twsk_unique), net/ipv4/inet_connection_sock.c (inet_bind_conflict); all rows measured on 6.18.44.
"""

from itertools import islice, pairwise
from random import Random

import pytest

from timewait.clock import MS, SECOND
from timewait.tcp import isn, ports, profiles
from timewait.tcp.connection import DEFAULT_OPTIONS, Options
from timewait.tcp.events import Errno
from timewait.tcp.states import State
from wire_pair import Pair

REUSE = Options(reuse_address=True)


def closed_by_client(
    fixed: bool, timestamps: bool = True, reuse: int = 2, loopback: bool = True, options: Options = REUSE
) -> Pair:
    """A pair after one connection that the client closed first, its four-tuple in TIME-WAIT."""
    pair = Pair("linux", loopback=loopback)
    pair.client.set_sysctl("tcp_tw_reuse", reuse)
    pair.client.set_sysctl("tcp_timestamps", int(timestamps))
    pair.client.set_sysctl("ip_local_port_range", (40000, 40000))
    client, server = pair.connection(port=40000 if fixed else None, options=options)
    pair.close(client)
    pair.close(server, server=True)
    assert pair.client.sockets()[-1].state is State.TIME_WAIT
    return pair


@pytest.mark.parametrize("reuse", [0, 1, 2])
def test_a_port_fixed_by_bind_takes_the_tuple_at_once_whatever_tw_reuse_says(reuse: int) -> None:
    pair = closed_by_client(fixed=True, reuse=reuse)
    assert pair.try_connect(port=40000, options=REUSE) is None
    assert pair.client.counters["TWRecycled"] == 1


@pytest.mark.parametrize("reuse", [0, 1, 2])
def test_without_timestamps_on_the_old_connection_no_active_open_takes_the_tuple(reuse: int) -> None:
    for fixed in (True, False):
        pair = closed_by_client(fixed=fixed, timestamps=False, reuse=reuse)
        pair.client.set_sysctl("tcp_timestamps", 1)
        pair.advance(50 * SECOND)
        port = 40000 if fixed else None
        assert pair.try_connect(port=port, options=REUSE) is Errno.EADDRNOTAVAIL
        pair.advance(11 * SECOND)
        assert pair.try_connect(port=port, options=REUSE) is None


@pytest.mark.parametrize(
    ("reuse", "loopback", "after", "error"),
    [
        (0, True, 5 * SECOND, Errno.EADDRNOTAVAIL),
        (1, True, 900 * MS, Errno.EADDRNOTAVAIL),
        (1, True, 1001 * MS, None),
        (2, True, 900 * MS, Errno.EADDRNOTAVAIL),
        (2, True, 1001 * MS, None),
        (2, False, 5 * SECOND, Errno.EADDRNOTAVAIL),
        (1, False, 1001 * MS, None),
    ],
)
def test_an_ephemeral_port_takes_the_tuple_after_the_delay_where_tw_reuse_lets_it(
    reuse: int, loopback: bool, after: int, error: Errno | None
) -> None:
    pair = closed_by_client(fixed=False, reuse=reuse, loopback=loopback)
    pair.advance(after)
    assert pair.try_connect() is error


@pytest.mark.parametrize("delay", [1, 10, 100, 300, 2500])
def test_the_delay_is_a_sysctl_in_milliseconds(delay: int) -> None:
    pair = closed_by_client(fixed=False)
    pair.client.set_sysctl("tcp_tw_reuse_delay", delay)
    entered = pair.client.waits.oldest()
    assert entered is not None
    pair.advance(entered[1].entered + delay * MS - pair.now)
    assert pair.try_connect() is Errno.EADDRNOTAVAIL
    pair.advance(1)
    assert pair.try_connect() is None


def test_a_taken_tuple_starts_65537_above_the_old_numbers_and_keeps_the_newest_timestamp() -> None:
    pair = closed_by_client(fixed=True)
    ((_, wait),) = list(pair.client.waits)
    assert pair.try_connect(port=40000, options=REUSE) is None
    conn = next(each for each in pair.client.connections.values() if each.key[1] == 40000)
    assert (conn.iss - wait.snd_nxt) % 2**32 == 65537


def test_a_reuse_is_not_undone_when_the_connect_is_refused() -> None:
    pair = closed_by_client(fixed=True)
    pair.server.close(pair.listener, pair.now)
    assert pair.try_connect(port=40000, options=REUSE) is None
    assert pair.client.sockets() == []


@pytest.mark.parametrize("fixed", [True, False])
def test_a_small_fin_wait_2_is_taken_by_a_fixed_port_only(fixed: bool) -> None:
    pair = Pair("linux", loopback=True)
    pair.client.set_sysctl("tcp_tw_reuse", 1)
    pair.client.set_sysctl("ip_local_port_range", (40000, 40000))
    client, _ = pair.connection(port=40000 if fixed else None, options=REUSE)
    pair.close(client)
    pair.advance(1400 * MS)
    assert pair.client.sockets()[-1].state is State.FIN_WAIT_2
    assert pair.try_connect(port=40000 if fixed else None, options=REUSE) is (None if fixed else Errno.EADDRNOTAVAIL)


def test_a_peer_still_in_close_wait_costs_a_reset_and_a_second_syn() -> None:
    """The SYN draws a challenge ACK, our RST kills the peer's half, the SYN is sent again two jiffies later."""
    pair = Pair("linux", loopback=True)
    client, _ = pair.connection(port=40000, options=REUSE)
    pair.close(client)
    pair.advance(1400 * MS)
    began = pair.now
    assert pair.try_connect(port=40000, options=REUSE) is None
    pair.advance(20 * MS)
    assert pair.client.state(pair.last) is State.ESTABLISHED
    assert pair.client.counters["TCPSynRetrans"] == 1
    assert pair.now - began <= 20 * MS


def test_a_full_connection_is_never_taken() -> None:
    pair = Pair("linux", loopback=True)
    client, _ = pair.connection(port=40000, options=REUSE)
    pair.client.shutdown(client, pair.now)  # FIN lost on the way: FIN-WAIT-1
    assert pair.client.state(client) is State.FIN_WAIT_1
    assert pair.try_connect(port=40000, options=REUSE) is Errno.EADDRNOTAVAIL


def test_exhaustion_is_eaddrnotavail_of_connect_and_eaddrinuse_of_bind() -> None:
    pair = Pair("linux", loopback=True)
    pair.client.set_sysctl("ip_local_port_range", (50000, 50007))
    taken = {pair.client.name(pair.connection()[0])[1] for _ in range(8)}  # type: ignore[index]
    assert taken == set(range(50000, 50008))
    assert pair.try_connect() is Errno.EADDRNOTAVAIL
    stack = Pair("linux", loopback=True).client
    stack.set_sysctl("ip_local_port_range", (50000, 50007))
    address = stack.addresses[0]
    assert [stack.bind(stack.socket(), address, 0) for _ in range(8)] == [None] * 8
    assert stack.bind(stack.socket(), address, 0) is Errno.EADDRINUSE
    late = stack.socket(Options(bind_address_no_port=True))
    assert stack.bind(late, address, 0) is None
    assert stack.name(late)[1] == 0  # type: ignore[index]


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        (True, True, None),
        (True, False, Errno.EADDRINUSE),
        (False, True, Errno.EADDRINUSE),
        (False, False, Errno.EADDRINUSE),
    ],
)
def test_bind_passes_over_a_wait_only_if_old_and_new_socket_have_so_reuseaddr(
    old: bool, new: bool, error: Errno | None
) -> None:
    pair = Pair("linux", loopback=True)
    client, server = pair.connection(port=40000, options=Options(reuse_address=old))
    pair.close(client)
    pair.close(server, server=True)
    stack = pair.client
    assert stack.bind(stack.socket(Options(reuse_address=new)), stack.addresses[0], 40000) is error


def test_so_reuseport_on_both_does_too_and_another_address_is_free() -> None:
    pair = Pair("linux", loopback=True)
    client, server = pair.connection(port=40000, options=Options(reuse_port=True))
    pair.close(client)
    pair.close(server, server=True)
    stack = pair.client
    local = stack.addresses[0]
    assert stack.bind(stack.socket(), bytes([127, 0, 0, 9]), 40000) is None
    assert stack.bind(stack.socket(), b"", 40000) is Errno.EADDRINUSE
    assert stack.bind(stack.socket(Options(reuse_address=True)), local, 40000) is Errno.EADDRINUSE
    assert stack.bind(stack.socket(Options(reuse_port=True)), local, 40000) is None


def test_an_ephemeral_wait_blocks_a_servers_bind_and_reserving_the_port_prevents_it() -> None:
    pair = closed_by_client(fixed=False, options=DEFAULT_OPTIONS)
    stack = pair.client
    assert stack.bind(stack.socket(REUSE), stack.addresses[0], 40000) is Errno.EADDRINUSE
    stack.set_sysctl("ip_local_reserved_ports", "40000")
    pair.advance(70 * SECOND)
    assert pair.try_connect() is Errno.EADDRNOTAVAIL


def test_a_wait_whose_port_was_bound_makes_it_useless_to_every_ephemeral_connect() -> None:
    for fixed, error in ((True, Errno.EADDRNOTAVAIL), (False, None)):
        pair = closed_by_client(fixed=fixed, reuse=1)
        assert pair.try_connect(destination=bytes([127, 0, 0, 77])) is error


def test_a_server_that_closes_first_never_blocks_its_client() -> None:
    pair = Pair("linux", loopback=True)
    pair.client.set_sysctl("ip_local_port_range", (40000, 40000))
    for _ in range(50):
        client, server = pair.connection()
        pair.close(server, server=True)
        pair.close(client)
        pair.advance(MS)
    assert len(pair.server.waits) == 1


def test_freebsd_answers_eaddrinuse_for_any_live_tuple() -> None:
    pair = Pair("freebsd")
    client, server = pair.connection(port=40000, options=REUSE)
    pair.close(client)
    pair.close(server, server=True)
    assert pair.try_connect(port=40000, options=REUSE) is Errno.EADDRINUSE


# --- The order of the search


def order(
    name: str, count: int, span: tuple[int, int] | None = None, for_bind: bool = False, **kw: object
) -> list[int]:
    profile = profiles.get(name).changed(**kw)
    table = ports.PortTable()
    return list(islice(ports.candidates(table, profile, span, 0x1234_5678_9ABC_DEF0, Random(1), for_bind), count))


def test_linux_tries_the_low_ends_parity_first_and_the_other_only_then() -> None:
    ports_tried = order("linux", 28232)
    assert {port % 2 for port in ports_tried[:14116]} == {0}
    assert {port % 2 for port in ports_tried[14116:]} == {1}
    assert sorted(ports_tried) == list(range(32768, 61000))
    assert order("linux", 1, for_bind=True)[0] % 2 == 1


def test_a_range_of_the_sockets_own_drops_the_parity_rule() -> None:
    tried = order("linux", 4096, (40000, 44095))
    assert sorted(tried) == list(range(40000, 44096))
    assert all((b - a) % 4096 == 1 for a, b in pairwise(tried))


def test_the_next_search_starts_past_the_port_just_taken() -> None:
    profile = profiles.get("linux")
    table = ports.PortTable()
    hashed = isn.keyed(b"secret", b"abcd", 0, b"efgh", 80)
    first = next(ports.candidates(table, profile, None, hashed, Random(1), False))
    ports.note_success(table, profile, None, first, hashed)
    second = next(ports.candidates(table, profile, None, hashed, Random(1), False))
    assert (second - first) % 28232 == 2


def test_in_a_range_of_the_sockets_own_the_next_search_goes_on_with_the_next_port() -> None:
    """Linux: __inet_hash_connect(): step = local_ports ? 1 : 2."""
    profile = profiles.get("linux")
    table = ports.PortTable()
    hashed = isn.keyed(b"secret", b"abcd", 0, b"efgh", 80)
    span = (40000, 40063)
    first = next(ports.candidates(table, profile, span, hashed, Random(1), False))
    ports.note_success(table, profile, span, first, hashed)
    second = next(ports.candidates(table, profile, span, hashed, Random(1), False))
    assert (second - first) % 64 == 1


@pytest.mark.parametrize("name", ["rfc9293", "freebsd", "lwip", "gvisor", "linux-4.0"])
def test_every_search_tries_each_port_once(name: str) -> None:
    low, high = profiles.get(name).ephemeral_range
    assert sorted(order(name, 70000)) == list(range(low, high + 1))
