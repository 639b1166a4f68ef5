"""The stack as a whole: a value that can be copied, handles that outlive connections, recycling, local waits."""

import gc
import tracemalloc
from random import Random

import pytest

from play import Player, play
from timewait.clock import MS, SECOND
from timewait.tcp import isn, profiles
from timewait.tcp.connection import Options
from timewait.tcp.events import Dropped, Errno, FourTuple, Reason
from timewait.tcp.states import State
from timewait.tcp.time_wait import TimeWait, WaitTable, pack_key
from timewait.wire.segment import SYN, Segment, Timestamps
from wire_pair import Pair

REUSE = Options(reuse_address=True)


def test_a_socket_that_outlives_its_connection_does_not_disturb_the_next_of_the_same_four_tuple() -> None:
    pair = Pair("linux", loopback=True)
    first, server = pair.connection(port=40000, options=REUSE)
    pair.client.shutdown(first, pair.now)
    _, events = pair.server.close(server, pair.now)
    pair.run(pair.client.shutdown(first, pair.now)[1])
    pair.run(events, server=True)
    pair.advance(2 * SECOND)
    assert pair.client.state(first) is State.CLOSED
    assert len(pair.client.waits) == 1
    second, _ = pair.connection(port=40000, options=REUSE)
    pair.client.recv(first, 10, pair.now)
    pair.client.close(first, pair.now)
    assert pair.client.state(second) is State.ESTABLISHED


def test_no_garbage_is_left_in_cycles() -> None:
    """So a process may have Python look for it rarely: see `garbage`."""
    gc.collect()
    gc.disable()
    try:
        for port in range(40000, 40020):
            pair = Pair("linux", loopback=True)
            client, server = pair.connection(port=port, options=REUSE)
            pair.run(pair.client.send(client, bytes(5000), pair.now)[1])
            pair.run(pair.server.close(server, pair.now)[1], server=True)
            pair.run(pair.client.close(client, pair.now)[1])
            pair.advance(70 * SECOND)
        del pair
        assert gc.collect() == 0
    finally:
        gc.enable()


def test_a_fork_goes_on_alike_and_neither_sees_the_other() -> None:
    pair = Pair("linux", loopback=True)
    client, server = pair.connection(port=40000)
    pair.run(pair.client.send(client, b"x" * 5000, pair.now)[0:2][1])
    fork = pair.client.fork()
    assert fork.digest(pair.now) == pair.client.digest(pair.now)
    one = pair.client.close(client, pair.now)
    assert fork.digest(pair.now) != pair.client.digest(pair.now)
    assert fork.state(client) is State.ESTABLISHED
    assert fork.close(client, pair.now) == one
    assert fork.digest(pair.now) == pair.client.digest(pair.now)
    assert fork.next_deadline() == pair.client.next_deadline()
    assert pair.server.state(server) is State.ESTABLISHED


def test_the_digest_does_not_see_isns_and_absolute_times() -> None:
    def digest(constant: int, start: int) -> bytes:
        pair = Pair(profiles.get("rfc793").changed(isn_constant=constant))
        pair.client.shared.profile = pair.client.profile.changed(isn=profiles.get("rfc9293").isn)
        pair.now = start
        client, _ = pair.connection(port=40000)
        pair.run(pair.client.send(client, b"hello", pair.now)[1])
        pair.client.send(client, b"more", pair.now)
        pair.advance(10 * MS)
        return pair.client.digest(pair.now)

    assert digest(5, SECOND) == digest(0xFFFF_FFF0, 777 * SECOND)


def test_recycling_drops_the_syns_of_the_slower_of_two_clocks_behind_one_address() -> None:
    """Linux 3.10 with tcp_tw_recycle: one memory of the newest timestamp for each host, 60 s long."""
    player = Player("linux-3.10", passive=True, timestamps=True)
    player.to(State.TIME_WAIT)
    stack, now = player.stack, player.now

    def syn(port: int, stamp: int, at: int) -> list[Reason]:
        segment = Segment(player.key.remote, port, player.key.local, player.key.local_port, 1, 0, SYN, 1000)
        events = stack.receive(segment._replace(options=(Timestamps(stamp, 0),)), at)
        return [event.reason for event in events if isinstance(event, Dropped)]

    assert syn(50000, 1000, now + SECOND) == [Reason.OLD_BY_HOST_CACHE]
    assert stack.counters["PAWSPassive"] == 1
    assert syn(50001, 8_000_000, now + SECOND) == []
    assert syn(50002, 1000, now + 61 * SECOND) == []


