"""What scripts that other people wrote for their stacks rely on, in a few lines each.

Expectations come from the sources that the profiles name, and those of Linux hold on this machine's kernel too.  Its
congestion control is the machine's own, so what depends on that is played on the engine alone.
"""

from pathlib import Path

import pytest

from needs import require_tun
from timewait.script.job import Job, Result, run

SERVER = """
0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
+0 setsockopt(3, SOL_SOCKET, SO_REUSEADDR, [1], 4) = 0
+0 bind(3, ..., ...) = 0
+0 listen(3, 1) = 0
+0 < S 0:0(0) win 32792 <mss 1000,sackOK,nop,nop>
+0 > S. 0:0(0) ack 1 <mss 1460,nop,nop,sackOK>
+.1 < . 1:1(0) ack 1 win 32792
+0 accept(3, ..., ...) = 4
"""
DUPLICATE_FIN = """
+0 < F. 1:1(0) ack 1 win 32792
* > . 1:1(0) ack 2
+.6 < F. 1:1(0) ack 1 win 32792
+0 > . 1:1(0) ack 2 <nop,nop,sack 1:2>
+0 close(4) = 0
+0 > F. 1:1(0) ack 2
+.1 < F. 1:1(0) ack 1 win 32792
+0 > . 2:2(0) ack 2 <nop,nop,sack 1:2>
+.1 < . 2:2(0) ack 2 win 32792
"""
TEXT_TWICE = """
+0 < P. 1001:2001(1000) ack 1 win 1024
+0 > . 1:1(0) ack 1 <nop,nop,sack 1001:2001>
+0 < P. 3001:4001(1000) ack 1 win 1024
+0 > . 1:1(0) ack 1 <nop,nop,sack 3001:4001 1001:2001>
+0 < P. 5001:6001(1000) ack 1 win 1024
+0 > . 1:1(0) ack 1 <nop,nop,sack 5001:6001 3001:4001 1001:2001>
+0 < P. 1:2501(2500) ack 1 win 1024
+0 > . 1:1(0) ack 2501 <nop,nop,sack 1001:2001 5001:6001 3001:4001>
+0 < P. 1:1001(1000) ack 1 win 1024
+0 > . 1:1(0) ack 2501 <nop,nop,sack 1:1001 5001:6001 3001:4001>
"""
TIMEOUT_ON_TOP_OF_THE_ROUND_TRIP = """
+0 close(4) = 0
+0 > F. 1:1(0) ack 1
+.3~+.33 > F. 1:1(0) ack 1
+.6~+.66 > F. 1:1(0) ack 1
"""
LISTENER = SERVER[: SERVER.index("+0 < S")]
SMALL_BUFFER = (
    LISTENER.replace("+0 bind", "+0 setsockopt(3, SOL_SOCKET, SO_RCVBUF, [20000], 4) = 0\n+0 bind")
    + """
+0 < S 0:0(0) win 32792 <mss 1000,nop,wscale 7>
+0 > S. 0:0(0) ack 1 win 18980 <mss 1460,nop,wscale 0>
+0 < . 1:1(0) ack 1 win 257
+0 accept(3, ..., ...) = 4
"""
)
CORKED = (
    SERVER
    + """
+0 setsockopt(4, SOL_TCP, TCP_CORK, [1], 4) = 0
+0 write(4, ..., 40) = 40
+.05 write(4, ..., 40) = 40
+.01 setsockopt(4, SOL_TCP, TCP_CORK, [0], 4) = 0
+0 > P. 1:81(80) ack 1
+.01 < . 1:1(0) ack 81 win 32792
+0 setsockopt(4, SOL_TCP, TCP_NODELAY, [1], 4) = 0
+0 send(4, ..., 40, MSG_MORE) = 40
+.05 write(4, ..., 40) = 40
+0 > P. 81:161(80) ack 1
"""
)
# tcp_init_transfer(), net/ipv4/tcp_input.c: more than one SYN-ACK lost; the second comes after three seconds.
OPENING_LOST_TWICE = (
    LISTENER
    + """
+0 < S 0:0(0) win 32767 <mss 1000>
+0 > S. 0:0(0) ack 1 <...>
* > S. 0:0(0) ack 1 <...>
* > S. 0:0(0) ack 1 <...>
+.1 < . 1:1(0) ack 1 win 32767
+0 accept(3, ..., ...) = 4
+0 write(4, ..., 2000) = 2000
+0 > . 1:1001(1000) ack 1
+.05 < . 1:1(0) ack 1001 win 32767
+0 > P. 1001:2001(1000) ack 1
"""
)
ONLY_ON_LINUX = {
    "opening lost twice": OPENING_LOST_TWICE,
    "a small buffer is announced in whole segments, unscaled; one segment may overshoot it, and then a FIN comes": (
        SMALL_BUFFER
        + """
+0 < P. 1:60001(60000) ack 1 win 257
* > . 1:1(0) ack 60001 win 0
+0 < F. 60001:60001(0) ack 1 win 257
+0 > . 1:1(0) ack 60002 win 0
"""
    ),
    "text past the window is not taken while other text waits": (
        SMALL_BUFFER
        + """
+0 < P. 1:4001(4000) ack 1 win 257
* > . 1:1(0) ack 4001
+0 < P. 4001:54001(50000) ack 1 win 257
* > . 1:1(0) ack 4001
+0 read(4, ..., 100000) = 4000
+0 < P. 4001:54001(50000) ack 1 win 257
* > . 1:1(0) ack 54001 win 0
"""
    ),
    "what is corked waits": CORKED,
    "long packets are compared by what they carry, not by where offload cuts them": SERVER
    + """
+0 write(4, ..., 6000) = 6000
+0 > . 1:1001(1000) ack 1
+0 > . 1001:3001(2000) ack 1
+0 > P. 3001:6001(3000) ack 1
+.1 < . 1:1(0) ack 6001 win 32792
+0 %{ assert tcpi_unacked == 0; \\
      assert tcpi_snd_wnd == 32792; \\
}%
""",
    "a four-tuple is taken from TIME-WAIT after a second, by one port alone": """
0 `sysctl -q net.ipv4.tcp_rmem="4096 131072 6291456" net.ipv4.tcp_tw_reuse=1 net.ipv4.tcp_tw_reuse_delay=1000`
+0 socket(..., SOCK_STREAM | SOCK_NONBLOCK, IPPROTO_TCP) = 3
+0 setsockopt(3, SOL_IP, IP_LOCAL_PORT_RANGE, [0xdeaddead], 4) = 0
+0 connect(3, ..., ...) = -1 EINPROGRESS (Operation now in progress)
+0 > S 0:0(0) <mss 1460,sackOK,TS val 1001 ecr 0,...>
+.001 < S. 0:0(0) ack 1 win 65535 <mss 1460,sackOK,TS val 3001 ecr 1001,nop,wscale 8>
+0 > . 1:1(0) ack 1 <...>
+0 close(3) = 0
+0 > F. 1:1(0) ack 1 <...>
+.001 < F. 1:1(0) ack 2 win 8 <nop,nop,TS val 3002 ecr 1001>
+0 > . 2:2(0) ack 2 <...>
+0 socket(..., SOCK_STREAM | SOCK_NONBLOCK, IPPROTO_TCP) = 3
+0 setsockopt(3, SOL_IP, IP_LOCAL_PORT_RANGE, [0xdeaddead], 4) = 0
+.5 connect(3, ..., ...) = -1 EADDRNOTAVAIL (Cannot assign requested address)
+.6 connect(3, ..., ...) = -1 EINPROGRESS (Operation now in progress)
+0 > S 0:0(0) <mss 1460,sackOK,TS val 2004 ecr 3002,...>
""".replace(",...>", ",nop,wscale 7>"),
    "lifetime and class of service are the user's": SERVER
    + """
+0 setsockopt(4, SOL_IP, IP_TTL, [7], 4) = 0
+0 setsockopt(4, SOL_IP, IP_TOS, [0x10], 4) = 0
+0 write(4, ..., 100) = 100
+0 > [ttl 7, tos 0x10] P. 1:101(100) ack 1
""",
    "congestion is asked about, answered and told": """
0 `sysctl -q net.ipv4.tcp_ecn=1`
+0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
+0 fcntl(3, F_SETFL, O_RDWR|O_NONBLOCK) = 0
+0 connect(3, ..., ...) = -1 EINPROGRESS (Operation now in progress)
+0 > SEW 0:0(0) <...>
+.01 < SE. 0:0(0) ack 1 win 32767 <mss 1000>
+0 > . 1:1(0) ack 1
+0 write(3, ..., 1000) = 1000
+0 > [ect0] P. 1:1001(1000) ack 1
+.01 < E. 1:1(0) ack 1001 win 32767
+0 write(3, ..., 1000) = 1000
+0 > [ect0] PW. 1001:2001(1000) ack 1
+.01 < [ce] P. 1:101(100) ack 2001 win 32767
+0 > [noecn] E. 2001:2001(0) ack 101
+.01 < W. 101:201(100) ack 2001 win 32767
+0 > [noecn] . 2001:2001(0) ack 201
""",
    "a FIN that comes twice is reported": SERVER + DUPLICATE_FIN,
    "blocks by how lately they came, repeated text first": SERVER + TEXT_TWICE,
    "200 ms of variance come on top of the round trip": SERVER + TIMEOUT_ON_TOP_OF_THE_ROUND_TRIP,
    "a timestamp is not taken with an ACK of what was not sent": """
0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
+0 setsockopt(3, SOL_SOCKET, SO_REUSEADDR, [1], 4) = 0
+0 bind(3, ..., ...) = 0
+0 listen(3, 1) = 0
+.1 < S 0:0(0) win 20000 <mss 1000,sackOK,TS val 100 ecr 0>
+0 > S. 0:0(0) ack 1 <mss 1460,sackOK,TS val 100 ecr 100>
+.1 < . 1:1(0) ack 1 win 20000 <nop,nop,TS val 200 ecr 100>
+0 accept(3, ..., ...) = 4
+0 < . 1:1001(1000) ack 9999 win 20000 <nop,nop,TS val 200000 ecr 100>
+0 > . 1:1(0) ack 1 <nop,nop,TS val 200 ecr 200>
+0 < . 1:1001(1000) ack 1 win 20000 <nop,nop,TS val 201 ecr 100>
+0 > . 1:1(0) ack 1001 <nop,nop,TS val 200 ecr 201>
""",
}


