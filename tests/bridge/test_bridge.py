"""The bridge itself: errors, captures, offload, both directions of opening, and who sees TIME-WAIT."""

import io
import time
from ipaddress import ip_address

import pytest

from bridged import V4, V6, Family, Fetch, Web, world
from timewait.clock import MS, SECOND
from timewait.endpoint import Endpoint
from timewait.lab.bridge import Bridge
from timewait.lab.program import Program
from timewait.lab.programs import Channel
from timewait.sim import faults
from timewait.tcp.events import Errno
from timewait.tcp.states import State
from timewait.wire import capture, icmp, packet
from timewait.wire.segment import ACK, FIN, SYN

FAMILIES = pytest.mark.parametrize("family", [V4, V6], ids=["IPv4", "IPv6"])


class Echo(Program):
    def received(self, channel: Channel, data: bytes) -> None:
        channel.send(data)


def arrives(bridge: Bridge, data: bytes) -> None:
    """Let a packet come that this kernel did not send."""
    bridge.network._depart(bridge.kernel, data)


@FAMILIES
@pytest.mark.parametrize("offload", [False, True], ids=["plain", "offload"])
def test_kernel_and_engine_talk_in_both_directions(family: Family, offload: bool) -> None:
    with world(offload=offload) as (host, bridge):
        bridge.programs.serve(Endpoint(family.engine, 7), Echo)
        connection = host.connect(Endpoint(family.engine, 7))
        assert connection.ok
        host.send(connection.value, b"hello" * 1000)
        got = b""
        while len(got) < 5000:
            got += host.receive(connection.value).value
        assert got == b"hello" * 1000
        host.half_close(connection.value)
        assert host.receive(connection.value).value == b""


@FAMILIES
def test_a_port_where_nobody_listens_refuses_in_both_directions(family: Family) -> None:
    with world() as (host, bridge):
        assert host.connect(Endpoint(family.engine, 9)).error == "ECONNREFUSED"
        program = Fetch(family.kernel, "")
        bridge.programs.connect(Endpoint(family.kernel, 9), program)
        assert bridge.run(lambda: program.over, limit=10 * SECOND)
        assert program.error is Errno.ECONNREFUSED
        assert not bridge.programs.channels


@FAMILIES
def test_an_icmp_error_reaches_the_connection_it_is_about(family: Family) -> None:
    """RFC 792, RFC 4443: the host is not there, says a router on the way."""
    elsewhere = Endpoint("198.51.100.1" if family is V4 else "2001:db8:1::1", 80)
    with world() as (_, bridge):
        program = Fetch(elsewhere.address, "")
        channel = bridge.programs.connect(elsewhere, program)
        name = channel.name
        assert name is not None
        syn = bridge.programs.outgoing[-1]
        source = ip_address(family.kernel).packed
        kind, code = (3, 1) if family is V4 else (1, 3)
        error = icmp.IcmpError(source, name.local, name.local_port, name.remote, name.remote_port, syn.seq, kind, code)
        arrives(bridge, icmp.build(error))
        assert program.error is Errno.EHOSTUNREACH


def test_what_is_no_concern_of_the_stack_is_ignored() -> None:
    """Other addresses, other protocols, and bytes that are no packet."""
    with world() as (host, bridge):
        assert host.connect(Endpoint("192.0.2.77", 80), timeout=50 * MS).error == "ETIMEDOUT"
        arrives(bridge, b"\x00\x01\x02")
        arrives(bridge, b"")
        assert bridge.stack.counters["InSegs"] == 0


def test_a_capture_holds_every_packet_and_its_fate() -> None:
    file = io.BytesIO()
    with world(traced=True) as (host, bridge):
        bridge.from_kernel.faults.append(faults.lose(faults.text))
        bridge.programs.serve(Endpoint(V4.engine, 80), lambda: Web(b"short"))
        connection = host.connect(Endpoint(V4.engine, 80))
        host.send(connection.value, b"GET / HTTP/1.1\r\n\r\n")
        while host.receive(connection.value).value:
            pass
        host.close(connection.value)
        assert bridge.run(lambda: any(row.state is State.TIME_WAIT for row in bridge.stack.sockets()))
        assert bridge.network.trace is not None
        bridge.network.trace.write(file)
    file.seek(0)
    records = [record for record in capture.read(file) if record.data[0] >> 4 == 4]
    segments = [packet.parse(record.data) for record in records]
    assert [segment.flags for segment in segments[:3]] == [SYN, SYN | ACK, ACK]
    lost = [packet.parse(record.data) for record in records if record.comment == "lost on the way"]
    assert [segment.payload for segment in lost] == [b"GET / HTTP/1.1\r\n\r\n"]
    assert {segment.source_port for segment in segments if segment.flags & FIN} == {80, segments[0].source_port}
    assert all(abs(record.time - time.time_ns()) < 60 * SECOND for record in records)


@FAMILIES
def test_the_kernel_reopens_a_connection_that_waits_at_the_engine(family: Family) -> None:
    """The engine closed first; the kernel's next SYN from the same port finds the engine in TIME-WAIT and is taken."""
    with world() as (host, bridge):
        bridge.programs.serve(Endpoint(family.engine, 80), lambda: Web(b"short"))
        for turn in range(3):
            connection = host.connect(Endpoint(family.engine, 80), source=Endpoint(family.kernel, 40_000))
            assert connection.ok, (turn, connection)
            host.send(connection.value, b"GET / HTTP/1.1\r\n\r\n")
            while host.receive(connection.value).value:
                pass
            host.close(connection.value)
            assert bridge.run(lambda: any(row.state is State.TIME_WAIT for row in bridge.stack.sockets()))


def test_the_engine_is_a_client_of_a_kernel_socket() -> None:
    with world() as (host, bridge):
        listener = host.listen(Endpoint(V4.kernel, 8000)).value
        program = Fetch(V4.kernel, "")
        bridge.programs.connect(Endpoint(V4.kernel, 8000), program)
        connection = host.accept(listener).value
        assert host.receive(connection).value.startswith(b"GET /")
        host.send(connection, b"HTTP/1.1 200 OK\r\n\r\nhello")
        host.close(connection)
        assert bridge.run(lambda: program.over)
        assert (program.status, program.size) == ("HTTP/1.1 200 OK", 5)
