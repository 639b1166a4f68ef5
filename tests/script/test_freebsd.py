"""What scripts for FreeBSD rely on, in a few lines each; expectations from FreeBSD's sources (releases 13 and 14).

Rows of the list of behaviours are in `tests/traces`; here is what lies around them.
"""

from pathlib import Path

import pytest

from timewait.script.job import Job, Result, run

LISTENING = """
0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
+0 bind(3, ..., ...) = 0
+0 listen(3, 1) = 0
"""
CONNECTING = """
+0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
+0 fcntl(3, F_SETFL, O_RDWR | O_NONBLOCK) = 0
+0 connect(3, ..., ...) = -1 EINPROGRESS (Operation now in progress)
"""
SYN = "+0 > S 0:0(0) win 65535 <mss 1460,nop,wscale 6,sackOK,TS val 100 ecr 0>\n"
SYN6 = SYN.replace("1460", "1440")


def played(tmp_path: Path, text: str) -> Result:
    file = tmp_path / "script.pkt"
    file.write_text(text)
    return run(Job(path=str(file), profile="freebsd"))


def passes(tmp_path: Path, text: str) -> None:
    result = played(tmp_path, text)
    assert result.passed, result.error or (result.outcome and result.outcome.failure)


def test_options_behind_their_end_are_sent_and_read_by_nobody(tmp_path: Path) -> None:
    """tcp_dooptions(), tcp_input.c: TCPOPT_EOL ends the loop; the window stays unscaled."""
    passes(
        tmp_path,
        f"""{LISTENING}
+0 < S 0:0(0) win 65535 <mss 1000,sackOK,eol,wscale 10,nop>
+0 > S. 0:0(0) ack 1 win 65535 <mss 1460,sackOK,eol,eol>
+.1 < . 1:1(0) ack 1 win 65535
+0 accept(3, ..., ...) = 4
+0 write(4, ..., 3000) = 3000
+0 > . 1:1001(1000) ack 1 win 65535
+0 > . 1001:2001(1000) ack 1 win 65535
+0 > P. 2001:3001(1000) ack 1 win 65535
+.1 < . 1:1(0) ack 1 win 65535 <sack 1001:3001,eol,nop>
""",
    )


def test_a_scaled_window_is_rounded_up_to_its_unit(tmp_path: Path) -> None:
    """tcp_output(), tcp_output.c: roundup2(recwin, 1 << rcv_scale); 65700 are 1026.6 times 64."""
    passes(
        tmp_path,
        f"""{CONNECTING}{SYN}
+.1 < S. 0:0(0) ack 1 win 65535 <mss 1460,nop,wscale 6,sackOK,TS val 100 ecr 100>
+0 > . 1:1(0) ack 1 win 1027 <nop,nop,TS val 200 ecr 100>
""",
    )


@pytest.mark.parametrize(
    ("error", "told"),
    [
        ("unreachable protocol_unreachable", "ECONNREFUSED"),
        ("unreachable port_unreachable", "ECONNREFUSED"),
        ("unreachable net_prohibited", "ECONNREFUSED"),
        ("unreachable packet_filtered", "ECONNREFUSED"),
        ("time_exceeded ttl_exceeded_in_transit", "EHOSTUNREACH"),
    ],
)
def test_a_hard_error_ends_an_opening_as_inetctlerrmap_says(tmp_path: Path, error: str, told: str) -> None:
    """tcp_ctlinput(), tcp_subr.c: tcp_drop_syn_sent() for these; inetctlerrmap[], ip_input.c."""
    passes(
        tmp_path,
        f"{CONNECTING}{SYN}+.1 < [0:0(0)] icmp {error}\n+0 getsockopt(3, SOL_SOCKET, SO_ERROR, [{told}], [4]) = 0\n",
    )


