"""Records that nothing is joined to, and what a sender's time went into: the same scripts in both worlds.

Expected is what Linux's source says: tcp_skb_can_collapse_to() (include/net/tcp.h) and MSG_EOR in send(2);
tcp_chrono_start() and tcp_chrono_stop() (net/ipv4/tcp_output.c), tcp_get_info() (net/ipv4/tcp.c).
"""

from pathlib import Path

import pytest

from needs import require_tun
from timewait.script.job import Job, Result, run

# The peer's window is closed: what is written waits, and goes at once when it opens, whatever congestion control does.
CLOSED_WINDOW = """--tolerance_usecs=400000
0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
+0 setsockopt(3, SOL_SOCKET, SO_REUSEADDR, [1], 4) = 0
+0 bind(3, ..., ...) = 0
+0 listen(3, 1) = 0
+0 < S 0:0(0) win 32792 <mss 1000,sackOK,nop,nop,nop,wscale 7>
+0 > S. 0:0(0) ack 1 <...>
+0 < . 1:1(0) ack 1 win 0
+0 accept(3, ..., ...) = 4
+0 setsockopt(4, SOL_TCP, TCP_NODELAY, [1], 4) = 0
"""
RECORDS = f"""{CLOSED_WINDOW}
+0 write(4, ..., 100) = 100
+0 send(4, ..., 300, MSG_EOR) = 300
+0 send(4, ..., 300, MSG_EOR) = 300
+0 write(4, ..., 200) = 200
+0 write(4, ..., 200) = 200
+.01 < . 1:1(0) ack 1 win 257
+0 > P. 1:401(400) ack 1
+0 > P. 401:701(300) ack 1
+0 > P. 701:1101(400) ack 1
+0 < . 1:1(0) ack 1101 win 257
"""
# All of it, sent again after a timeout, keeps its limits.
AGAIN = f"""{CLOSED_WINDOW}
+0 send(4, ..., 300, MSG_EOR) = 300
+0 write(4, ..., 200) = 200
+.01 < . 1:1(0) ack 1 win 257
+0 > P. 1:301(300) ack 1
+0 > P. 301:501(200) ack 1
* > P. 1:301(300) ack 1
"""
WHOLE_SEGMENTS = f"""{CLOSED_WINDOW}
+0 send(4, ..., 2300, MSG_EOR) = 2300
+0 write(4, ..., 700) = 700
+.01 < . 1:1(0) ack 1 win 257
+0 > P. 1:2301(2300) ack 1
+0 > P. 2301:3001(700) ack 1
+0 < . 1:1(0) ack 3001 win 257
"""


def held(least: int, most: int, of: str) -> str:
    return f"+0 %{{ assert {least} <= tcpi_{of} <= {most}, tcpi_{of} }}%\n"


def times(late: int, tick: int) -> str:
    """`late`: by how many microseconds a busy machine may be; `tick`: by how many its count may fall short."""
    return f"""{CLOSED_WINDOW}
{held(0, 0, "rwnd_limited")}{held(0, 0, "busy_time")}
+0 write(4, ..., 1000) = 1000
+.1 < . 1:1(0) ack 1 win 257
+0 > P. 1:1001(1000) ack 1
{held(100_000 - tick, 100_000 + late, "rwnd_limited")}
+.05 < . 1:1(0) ack 1001 win 257
{held(100_000 - tick, 100_000 + late, "rwnd_limited")}{held(150_000 - tick, 150_000 + late, "busy_time")}
+.2 < P. 1:11(10) ack 1001 win 257
+0 > . 1001:1001(0) ack 11
{held(150_000 - tick, 150_000 + late, "busy_time")}{held(0, late // 1000, "last_data_recv")}
{held(0, 0, "sndbuf_limited")}
+.1 %{{ assert 100 - {tick} // 1000 <= tcpi_last_data_recv <= 100 + {late} // 1000, tcpi_last_data_recv }}%
"""


def played(tmp_path: Path, text: str, world: str) -> Result:
    path = tmp_path / "script.pkt"
    path.write_text(text)
    return run(Job(path=str(path), world=world))


def passes(result: Result) -> None:
    assert result.passed, result.error or (result.outcome and result.outcome.failure)


BOTH = {"records": RECORDS, "whole segments": WHOLE_SEGMENTS}


@pytest.mark.parametrize("name", BOTH)
def test_nothing_is_joined_to_the_end_of_a_record(tmp_path: Path, name: str) -> None:
    passes(played(tmp_path, BOTH[name], "engine"))


@pytest.mark.parametrize("name", BOTH)
def test_linux_joins_nothing_to_the_end_of_a_record(tmp_path: Path, name: str) -> None:
    require_tun()
    passes(played(tmp_path, BOTH[name], "kernel"))


def test_what_is_sent_again_keeps_its_records(tmp_path: Path) -> None:
    passes(played(tmp_path, AGAIN, "engine"))


def test_time_is_told_apart(tmp_path: Path) -> None:
    passes(played(tmp_path, times(0, 0), "engine"))


def test_linux_tells_time_apart(tmp_path: Path) -> None:
    require_tun()
    # tcp_jiffies32 counts whole ticks, of 10 ms at the coarsest (HZ=100).
    passes(played(tmp_path, times(350_000, 20_000), "kernel"))
