"""Scripts played on the engine.  What is expected comes from packetdrill's own words and rules (run_packet.c, socket.h,
run_system_call.c), from RFC 9293, and from what kernels' own test suites state."""

import pytest

from timewait.script import grammar
from timewait.script.engine_world import EngineWorld
from timewait.script.mistake import ScriptError
from timewait.script.outcome import Outcome
from timewait.script.play import play

LISTENING = """
0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
+0 setsockopt(3, SOL_SOCKET, SO_REUSEADDR, [1], 4) = 0
+0 bind(3, ..., ...) = 0
+0 listen(3, 1) = 0
"""
ACCEPTED = f"""{LISTENING}
+0 < S 0:0(0) win 32792 <mss 1000>
+0 > S. 0:0(0) ack 1 win 64240 <mss 1460>
+.1 < . 1:1(0) ack 1 win 257
+0 accept(3, ..., ...) = 4
"""
CONNECTING = """
0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
+0 fcntl(3, F_SETFL, O_RDWR|O_NONBLOCK) = 0
+0 connect(3, ..., ...) = -1 EINPROGRESS (Operation now in progress)
+0 > S 0:0(0) <...>
"""


def run(text: str, profile: str = "linux", *, strict: bool = False, tolerance: int | None = None) -> Outcome:
    script = grammar.read(text.encode(), "test.pkt", [profile])
    return play(script, EngineWorld(script, profile=profile, settings={}), strict=strict, tolerance=tolerance)


def passes(text: str, profile: str = "linux", *, strict: bool = False) -> None:
    outcome = run(text, profile, strict=strict)
    assert outcome.failure is None, outcome.failure


def fault(text: str, profile: str = "linux", *, strict: bool = False, tolerance: int | None = None) -> str:
    failure = run(text, profile, strict=strict, tolerance=tolerance).failure
    assert failure is not None
    return failure.detail


@pytest.mark.parametrize("version", ["ipv4", "ipv6"])
def test_a_server_s_connection_from_the_first_segment_to_the_last(version: str) -> None:
    mss = 1460 if version == "ipv4" else 1440
    passes(
        f"""--ip_version={version}
{LISTENING}
+0...0.200 accept(3, ..., ...) = 4
+.1 < S 0:0(0) win 32792 <mss 1000,nop,wscale 7>
+0 > S. 0:0(0) ack 1 <mss {mss},nop,wscale 7>
+.1 < . 1:1(0) ack 1 win 257
+.1 write(4, ..., 200) = 200
+0 > P. 1:201(200) ack 1
+.1 < P. 1:11(10) ack 201 win 257
+0 > . 201:201(0) ack 11
+0 read(4, ..., 10) = 10
+0 close(4) = 0
+0 > F. 201:201(0) ack 11
+.1 < F. 11:11(0) ack 202 win 257
+0 > . 202:202(0) ack 12
""",
        strict=True,
    )


def test_numbers_count_from_each_side_s_first_and_syns_are_absolute() -> None:
    """socket.h: numbers of packets with SYN are absolute, all others relative to the SYN of their side."""
    passes(f"""{LISTENING}
+0 < S 4000:4000(0) win 32792 <mss 1000>
+0 > S. 777:777(0) ack 4001 <mss 1460>
+.1 < P. 1:11(10) ack 1 win 257
+0 > . 1:1(0) ack 11
""")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("> S. 0:0(0) ack 1 win 64240 <mss 1400>", "live packet field tcp_options"),
        (
            "> S. 0:0(0) ack 2 win 64240 <mss 1460>",
            "live packet field tcp_ack_seq: expected: 2 (0x2) vs actual: 1 (0x1)",
        ),
        (
            "> S. 0:0(0) ack 1 win 100 <mss 1460>",
            "live packet field tcp_window: expected: 100 (0x64) vs actual: 64240 (0xfaf0)",
        ),
        ("> . 0:0(0) ack 1 <mss 1460>", "live packet field tcp_flags: expected: 0x010 (.) vs actual: 0x012 (S.)"),
        ("> S. 0:0(0) ack 1", "live packet field ipv4_total_length: expected: 40 (0x28) vs actual: 44 (0x2c)"),
    ],
)
def test_a_packet_that_differs_is_told_by_its_field(line: str, words: str) -> None:
    text = f"{LISTENING}\n+0 < S 0:0(0) win 32792 <mss 1000>\n+0 {line}\n"
    assert words in fault(text)


