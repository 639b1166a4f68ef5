"""The receiver: order, windows, delayed acknowledgments, SACK blocks, urgent data, timestamps, listeners."""

from play import Player, pattern, play
from timewait.tcp.connection import Options
from timewait.tcp.states import State
from timewait.wire.segment import SYN, Segment
from wire_pair import Pair

EST = State.ESTABLISHED
QUICK = Options(quick_ack=True)


def test_an_ack_is_delayed_but_every_second_full_segment_is_acknowledged() -> None:
    """RFC 9293 section 3.8.6.3 (MUST-40, SHLD-18, SHLD-19)."""
    trace = """
        0.000  peer > us  ACK seq=1 ack=1 len=1460
        0.200  us > peer  ACK seq=1 ack=1461
        0.300  peer > us  ACK seq=1461 ack=1 len=1460
        0.300  peer > us  ACK seq=2921 ack=1 len=1460
        0.300  us > peer  ACK seq=1 ack=4381
    """
    play("rfc9293", trace, EST)


def test_data_carries_the_ack_that_was_due() -> None:
    trace = """
        0.000  peer > us  ACK seq=1 ack=1 len=10
        0.010  us: send 5 = 5
        0.010  us > peer  ACK seq=1 ack=11 len=5
        0.500  peer > us  ACK seq=11 ack=6
        1.000  peer quiet
    """
    play("rfc9293", trace, EST)


def test_text_out_of_order_is_kept_and_the_hole_is_told_at_once() -> None:
    """RFC 9293 section 3.10.7.4 (SHLD-31), RFC 2018 section 4: the newest block first."""
    trace = """
        0.000  peer > us  ACK seq=11 ack=1 len=10
        0.000  us > peer  ACK seq=1 ack=1 sack=11-21
        0.010  peer > us  ACK seq=31 ack=1 len=10
        0.010  us > peer  ACK seq=1 ack=1 sack=31-41,11-21
        0.020  peer > us  ACK seq=21 ack=1 len=10
        0.020  us > peer  ACK seq=1 ack=1 sack=11-41
        0.030  peer > us  ACK seq=1 ack=1 len=10
        0.030  us > peer  ACK seq=1 ack=41
        0.030  us: recv 99 = 40
    """
    play("rfc9293", trace, EST, sack=True)


def test_overlapping_pieces_are_read_once_and_in_order() -> None:
    player = Player("rfc9293", options=QUICK)
    player.to(EST)
    player.quietly(
        """
        0 peer > us ACK seq=21 ack=1 len=20
        0 peer > us ACK seq=11 ack=1 len=15
        0 peer > us ACK seq=35 ack=1 len=30
        0 peer > us ACK seq=5 ack=1 len=10
        0 peer > us ACK seq=1 ack=1 len=6
        """
    )
    data, _ = player.stack.recv(player.handle, 999, player.now)
    assert data == pattern(1, 64)


def test_a_full_buffer_closes_the_window_and_reading_opens_it_again() -> None:
    trace = """
        0.000  peer > us  ACK seq=1 ack=1 len=1460
        0.000  us > peer  ACK seq=1 ack=1461 win=1460
        0.010  peer > us  ACK seq=1461 ack=1 len=1460
        0.010  us > peer  ACK seq=1 ack=2921 win=0
        0.020  peer > us  ACK seq=2921 ack=1 len=1
        0.020  us > peer  ACK seq=1 ack=2921 win=0
        0.030  us: recv 100 = 100
        0.040  us: recv 9999 = 2820
        0.040  us > peer  ACK seq=1 ack=2921 win=2920
    """
    play("rfc9293", trace, EST, options=Options(quick_ack=True, receive_buffer=2920))


def test_text_beyond_the_window_is_cut_off() -> None:
    trace = """
        0.000  peer > us  ACK seq=1 ack=1 len=1460
        0.000  us > peer  ACK seq=1 ack=1001 win=0
        0.000  us: recv 9999 = 1000
        0.000  us > peer  ACK seq=1 ack=1001 win=1000
    """
    play("rfc9293", trace, EST, options=Options(quick_ack=True, receive_buffer=1000))


def test_urgent_data_is_told_and_delivered_in_line() -> None:
    """RFC 9293 section 3.8.5 (MUST-30 to MUST-32)."""
    trace = """
        0.000  peer > us  URG,ACK seq=1 ack=1 len=10 urg=5
        0.000  us > peer  ACK seq=1 ack=11
        0.000  us: recv 99 = 10
        0.010  us: send 5 urgent = 5
        0.010  us > peer  URG,ACK seq=1 ack=11 len=5 urg=5
    """
    play("rfc9293", trace, EST, options=QUICK)


def test_an_old_timestamp_is_acknowledged_and_dropped() -> None:
    """RFC 7323 section 5.3 R1."""
    trace = """
        0.000  peer > us  ACK seq=1 ack=1 len=5 ts=10
        0.000  us > peer  ACK seq=1 ack=6 ts=0/10
        0.010  peer > us  ACK seq=6 ack=1 len=5 ts=9
        0.010  us  drops PAWS
        0.010  us > peer  ACK seq=1 ack=6 ts=10/10
        0.020  us: counter PAWSEstab = 1
    """
    play("rfc9293", trace, EST, options=QUICK, timestamps=True)