def played(tmp_path: Path, text: str, world: str, tolerance: int = 4_000, **more: object) -> Result:
    path = tmp_path / "script.pkt"
    path.write_text(f"--tolerance_usecs={tolerance}\n{text}")
    return run(Job(path=str(path), world=world, **more))  # type: ignore[arg-type]


def passes(tmp_path: Path, text: str, profile: str = "linux") -> None:
    result = played(tmp_path, text, "engine", profile=profile)
    assert result.passed, result.error or (result.outcome and result.outcome.failure)


@pytest.mark.parametrize("name", ONLY_ON_LINUX)
def test_linux_and_the_profile_of_that_name_agree(tmp_path: Path, name: str) -> None:
    require_tun()
    passes(tmp_path, ONLY_ON_LINUX[name])
    result = played(tmp_path, ONLY_ON_LINUX[name], "kernel", 500_000, allow_shell=True)
    assert result.passed, result.error or (result.outcome and result.outcome.failure)


def test_each_of_two_duplicate_acks_lets_a_new_segment_go(tmp_path: Path) -> None:
    """RFC 3042; then 3001 is one segment of news, and the window opens by that one (tcp_slow_start())."""
    passes(
        tmp_path,
        f"""{SERVER}
+0 write(4, ..., 15000) = 15000
+0 > P. 1:10001(10000) ack 1
+.11 < . 1:1(0) ack 1 win 32792
+0 > . 10001:11001(1000) ack 1
+.01 < . 1:1(0) ack 1 win 32792
+0 > . 11001:12001(1000) ack 1
+.01 < . 1:1(0) ack 3001 win 32792
+0 > P. 12001:14001(2000) ack 1
""",
    )


