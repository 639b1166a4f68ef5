"""The sender: retransmission, congestion control, SACK, windows, Nagle, probes, keep-alive, giving up.

Profile rfc9293 unless named.  The peer's window is 65535 and its MSS 1460; without timestamps a segment carries 1460.
"""

import pytest

from play import Player, play
from timewait.clock import SECOND
from timewait.tcp.connection import Options
from timewait.tcp.events import Errno
from timewait.tcp.icmp import IcmpError
from timewait.tcp.states import State
from timewait.wire.segment import Segment

EST = State.ESTABLISHED
NO_DELAY = Options(no_delay=True)


def test_a_lost_segment_is_sent_again_with_doubling_timeout_and_slow_start_follows() -> None:
    """RFC 6298 (5.4) to (5.6), RFC 5681 section 3.1."""
    trace = """
        0.000  us: send 4380 = 4380
        0.000  us > peer  ACK seq=1 ack=1 len=1460
        0.000  us > peer  ACK seq=1461 ack=1 len=1460
        0.000  us > peer  ACK seq=2921 ack=1 len=1460
        1.000  us > peer  ACK seq=1 ack=1 len=1460
        3.000  us > peer  ACK seq=1 ack=1 len=1460
        3.100  peer > us  ACK seq=1 ack=1461
        3.100  us > peer  ACK seq=1461 ack=1 len=1460
        3.100  us > peer  ACK seq=2921 ack=1 len=1460
        3.200  peer > us  ACK seq=1 ack=4381
        9.000  peer quiet
    """
    play("rfc9293", trace, EST)


def test_the_initial_window_is_three_segments_and_grows_by_one_for_each_ack() -> None:
    """RFC 5681 section 3.1: slow start."""
    trace = """
        0.000  us: send 20000 = 20000
        0.000  us > peer  ACK seq=1 ack=1 len=1460
        0.000  us > peer  ACK seq=1461 ack=1 len=1460
        0.000  us > peer  ACK seq=2921 ack=1 len=1460
        0.100  peer > us  ACK seq=1 ack=1461
        0.100  us > peer  ACK seq=4381 ack=1 len=1460
        0.100  us > peer  ACK seq=5841 ack=1 len=1460
    """
    play("rfc9293", trace, EST)


@pytest.mark.parametrize(("profile", "more"), [("rfc9293", 4), ("freebsd", 5), ("linux", 6)])
def test_one_ack_opens_the_window_in_slow_start_by_what_it_covers_up_to_the_limit(profile: str, more: int) -> None:
    """RFC 5681 section 3.1: one segment an ACK; RFC 3465 section 2.2: L = 2; Linux tcp_slow_start(): no limit."""
    sent = [f"0.000  us > peer  ACK seq={1 + 1460 * each} ack=1 len=1460" for each in range(3)]
    then = [f"0.100  us > peer  ACK seq={1 + 1460 * each} ack=1 len=1460" for each in range(3, 3 + more)]
    ack = "0.100  peer > us  ACK seq=1 ack=4381"
    play(profile, "\n".join(["0.000  us: send 20000 = 20000", *sent, ack, *then]), EST, initial_cwnd=3)


def test_three_duplicate_acks_send_the_first_segment_again_at_once() -> None:
    """RFC 5681 section 3.2, RFC 6582: fast retransmit, a partial ACK sends the next hole, a full one ends it."""
    sent = "\n".join(f"0 us > peer ACK seq={1 + 1460 * each} ack=1 len=1460" for each in range(6))
    trace = f"""
        0.000  us: send 8760 = 8760
        {sent}
        0.100  peer > us  ACK seq=1 ack=1
        0.100  peer > us  ACK seq=1 ack=1
        0.100  peer > us  ACK seq=1 ack=1
        0.100  us > peer  ACK seq=1 ack=1 len=1460
        0.200  peer > us  ACK seq=1 ack=4381
        0.200  us > peer  ACK seq=4381 ack=1 len=1460
        0.300  peer > us  ACK seq=1 ack=8761
        5.000  peer quiet
    """
    play("rfc9293", trace, EST, initial_cwnd=6)