def test_options_are_compared_in_their_order() -> None:
    text = f"{LISTENING}\n+0 < S 0:0(0) win 32792 <mss 1000,nop,nop,sackOK>\n"
    text += "+0 > S. 0:0(0) ack 1 <mss 1460,sackOK,nop,nop>\n"
    assert "live packet field tcp_options" in fault(text)


def test_a_packet_at_the_wrong_time_is_a_timing_error() -> None:
    detail = fault(f"{LISTENING}\n+0 < S 0:0(0) win 32792 <mss 1000>\n+.5 > S. 0:0(0) ack 1 <mss 1460>\n")
    assert detail.startswith("timing error: expected outbound packet at 0.500000 sec but happened at 0.000000 sec")


def test_tolerance_is_the_script_s_unless_it_is_given() -> None:
    """verify_time(), run.c: 4 ms by default."""
    text = f"{LISTENING}\n+0 < S 0:0(0) win 32792 <mss 1000>\n+.003 > S. 0:0(0) ack 1 <mss 1460>\n"
    passes(text)
    assert "tolerance 0.000000 sec" in fault(text, tolerance=0)


def test_a_packet_that_never_comes_ends_the_script() -> None:
    assert "none came" in fault(f"{ACCEPTED}\n+0 > P. 1:11(10) ack 1\n")


def test_what_no_line_expects_trips_the_next_expectation_and_strictness_the_end() -> None:
    answered = f"{ACCEPTED}\n+0 write(4, ..., 10) = 10\n"
    passes(answered)
    assert "no line expects" in fault(answered, strict=True)
    assert "live packet field" in fault(f"{answered}\n+.01 write(4, ..., 7) = 7\n+0 > P. 11:18(7) ack 1\n")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("close(3) = 1", "Expected result 1 but got 0"),
        ("read(4, ..., 10) = 10", "Expected result 10 but got -1 with errno EAGAIN"),
        ("read(4, ..., 10) = -1 EPIPE (Broken pipe)", "Expected errno EPIPE (Broken pipe) but got EAGAIN"),
        ("getsockopt(4, SOL_SOCKET, SO_ERROR, [5], [4]) = 0", "Bad getsockopt optval: expected: [5] actual: [0]"),
        ("ioctl(4, SIOCINQ, [3]) = 0", "Bad ioctl optval: expected: [3] actual: [0]"),
    ],
)
def test_a_call_that_ends_otherwise_is_told_in_packetdrill_s_words(line: str, words: str) -> None:
    assert fault(f"{ACCEPTED}\n+0 fcntl(4, F_SETFL, O_RDWR|O_NONBLOCK) = 0\n+0 {line}\n").startswith(words)


def test_descriptors_are_the_script_s_names() -> None:
    """run_system_call.c, to_live_fd(): the script's number need not be the process's."""
    passes("0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 9\n+0 bind(9, ..., ...) = 0\n+0 close(9) = 0\n")


def test_blocking_calls_return_when_what_they_wait_for_happens() -> None:
    text = f"{ACCEPTED}\n+0...0.300 read(4, ..., 100) = 10\n+.3 < P. 1:11(10) ack 1 win 257\n+0 > . 1:1(0) ack 11\n"
    passes(text)
    detail = fault(text.replace("0.300", "0.200") + "+1 close(4) = 0\n")
    assert detail.startswith("timing error: expected system call return at 0.300000 sec but happened at 0.400000 sec")


def test_a_call_that_blocks_without_saying_so_is_a_fault() -> None:
    assert "the call blocks" in fault(f"{LISTENING}\n+0 accept(3, ..., ...) = 4\n")


def test_poll_waits_and_tells_what_is_ready() -> None:
    """tcp_poll(), net/ipv4/tcp.c: a refused connection is readable, writable, in error and hung up."""
    passes(f"""{CONNECTING}
+.01...0.020 poll([{{fd=3, events=POLLIN|POLLOUT, revents=POLLIN|POLLOUT|POLLERR|POLLHUP}}], 1, 100) = 1
+.01 < R. 0:0(0) ack 1 win 0
+.01 getsockopt(3, SOL_SOCKET, SO_ERROR, [ECONNREFUSED], [4]) = 0
""")


