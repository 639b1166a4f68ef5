"""Control messages, queues of errors, buffers that are nowhere, pipes and files: the same script in both worlds.

Expected is what Documentation/networking/msg_zerocopy.rst and timestamping.rst, recvmsg(2), tcp(7) and splice(2) say.
"""

from pathlib import Path

import pytest

from needs import require_tun
from timewait.script.job import Job, Result, run

LISTENING = """--tolerance_usecs=400000
0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
+0 setsockopt(3, SOL_SOCKET, SO_REUSEADDR, [1], 4) = 0
+0 bind(3, ..., ...) = 0
+0 listen(3, 1) = 0
+0 < S 0:0(0) win 32792 <mss 1000,sackOK,nop,nop,nop,wscale 7>
+0 > S. 0:0(0) ack 1 <...>
+.01 < . 1:1(0) ack 1 win 257
+0 accept(3, ..., ...) = 4
"""


def copied(low: int, high: int) -> str:
    return f"""+0 recvmsg(4, {{msg_name(...)=..., msg_iov(1)=[{{...,0}}], msg_flags=MSG_ERRQUEUE, msg_control=[
  {{cmsg_level=CMSG_LEVEL_IP, cmsg_type=CMSG_TYPE_RECVERR, cmsg_data={{ee_errno=0, ee_origin=SO_EE_ORIGIN_ZEROCOPY,
    ee_type=0, ee_code=SO_EE_CODE_ZEROCOPY_COPIED, ee_info={low}, ee_data={high}}}}}]}}, MSG_ERRQUEUE) = 0
"""


def stamped(kind: str, octet: int, milliseconds: int, flags: str = "MSG_ERRQUEUE|MSG_TRUNC") -> str:
    return f"""+0 recvmsg(4, {{msg_name(...)=..., msg_iov(1)=[{{...,0}}], msg_flags={flags}, msg_control=[
  {{cmsg_level=SOL_SOCKET, cmsg_type=SCM_TIMESTAMPING, cmsg_data={{scm_sec=0, scm_nsec={milliseconds * 10**6}}}}},
  {{cmsg_level=CMSG_LEVEL_IP, cmsg_type=CMSG_TYPE_RECVERR, cmsg_data={{ee_errno=ENOMSG,
    ee_origin=SO_EE_ORIGIN_TIMESTAMPING, ee_type=0, ee_code=0, ee_info=SCM_TSTAMP_{kind}, ee_data={octet}}}}}]
  }}, MSG_ERRQUEUE) = 0
"""