def test_recycling_shortens_the_wait_to_three_and_a_half_retransmission_timeouts() -> None:
    play("linux-3.10", "0.7 us CLOSED\n1 peer quiet", State.TIME_WAIT, timestamps=True)


def test_recycling_remembers_the_host_of_an_orphan_that_waited_in_fin_wait_2_first() -> None:
    """Linux 3.10: tcp_time_wait() remembers it in either state, tcp_timewait_state_process() again with the FIN."""
    pair = Pair("linux-3.10")
    client, server = pair.connection()
    pair.close(client)
    assert len(pair.client.host_stamps) == 1
    pair.close(server, server=True)
    ((_, wait),) = pair.client.waits
    assert wait.expires - pair.now <= SECOND


def test_no_wait_for_a_local_peer_where_the_profile_skips_it() -> None:
    pair = Pair("freebsd", loopback=True)
    pair.client.set_sysctl("nolocaltimewait", 1)
    client, server = pair.connection()
    pair.close(client)
    pair.close(server, server=True)
    assert len(pair.client.waits) == 0


def test_the_sender_of_a_reset_may_wait_as_rfc_9293_section_3_5_2_says_it_should() -> None:
    trace = """
        0.000  us: abort
        0.000  us  CLOSED
        0.000  us > peer  RST seq=1
        0.000  us  TIME-WAIT until 240.000
    """
    play("rfc9293", trace, State.ESTABLISHED, reset_sender_waits=True)


def test_an_old_duplicate_syn_leads_back_to_time_wait() -> None:
    """RFC 9293 section 3.6.1 MAY-2 (2): the peer's reset shows that the SYN was old."""
    trace = """
        10.000  peer > us  SYN seq=9000
        10.000  us  SYN-RECEIVED
        10.000  us > peer  SYN,ACK seq=65539 ack=9001
        10.010  peer > us  RST seq=9001
        10.010  us  CLOSED
        10.010  us  TIME-WAIT until 250.010
        11.000  peer > us  FIN,ACK seq=1 ack=2
        11.000  us > peer  ACK seq=2 ack=2
        11.000  us  TIME-WAIT until 251.000
    """
    play("rfc9293", trace, State.TIME_WAIT, passive=True)


def test_rfc_793_ends_a_wait_for_a_syn_or_a_reset_in_the_window() -> None:
    play("rfc793", "1 peer > us SYN seq=7\n1 us > peer RST,ACK seq=2 ack=2\n1 us CLOSED", State.TIME_WAIT)
    play("rfc793", "1 peer > us SYN seq=90000\n1 us > peer ACK seq=2 ack=2", State.TIME_WAIT)
    play("rfc793", "1 peer > us RST seq=70\n1 us CLOSED", State.TIME_WAIT)
    play("rfc793", "1 peer > us RST seq=90000", State.TIME_WAIT)


