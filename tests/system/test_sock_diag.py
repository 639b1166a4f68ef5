import contextlib
import os
import struct

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from records import INTERRUPTED, MULTI, Datagrams, Record, done, error, message
from timewait.system import socket_table
from timewait.system.netlink import DATAGRAM_SIZE, DumpSocket, DumpState, InterruptedDumpError, NetlinkError
from timewait.system.sock_diag import dump_request, runs_of, state_mask
from timewait.system.socket_table import Socket, rows

LOW, HIGH = Record(source_port=1), Record(source_port=65535)


def read(*datagrams: bytes, size: int = DATAGRAM_SIZE) -> tuple[list[Socket], DumpState]:
    state = DumpState()
    return [row for run in runs_of(Datagrams(*datagrams), state, size) for row in rows(run)], state


def ports(found: list[Socket]) -> list[int]:
    return [row.local.port for row in found]


def test_records_of_one_length_and_the_end_in_a_datagram_of_its_own() -> None:
    found, state = read(message(LOW) + message(HIGH), done())
    assert ports(found) == [1, 65535]
    assert state.done
    assert not state.interrupted


def test_the_end_may_follow_records_in_their_datagram() -> None:
    assert ports(read(message(LOW) + done())[0]) == [1]


def test_records_of_several_lengths_keep_their_order() -> None:
    listener = Record(state=10, timer=0, source="::", destination="::", family=10, v6_only=True, with_mark=False)
    found, _ = read(message(LOW) + message(listener) + message(HIGH) + message(LOW._replace(with_mark=False)), done())
    assert ports(found) == [1, 40000, 65535, 1]
    assert [row.v6_only for row in found] == [False, True, False, False]


def test_datagrams_are_collected_into_larger_runs_without_losing_one() -> None:
    datagrams = [message(Record(source_port=port)) * 3 for port in range(1, 900)]
    found, _ = read(*datagrams, done(), size=1 << 17)
    assert ports(found) == [port for port in range(1, 900) for _ in range(3)]


def test_an_interrupted_dump_is_noticed_in_a_record_and_in_the_end() -> None:
    assert read(message(LOW._replace(flags=MULTI | INTERRUPTED)), done())[1].interrupted
    assert read(message(LOW), done(flags=MULTI | INTERRUPTED))[1].interrupted


def test_answers_to_another_question_are_passed_over() -> None:
    found, _ = read(message(LOW, sequence=7) + message(HIGH), done(sequence=9), done())
    assert ports(found) == [65535]


@pytest.mark.parametrize("end", [error(-1), done(code=-1)])
def test_an_error_of_the_kernel_says_its_errno(end: bytes) -> None:
    with pytest.raises(NetlinkError, match=os.strerror(1)) as caught:
        read(message(LOW), end)
    assert caught.value.code == 1


@pytest.mark.parametrize(
    ("datagram", "words"),
    [
        (b"\x10\x00", "ends inside a header"),
        (struct.pack("=IHHII", 4, 18, 0, 1, 0), "claims 4 bytes"),
        (struct.pack("=IHHII", 4000, 18, 0, 1, 0), "claims 4000 bytes where 16 are left"),
        (struct.pack("=IHHII", 16, 18, 0, 1, 0), "a socket record of 16 bytes"),
        (struct.pack("=IHHII", 16, 99, 0, 1, 0), "message of type 99"),
        (message(LOW._replace(state=77)), "unknown state 77"),
        (message(LOW)[:16] + b"\x63" + message(LOW)[17:], "unknown address family 99"),
        (message(LOW)[:88] + struct.pack("=HHI", 900, 15, 0), "claims 900 bytes"),
    ],
)
def test_an_answer_that_cannot_be_true_is_one_clear_error(datagram: bytes, words: str) -> None:
    with pytest.raises(NetlinkError, match=words):
        read(datagram, done())


def test_a_dump_that_ends_without_saying_so_is_an_error() -> None:
    with pytest.raises(NetlinkError, match="without saying so"):
        read(b"")


@given(st.lists(st.binary(max_size=400), max_size=4))
@example([message(LOW), bytes(20)])
def test_no_answer_raises_anything_but_our_own_error(datagrams: list[bytes]) -> None:
    with contextlib.suppress(NetlinkError):
        read(*datagrams)


@given(
    st.lists(st.sampled_from([LOW, HIGH, LOW._replace(family=10, source="::1", destination="::1")]), max_size=6),
    st.data(),
)
def test_no_damaged_dump_raises_anything_but_our_own_error(records: list[Record], data: st.DataObject) -> None:
    datagram = bytearray(b"".join(map(message, records)) + done())
    for at in data.draw(st.lists(st.integers(0, len(datagram) - 1), max_size=4)):
        datagram[at] = data.draw(st.integers(0, 255))
    with contextlib.suppress(NetlinkError):
        read(bytes(datagram))


class Refusing:
    """A netlink socket whose receive fails."""

    def __init__(self, code: int) -> None:
        self.code = code

    def recvmsg_into(self, buffers: object) -> object:
        raise OSError(self.code, os.strerror(self.code))


def test_lost_datagrams_do_not_pass_for_a_whole_dump(monkeypatch: pytest.MonkeyPatch) -> None:
    source = DumpSocket()
    source.close()
    monkeypatch.setattr(source, "_socket", Refusing(105))
    with pytest.raises(InterruptedDumpError, match="ENOBUFS"):
        source.receive_into(memoryview(bytearray(10)))


def test_an_interrupted_dump_is_taken_again_and_in_the_end_said(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [[message(LOW._replace(flags=MULTI | INTERRUPTED))], [message(HIGH)]]

    asked: list[int] = []

    def counted(mask: int, state: DumpState, **_: object) -> object:
        asked.append(mask)
        return runs_of(Datagrams(*answers[min(len(asked), 2) - 1], done()), state)

    monkeypatch.setattr(socket_table, "runs", counted)
    assert ports(socket_table.sockets(state_mask(6))) == [65535]
    assert len(asked) == 2
    answers[1] = answers[0]
    with pytest.raises(InterruptedDumpError, match="changed under each of 4 dumps"):
        socket_table.sockets(state_mask(6))


def test_the_request_asks_for_both_families_and_the_states_and_ports_named() -> None:
    """struct nlmsghdr, then struct inet_diag_req: family 0, ports at offset 4, state mask at offset 52."""
    request = dump_request(state_mask(6), 443, 80)
    length, kind, flags = struct.unpack_from("=IHH", request)
    assert (length, kind, flags) == (len(request), 18, 0x301)
    body = request[16:]
    assert body[0] == 0
    assert struct.unpack_from(">HH", body, 4) == (443, 80)
    assert struct.unpack_from("=I", body, 52) == (1 << 6,)
    assert len(body) == 60


def test_a_kernel_without_socket_dumps_is_named_with_a_way_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """EPROTONOSUPPORT from socket(): no NETLINK_SOCK_DIAG; ENOENT from the kernel's answer: no tcp_diag."""

    def refuse(*_: object) -> object:
        raise OSError(93, os.strerror(93))

    monkeypatch.setattr("timewait.system.netlink.socket.socket", refuse)
    with pytest.raises(NetlinkError, match="no socket dump") as caught:
        DumpSocket()
    assert "tcp_diag" in caught.value.hint
    with pytest.raises(NetlinkError, match="no socket dump") as caught:
        read(error(-2))
    assert "tcp_diag" in caught.value.hint