@pytest.mark.parametrize("error", ["unreachable admin_prohibited", "parameter_problem unknown_next_header"])
def test_so_it_does_with_ipv6(tmp_path: Path, error: str) -> None:
    """tcp6_ctlinput(): PRC_UNREACH_ADMIN_PROHIB and PRC_UNREACH_PROTOCOL are refusals too."""
    passes(
        tmp_path,
        f"""--ip_version=ipv6
{CONNECTING}{SYN6}+.1 < [0:0(0)] icmp {error}
+0 getsockopt(3, SOL_SOCKET, SO_ERROR, [ECONNREFUSED], [4]) = 0
""",
    )


def test_an_unreachable_host_ends_an_opening_at_its_fourth_retransmission(tmp_path: Path) -> None:
    """tcp_notify(), tcp_subr.c: the error is only remembered while t_rxtshift is 3 or less."""
    passes(
        tmp_path,
        f"""{CONNECTING}{SYN}
+.1 < [0:0(0)] icmp unreachable host_unreachable
+0 getsockopt(3, SOL_SOCKET, SO_ERROR, [0], [4]) = 0
* > S 0:0(0) win 65535 <...>
* > S 0:0(0) win 65535 <...>
* > S 0:0(0) win 65535 <...>
+.1 < [0:0(0)] icmp unreachable host_unreachable
+0 getsockopt(3, SOL_SOCKET, SO_ERROR, [0], [4]) = 0
* > S 0:0(0) win 65535 <...>
+.1 < [0:0(0)] icmp unreachable host_unreachable
+0 getsockopt(3, SOL_SOCKET, SO_ERROR, [EHOSTUNREACH], [4]) = 0
""",
    )


def test_a_mark_on_the_way_is_told_with_the_delayed_ack_and_a_cut_at_once(tmp_path: Path) -> None:
    """tcp_ecn_input_segment(), tcp_ecn.c: CWR sets TF_ACKNOW, CE does not; net.inet.tcp.delacktime = 40."""
    passes(
        tmp_path,
        f"""{LISTENING}
+0 < [ect0] SEW 0:0(0) win 65535 <mss 1000,sackOK,eol,eol>
+0 > [noecn] SE. 0:0(0) ack 1 win 65535 <...>
+0 < [ect0] . 1:1(0) ack 1 win 65535
+0 accept(3, ..., ...) = 4
+0 < [ce] . 1:501(500) ack 1 win 65535
+.04 > [noecn] E. 1:1(0) ack 501
+.1 < [ect0] W. 501:1001(500) ack 1 win 65535
+0 > [noecn] . 1:1(0) ack 1001
""",
    )


def test_service_classes_have_their_names(tmp_path: Path) -> None:
    passes(
        tmp_path,
        f"""{LISTENING}
+0 setsockopt(3, IPPROTO_IP, IP_TOS, [IPTOS_DSCP_CS1], 4) = 0
+0 getsockopt(3, IPPROTO_IP, IP_TOS, [32], [4]) = 0
+0 < (tos 0x28) S 0:0(0) win 32767 <mss 1460,sackOK,eol,eol>
+0 > (tos 0x20) S. 0:0(0) ack 1 win 65535 <mss 1460,sackOK,eol,eol>
+.1 < (tos 0x28) . 1:1(0) ack 1 win 32767
+0 accept(3, ..., ...) = 4
+0 setsockopt(4, IPPROTO_IP, IP_TOS, [IPTOS_DSCP_EF], 4) = 0
+0 close(4) = 0
+0 > (tos 0xb8) F. 1:1(0) ack 1 win 65535
""",
    )


def test_options_of_other_stacks_are_unknown_to_the_base_stack(tmp_path: Path) -> None:
    """tcp_default_ctloutput(), tcp_usrreq.c: what no case names is ENOPROTOOPT."""
    passes(
        tmp_path,
        f"""{LISTENING}
+0 setsockopt(3, IPPROTO_TCP, TCP_RACK_PACE_MAX_SEG, [2], 4) = -1 ENOPROTOOPT (Protocol not available)
+0 getsockopt(3, IPPROTO_TCP, TCP_RACK_PACE_ALWAYS, [0], [4]) = -1 ENOPROTOOPT (Protocol not available)
+0 setsockopt(3, IPPROTO_TCP, TCP_LOG, [3], 4) = 0
""",
    )