@pytest.mark.parametrize(
    ("name", "segment", "answer"),
    [
        # tcp_time_wait_processing(), usr/src/uts/common/inet/tcp/tcp_time_wait.c; a window of 128,000, scale 1.
        ("illumos", "RST seq=70", "1 us CLOSED"),
        ("illumos", "RST seq=1", ""),
        ("illumos", "SYN seq=70", "1 us > peer RST,ACK seq=5 ack=71"),
        ("illumos", "SYN seq=1", "1 us > peer ACK seq=2 ack=2"),
        ("illumos", "ACK seq=2 ack=2", ""),
        ("illumos", "ACK seq=70 ack=2", ""),
        ("illumos", "ACK seq=1 ack=2", "1 us > peer ACK seq=2 ack=2"),
        ("illumos", "ACK seq=2 ack=2 len=3", ""),
        ("illumos", "ACK seq=1 ack=2 len=3", ""),
        ("illumos", "ACK seq=3 ack=2 len=3", "1 us > peer ACK seq=2 ack=2"),
        ("illumos", "ACK seq=1 ack=2 len=1", "1 us > peer ACK seq=2 ack=2"),
        ("illumos", "FIN,ACK seq=1 ack=2", "1 us > peer ACK seq=2 ack=2\n1 us TIME-WAIT until 61.000"),
        ("illumos", "FIN,ACK seq=70 ack=2", ""),
        ("illumos", "FIN,ACK seq=-9 ack=2", "1 us > peer ACK seq=2 ack=2"),
        # tcp_timewait_input(), src/core/tcp_in.c.  A bare SYN acknowledges 0, which lies 5 past our ISN.
        ("lwip", "RST seq=2", ""),
        ("lwip", "ACK seq=2 ack=2", ""),
        ("lwip", "ACK seq=9 ack=2", ""),
        ("lwip", "ACK seq=2 ack=2 len=3", "1 us > peer ACK seq=2 ack=2"),
        ("lwip", "FIN,ACK seq=900 ack=2", "1 us > peer ACK seq=2 ack=2\n1 us TIME-WAIT until 121.000"),
        ("lwip", "SYN seq=70", "1 us > peer RST,ACK seq=5 ack=71"),
        ("lwip", "SYN seq=70000", "1 us > peer ACK seq=2 ack=2"),
        # process(), src/socket/tcp.rs.
        ("smoltcp", "RST seq=70", "1 us CLOSED"),
        ("smoltcp", "SYN seq=70000", ""),
        ("smoltcp", "ACK seq=70 ack=2", ""),
        ("smoltcp", "ACK seq=70000 ack=2", "1 us > peer ACK seq=2 ack=2\n1 us TIME-WAIT until 11.000"),
        ("smoltcp", "FIN,ACK seq=1 ack=2", "1 us > peer ACK seq=2 ack=2\n1 us TIME-WAIT until 11.000"),
        # handleTimeWaitSegment(), rcv.go.
        ("gvisor", "RST seq=2", ""),
        ("gvisor", "- seq=2", ""),
        ("gvisor", "SYN seq=2", ""),
        ("gvisor", "FIN,ACK seq=1 ack=2", "1 us > peer ACK seq=2 ack=2\n1 us TIME-WAIT until 61.000"),
        ("gvisor", "FIN,ACK seq=2 ack=2", "1 us > peer ACK seq=2 ack=2"),
        # tcp_input(), bsd/netinet/tcp_input.c: nothing restarts the wait.
        ("macos", "ACK seq=2 ack=2", ""),
        ("macos", "ACK seq=70 ack=2", ""),
        ("macos", "ACK seq=1 ack=2", "1 us > peer ACK seq=2 ack=2"),
        ("macos", "ACK seq=600000 ack=2", "1 us > peer ACK seq=2 ack=2"),
        ("macos", "FIN,ACK seq=1 ack=2", "1 us > peer ACK seq=2 ack=2"),
        ("macos", "ACK seq=1 ack=2 len=1", "1 us > peer ACK seq=2 ack=2"),
        ("macos", "ACK seq=2 ack=2 len=1", "1 us > peer RST seq=2\n1 us CLOSED"),
        ("macos", "RST seq=2", ""),
        ("macos", "RST seq=70", "1 us > peer ACK seq=2 ack=2"),
        ("macos", "RST seq=600000", ""),
        ("macos", "SYN seq=1", "1 us > peer ACK seq=2 ack=2"),
        ("macos", "SYN seq=70", "1 us > peer ACK seq=2 ack=2"),
        ("macos", "SYN seq=600000", "1 us SYN-RECEIVED\n1 us > peer SYN,ACK ack=600001"),
    ],
)
def test_other_stacks_in_time_wait(name: str, segment: str, answer: str) -> None:
    """Each from its own source, read line by line for this segment."""
    play(name, f"1 peer > us {segment}\n{answer}", State.TIME_WAIT, passive=True)


def closed_by_the_server(name: str) -> Pair:
    pair = Pair(name)
    client, server = pair.connection(4000, Options(reuse_address=True))
    pair.close(server, server=True)
    pair.close(client)
    assert [len(stack.waits) for stack in (pair.client, pair.server)] == [0, 1]
    return pair