def test_recovery_leaves_the_share_that_cubic_has(tmp_path: Path) -> None:
    """Ten segments out, 717/1024 of them left: seven, however little is out at the end of recovery."""
    passes(
        tmp_path,
        f"""{SERVER}
+0 write(4, ..., 10000) = 10000
+0 > P. 1:10001(10000) ack 1
+.01 < . 1:1(0) ack 1 win 32792 <sack 1001:4001,nop,nop>
+0 > . 1:1001(1000) ack 1
+.01 < . 1:1(0) ack 10001 win 32792
+.01 write(4, ..., 10000) = 10000
+0 > . 10001:17001(7000) ack 1
""",
    )


def test_a_window_that_is_not_used_does_not_grow(tmp_path: Path) -> None:
    """Six segments out of ten: to twelve, twice what was out, and no further (tcp_is_cwnd_limited())."""
    passes(
        tmp_path,
        f"""{SERVER}
+0 write(4, ..., 6000) = 6000
+0 > P. 1:6001(6000) ack 1
+0 %{{ assert tcpi_snd_cwnd == 10 }}%
+.1 < . 1:1(0) ack 2001 win 32792
+0 %{{ assert tcpi_snd_cwnd == 12 }}%
+0 < . 1:1(0) ack 6001 win 32792
+0 %{{ assert tcpi_snd_cwnd == 12 }}%
""",
    )


