"""Commands that the engine's host answers: columns as sockstat.c has them, statuses as grep(1) and sysctl(8) give."""

from pathlib import Path

import pytest

from timewait.script import grammar
from timewait.script.engine_world import EngineWorld
from timewait.script.play import play
from timewait.script.syntax import Script
from timewait.script.world import UnknownCommandError


def world(profile: str = "freebsd", script: Script | None = None) -> EngineWorld:
    return EngineWorld(script or Script(name="test.pkt", lines=()), profile=profile, settings={})


def test_sockstat_prints_a_line_a_socket_with_its_state() -> None:
    text = """
0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
+0 bind(3, ..., ...) = 0
+0 `sockstat -4 -P tcp -s | grep packetdril | grep -c CLOSED | grep 1`
+0 listen(3, 1) = 0
+0 `sockstat -4 -P tcp -p 8080 -s | grep -c LISTEN | grep 1`
+0 `sockstat -4 -P tcp -p 8081 -s | grep -c LISTEN | grep 0`
+0 < S 0:0(0) win 32767 <mss 1460>
+0 > S. 0:0(0) ack 1 win 65535 <mss 1460>
+.1 `sockstat -4 -P tcp -s -p 8080 | grep -c SYN_RCVD | grep 1`
+0 `sockstat -6 -P tcp -s | grep -c SYN_RCVD | grep 0`
"""
    script = grammar.read(text.encode(), "test.pkt", [])
    outcome = play(script, world(script=script))
    assert outcome.failure is None, outcome.failure


def test_tcpdrop_ends_what_waits() -> None:
    text = """
0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
+0 fcntl(3, F_SETFL, O_RDWR | O_NONBLOCK) = 0
+0 connect(3, ..., ...) = -1 EINPROGRESS (Operation now in progress)
+0 > S 0:0(0) win 65535 <mss 1460,nop,wscale 6,sackOK,TS val 100 ecr 0>
+.1 < S. 0:0(0) ack 1 win 32767 <mss 1460>
+0 > . 1:1(0) ack 1 win 65535
+.1 shutdown(3, SHUT_WR) = 0
+0 > F. 1:1(0) ack 1 win 65535
+.1 < F. 1:1(0) ack 2 win 32767
+0 > . 2:2(0) ack 2 win 65535
+.1 `sockstat -4 -P tcp -s | grep packetdril | grep -c TIME_WAIT | grep 1`
+0 `tcpdrop -s TIME_WAIT`
+0 `sockstat -4 -P tcp -s | grep -q -v TIME_WAIT`
+0 `sockstat -4 -P tcp -s | grep -c TIME_WAIT | grep 0`
"""
    script = grammar.read(text.encode(), "test.pkt", [])
    assert play(script, world(script=script)).failure is None


@pytest.mark.parametrize(
    ("command", "output", "status"),
    [
        ("echo a; echo b", "a\nb\n", 0),
        ("echo abc | grep -c b", "1\n", 0),
        ("echo abc | grep -c x", "0\n", 1),
        ("echo abc | grep -q b", "", 0),
        ("echo abc | grep -v b", "", 1),
        ("echo abc | grep -E 'a|x'", "abc\n", 0),
        ("echo abc | grep 'a|x'", "", 1),
        ("echo abc | wc -l", "1\n", 0),
        ("echo abc > /dev/null 2>&1", "", 0),
        ("echo 1 | grep 1 > /dev/null", "", 0),
        ("false && echo b", "", 1),
        ("false; echo b", "b\n", 0),
        ("# only a remark", "", 0),
    ],
)
def test_pipelines_end_as_a_shell_s_would(command: str, output: str, status: int) -> None:
    assert world().command(command) == (output, status)


def test_sysctl_answers_in_the_system_s_form() -> None:
    assert world().command("sysctl net.inet.tcp.msl").output == "net.inet.tcp.msl: 30000\n"
    assert world().command("sysctl -w net.inet.tcp.msl=100").output == "net.inet.tcp.msl: 30000 -> 100\n"
    assert world("linux").command("sysctl -n net.ipv4.tcp_fin_timeout").output == "60\n"
    assert world("linux").command("sysctl -q net.ipv4.tcp_fin_timeout=5").output == ""


def test_a_setting_is_acted_on_or_refused() -> None:
    """tcp_syncache.c: the scale is the least with which the largest buffer can be announced."""
    host = world()
    host.command("sysctl -w kern.ipc.maxsockbuf=4294967295")
    assert host.tcp.profile.window_scale == 14
    host.command("sysctl -w net.inet.tcp.rfc1323=0")
    after = host.tcp.profile
    assert after.window_scale is None
    assert not after.timestamps
    with pytest.raises(UnknownCommandError, match=r"net.inet.tcp.syncookies_only = 1: the engine cannot act on that"):
        host.command("sysctl -w net.inet.tcp.syncookies_only=1")
    with pytest.raises(UnknownCommandError) as caught:
        host.command("sysctl -w net.inet.tcp.insecure_rts=1")
    assert "net.inet.tcp.insecure_rst" in caught.value.hint


def test_linux_s_largest_buffer_decides_the_scale() -> None:
    """tcp_select_initial_window(): 15 MB give 8."""
    host = world("linux")
    host.command('sysctl -q net.ipv4.tcp_rmem="4096 540000 $((15*1024*1024))"')
    assert host.tcp.profile.window_scale == 8


def test_a_settings_file_beside_the_script_is_read_the_same_way(tmp_path: Path) -> None:
    (tmp_path / "settings.sh").write_text("#!/bin/sh\nsysctl -w net.inet.tcp.msl=7  # short\n")
    host = world(script=Script(name=str(tmp_path / "a.pkt"), lines=()))
    for command in ("./settings.sh", "sh ./settings.sh", ". ./settings.sh"):
        assert host.command(command).status == 0
        assert host.command("sysctl -n net.inet.tcp.msl").output == "7\n"
    (tmp_path / "loop.sh").write_text(". ./loop.sh\n")
    with pytest.raises(UnknownCommandError, match="inside each other"):
        host.command("./loop.sh")
    (tmp_path / "big.sh").write_bytes(b"#" * (1 << 21))
    with pytest.raises(UnknownCommandError, match="longer than"):
        host.command("./big.sh")
    with pytest.raises(UnknownCommandError, match="there is no file"):
        host.command("./absent.sh")


def test_a_pattern_that_takes_others_for_ever_takes_no_time_and_a_huge_one_is_refused() -> None:
    assert world().command(f"echo {'a' * 60} | grep -E '(a+)+b'").status == 1
    with pytest.raises(UnknownCommandError, match="too large"):
        world().command("echo a | grep -E '((a{200}){200}){200}'")