@pytest.mark.parametrize(("later", "refused"), [(1 * MS, True), (11 * MS, True), (14 * MS, False), (SECOND, False)])
def test_illumos_refuses_a_client_that_is_back_before_its_first_number_has_left_the_window(
    later: int, refused: bool
) -> None:
    """ISS_INCR/2 a connection and 244.1 a millisecond, against a window of 128,000 (TCP_RECV_HIWATER).

    The RST of tcp_time_wait_processing() acknowledges the SYN, so that it counts in SYN-SENT.
    """
    pair = closed_by_the_server("illumos")
    pair.advance(later)
    assert pair.try_connect(4000, Options(reuse_address=True)) is None
    assert pair.failures == ([Errno.ECONNREFUSED] if refused else [])
    assert len(pair.server.waits) == refused


def test_illumos_deletes_a_wait_without_a_word_where_nobody_listens_any_more() -> None:
    """tcp_time_wait_processing(): tcp_clean_death(), and then ipcl_classify() finds nobody."""
    trace = """
        1.000  peer > us  SYN seq=200000
        1.000  us  CLOSED
        2.000  peer > us  SYN seq=200000
        2.000  us > peer  RST,ACK ack=200001
    """
    play("illumos", trace, State.TIME_WAIT)


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("gvisor", Errno.EADDRINUSE),  # RegisterTransportEndpoint(), ErrPortInUse
        ("macos", Errno.EADDRINUSE),  # tcp_connect(), as FreeBSD
        ("lwip", Errno.EADDRINUSE),  # tcp_connect(), ERR_USE
        ("linux", None),  # tcp_twsk_unique(), twp NULL
        ("smoltcp", None),  # connect(): is_open() is false in TIME-WAIT
    ],
)
def test_connect_from_a_bound_port_over_time_wait(name: str, error: Errno | None) -> None:
    pair = Pair(name)
    client, server = pair.connection(4000, Options(reuse_address=True))
    pair.close(client)
    pair.close(server, server=True)
    assert len(pair.client.waits) == 1
    assert pair.try_connect(4000, Options(reuse_address=True)) is error


def test_a_mac_judges_a_half_open_connection_as_any_other() -> None:
    """tcp_input(), TCPS_SYN_RECEIVED: a SYN in the window draws a challenge ACK; of two resets the exact one counts."""
    trace = """
        0.100  peer > us  SYN seq=70
        0.100  us > peer  ACK seq=1 ack=1
        0.200  peer > us  RST seq=70
        0.200  us > peer  ACK seq=1 ack=1
        0.300  peer > us  RST,ACK seq=1 ack=1
        0.300  us  CLOSED
    """
    play("macos", trace, State.SYN_RECEIVED, passive=True)


def test_a_mac_sends_its_fin_again_on_entering_closing() -> None:
    """tcp_output(), tcp_output.c: CLOSING's flags have TH_FIN, and SND.NXT steps back over one that was sent."""
    trace = "0.1 peer > us FIN,ACK seq=1 ack=1\n0.1 us CLOSING\n0.1 us > peer FIN,ACK seq=1 ack=2"
    play("macos", trace, State.FIN_WAIT_1)


def test_a_mac_that_comes_back_is_as_often_refused_as_not_and_then_waits_for_the_end_of_time_wait() -> None:
    """XNU draws the numbers of SYNs at random (tcp_new_isn()), and TIME-WAIT asks for one above RCV.NXT."""
    at_once = 0
    for seed in range(40):
        pair = closed_by_the_server("macos")
        pair.client.chance.seed(seed)
        assert pair.try_connect(4000, Options(reuse_address=True)) is None
        at_once += pair.client.state(pair.last) is State.ESTABLISHED
        pair.advance(40 * SECOND)
        assert pair.client.state(pair.last) is State.ESTABLISHED
    assert 8 < at_once < 32


def test_linux_4_0_has_no_tw_reuse_by_default_and_counts_in_whole_seconds() -> None:
    pair = Pair("linux-4.0")
    pair.client.set_sysctl("ip_local_port_range", (40000, 40000))
    pair.client.set_sysctl("tcp_tw_reuse", 1)
    client, server = pair.connection()
    pair.close(client)
    pair.close(server, server=True)
    pair.advance(1999 * MS)
    assert pair.try_connect() is Errno.EADDRNOTAVAIL
    pair.advance(2 * MS)
    assert pair.try_connect() is None


