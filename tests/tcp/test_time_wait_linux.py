"""What a Linux 6.18 TIME-WAIT record does with every kind of segment.

Source: net/ipv4/tcp_minisocks.c, tcp_timewait_state_process(); each row was also measured on 6.18.44 with hand-made
segments.  R is 2 (the peer's FIN was 1), S is 2 (ours was 1), T, the newest timestamp, is 0.
"""

import pytest

from play import play
from timewait.tcp.states import State

ACK = "10.000  us > peer  ACK seq=2 ack=2"
RESTART = "10.000  us  TIME-WAIT until 70.000"
GONE = "10.000  us  CLOSED"
SILENT = KEPT = ""

ROWS = {
    "an ACK at R with a newer timestamp restarts silently": ("ACK seq=2 ack=2 ts=5", SILENT, RESTART),
    "an ACK at R with an equal timestamp restarts silently": ("ACK seq=2 ack=2 ts=0", SILENT, RESTART),
    "an ACK at R without timestamp restarts silently": ("ACK seq=2 ack=2 ts=none", SILENT, RESTART),
    "an ACK at R of what was never sent restarts silently": ("ACK seq=2 ack=102", SILENT, RESTART),
    "an ACK at R of ancient data restarts silently": ("ACK seq=2 ack=-100000", SILENT, RESTART),
    "no flags at R restarts silently": ("- seq=2", SILENT, RESTART),
    "an ACK below R is answered and restarts": ("ACK seq=1 ack=2", ACK, RESTART),
    "an ACK above R is answered and restarts": ("ACK seq=3 ack=2", ACK, RESTART),
    "an ACK at R with an older timestamp is answered and restarts": ("ACK seq=2 ack=2 ts=-5", ACK, RESTART),
    "the FIN again is answered and restarts": ("FIN,ACK seq=1 ack=2", ACK, RESTART),
    "the FIN again with an older timestamp likewise": ("FIN,ACK seq=1 ack=2 ts=-5", ACK, RESTART),
    "the FIN without ACK bit is answered and the timer kept": ("FIN seq=1", ACK, KEPT),
    "data at R is answered and restarts": ("ACK seq=2 ack=2 len=10", ACK, RESTART),
    "data far outside is answered and restarts": ("ACK seq=900000 ack=2 len=10", ACK, RESTART),
    "data without ACK bit is answered and the timer kept": ("- seq=2 len=10", ACK, KEPT),
    "a reset at R ends the wait": ("RST seq=2", SILENT, GONE),
    "a reset with ACK at R ends the wait": ("RST,ACK seq=2 ack=2", SILENT, GONE),
    "a reset at R without timestamp ends the wait": ("RST seq=2 ts=none", SILENT, GONE),
    "a reset at R with an older timestamp has no effect": ("RST seq=2 ts=-5", SILENT, KEPT),
    "a reset above R has no effect": ("RST seq=3", SILENT, KEPT),
    "a reset below R has no effect": ("RST seq=1", SILENT, KEPT),
    "a reset inside the window has no effect": ("RST seq=30000", SILENT, KEPT),
    "a SYN at R with an equal timestamp is refused": ("SYN seq=2 ts=0", ACK, KEPT),
    "a SYN at R without timestamp is refused": ("SYN seq=2 ts=none", ACK, KEPT),
    "a SYN below R with an equal timestamp is refused": ("SYN seq=-1000 ts=0", ACK, KEPT),
    "a SYN above R with an older timestamp is refused and restarts": ("SYN seq=9000 ts=-5", ACK, RESTART),
    "a SYN-ACK is answered and restarts": ("SYN,ACK seq=9000 ack=2", ACK, RESTART),
    "a SYN with RST has no effect": ("SYN,RST seq=9000", SILENT, KEPT),
}


@pytest.mark.parametrize("row", ROWS)
def test_a_segment_in_time_wait(row: str) -> None:
    segment, reply, timer = ROWS[row]
    trace = f"10.000  peer > us  {segment}\n{reply}\n{timer}"
    play("linux", trace, State.TIME_WAIT, passive=True, timestamps=True)


@pytest.mark.parametrize(
    "segment",
    ["seq=3 ts=5", "seq=3 ts=0", "seq=3 ts=none", "seq=2147483649 ts=0", "seq=-998 ts=5", "seq=2 ts=5"],
)
def test_a_syn_above_r_or_with_a_newer_timestamp_reopens(segment: str) -> None:
    seq = int(segment.split()[0].removeprefix("seq="))
    # 65537 above the old SND.NXT of 2
    trace = f"""
        10.000  peer > us  SYN {segment}
        10.000  us  SYN-RECEIVED
        10.000  us > peer  SYN,ACK seq=65539 ack={_plus_one(seq)}
    """
    play("linux", trace, State.TIME_WAIT, passive=True, timestamps=True)