def test_commands_run_where_the_script_lies_and_know_the_number_that_helpers_name_files_by(tmp_path: Path) -> None:
    require_tun()
    (tmp_path / "settings.sh").write_text('test "$PACKETDRILL_PID" -gt 1 && sysctl -q net.ipv4.tcp_timestamps=0\n')
    text = "`sh ./settings.sh`\n0 `test $(sysctl -n net.ipv4.tcp_timestamps) = 0 && test $PACKETDRILL_PID = $PPID`\n"
    result = played(tmp_path, text, "kernel", allow_shell=True)
    assert result.passed, result.error or (result.outcome and result.outcome.failure)


def test_freebsd_asks_about_congestion_twice_and_shrinks_what_its_syn_offers(tmp_path: Path) -> None:
    """tcp_ecn_output_syn_sent(), tcp_ecn.c: net.inet.tcp.ecn.maxretries = 1; tcp_mssopt() asks the host cache."""
    passes(
        tmp_path,
        """
0 `sysctl -w net.inet.tcp.ecn.enable=1`
+0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
+0 fcntl(3, F_SETFL, O_RDWR | O_NONBLOCK) = 0
+0 connect(3, ..., ...) = -1 EINPROGRESS (Operation now in progress)
+0 > SEW 0:0(0) win 65535 <mss 1460,nop,wscale 6,sackOK,TS val 100 ecr 0>
+.1 < [0:0(0)] icmp unreachable frag_needed mtu 1300
+.9 > SEW 0:0(0) win 65535 <mss 1260,nop,wscale 6,sackOK,TS val 1100 ecr 0>
+2.2 > S 0:0(0) win 65535 <mss 1260,nop,wscale 6,sackOK,TS val 3300 ecr 0>
""",
        "freebsd",
    )


def test_freebsd_s_hop_limit_holds_in_time_wait_too(tmp_path: Path) -> None:
    passes(
        tmp_path,
        """
--ip_version=ipv6
0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
+0 setsockopt(3, IPPROTO_IPV6, IPV6_UNICAST_HOPS, [4], 4) = 0
+0 bind(3, ..., ...) = 0
+0 listen(3, 1) = 0
+0 < (hlim 3) S 0:0(0) win 32767 <mss 1440,sackOK,eol,eol>
+0 > (hlim 4) S. 0:0(0) ack 1 win 65535 <mss 1440,sackOK,eol,eol>
+.1 < (hlim 3) . 1:1(0) ack 1 win 32767
+0 accept(3, ..., ...) = 4
+0 setsockopt(4, IPPROTO_IPV6, IPV6_UNICAST_HOPS, [6], 4) = 0
+0 close(4) = 0
+0 > (hlim 6) F. 1:1(0) ack 1 win 65535
+.1 < (hlim 3) F. 1:1(0) ack 2 win 32767
+0 > (hlim 6) . 2:2(0) ack 2 win 65535
""",
        "freebsd",
    )


