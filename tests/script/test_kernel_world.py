"""Scripts on this machine's own kernel, in a namespace, over a TUN device; the same pass on the engine as Linux."""

import os
from pathlib import Path

import pytest

from needs import require_tun
from timewait.script.job import Job, Result, run
from timewait.script.outcome import Failure

# A busy machine keeps a script waiting: what is asserted is the order and the words of segments, not milliseconds.
TOLERANCE = "--tolerance_usecs=500000\n"

SERVER = """
+0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
+0 setsockopt(3, SOL_SOCKET, SO_REUSEADDR, [1], 4) = 0
+0 bind(3, ..., ...) = 0
+0 listen(3, 1) = 0
+0 < S 0:0(0) win 32792 <mss 1000,sackOK,nop,nop,nop,wscale 7>
+0 > S. 0:0(0) ack 1 <...>
+.1 < . 1:1(0) ack 1 win 257
+0 accept(3, ..., ...) = 4
"""

CLOSES_FIRST = """
+0 write(4, ..., 1000) = 1000
+0 > P. 1:1001(1000) ack 1
+0 < . 1:1(0) ack 1001 win 257
+0 %{ assert tcpi_state == 1, tcpi_unacked == 0 }%
+.1 close(4) = 0
+0 > F. 1001:1001(0) ack 1
+.05 < F. 1:1(0) ack 1002 win 257
+0 > . 1002:1002(0) ack 2
+.1 < F. 1:1(0) ack 1002 win 257
+0 > . 1002:1002(0) ack 2
"""

CLIENT = """
0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
+0 fcntl(3, F_GETFL) = 0x2 (flags O_RDWR)
+0 fcntl(3, F_SETFL, O_RDWR|O_NONBLOCK) = 0
+0 connect(3, ..., ...) = -1 EINPROGRESS (Operation now in progress)
+0 > S 0:0(0) <...>
+.01 < S. 0:0(0) ack 1 win 65535 <mss 1220>
+0 > . 1:1(0) ack 1
+0 getsockopt(3, SOL_SOCKET, SO_ERROR, [0], [4]) = 0
+0 fcntl(3, F_SETFL, O_RDWR) = 0
"""


def played(tmp_path: Path, text: str, world: str, **more: object) -> Result:
    path = tmp_path / "script.pkt"
    path.write_text(TOLERANCE + text)
    return run(Job(path=str(path), world=world, **more))  # type: ignore[arg-type]


def failure(result: Result) -> Failure:
    assert result.outcome is not None, result.error
    assert result.outcome.failure is not None
    return result.outcome.failure


@pytest.mark.parametrize("version", ["ipv4", "ipv6"])
@pytest.mark.parametrize(
    "script",
    [
        SERVER + CLOSES_FIRST,
        CLIENT + "+0...0.2 read(3, ..., 1000) = 500\n+.2 < P. 1:501(500) ack 1 win 65535\n+0 > . 1:1(0) ack 501\n",
        SERVER + "+0 < R. 1:1(0) ack 1 win 0\n+0 read(4, ..., 1) = -1 ECONNRESET (Connection reset by peer)\n",
        SERVER + "+0 setsockopt(4, SOL_SOCKET, SO_LINGER, {onoff=1, linger=0}, 8) = 0\n"
        "+0 close(4) = 0\n+0 > R. 1:1(0) ack 1\n",
        SERVER + "+0 < P. 1:11(10) ack 1 win 257\n+0 > . 1:1(0) ack 11\n+0 close(4) = 0\n+0 > R. 1:1(0) ack 11\n",
        SERVER + "+0 poll([{fd=4, events=POLLIN|POLLOUT, revents=POLLOUT}], 1, 0) = 1\n"
        "+0 < F. 1:1(0) ack 1 win 257\n+0~+.1 > . 1:1(0) ack 2\n+0 read(4, ..., 10) = 0\n+0 shutdown(4, SHUT_WR) = 0\n"
        "+0 > F. 1:1(0) ack 2\n",
        SERVER + "+0 epoll_create(1) = 5\n+0 epoll_ctl(5, EPOLL_CTL_ADD, 4, {events=EPOLLIN, fd=4}) = 0\n"
        "+0 epoll_wait(5, {}, 1, 0) = 0\n+0 < P. 1:11(10) ack 1 win 257\n+0 > . 1:1(0) ack 11\n"
        "+0 epoll_wait(5, {events=EPOLLIN, fd=4}, 1, 0) = 1\n+0 ioctl(4, SIOCINQ, [10]) = 0\n",
        SERVER + "+0 close(4) = 0\n+0 > F. 1:1(0) ack 1\n+0 close(4) = -1 EBADF (Bad file descriptor)\n"
        "+0 close(3) = 0\n+0 close(3) = -1 EBADF (Bad file descriptor)\n",
    ],
    ids=["closes first", "blocking read", "reset", "linger zero", "unread data", "poll", "epoll", "closed twice"],
)
def test_a_script_passes_on_the_kernel_and_on_the_engine(tmp_path: Path, version: str, script: str) -> None:
    require_tun()
    for world in ("kernel", "engine"):
        result = played(tmp_path, f"--ip_version={version}\n{script}", world, strict=True)
        assert result.passed, (world, result.error or failure(result))