def test_with_sack_only_the_holes_are_sent_again() -> None:
    """RFC 6675: two holes, both lost by the third block of evidence."""
    sent = "\n".join(f"0 us > peer ACK seq={1 + 1460 * each} ack=1 len=1460" for each in range(8))
    trace = f"""
        0.000  us: send 11680 = 11680
        {sent}
        0.100  peer > us  ACK seq=1 ack=1 sack=1461-2921
        0.100  peer > us  ACK seq=1 ack=1 sack=1461-2921,4381-5841
        0.100  peer > us  ACK seq=1 ack=1 sack=1461-2921,4381-8761
        0.100  us > peer  ACK seq=1 ack=1 len=1460
        0.100  us > peer  ACK seq=2921 ack=1 len=1460      # 4380 octets above it were reported
        0.110  peer > us  ACK seq=1 ack=1 sack=1461-2921,4381-11681
        0.200  peer > us  ACK seq=1 ack=11681
        5.000  peer quiet
    """
    play("rfc9293", trace, EST, sack=True, initial_cwnd=8)


def test_nagle_holds_small_data_while_some_is_outstanding() -> None:
    """RFC 9293 section 3.7.4 (SHLD-7); MUST-17 lets a user switch it off."""
    trace = """
        0.000  us: send 10 = 10
        0.000  us > peer  ACK seq=1 ack=1 len=10
        0.010  us: send 10 = 10
        0.020  us: send 10 = 10
        0.100  peer > us  ACK seq=1 ack=11
        0.100  us > peer  ACK seq=11 ack=1 len=20
    """
    play("rfc9293", trace, EST)
    trace = """
        0.000  us: send 10 = 10
        0.000  us > peer  ACK seq=1 ack=1 len=10
        0.010  us: send 10 = 10
        0.010  us > peer  ACK seq=11 ack=1 len=10
    """
    play("rfc9293", trace, EST, options=NO_DELAY)


def test_a_closed_window_is_probed_with_an_octet_and_never_given_up_while_the_peer_answers() -> None:
    """RFC 9293 section 3.8.6.1 (MUST-35 to MUST-37)."""
    trace = """
        0.000  us: send 100 = 100
        0.000  us > peer  ACK seq=1 ack=1 len=100
        0.010  peer > us  ACK seq=1 ack=101 win=0
        0.020  us: send 50 = 50
        1.020  us > peer  ACK seq=101 ack=1 len=1
        1.030  peer > us  ACK seq=1 ack=101 win=0
        3.020  us > peer  ACK seq=101 ack=1 len=1
        3.030  peer > us  ACK seq=1 ack=101 win=0
        7.020  us > peer  ACK seq=101 ack=1 len=1
        7.100  peer > us  ACK seq=1 ack=102 win=1000
        7.100  us > peer  ACK seq=102 ack=1 len=49
    """
    play("rfc9293", trace, EST)


def test_linux_probes_with_an_empty_segment_below_snd_una() -> None:
    trace = """
        0.000  us: send 100 = 100
        0.000  us > peer  ACK seq=1 ack=1 len=100
        0.000  peer > us  ACK seq=1 ack=101 win=0
        0.000  us: send 50 = 50
        0.200  us > peer  ACK seq=100 ack=1
        0.210  peer > us  ACK seq=1 ack=101 win=0
        0.600  us > peer  ACK seq=100 ack=1
        0.610  peer > us  ACK seq=1 ack=101 win=5000
        0.610  us > peer  ACK seq=101 ack=1 len=50
    """
    play("linux", trace, EST)


def test_a_peer_that_answers_probes_for_a_day_is_not_given_up() -> None:
    player = Player("rfc9293")
    player.to(EST)
    player.quietly("0 us: send 10\n0 peer > us ACK seq=1 ack=11 win=0\n0 us: send 10")
    for _ in range(1500):
        due = player.stack.next_deadline()
        assert due is not None
        player.run_until(due - 1000 * SECOND)
        player.quietly(f"{(player.now / SECOND) - 1000} peer > us ACK seq=1 ack=11 win=0")
    assert player.stack.state_of(player.key) is EST


def test_a_small_opening_of_the_window_is_not_used_at_once() -> None:
    """RFC 9293 section 3.8.6.2.1: less than a segment and less than half the largest window waits for time."""
    trace = """
        0.000  us: send 2000 = 2000
        0.000  us > peer  ACK seq=1 ack=1 len=1000
        0.010  peer > us  ACK seq=1 ack=1001 win=0
        0.020  peer > us  ACK seq=1 ack=1001 win=10
        1.020  us > peer  ACK seq=1001 ack=1 len=10
    """
    play("rfc9293", trace, EST, window=1000)


