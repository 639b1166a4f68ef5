import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from timewait.errors import UnavailableError
from timewait.system.counters import counters, moved, named, paired


def test_pairs_of_lines_become_names_and_numbers() -> None:
    text = "TcpExt: SyncookiesSent TW\nTcpExt: 0 12\nIpExt: InOctets\nIpExt: -3\n"
    assert paired(text) == {"TcpExt.SyncookiesSent": 0, "TcpExt.TW": 12, "IpExt.InOctets": -3}


def test_names_and_numbers_in_turn_are_read() -> None:
    assert named("sockets: used 9\nTCP: inuse 4 tw 2\n") == {
        "sockstat.sockets.used": 9,
        "sockstat.TCP.inuse": 4,
        "sockstat.TCP.tw": 2,
    }


@pytest.mark.parametrize("text", ["A: x\nB: 1\n", "A: x\nA: one\n"])
def test_what_the_kernel_never_writes_is_one_clear_error(text: str) -> None:
    with pytest.raises(UnavailableError):
        paired(text)


@given(st.text(max_size=200))
def test_no_text_raises_anything_but_our_own_error(text: str) -> None:
    for read in (paired, named):
        with contextlib.suppress(UnavailableError):
            read(text)


def test_this_kernel_counts_time_wait() -> None:
    assert {"TcpExt.TW", "TcpExt.TWRecycled", "Tcp.ActiveOpens", "sockstat.TCP.tw"} <= counters().keys()


def test_only_what_moved_is_told() -> None:
    assert moved({"a": 1, "b": 2}, {"a": 1, "b": 5, "c": 1}) == {"b": 3, "c": 1}