def test_a_cookie_of_digits_alone_is_no_number(tmp_path: Path) -> None:
    passes(
        tmp_path,
        f"{LISTENING}+0 < S 0:0(0) win 65535 <mss 1460,FO 01020304050607080910111213141516>\n"
        "+0 > S. 0:0(0) ack 1 win 65535 <mss 1460>\n",
    )


def test_the_largest_segment_is_told_whole_and_only_made_smaller(tmp_path: Path) -> None:
    """tcp_default_ctloutput(), tcp_usrreq.c: TCP_MAXSEG above t_maxseg is EINVAL; a SYN offers what fits the link."""
    passes(
        tmp_path,
        """
0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
+0 getsockopt(3, IPPROTO_TCP, TCP_MAXSEG, [536], [4]) = 0
+0 setsockopt(3, IPPROTO_TCP, TCP_MAXSEG, [1100], 4) = -1 EINVAL (Invalid argument)
+0 setsockopt(3, IPPROTO_TCP, TCP_MAXSEG, [100], 4) = -1 EINVAL (Invalid argument)
+0 setsockopt(3, IPPROTO_TCP, TCP_MAXSEG, [500], 4) = 0
+0 getsockopt(3, IPPROTO_TCP, TCP_MAXSEG, [500], [4]) = 0
+.1...0.2 connect(3, ..., ...) = 0
+0 > S 0:0(0) <mss 1460,nop,wscale 6,sackOK,TS val 100 ecr 0>
+.1 < S. 0:0(0) ack 1 win 32792 <mss 1100,sackOK,TS val 200 ecr 100,nop,wscale 7>
+0 > . 1:1(0) ack 1 <nop,nop,TS val 200 ecr 200>
+0 getsockopt(3, IPPROTO_TCP, TCP_MAXSEG, [1100], [4]) = 0
+0 setsockopt(3, IPPROTO_TCP, TCP_MAXSEG, [1101], 4) = -1 EINVAL (Invalid argument)
+0 setsockopt(3, IPPROTO_TCP, TCP_MAXSEG, [512], 4) = 0
+0 write(3, ..., 1000) = 1000
+0 > . 1:501(500) ack 1 <nop,nop,TS val 200 ecr 200>
+0 > P. 501:1001(500) ack 1 <nop,nop,TS val 200 ecr 200>
""",
    )


def test_a_closed_window_is_probed_after_five_seconds(tmp_path: Path) -> None:
    """tcp_setpersist(), tcp_output.c: TCPTV_PERSMIN; its interval of 100 ms of round trip is less for long."""
    passes(
        tmp_path,
        f"""{LISTENING}
+0 < S 0:0(0) win 28 <mss 1460,sackOK,eol,eol>
+0 > S. 0:0(0) ack 1 win 65535 <mss 1460,sackOK,eol,eol>
+.1 < . 1:1(0) ack 1 win 28
+0 accept(3, ..., ...) = 4
+0 write(4, ..., 1448) = 1448
+0 > . 1:29(28) ack 1
+.1 < . 1:1(0) ack 29 win 0
+5 > . 29:30(1) ack 1
+0 < . 1:1(0) ack 29 win 0
+5 > . 29:30(1) ack 1
+0 < . 1:1(0) ack 29 win 28
+0 > . 29:57(28) ack 1
""",
    )


def test_a_passive_open_without_timestamps_has_measured_no_round_trip(tmp_path: Path) -> None:
    """syncache_socket() sets no t_rtttime: 1 s, and then TCPT_RANGESET() of the doubled second, with its slop."""
    passes(
        tmp_path,
        f"""{LISTENING}
+0 < S 0:0(0) win 65535 <mss 1460,sackOK,eol,eol>
+0 > S. 0:0(0) ack 1 win 65535 <mss 1460,sackOK,eol,eol>
+.1 < . 1:1(0) ack 1 win 65535
+0 accept(3, ..., ...) = 4
+0 %{{ assert tcpi_rto == 1000000 }}%
+0 close(4) = 0
+0 > F. 1:1(0) ack 1
+1 > F. 1:1(0) ack 1
+2.2 > F. 1:1(0) ack 1
+.1 < . 1:1(0) ack 2 win 65535
""",
    )