def test_keep_alive_probes_an_idle_peer_and_gives_up_when_it_is_gone() -> None:
    """RFC 9293 section 3.8.4: off by default (MUST-25), two hours (MUST-28)."""
    options = Options(keep_alive=True, keep_idle=10 * SECOND, keep_interval=SECOND, keep_probes=2)
    trace = """
        10.000  us > peer  ACK seq=0 ack=1
        10.100  peer > us  ACK seq=1 ack=1
        20.100  us > peer  ACK seq=0 ack=1
        21.100  us > peer  ACK seq=0 ack=1
        22.100  us > peer  RST,ACK seq=1 ack=1
        22.100  us  CLOSED
        22.100  us  fails ETIMEDOUT
    """
    play("linux", trace, EST, options=options)
    play("linux", "100000 peer quiet", EST)


def test_the_user_timeout_ends_a_connection_whose_data_nobody_acknowledges() -> None:
    """RFC 9293 section 3.10.1, 3.8.3; a second error is not told twice."""
    trace = """
        0.000  us: send 10 = 10
        0.000  us > peer  ACK seq=1 ack=1 len=10
        1.000  us > peer  ACK seq=1 ack=1 len=10
        3.000  us > peer  ACK seq=1 ack=1 len=10
        7.000  us  CLOSED
        7.000  us  fails ETIMEDOUT
        7.000  us: send 1 = ETIMEDOUT
        7.000  us: send 1 = EPIPE
    """
    play("rfc9293", trace, EST, options=Options(user_timeout=5 * SECOND))


def test_a_syn_is_sent_again_and_at_last_given_up() -> None:
    trace = """
        0.000  us: connect = None
        0.000  us  SYN-SENT
        0.000  us > peer  SYN seq=0
        1.000  us > peer  SYN seq=0
        3.000  us > peer  SYN seq=0
        7.000  us  CLOSED
        7.000  us  fails ETIMEDOUT
    """
    play("rfc9293", trace, syn_retries=2)


def test_linux_sends_its_first_syns_a_second_apart() -> None:
    """tcp_retransmit_timer(), net/ipv4/tcp_timer.c: the timeout doubles once total_rto > tcp_syn_linear_timeouts (4).

    tcp_write_timeout(): these come on top of tcp_syn_retries (6).
    """
    trace = """
        0.000  us: connect = None
        0.000  us  SYN-SENT
        0.000  us > peer  SYN seq=0
        1.000  us > peer  SYN seq=0
        2.000  us > peer  SYN seq=0
        3.000  us > peer  SYN seq=0
        4.000  us > peer  SYN seq=0
        5.000  us > peer  SYN seq=0
        7.000  us > peer  SYN seq=0
        11.000  us > peer  SYN seq=0
        19.000  us > peer  SYN seq=0
        35.000  us > peer  SYN seq=0
        67.000  us > peer  SYN seq=0
        131.000  us  CLOSED
        131.000  us  fails ETIMEDOUT
    """
    play("linux", trace)


def test_a_mac_sends_its_first_syns_a_second_apart_without_slop() -> None:
    """XNU tcp_syn_backoff[], tcp_timer.c: 1, 1, 1, 1, 1, 2, 4, 8, 16, 32; TCPTV_KEEP_INIT ends it after 75 s."""
    again = "\n".join(f"{at} us > peer SYN seq=0" for at in (1, 2, 3, 4, 5, 7, 11, 19, 35, 67))
    trace = f"0 us: connect = None\n0 us SYN-SENT\n0 us > peer SYN seq=0\n{again}\n75 us CLOSED\n75 us fails ETIMEDOUT"
    play("macos", trace)


def test_a_refused_syn() -> None:
    trace = """
        0.000  us: connect = None
        0.000  us  SYN-SENT
        0.000  us > peer  SYN seq=0
        0.010  peer > us  RST,ACK seq=0 ack=1
        0.010  us  CLOSED
        0.010  us  fails ECONNREFUSED
    """
    play("linux", trace)