def test_edge_triggered_watches_report_once() -> None:
    """epoll(7): EPOLLET reports a change, level triggering a state."""
    passes(f"""{ACCEPTED}
+0 epoll_create(1) = 5
+0 epoll_ctl(5, EPOLL_CTL_ADD, 4, {{events=EPOLLOUT|EPOLLET, fd=4}}) = 0
+0 epoll_wait(5, {{events=EPOLLOUT, fd=4}}, 1, 0) = 1
+0 epoll_wait(5, {{events=0, ptr=0}}, 1, 0) = 0
+0 epoll_ctl(5, EPOLL_CTL_MOD, 4, {{events=EPOLLOUT, fd=4}}) = 0
+0 epoll_wait(5, {{events=EPOLLOUT, fd=4}}, 1, 0) = 1
+0 epoll_wait(5, {{events=EPOLLOUT, fd=4}}, 1, 0) = 1
""")


def test_timestamps_are_learned_and_echoes_mapped() -> None:
    """run_packet.c: the first value is taken as written, later ones by their distance, where a tick is given."""
    text = f"""--tcp_ts_tick_usecs=1000
{LISTENING}
+0 < S 0:0(0) win 20000 <mss 1000,sackOK,TS val 100 ecr 0>
+0 > S. 0:0(0) ack 1 <mss 1460,sackOK,TS val 100 ecr 100>
+.1 < . 1:1(0) ack 1 win 20000 <nop,nop,TS val 200 ecr 100>
+0 accept(3, ..., ...) = 4
+0 < . 1:1001(1000) ack 1 win 20000 <nop,nop,TS val 201 ecr 100>
+0 > . 1:1(0) ack 1001 <nop,nop,TS val 200 ecr 201>
+1 close(4) = 0
+0 > R. 1:1(0) ack 1001 <nop,nop,TS val 1200 ecr 201>
"""
    passes(text)
    assert "timestamp value" in fault(text.replace("TS val 1200", "TS val 1300"))
    assert "unable to find mapping for timestamp ecr 5" in fault(text.replace("TS val 201 ecr 100", "TS val 201 ecr 5"))


def test_selective_acknowledgments_count_as_the_script_does() -> None:
    """RFC 2018 section 3: the edges are sequence numbers of the side whose text they name."""
    passes(f"""{LISTENING}
+0 < S 500:500(0) win 20000 <mss 1000,nop,nop,sackOK>
+0 > S. 0:0(0) ack 501 <mss 1460,nop,nop,sackOK>
+.1 < . 1:1(0) ack 1 win 20000
+.1 < . 101:201(100) ack 1 win 20000
+0 > . 1:1(0) ack 1 <nop,nop,sack 101:201>
""")


def test_a_syn_in_time_wait_reopens_and_numbers_count_anew() -> None:
    """RFC 9293 section 3.6.1 (MAY-2): above RCV.NXT; the new ISN is learned as the first was."""
    passes(f"""{ACCEPTED}
+0 close(4) = 0
+0 > F. 1:1(0) ack 1
+.1 < F. 1:1(0) ack 2 win 257
+0 > . 2:2(0) ack 2
+.1 < S 90000:90000(0) win 257 <mss 1000>
+0 > S. ...(0) ack 90001 <mss 1460>
+.1 < . 1:1(0) ack 1 win 257
+0 accept(3, ..., ...) = 4
+0 < P. 1:11(10) ack 1 win 257
+0 > . 1:1(0) ack 11
""")


def test_an_icmp_error_quotes_what_the_stack_sent() -> None:
    """RFC 5927 section 4.1: a number that is not under way is not believed."""
    passes(
        f"""{CONNECTING}
+.1 < [1:1(0)] icmp unreachable port_unreachable
+.1 getsockopt(3, SOL_SOCKET, SO_ERROR, [0], [4]) = 0
+.1 < [0:0(0)] icmp unreachable port_unreachable
+.1 getsockopt(3, SOL_SOCKET, SO_ERROR, [ECONNREFUSED], [4]) = 0
""",
        "freebsd",
    )


def test_a_run_of_segments_stands_for_the_long_packet_of_offload() -> None:
    passes(f"""{LISTENING}
+0 < S 0:0(0) win 32792 <mss 1000>
+0 > S. 0:0(0) ack 1 <mss 1460>
+.1 < . 1:1(0) ack 1 win 20000
+0 accept(3, ..., ...) = 4
+0 write(4, ..., 3000) = 3000
+0 > P. 1:3001(3000) ack 1
""")


