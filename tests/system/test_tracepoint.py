"""Records of perf_event_open(2): read strictly, whatever they hold; and for real, where this user may."""

import contextlib
import socket
import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from needs import require_tracing
from timewait.errors import UnavailableError
from timewait.system.closes import EVENT, Watch, check, read_close
from timewait.system.tracepoint import Forked, Hit, Lost, Moved, Named, layout, parse, read_layout

# /sys/kernel/tracing/events/sock/inet_sock_set_state/format of Linux 6.18, its print line left out.
FORMAT = """name: inet_sock_set_state
ID: 2287
format:
\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;
\tfield:unsigned char common_flags;\toffset:2;\tsize:1;\tsigned:0;
\tfield:unsigned char common_preempt_count;\toffset:3;\tsize:1;\tsigned:0;
\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;

\tfield:const void * skaddr;\toffset:8;\tsize:8;\tsigned:0;
\tfield:int oldstate;\toffset:16;\tsize:4;\tsigned:1;
\tfield:int newstate;\toffset:20;\tsize:4;\tsigned:1;
\tfield:__u16 sport;\toffset:24;\tsize:2;\tsigned:0;
\tfield:__u16 dport;\toffset:26;\tsize:2;\tsigned:0;
\tfield:__u16 family;\toffset:28;\tsize:2;\tsigned:0;
\tfield:__u16 protocol;\toffset:30;\tsize:2;\tsigned:0;
\tfield:__u8 saddr[4];\toffset:32;\tsize:4;\tsigned:0;
\tfield:__u8 daddr[4];\toffset:36;\tsize:4;\tsigned:0;
\tfield:__u8 saddr_v6[16];\toffset:40;\tsize:16;\tsigned:0;
\tfield:__u8 daddr_v6[16];\toffset:56;\tsize:16;\tsigned:0;
"""
LAYOUT = read_layout("2287\n", FORMAT)
BEHIND = struct.pack("=iiQ", 1, 1, 77)  # sample_id_all: process, thread, time


def record(kind: int, body: bytes) -> bytes:
    return struct.pack("=IHH", kind, 0, 8 + len(body)) + body


def event(new: int = 4, flags: int = 0) -> bytes:
    head = struct.pack("=HBBiQii", 2287, flags, 0, 9, 0, 1, new)
    mapped = bytes(10) + b"\xff\xff"
    one, two = socket.inet_aton("192.0.2.1"), socket.inet_aton("192.0.2.2")
    return head + struct.pack("=HHHH", 40000, 443, 2, 6) + one + two + mapped + one + mapped + two


def hit(raw: bytes) -> bytes:
    size = -(4 + len(raw)) % 8  # perf pads what it calls raw, so that records stay multiples of eight
    return record(9, struct.pack("=iiQI", 8, 9, 77, len(raw) + size) + raw + bytes(size))


def test_each_kind_of_record_is_read_and_others_are_passed_over() -> None:
    text = b"".join(
        [
            hit(event()),
            record(3, struct.pack("=ii", 8, 9) + b"nginx\0\0\0" + BEHIND),
            record(11, bytes(40)),
            record(7, struct.pack("=iiiiQ", 20, 8, 20, 9, 77) + BEHIND),
            record(16, struct.pack("=iiQQQ", 20, 20, 1, 4, 4026531833) + BEHIND),
            record(2, struct.pack("=QQ", 5, 12) + BEHIND),
        ]
    )
    first, *rest = parse(text, 2)
    assert isinstance(first, Hit)
    assert (first.time_ns, first.pid, first.tid, first.interrupted) == (77, 8, 9, False)
    assert rest == [Named(77, 8, "nginx"), Forked(77, 20, 8), Moved(77, 20, 4026531833), Lost(77, 12)]


@pytest.mark.parametrize("flag", [0x08, 0x10, 0x40])
def test_what_an_interrupt_did_is_nobodys(flag: int) -> None:
    """TRACE_FLAG_HARDIRQ, _SOFTIRQ, _NMI: include/linux/trace_events.h."""
    (found,) = parse(hit(event(flags=flag)), 2)
    assert isinstance(found, Hit)
    assert found.interrupted


def test_a_close_is_read_from_its_event() -> None:
    one, two = (socket.inet_aton(text) + bytes(12) for text in ("192.0.2.1", "192.0.2.2"))
    assert read_close(LAYOUT.fields, event(new=4)) == (True, 2, one, 40000, two, 443)
    assert read_close(LAYOUT.fields, event(new=9)) == (False, 2, one, 40000, two, 443)


@given(st.binary(max_size=200))
def test_any_bytes_are_records_or_refused(text: bytes) -> None:
    with contextlib.suppress(UnavailableError):
        for found in parse(text, 2):
            if isinstance(found, Hit):
                read_close(LAYOUT.fields, found.record)


@given(st.sampled_from([2, 3, 7, 9, 16]), st.binary(max_size=80))
def test_any_body_of_a_known_kind_is_read_or_refused(kind: int, body: bytes) -> None:
    with contextlib.suppress(UnavailableError):
        assert len(list(parse(record(kind, body), 2))) <= 1


@pytest.mark.parametrize("cut", range(1, len(hit(event()))))
def test_a_record_cut_short_is_refused(cut: int) -> None:
    if cut < 8:
        assert list(parse(hit(event())[:cut], 2)) == []
        return
    with pytest.raises(UnavailableError, match="bytes"):
        list(parse(hit(event())[:cut], 2))


@pytest.mark.parametrize(
    ("number", "text"), [("", FORMAT), ("x", FORMAT), ("7", ""), ("7", FORMAT.replace("common_flags", "flags"))]
)
def test_an_event_described_otherwise_is_refused(number: str, text: str) -> None:
    with pytest.raises(UnavailableError, match="unknown way"):
        read_layout(number, text)


def test_an_event_with_other_fields_is_refused() -> None:
    with pytest.raises(UnavailableError, match="no field saddr_v6"):
        check(
            read_layout("7", FORMAT.replace("saddr_v6[16];\toffset:40;\tsize:16", "saddr_v6[4];\toffset:40;\tsize:4"))
        )


def test_the_running_kernel_describes_the_event() -> None:
    require_tracing()
    mounts = Path("/proc/self/mounts").read_text()
    check(layout(EVENT))
    assert Path("/proc/self/mounts").read_text() == mounts


def test_a_process_that_came_and_went_is_named() -> None:
    """It is over before anybody reads: the kernel told its command and namespace when it was made."""
    require_tracing()
    watch = Watch()
    try:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
            maker = subprocess.Popen(["bash", "-c", f"sleep 0.3; exec 3<>/dev/tcp/127.0.0.1/{port}"])
            ours = [close for close in watch.closes(3.0) if close.remote_port == port]
            maker.wait()
    finally:
        watch.close()
    (close,) = ours
    assert close.first
    assert (close.pid, watch.processes.command(close.pid)) == (maker.pid, "bash")
    assert close.namespace == Path("/proc/self/ns/net").stat().st_ino