def test_a_simultaneous_open() -> None:
    """RFC 9293 section 3.5, Figure 8 (MUST-10)."""
    trace = """
        0.000  us: connect = None
        0.000  us  SYN-SENT
        0.000  us > peer  SYN seq=0
        0.010  peer > us  SYN seq=0
        0.010  us  SYN-RECEIVED
        0.010  us > peer  SYN,ACK seq=0 ack=1
        0.020  peer > us  SYN,ACK seq=0 ack=1
        0.020  us  ESTABLISHED
        0.020  us > peer  ACK seq=1 ack=1
        0.030  us: send 5 = 5
        0.030  us > peer  ACK seq=1 ack=1 len=5
    """
    play("rfc9293", trace)


def test_an_old_duplicate_syn_ack_is_reset_and_the_syn_goes_on() -> None:
    trace = """
        0.000  us: connect = None
        0.000  us  SYN-SENT
        0.000  us > peer  SYN seq=0
        0.010  peer > us  SYN,ACK seq=0 ack=77
        0.010  us > peer  RST seq=77
        1.000  us > peer  SYN seq=0
    """
    play("rfc9293", trace)


@pytest.mark.parametrize(
    ("name", "layout"),
    [
        ("linux", "mss,sackok,ts,nop,wscale"),
        ("freebsd", "mss,nop,wscale,sackok,ts"),
        ("rfc793", "mss"),
    ],
)
def test_the_options_of_a_syn_stand_as_the_stack_writes_them(name: str, layout: str) -> None:
    trace = f"""
        0.000  us: connect = None
        0.000  us  SYN-SENT
        0.000  us > peer  SYN seq=0 opt={layout}
    """
    play(name, trace)


@pytest.mark.parametrize(
    ("name", "sack", "layout"),
    [
        ("linux", True, "mss,nop,nop,sackok"),
        ("freebsd", True, "mss,sackok,eol,eol"),
        ("linux", False, "mss"),
        ("freebsd", False, "mss"),
    ],
)
def test_the_options_of_a_syn_ack_follow_the_offer(name: str, sack: bool, layout: str) -> None:
    trace = f"""
        0.000  peer > us  SYN seq=0
        0.000  us  SYN-RECEIVED
        0.000  us > peer  SYN,ACK seq=0 ack=1 opt={layout}
    """
    play(name, trace, passive=True, sack=sack)


def test_a_scaled_window_is_announced_scaled_after_the_handshake() -> None:
    trace = """
        0.000  us: connect = None
        0.000  us  SYN-SENT
        0.000  us > peer  SYN seq=0 win=65535
        0.000  peer > us  SYN,ACK seq=0 ack=1
        0.000  us  ESTABLISHED
        0.000  us > peer  ACK seq=1 ack=1 win=1027
    """
    play("freebsd", trace, scale=6)


# --- ICMP


def quoted(player: Player, offset: int = 0) -> Segment:
    key = player.key
    conn = player.stack.connections[key]
    return Segment(*key, (conn.snd_una + offset) % 2**32, 0, 0, 0)


def test_an_icmp_error_ends_an_opening_but_not_a_connection() -> None:
    """RFC 9293 section 3.9.2.2, RFC 5461."""
    player = Player("linux")
    player.quietly("0 us: connect")
    player.stack.unreachable(IcmpError.HOST_UNREACHABLE, quoted(player), player.now)
    assert player.stack.take_error(player.handle) is Errno.EHOSTUNREACH
    player = Player("linux")
    player.to(EST)
    player.stack.unreachable(IcmpError.PORT_UNREACHABLE, quoted(player), player.now)
    assert player.stack.state(player.handle) is EST


def test_an_icmp_error_with_a_number_never_sent_is_not_believed() -> None:
    """RFC 5927 section 4.1."""
    player = Player("linux")
    player.quietly("0 us: connect")
    player.stack.unreachable(IcmpError.PORT_UNREACHABLE, quoted(player, 999), player.now)
    assert player.stack.state(player.handle) is State.SYN_SENT
    assert player.stack.counters["OutOfWindowIcmps"] == 1


def test_a_smaller_path_mtu_sends_what_is_outstanding_again_in_smaller_segments() -> None:
    player = Player("rfc9293")
    player.to(EST)
    player.quietly("0 us: send 1460")
    events = player.stack.unreachable(IcmpError.FRAGMENTATION_NEEDED, quoted(player), player.now, mtu=1000)
    player.note(events)
    assert [line.fields["len"] for line in player.actual] == ["960", "500"]