def _plus_one(seq: int) -> int:
    return seq + 1 if seq + 1 < 2**31 else seq + 1 - 2**32


@pytest.mark.parametrize("stamp", ["ts=5", "ts=none"])
def test_a_syn_with_fin_that_might_reopen_ends_the_wait_without_an_answer(stamp: str) -> None:
    trace = f"""
        10.000  peer > us  SYN,FIN seq=9000 {stamp}
        10.000  us  drops TW_DESTROYED_BY_SYN_FIN
        10.000  us  CLOSED
    """
    play("linux", trace, State.TIME_WAIT, passive=True, timestamps=True)


def test_a_syn_with_a_timestamp_below_r_is_refused_where_the_old_connection_had_none() -> None:
    """RFC 6191 section 2 B would accept it; Linux does not read the options then."""
    trace = f"""
        10.000  peer > us  SYN seq=-1000 ts=5
        {ACK}
    """
    play("linux", trace, State.TIME_WAIT, passive=True)


def test_with_rfc1337_no_reset_has_any_effect() -> None:
    trace = """
        10.000  peer > us  RST seq=2
        10.000  us  drops TW_RST_IGNORED
        60.000  us  CLOSED
        61.000  peer quiet
    """
    play("linux", trace, State.TIME_WAIT, timestamps=True, sysctls={"net.ipv4.tcp_rfc1337": 1})


def test_answers_to_empty_segments_and_syns_are_limited_to_one_in_500_ms() -> None:
    trace = """
        10.000  peer > us  ACK seq=3 ack=2
        10.000  us > peer  ACK seq=2 ack=2
        10.000  us  TIME-WAIT until 70.000
        10.100  peer > us  ACK seq=3 ack=2
        10.100  us  TIME-WAIT until 70.100
        10.200  peer > us  SYN seq=2 ts=none
        10.300  us: counter TCPACKSkippedTimeWait = 2
        10.500  peer > us  SYN seq=2 ts=none
        10.500  us > peer  ACK seq=2 ack=2
    """
    play("linux", trace, State.TIME_WAIT, timestamps=True)


def test_answers_to_data_and_fin_are_never_limited() -> None:
    trace = """
        10.000  peer > us  ACK seq=3 ack=2
        10.000  us > peer  ACK seq=2 ack=2
        10.000  us  TIME-WAIT until 70.000
        10.001  peer > us  ACK seq=3 ack=2 len=1
        10.001  us > peer  ACK seq=2 ack=2
        10.001  us  TIME-WAIT until 70.001
        10.002  peer > us  FIN,ACK seq=1 ack=2
        10.002  us > peer  ACK seq=2 ack=2
        10.002  us  TIME-WAIT until 70.002
    """
    play("linux", trace, State.TIME_WAIT, timestamps=True)


def test_no_limit_with_the_sysctl_at_zero() -> None:
    trace = """
        10.000  peer > us  SYN seq=2
        10.000  us > peer  ACK seq=2 ack=2
        10.001  peer > us  SYN seq=2
        10.001  us > peer  ACK seq=2 ack=2
    """
    play("linux", trace, State.TIME_WAIT, sysctls={"net.ipv4.tcp_invalid_ratelimit": 0})


def test_syns_refused_for_their_timestamp_keep_the_wait_alive_and_are_counted() -> None:
    trace = """
        10.000  peer > us  SYN seq=9000 ts=-5
        10.000  us > peer  ACK seq=2 ack=2
        10.000  us  TIME-WAIT until 70.000
        12.000  peer > us  SYN seq=9000 ts=-4
        12.000  us > peer  ACK seq=2 ack=2
        12.000  us  TIME-WAIT until 72.000
        12.000  us: counter PAWSTimewait = 2
    """
    play("linux", trace, State.TIME_WAIT, timestamps=True, passive=True)


def test_the_answer_has_the_window_of_the_entry_and_echoes_the_newest_timestamp() -> None:
    trace = """
        10.000  peer > us  ACK seq=2 ack=2 ts=7
        10.000  us  TIME-WAIT until 70.000
        11.000  peer > us  FIN,ACK seq=1 ack=2 ts=3
        11.000  us > peer  ACK seq=2 ack=2 ts=11000/7 win=502
        11.000  us  TIME-WAIT until 71.000
    """
    play("linux", trace, State.TIME_WAIT, timestamps=True, scale=7)