def test_what_the_kernel_does_otherwise_is_shown_as_a_packet(tmp_path: Path) -> None:
    require_tun()
    found = failure(played(tmp_path, SERVER + "+0 close(4) = 0\n+0 > R. 1:1(0) ack 1\n", "kernel"))
    assert found.what == "handling packet"
    assert "tcp_flags" in found.detail or "rst" in found.detail.lower() or "fin" in found.detail.lower()
    assert "F." in found.actual_packet


def test_commands_run_only_where_they_are_allowed(tmp_path: Path) -> None:
    require_tun()
    marker = tmp_path / "ran"
    text = f"+0 `touch {marker}`\n+0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n"
    refused = played(tmp_path, text, "kernel")
    assert refused.error is not None
    assert "--allow-shell" in refused.error[1]
    assert not marker.exists()
    assert played(tmp_path, text, "kernel", allow_shell=True).passed
    assert marker.exists()


def test_a_command_sees_the_namespace_and_its_status_counts(tmp_path: Path) -> None:
    require_tun()
    before = Path("/proc/sys/net/ipv4/tcp_fin_timeout").read_text()
    text = "+0 `echo 33 > /proc/sys/net/ipv4/tcp_fin_timeout; grep -q 33 /proc/sys/net/ipv4/tcp_fin_timeout`\n"
    assert played(tmp_path, text, "kernel", allow_shell=True).passed
    assert Path("/proc/sys/net/ipv4/tcp_fin_timeout").read_text() == before
    assert "status 3" in failure(played(tmp_path, "+0 `exit 3`\n", "kernel", allow_shell=True)).detail


def test_settings_are_the_namespace_s_and_congestion_control_each_socket_s(tmp_path: Path) -> None:
    require_tun()
    text = """0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
+0 getsockopt(3, SOL_TCP, TCP_CONGESTION, "reno", [16]) = 0
+0 `grep -q '^7$' /proc/sys/net/ipv4/tcp_fin_timeout`
"""
    settings = {"net.ipv4.tcp_congestion_control": "reno", "net.ipv4.tcp_fin_timeout": "7"}
    before = Path("/proc/sys/net/ipv4/tcp_fin_timeout").read_text()
    result = played(tmp_path, text, "kernel", settings=settings, allow_shell=True)
    assert result.passed, result.error or failure(result)
    assert Path("/proc/sys/net/ipv4/tcp_fin_timeout").read_text() == before
    for name, value in (("net.ipv4.tcp_congestion_control", "none-such"), ("net.ipv4.none_such", "1")):
        refused = played(tmp_path, text, "kernel", settings={name: value})
        assert refused.error is not None
        assert name in refused.error[0]


def test_assertions_while_a_call_blocks_leave_it_alone(tmp_path: Path) -> None:
    require_tun()
    text = SERVER + "+0...0.2 read(4, ..., 1000) = 500\n" + "+0 %{ assert tcpi_state == 1 }%\n" * 20
    text += "+.2 < P. 1:501(500) ack 1 win 257\n+0 > . 1:1(0) ack 501\n+0 %{ assert tcpi_state == 1 }%\n"
    for world in ("kernel", "engine"):
        result = played(tmp_path, text, world)
        assert result.passed, (world, result.error or failure(result))


def test_a_connection_is_dissolved(tmp_path: Path) -> None:
    require_tun()
    text = SERVER + "+0 connect(4, AF_UNSPEC, ...) = 0\n+0 > R. 1:1(0) ack 1\n"  # connect(2); tcp_disconnect()
    text += "+0 fcntl(4, F_SETFL, O_RDWR|O_NONBLOCK) = 0\n+0 connect(4, ..., ...) = -1 EINPROGRESS (Under way)\n"
    text += "+0 > S 0:0(0) <...>\n"
    result = played(tmp_path, text, "kernel")
    assert result.passed, result.error or failure(result)
    refused = played(tmp_path, text, "engine")
    assert refused.error is not None
    assert "dissolves no connection" in refused.error[0]


def test_nothing_is_left_behind(tmp_path: Path) -> None:
    require_tun()
    descriptors = len(os.listdir("/proc/self/fd"))
    for text in (SERVER + CLOSES_FIRST, SERVER + "+0 > F. 1:1(0) ack 1\n", "+0 frobnicate(3) = 0\n"):
        played(tmp_path, text, "kernel")
    assert len(os.listdir("/proc/self/fd")) == descriptors


def test_the_kernel_s_own_name_is_defined(tmp_path: Path) -> None:
    require_tun()
    text = "#ifdef linux\n+0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n#else\n+0 nonsense(3) = 0\n#endif\n"
    assert played(tmp_path, text, "kernel").passed