def test_a_hundred_thousand_records_each_of_at_most_512_octets_and_one_step_to_the_first_deadline() -> None:
    player = Player("linux")
    player.to(State.ESTABLISHED)
    conn = player.stack.connections[player.key]
    wait = TimeWait.of(conn, 60 * SECOND, player.now)
    table = WaitTable()
    tracemalloc.start()
    for each in range(20_000):
        table.add(pack_key(FourTuple(b"\x0a\0\0\1", 80, bytes([10, 1, each >> 8, each & 255]), 40000)), wait)
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size / 20_000 < 400
    assert table.next_deadline() == wait.expires


OLD_CONNECTION = """
    0.000  peer > us  SYN seq=0
    0.000  us  SYN-RECEIVED
    0.000  us > peer  SYN,ACK seq=0 ack=1
    0.000  peer > us  ACK seq=1 ack=1
    0.000  us  ESTABLISHED
    0.000  us: accept = ok
    0.000  peer > us  ACK seq=1 ack=1 len=5            # of which a copy wanders about
    0.000  us > peer  ACK seq=1 ack=6
    0.000  us: recv 99 = 5
    0.000  us: close
    0.000  us  FIN-WAIT-1
    0.000  us > peer  FIN,ACK seq=1 ack=6
    0.000  peer > us  FIN,ACK seq=6 ack=2
    0.000  us  FIN-WAIT-2
    0.000  us > peer  ACK seq=2 ack=7
"""


def test_without_a_wait_octets_of_the_old_connection_are_read_in_the_new_one() -> None:
    """RFC 1337 section 1, hazard H1: why TIME-WAIT exists."""
    trace = f"""
        {OLD_CONNECTION}
        0.000  us  CLOSED
        0.100  peer > us  SYN seq=-4
        0.100  us  SYN-RECEIVED
        0.100  us > peer  SYN,ACK seq=0 ack=-3
        0.100  peer > us  ACK seq=-3 ack=1
        0.100  us  ESTABLISHED
        0.100  us: accept = ok
        0.200  peer > us  ACK seq=1 ack=1 len=5            # the old copy
        0.200  us > peer  ACK seq=1 ack=-3
        0.300  peer > us  ACK seq=-3 ack=1 len=4
        0.300  us > peer  ACK seq=1 ack=6
        0.300  us: recv 99 = 9
    """
    play("rfc9293", trace, passive=True, options=Options(quick_ack=True), time_wait=0)


def test_with_the_wait_the_same_syn_is_refused() -> None:
    trace = f"""
        {OLD_CONNECTION}
        0.000  us  TIME-WAIT until 240.000
        0.100  peer > us  SYN seq=-4
        0.100  us > peer  ACK seq=2 ack=7
    """
    play("rfc9293", trace, passive=True, options=Options(quick_ack=True))


@pytest.mark.parametrize("state", [State.ESTABLISHED, State.CLOSE_WAIT])
def test_the_end_that_aborts_counts_the_reset_too(state: State) -> None:
    """RFC 4022 tcpEstabResets: straight to CLOSED from ESTABLISHED or CLOSE-WAIT; Linux 6.18 counts both ends."""
    player = Player("linux")
    player.to(state)
    player.stack.abort(player.handle, player.now)
    assert player.stack.counters["EstabResets"] == 1


def test_freebsd_answers_a_syn_with_a_number_of_its_own_each_time_and_no_clock() -> None:
    """FreeBSD syncookie_generate(), sys/netinet/tcp_syncache.c: a hash that covers the peer's ISN too.

    So the first condition of RFC 9293 section 3.6.1 (MAY-2) is left to luck, where an active open keeps to the clock.
    """
    chance = Random(1)
    profile = profiles.get("freebsd")
    passive = [isn.initial(profile, 7, True, chance, SECOND, 1) for _ in range(2)]
    active = [isn.initial(profile, 7, False, chance, SECOND * each, 1) for each in (1, 2)]
    assert passive[0] != passive[1]
    assert active[1] - active[0] == 1_048_576