def test_freebsd_s_listener_announces_whole_segments_once_its_window_is_scaled(tmp_path: Path) -> None:
    """65536 rounded up to 45 segments of 1460 are 65700; 1027 of 64: roundup2() in tcp_output()."""
    passes(
        tmp_path,
        f"""{LISTENER}
+0 < S 0:0(0) win 65535 <mss 1460,sackOK,nop,nop,nop,wscale 7>
+0 > S. 0:0(0) ack 1 win 65535 <...>
+0 < . 1:1(0) ack 1 win 65535
+0 accept(3, ..., ...) = 4
+0 getsockopt(4, SOL_SOCKET, SO_RCVBUF, [65700], [4]) = 0
+0 close(4) = 0
+0 > F. 1:1(0) ack 1 win 1027
""",
        "freebsd",
    )


def test_messages_of_icmp_that_are_no_errors_and_buffers_that_are_nowhere(tmp_path: Path) -> None:
    """Without a code, a message ends where the next line's time begins."""
    passes(
        tmp_path,
        f"""{SERVER}
0.2 < icmp time_exceeded
0.201 < icmp echo_request
0.202 < icmp redirect
0.203 < icmp type_255 code_0
0.204 < icmp unreachable code_255
0.205 write(4, NULL, 1000) = -1 EFAULT (Bad address)
0.206 < . 1:1001(1000) ack 1 win 200
0.206 > . 1:1(0) ack 1001
0.207 read(4, NULL, 1000) = -1 EFAULT (Bad address)
0.208 read(4, ..., 1000) = 1000
""",
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"{SERVER}+0 < F. 1:1(0) ack 1 win 100 <nop,nop>/udp(1 > 9811)\n", "segments within UDP are not supported"),
        (f"{SERVER}+0 < . 1:1(0) ack 1 win 100 {{tcp_flags=1}}\n", "changes of single fields of a packet are not"),
        (f"--udp_encapsulation=tcp\n{SERVER}", "segments within UDP are not supported"),
        (f"--tcp_md5_secret=x\n{SERVER}", "signatures of TCP-MD5 are not supported"),
        ("0 `/bin/rm -f x`\n", "has no command /bin/rm"),
        ('0 `grep " 0A " /proc/net/tcp`\n', "has no files"),
    ],
)
def test_what_this_language_is_short_of_is_said(tmp_path: Path, text: str, words: str) -> None:
    result = played(tmp_path, text, "engine")
    assert result.error is not None
    assert words in result.error[0]


def test_the_rest_of_a_long_packet_keeps_its_push_and_answers_that_are_no_tcp_are_passed_over(tmp_path: Path) -> None:
    require_tun()
    text = (
        f"{SERVER}+0 < icmp echo_request\n+0 write(4, ..., 2000) = 2000\n"
        "+0 > . 1:1001(1000) ack 1\n+0 > P. 1001:2001(1000) ack 1\n"
    )
    result = played(tmp_path, text, "kernel", 500_000)
    assert result.passed, result.error or (result.outcome and result.outcome.failure)


def test_text_that_no_line_takes_is_a_failure_however_offload_cut_it(tmp_path: Path) -> None:
    require_tun()
    text = f"{SERVER}+0 write(4, ..., 6000) = 6000\n+0 > . 1:1001(1000) ack 1\n"
    result = played(tmp_path, text, "kernel", 500_000)
    assert result.outcome is not None
    assert result.outcome.failure is not None
    assert "octets more than its line expects" in result.outcome.failure.detail