def test_with_timestamps_its_round_trip_is_known(tmp_path: Path) -> None:
    """tcp_do_segment(): a timestamp's reply is a sample; 100 ms and four times 50 of variance, 200 ms of slop."""
    passes(
        tmp_path,
        f"""{LISTENING}
+0 < S 0:0(0) win 65535 <mss 1460,sackOK,TS val 1 ecr 0>
+0 > S. 0:0(0) ack 1 win 65535 <mss 1460,sackOK,TS val 100 ecr 1>
+.1 < . 1:1(0) ack 1 win 65535 <nop,nop,TS val 2 ecr 100>
+0 accept(3, ..., ...) = 4
+0 %{{ assert tcpi_rto == 500000 }}%
""",
    )


@pytest.mark.parametrize(("level", "syn", "ack"), [(0, True, True), (1, False, True), (2, False, False)])
def test_a_closed_port_may_be_a_black_hole(tmp_path: Path, level: int, syn: bool, ack: bool) -> None:
    """blackhole(4): 1 leaves a SYN to a closed port unanswered, 2 any segment; tcp_input(), tcp_input.c."""
    lines = [
        f"0 `sysctl -w net.inet.tcp.blackhole={level}`",
        "+0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3",
        "+0 bind(3, ..., ...) = 0",
        "+.1 < S 17:17(0) win 32767 <mss 1460,sackOK,eol,eol>",
        "+0 > R. 0:0(0) ack 18 win 0" if syn else "",
        "+.1 < . 17:17(0) ack 34 win 32767",
        "+0 > R 34:34(0) win 0" if ack else "",
    ]
    file = tmp_path / "script.pkt"
    file.write_text("\n".join(lines) + "\n")
    result = run(Job(path=str(file), profile="freebsd", strict=True))
    assert result.passed, result.error or (result.outcome and result.outcome.failure)


def test_commands_joined_by_or_run_when_the_one_before_failed(tmp_path: Path) -> None:
    passes(
        tmp_path,
        f"{LISTENING}+0 `kldstat -q -m tcpmd5 || false; false || sysctl -n net.inet.tcp.msl | grep -q 30000`\n"
        "+0 `tcpdump -i tun0 -w capture.trc tcp &`\n",
    )


@pytest.mark.parametrize(("profile", "lost"), [("rfc9293", 1), ("freebsd", 1), ("linux", 2)])
def test_a_lost_opening_leaves_a_first_window_of_one_segment(tmp_path: Path, profile: str, lost: int) -> None:
    """RFC 5681 section 3.1 (MUST); syncache_socket(): sc_rxmits > 1; Linux: tcp_init_transfer(), total_retrans > 1."""
    for times in (lost - 1, lost):
        later = "" if times == lost else "+0 > P. 1001:2001(1000) ack 1\n"
        file = tmp_path / "script.pkt"
        file.write_text(
            f"{LISTENING}+0 < S 0:0(0) win 32767 <mss 1000>\n+0 > S. 0:0(0) ack 1 <...>\n"
            + "* > S. 0:0(0) ack 1 <...>\n" * times
            + f"""+.1 < . 1:1(0) ack 1 win 32767
+0 accept(3, ..., ...) = 4
+0 write(4, ..., 2000) = 2000
+0 > . 1:1001(1000) ack 1
{later}+.01 < . 1:1(0) ack 1001 win 32767
"""
            + ("+0 > P. 1001:2001(1000) ack 1\n" if times == lost else "")
        )
        result = run(Job(path=str(file), profile=profile, strict=True))
        assert result.passed, result.error or (result.outcome and result.outcome.failure)