EMPTY = """+0 recvmsg(4, {msg_name(...)=..., msg_iov(1)=[{...,0}], msg_flags=0}, MSG_ERRQUEUE) = -1 EAGAIN (Try again)
"""
STAMPS = (
    "SOF_TIMESTAMPING_TX_SCHED|SOF_TIMESTAMPING_TX_SOFTWARE|SOF_TIMESTAMPING_TX_ACK|SOF_TIMESTAMPING_SOFTWARE"
    "|SOF_TIMESTAMPING_OPT_ID"
)
WRITES = """+0 write(4, ..., 500) = 500
+0 > P. 1:501(500) ack 1
+.01 < . 1:1(0) ack 501 win 257
"""
ZERO_COPY = f"""{LISTENING}
+0 setsockopt(4, SOL_SOCKET, SO_ZEROCOPY, [1], 4) = 0
+0 send(4, ..., 1000, MSG_ZEROCOPY) = 1000
+0 > P. 1:1001(1000) ack 1
{EMPTY}
+0 poll([{{fd=4, events=POLLIN, revents=0}}], 1, 0) = 0
+0 < . 1:1(0) ack 1001 win 257
+0 poll([{{fd=4, events=POLLIN, revents=POLLERR}}], 1, 0) = 1
{copied(0, 0)}{EMPTY}
+0 send(4, ..., 0, MSG_ZEROCOPY) = 0
+0 send(4, ..., 1000, MSG_ZEROCOPY) = 1000
+0 > P. 1001:2001(1000) ack 1
+0 < . 1:1(0) ack 2001 win 257
+0 send(4, ..., 1000, MSG_ZEROCOPY) = 1000
+0 > P. 2001:3001(1000) ack 1
+0 < . 1:1(0) ack 3001 win 257
{copied(1, 2)}{EMPTY}
+0 setsockopt(4, SOL_SOCKET, SO_ZEROCOPY, [0], 4) = 0
+0 send(4, ..., 1000, MSG_ZEROCOPY) = 1000
+0 > P. 3001:4001(1000) ack 1
+0 < . 1:1(0) ack 4001 win 257
{EMPTY}"""
STAMPED = f"""{LISTENING}
+0 write(4, ..., 100) = 100
+0 > P. 1:101(100) ack 1
+0 < . 1:1(0) ack 101 win 257
+0 setsockopt(4, SOL_SOCKET, SO_TIMESTAMPING, [{STAMPS}], 4) = 0
+0 write(4, ..., 500) = 500
+0 > P. 101:601(500) ack 1
+.02 < . 1:1(0) ack 601 win 257
{stamped("SCHED", 499, 10)}{stamped("SND", 499, 10)}{stamped("ACK", 499, 30)}{EMPTY}"""
STAMPED_ALONE = f"""{LISTENING}
+0 setsockopt(4, SOL_SOCKET, SO_TIMESTAMPING,
   [SOF_TIMESTAMPING_TX_ACK|SOF_TIMESTAMPING_SOFTWARE|SOF_TIMESTAMPING_OPT_TSONLY], 4) = 0
{WRITES}{stamped("ACK", 0, 20, "MSG_ERRQUEUE")}{EMPTY}"""
UNREAD = f"""{LISTENING}
+0 setsockopt(4, SOL_TCP, TCP_INQ, [1], 4) = 0
+0 < P. 1:1001(1000) ack 1 win 257
+0 > . 1:1(0) ack 1001
+0 recvmsg(4, {{msg_name(...)=..., msg_iov(1)=[{{...,400}}], msg_flags=0,
  msg_control=[{{cmsg_level=SOL_TCP, cmsg_type=TCP_CM_INQ, cmsg_data=600}}]}}, 0) = 400
+0 < F. 1001:1001(0) ack 1 win 257
+0~+.1 > . 1:1(0) ack 1002
+0 recvmsg(4, {{msg_name(...)=..., msg_iov(1)=[{{...,600}}], msg_flags=0,
  msg_control=[{{cmsg_level=SOL_TCP, cmsg_type=TCP_CM_INQ, cmsg_data=1}}]}}, 0) = 600
"""
NOWHERE = f"""{LISTENING}
+0 send(4, NULL, 10, 0) = -1 EFAULT (Bad address)
+0 < P. 1:11(10) ack 1 win 257
+0 > . 1:1(0) ack 11
+0 recv(4, NULL, 10, 0) = -1 EFAULT (Bad address)
+0 read(4, ..., 10) = 10
"""
EPOLL = f"""{LISTENING}
+0 setsockopt(4, SOL_SOCKET, SO_ZEROCOPY, [1], 4) = 0
+0 epoll_create(1) = 5
+0 epoll_ctl(5, EPOLL_CTL_ADD, 4, {{events=EPOLLOUT|EPOLLET|EPOLLEXCLUSIVE, fd=4}}) = 0
+0 epoll_wait(5, {{events=EPOLLOUT, fd=4}}, 1, 0) = 1
+0 send(4, ..., 1000, MSG_ZEROCOPY) = 1000
+0 > P. 1:1001(1000) ack 1
+0 < . 1:1(0) ack 1001 win 257
+0 epoll_wait(5, {{events=EPOLLERR|EPOLLOUT, fd=4}}, 1, 0) = 1
+0 epoll_wait(5, {{events=0, ptr=0}}, 1, 0) = 0
"""
BOTH = {
    "zero copy": ZERO_COPY,
    "timestamps": STAMPED,
    "timestamps alone": STAMPED_ALONE,
    "unread": UNREAD,
    "nowhere": NOWHERE,
    "epoll": EPOLL,
}


def played(tmp_path: Path, text: str, world: str, **more: object) -> Result:
    path = tmp_path / "script.pkt"
    path.write_text(text)
    return run(Job(path=str(path), world=world, **more))  # type: ignore[arg-type]


def passes(result: Result) -> None:
    assert result.passed, result.error or (result.outcome and result.outcome.failure)


@pytest.mark.parametrize("version", ["ipv4", "ipv6"])
@pytest.mark.parametrize("name", BOTH)
def test_messages_are_those_of_linux(tmp_path: Path, name: str, version: str) -> None:
    passes(played(tmp_path, f"--ip_version={version}\n{BOTH[name]}", "engine"))


@pytest.mark.parametrize("name", BOTH)
def test_linux_has_the_messages_that_the_script_says(tmp_path: Path, name: str) -> None:
    require_tun()
    passes(played(tmp_path, BOTH[name], "kernel"))


@pytest.mark.parametrize(
    ("right", "wrong"),
    [("ee_data=499", "ee_data=498"), ("scm_nsec=30000000", "scm_nsec=900000000"), ("|MSG_TRUNC", "")],
    ids=["octet", "time", "flags"],
)
def test_a_message_that_differs_is_a_failure(tmp_path: Path, right: str, wrong: str) -> None:
    assert right in STAMPED
    result = played(tmp_path, STAMPED.replace(right, wrong), "engine")
    assert result.outcome is not None, result.error
    assert result.outcome.failure is not None
    assert "Bad recvmsg msg" in result.outcome.failure.detail


def test_files_and_pipes_are_the_kernel_s(tmp_path: Path) -> None:
    require_tun()
    (tmp_path / "zeros").write_bytes(bytes(5))
    text = f"""{LISTENING}
+0 open("{tmp_path}/zeros", O_RDONLY) = 5
+0 sendfile(4, 5, [0], 5) = 5
+0 > P. 1:6(5) ack 1
+0 < . 1:1(0) ack 6 win 257
+0 pipe([6, 7]) = 0
+0 < P. 1:101(100) ack 6 win 257
+0 > . 6:6(0) ack 101
+0 splice(4, NULL, 7, NULL, 100, 0) = 100
"""
    passes(played(tmp_path, text, "kernel", allow_shell=True))
    refused = played(tmp_path, text, "kernel")
    assert refused.error is not None
    assert "--allow-shell" in refused.error[1]