def test_a_timestamp_older_than_2147_s_counts_for_nothing() -> None:
    trace = """
        50.0    peer > us  ACK seq=2 ack=2 ts=0
        50.0    us  TIME-WAIT until 3050.000
        2100    peer > us  RST seq=2 ts=-5
        2100    us  CLOSED
    """
    play("linux", trace, State.TIME_WAIT, timestamps=True, time_wait=3000 * 10**9)


# --- After a SYN is judged acceptable


def test_without_listener_a_syn_that_might_reopen_draws_an_ack_and_the_wait_stays() -> None:
    trace = """
        10.000  peer > us  SYN seq=9000 ts=5
        10.000  us > peer  ACK seq=2 ack=2
        10.010  peer > us  RST seq=2 ts=5
        10.010  us  CLOSED
        10.020  peer > us  SYN seq=9000 ts=5
        10.020  us > peer  RST,ACK seq=5 ack=9001
    """
    play("linux", trace, State.TIME_WAIT, timestamps=True)


def test_without_listener_and_with_rfc1337_every_syn_meets_the_wait_again() -> None:
    trace = """
        10.000  peer > us  SYN seq=9000 ts=5
        10.000  us > peer  ACK seq=2 ack=2
        10.010  peer > us  RST seq=2 ts=5
        11.000  peer > us  SYN seq=9000 ts=5
        11.000  us > peer  ACK seq=2 ack=2
    """
    play("linux", trace, State.TIME_WAIT, timestamps=True, sysctls={"tcp_rfc1337": 1})


def test_a_reset_in_the_handshake_of_a_reopened_connection_leaves_nothing() -> None:
    """RFC 9293 section 3.6.1 MAY-2 (2) would have it return to TIME-WAIT."""
    trace = """
        10.000  peer > us  SYN seq=9000
        10.000  us  SYN-RECEIVED
        10.000  us > peer  SYN,ACK seq=65539 ack=9001
        10.010  peer > us  RST seq=9001
        10.010  us  CLOSED
        10.010  us: waiting = 0
    """
    play("linux", trace, State.TIME_WAIT, passive=True)


def test_a_syn_that_meets_a_full_accept_queue_loses_the_wait_too() -> None:
    player = play("linux", "0 peer quiet", State.TIME_WAIT, passive=True)
    listener = player.stack.handles[player.listener]
    listener.ready.extend([0] * 9)  # type: ignore[union-attr]
    player.actual.clear()
    from play import compare, parse

    trace = parse("""
        10.000  peer > us  SYN seq=9000
        10.000  us  drops ACCEPT_QUEUE_FULL
        10.000  us  CLOSED
    """)
    for line in trace:
        player.step(line)
    compare(trace, player.actual)
    assert player.stack.counters["ListenOverflows"] == 1


# --- Length, overflow


@pytest.mark.parametrize("timeout", [0, 1, 600])
def test_fin_timeout_never_changes_the_length_of_time_wait(timeout: int) -> None:
    trace = """
        60.000  us  CLOSED
        61.000  peer quiet
    """
    play("linux", trace, State.TIME_WAIT, sysctls={"tcp_fin_timeout": timeout})


def test_a_full_table_keeps_the_old_and_refuses_the_new() -> None:
    trace = """
        0.000  us: close
        0.000  us  FIN-WAIT-1
        0.000  us > peer  FIN,ACK seq=1 ack=1
        0.100  peer > us  FIN,ACK seq=1 ack=2
        0.100  us  FIN-WAIT-2
        0.100  us > peer  ACK seq=2 ack=2
        0.100  us  CLOSED
        0.100  us: counter TCPTimeWaitOverflow = 1
    """
    play("linux", trace, State.ESTABLISHED, sysctls={"tcp_max_tw_buckets": 0})


def test_a_full_table_makes_an_orphan_in_fin_wait_2_vanish() -> None:
    trace = """
        0.000  us: close
        0.000  us  FIN-WAIT-1
        0.000  us > peer  FIN,ACK seq=1 ack=1
        0.100  peer > us  ACK seq=1 ack=2
        0.100  us  FIN-WAIT-2
        0.100  us  CLOSED
        0.200  peer > us  ACK seq=1 ack=2 len=10
        0.200  us > peer  RST seq=2
    """
    play("linux", trace, State.ESTABLISHED, sysctls={"tcp_max_tw_buckets": 0})
