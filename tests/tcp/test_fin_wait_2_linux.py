"""Linux 6.18: an orphan in FIN-WAIT-2 as a small record, and how long it lasts.

Source: net/ipv4/tcp_minisocks.c, tcp_timewait_state_process(), first half; net/ipv4/tcp.c, __tcp_close().  Measured.
R is 1 (nothing came from the peer), S is 2 (our FIN was 1), the window 64240.
"""

import pytest

from play import play
from timewait.clock import SECOND
from timewait.tcp.connection import Options
from timewait.tcp.states import State

ACK = "1.000  us > peer  ACK seq=2 ack=1"
GONE = "1.000  us  CLOSED"

ROWS = {
    "an ACK outside the window is answered": ("ACK seq=70000 ack=2", ACK),
    "old data is answered": ("ACK seq=-9 ack=2 len=10", ACK),
    "a SYN outside the window is answered": ("SYN seq=-100", ACK),
    "a reset below the window is answered, of all things": ("RST seq=0", ACK),
    "an ACK with an older timestamp is answered": ("ACK seq=1 ack=2 ts=-5", ACK),
    "a reset at R ends it": ("RST seq=1", GONE),
    "a reset 1000 above R ends it": ("RST seq=1001", GONE),
    "a reset at the end of the window ends it": ("RST seq=64000", GONE),
    "a SYN in the window is reset and ends it": ("SYN seq=500", f"1.000  us > peer  RST,ACK seq=5 ack=501\n{GONE}"),
    "a duplicate ACK is dropped": ("ACK seq=1 ack=2", ""),
    "no ACK bit is dropped": ("- seq=1 len=10", ""),
    "new data is reset and ends it": ("ACK seq=1 ack=2 len=10", f"1.000  us > peer  RST seq=2\n{GONE}"),
    "data with FIN is reset and ends it": ("FIN,ACK seq=1 ack=2 len=10", f"1.000  us > peer  RST seq=2\n{GONE}"),
    "a FIN beyond a gap is reset and ends it": ("FIN,ACK seq=11 ack=2", f"1.000  us > peer  RST seq=2\n{GONE}"),
    "the FIN makes it a true TIME-WAIT": (
        "FIN,ACK seq=1 ack=2",
        "1.000  us > peer  ACK seq=2 ack=2\n1.000  us  TIME-WAIT until 61.000",
    ),
}


@pytest.mark.parametrize("row", ROWS)
def test_a_segment_in_a_small_fin_wait_2(row: str) -> None:
    segment, answer = ROWS[row]
    play("linux", f"1.000  peer > us  {segment}\n{answer}", State.FIN_WAIT_2, timestamps=True)


def test_answers_are_limited_and_the_timer_is_kept() -> None:
    trace = """
        1.000  peer > us  ACK seq=70000 ack=2
        1.000  us > peer  ACK seq=2 ack=1
        1.100  peer > us  ACK seq=70000 ack=2
        1.100  us: counter TCPACKSkippedFinWait2 = 1
        60.000 us  CLOSED
        61.000 peer quiet
    """
    play("linux", trace, State.FIN_WAIT_2)


def test_a_timeout_above_60_s_is_first_spent_as_a_full_connection() -> None:
    trace = """
        59.000  us: waiting = 0
        60.500  us: waiting = 1
        119.000 us: state = CLOSED
        120.000 us  CLOSED
        121.000 peer quiet
    """
    play("linux", trace, State.FIN_WAIT_2, sysctls={"tcp_fin_timeout": 120})


def test_what_is_above_60_s_is_spent_twice() -> None:
    """Measured on 6.18: 64 s make 4 s of a socket and 4 s of a record; tcp_keepalive_timer(), net/ipv4/tcp_timer.c."""
    trace = """
        3.900  us: waiting = 0
        4.500  us: waiting = 1
        8.000  us  CLOSED
        9.000  peer quiet
    """
    play("linux", trace, State.FIN_WAIT_2, sysctls={"tcp_fin_timeout": 64})


def test_a_timeout_lowered_meanwhile_ends_the_full_connection_with_a_reset() -> None:
    """The setting is read again when the timer fires, and nothing is above 60 s any more."""
    trace = """
        1.000  us: sysctl tcp_fin_timeout 60
        4.000  us > peer  RST,ACK seq=2 ack=1
        4.000  us  CLOSED
        5.000  peer quiet
    """
    play("linux", trace, State.FIN_WAIT_2, sysctls={"tcp_fin_timeout": 64})


def test_the_fin_starts_a_full_60_s_even_with_fin_timeout_0() -> None:
    trace = """
        0.100  peer > us  FIN,ACK seq=1 ack=2
        0.100  us > peer  ACK seq=2 ack=2
        0.100  us  TIME-WAIT until 60.100
    """
    play("linux", trace, State.FIN_WAIT_2, sysctls={"tcp_fin_timeout": 0})


def test_fin_timeout_0_still_waits_three_and_a_half_retransmission_timeouts() -> None:
    trace = """
        0.700  us  CLOSED
        1.000  peer quiet
    """
    play("linux", trace, State.FIN_WAIT_2, sysctls={"tcp_fin_timeout": 0})


def test_linger2_sets_it_for_one_socket_and_a_negative_one_resets_at_once() -> None:
    trace = """
        0.000  us: option linger2 -1
        0.000  us: close
        0.000  us  FIN-WAIT-1
        0.000  us > peer  FIN,ACK seq=1 ack=1
        0.100  peer > us  ACK seq=1 ack=2
        0.100  us  FIN-WAIT-2
        0.100  us > peer  RST seq=2
        0.100  us  CLOSED
        0.100  us: counter TCPAbortOnData = 1
    """
    play("linux", trace, State.ESTABLISHED)


def test_linger2_is_cut_to_120_s_and_0_means_the_default() -> None:
    player = play("linux", "0 peer quiet", State.ESTABLISHED)
    stack, handle = player.stack, player.handle
    for given, kept in ((1000 * SECOND, 120 * SECOND), (0, None), (-5 * SECOND, -1), (7 * SECOND, 7 * SECOND)):
        assert stack.set_option(handle, linger2=given) is None
        assert stack.handles[handle].options.linger2 == kept


def test_a_connection_whose_user_has_only_closed_its_writing_side_stays_for_ever() -> None:
    trace = """
        10000.0  us: state = FIN-WAIT-2
    """
    play("linux", trace, State.FIN_WAIT_2, held=True)


def test_a_small_record_counts_as_fin_wait_2_and_keeps_the_port() -> None:
    player = play("linux", "0 peer quiet", State.FIN_WAIT_2, options=Options())
    assert [row.state for row in player.stack.sockets()] == [State.FIN_WAIT_2]
    assert len(player.stack.waits) == 1