def test_a_duplicate_ack_that_was_overtaken_passes_paws_on_linux() -> None:
    """Linux tcp_disordered_ack(): pure, a duplicate, no window news, late by at most a retransmission timeout.

    That is 200 ms here, TCP_RTO_MIN: 240 ticks at 1200 Hz in 6.18, 204 at 1024 Hz in 4.0.
    """
    trace = """
        0.000  peer > us  ACK seq=1 ack=1 len=5 ts=2000
        0.000  us > peer  ACK seq=1 ack=6
        0.005  peer > us  ACK seq=6 ack=1 ts=2000
        0.010  peer > us  ACK seq=6 ack=1 ts={}
        0.020  us: counter PAWSEstab = {}
    """
    for profile, oldest in (("linux", 1760), ("linux-4.0", 1796)):
        play(profile, trace.format(oldest, 0), EST, options=QUICK, timestamps=True)
        late = trace.format(oldest - 1, 1).replace("0.020", "0.010  us > peer ACK seq=1 ack=6\n0.020")
        play(profile, late, EST, options=QUICK, timestamps=True)


def test_a_segment_without_the_timestamp_that_was_negotiated() -> None:
    """RFC 7323 section 3.2: it SHOULD be dropped; Linux takes it."""
    trace = "0 peer > us ACK seq=1 ack=1 len=5 ts=none\n"
    play("rfc9293", trace + "0 us drops NO_TIMESTAMP", EST, options=QUICK, timestamps=True)
    play("linux", trace + "0 us > peer ACK seq=1 ack=6", EST, options=QUICK, timestamps=True)


def test_a_syn_sent_again_draws_the_syn_ack_again() -> None:
    trace = """
        0.000  peer > us  SYN seq=0
        0.000  us > peer  SYN,ACK seq=0 ack=1
        1.000  us > peer  SYN,ACK seq=0 ack=1
    """
    play("linux", trace, State.SYN_RECEIVED, passive=True)


def test_an_ack_of_what_was_never_sent_in_syn_received_is_reset() -> None:
    trace = """
        0.000  peer > us  ACK seq=1 ack=500
        0.000  us > peer  RST seq=500
    """
    play("linux", trace, State.SYN_RECEIVED, passive=True)


def test_a_listener_answers_an_ack_with_a_reset_and_nothing_else() -> None:
    """RFC 9293 section 3.10.7.2."""
    trace = """
        0.000  peer > us  ACK seq=5 ack=9
        0.000  us > peer  RST seq=9
        0.010  peer > us  RST seq=5
        0.020  peer > us  - seq=5
    """
    play("rfc9293", trace, passive=True)


def test_a_full_accept_queue_drops_syns_and_counts_them() -> None:
    pair = Pair("linux", loopback=True)
    pair.server.listen(pair.listener, 2)
    for _ in range(6):
        assert pair.try_connect() is None
    assert pair.server.counters["ListenOverflows"] == 3
    assert sum(row.state is EST for row in pair.server.sockets()) == 3


def test_a_connection_given_up_before_it_was_accepted_is_not_accepted() -> None:
    for give_up in ("close", "abort"):
        pair = Pair("rfc9293")
        for _ in range(2):
            assert pair.try_connect() is None
        [listener] = pair.server.listeners.values()
        first, second = listener.ready
        getattr(pair.server, give_up)(first, pair.now)
        assert pair.server.accept(pair.listener) == second
        assert listener.half_open == 0


def test_half_open_connections_are_limited_and_time_out() -> None:
    player = Player("rfc9293", passive=True, changes={"syn_backlog": 2})
    stack = player.stack
    for port in range(5):
        stack.receive(
            Segment(b"\x0a\0\0\2", 1000 + port, player.key.local, player.key.local_port, 7, 0, SYN, 1000), player.now
        )
    assert len(stack.connections) == 2
    assert stack.counters["ListenDrops"] == 3
    player.run_until(200 * 10**9)
    assert not stack.connections
    assert stack.listeners[player.key.local, player.key.local_port].half_open == 0


def test_linux_delays_the_ack_of_a_fin_after_request_and_response() -> None:
    trace = """
        0.000  us: send 5 = 5
        0.000  us > peer  ACK seq=1 ack=1 len=5
        0.000  peer > us  ACK seq=1 ack=6 len=5
        0.000  us > peer  ACK seq=6 ack=6
    """
    play("linux", trace, EST)
    trace = """
        0.000  peer > us  ACK seq=1 ack=1 len=5
        0.000  us: send 5 = 5
        0.000  us > peer  ACK seq=1 ack=6 len=5
        0.010  peer > us  FIN,ACK seq=6 ack=6
        0.010  us  CLOSE-WAIT
        0.050  us > peer  ACK seq=6 ack=7
    """
    play("linux", trace, EST, quick_acks=0)


def test_single_octets_with_gaps_cannot_fill_memory() -> None:
    player = Player("rfc9293", options=QUICK)
    player.to(EST)
    for seq in range(3, 2003, 2):
        player.quietly(f"0 peer > us ACK seq={seq} ack=1 len=1")
    conn = player.stack.connections[player.key]
    assert len(conn.pieces) <= 64 + 65535 // 256


def test_a_segment_for_another_host_is_dropped_without_an_answer() -> None:
    player = Player("linux", passive=True)
    events = player.stack.receive(Segment(player.key.remote, 9, b"\x0a\0\0\x63", 4000, 7, 0, SYN, 1000), player.now)
    assert [type(event).__name__ for event in events] == ["Dropped"]