def test_assertions_see_tcp_info() -> None:
    passes(f"{ACCEPTED}\n+0 %{{ assert tcpi_state == TCP_ESTABLISHED; assert tcpi_snd_cwnd == 10 }}%\n")
    assert "tcpi_snd_cwnd = 10" in fault(f"{ACCEPTED}\n+0 %{{ assert tcpi_snd_cwnd == 7 }}%\n")


def test_what_the_engine_has_not_is_refused_with_words() -> None:
    with pytest.raises(ScriptError, match=r":\d+:27: the engine has no option TCP_DEFER_ACCEPT\n.*\n +\^$"):
        run(f"{ACCEPTED}\n+0 setsockopt(4, SOL_TCP, TCP_DEFER_ACCEPT, [1], 4) = 0\n")
    with pytest.raises(ScriptError, match="linux has no constant TCP_NOPE"):
        run(f"{ACCEPTED}\n+0 setsockopt(4, SOL_TCP, TCP_NOPE, [1], 4) = 0\n")
    with pytest.raises(ScriptError, match="no command sysctll"):
        run("0 `sysctll -a`\n")


def test_freebsd_s_second_retransmission_has_its_slop() -> None:
    """tcp_timer.h: TCPT_RANGESET() adds net.inet.tcp.rexmit_slop of 200 ms to the doubled second."""
    passes(
        """
0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
+0 fcntl(3, F_SETFL, O_RDWR | O_NONBLOCK) = 0
+0 connect(3, ..., ...) = -1 EINPROGRESS (Operation now in progress)
+0.00 > S 0:0(0) win 65535 <mss 1460,nop,wscale 6,sackOK,TS val  100 ecr 0>
+1.00 > S 0:0(0) win 65535 <mss 1460,nop,wscale 6,sackOK,TS val 1100 ecr 0>
+2.20 > S 0:0(0) win 65535 <mss 1460,nop,wscale 6,sackOK,TS val 3300 ecr 0>
""",
        "freebsd",
    )


def test_freebsd_s_simultaneous_open_offers_what_the_peer_did_and_keeps_its_text() -> None:
    """tcp_do_segment(): a SYN in SYN-SENT clears TF_REQ_SCALE, TF_REQ_TSTMP and TF_SACK_PERMIT for what it lacks."""
    passes(
        """
0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
+0 fcntl(3, F_SETFL, O_RDWR | O_NONBLOCK) = 0
+0 connect(3, ..., ...) = -1 EINPROGRESS (Operation now in progress)
+0 > S 0:0(0) win 65535 <mss 1460,nop,wscale 6,sackOK,TS val 100 ecr 0>
+.1 < S 0:3(3) win 32767 <mss 1460>
+0 > S. 0:0(0) ack 1 win 65535 <mss 1460>
+0 getsockopt(3, SOL_SOCKET, SO_RCVBUF, [65700], [4]) = 0
+0 read(3, ..., 100) = -1 EWOULDBLOCK (Operation would block)
+.1 < . 4:4(0) ack 1 win 65535
+0 read(3, ..., 100) = 3
""",
        "freebsd",
    )


def test_what_crossed_is_kept_for_captures() -> None:
    outcome = run(f"{LISTENING}\n+.1 < S 0:0(0) win 32792 <mss 1000>\n+0 > S. 0:0(0) ack 1 <mss 1460>\n")
    assert [(time, outbound) for time, outbound, _ in outcome.packets] == [(100_000_000, False), (100_000_000, True)]


def test_connections_one_after_another_have_a_descriptor_each() -> None:
    """The second accept() is of the second connection, whatever became of the first."""
    one = (
        ACCEPTED.replace("0 socket", "+0 socket", 1)
        + """
+0 %{ assert tcpi_state == 1 }%
+0 < R. 1:1(0) ack 1 win 0
+0 close(4) = 0
+0 close(3) = 0
"""
    )
    passes(one + one, strict=True)


@pytest.mark.parametrize(("version", "window"), [("ipv4", 64240), ("ipv6", 64800)])
def test_linux_receives_whole_segments(version: str, window: int) -> None:
    """tcp_select_initial_window(), net/ipv4/tcp_output.c: 65535 rounded down; both measured."""
    mss = 1460 if version == "ipv4" else 1440
    passes(
        f"--ip_version={version}\n{LISTENING}+0 < S 0:0(0) win 9 <mss 9>\n+0 > S. 0:0(0) ack 1 win {window} <mss {mss}>"
    )
