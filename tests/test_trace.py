"""The trace: how it prints, and what a capture of it shows in other people's programs."""

import subprocess
from io import BytesIO

import pytest

from needs import require_program
from timewait.clock import MS
from timewait.sim import faults
from timewait.trace import Called, Fate, Moved, Trace
from timewait.wire import packet, pcapng, vnet
from timewait.wire.segment import SYN, Segment
from timewait.wire.unread import Unread
from two_hosts import SERVER, TwoHosts


@pytest.fixture
def hosts() -> TwoHosts:
    """A connection whose first octets are lost once, closed by the client."""
    hosts = TwoHosts()
    hosts.there.faults.append(faults.lose(faults.text))
    client, server = hosts.connect()
    hosts.client.send(client, b"hello")
    hosts.server.receive(server)
    hosts.client.close(client)
    hosts.settle()
    hosts.server.close(server)
    hosts.settle()
    return hosts


def trace_of(hosts: TwoHosts) -> Trace:
    assert hosts.network.trace is not None
    return hosts.network.trace


def test_lines_read_like_a_packet_trace_with_numbers_from_each_isn(hosts: TwoHosts) -> None:
    assert hosts.lines()[:8] == [
        "  0.000  client           SYN-SENT",
        "  0.000  client > server  SYN     seq=0",
        "  0.010  server           SYN-RECEIVED",
        "  0.010  server > client  SYN,ACK seq=0 ack=1",
        "  0.020  client           ESTABLISHED",
        "  0.020  client > server  ACK     seq=1 ack=1",
        "  0.030  server           ESTABLISHED",
        "  0.030  client > server  PSH,ACK seq=1 ack=1 len=5  # lost on the way",
    ]


@pytest.mark.parametrize("offload", [False, True])
def test_an_unread_packet_becomes_one_segment_in_its_place(offload: bool) -> None:
    segment = Segment(bytes([192, 0, 2, 1]), 40000, bytes([192, 0, 2, 2]), 80, 1, 0, SYN, 1000)
    load = Unread(vnet.build(segment) if offload else packet.build(segment), offload)
    assert load.size == 40
    trace = Trace()
    trace.moved(1, Fate.SENT, "a > b", "a", load)
    trace.add(Called(2, "a", "connect()", "EAGAIN"))
    assert trace.entries == [Moved(1, Fate.SENT, "a > b", "a", segment), Called(2, "a", "connect()", "EAGAIN")]
    trace.moved(3, Fate.DELIVERED, "a > b", "b", load, "late")
    trace.entries.append(Called(4, "b", "accept()", "3"))
    assert trace.entries[2:] == [
        Moved(3, Fate.DELIVERED, "a > b", "b", segment, "late"),
        Called(4, "b", "accept()", "3"),
    ]
    assert len({id(each) for each in trace.segments(Fate.SENT, Fate.DELIVERED)}) == 1


def test_what_holds_no_sound_segment_is_no_entry() -> None:
    whole = packet.build(Segment(bytes(4), 1, bytes(4), 2, 3, 4, SYN, 5))
    trace = Trace()
    for data in (whole[:-1] + b"?", whole[:30], b"\x45", b"\x60" + bytes(39)):
        trace.moved(0, Fate.SENT, "a > b", "a", Unread(data, offload=False))
    assert trace.entries == []


def test_a_wait_says_when_it_ends(hosts: TwoHosts) -> None:
    """60 s, profile linux."""
    wait = next(line for line in hosts.lines() if "TIME-WAIT" in line)
    began, until = float(wait.split()[0]), float(wait.split()[-1])
    assert round(until - began, 3) == 60


def test_calls_stand_between_the_segments_with_their_results(hosts: TwoHosts) -> None:
    shown = [line.split(maxsplit=1)[1] for line in trace_of(hosts).lines() if " = " in line]
    assert f"client           connect({SERVER}) = 3" in shown
    assert "client           send(3, 5 octets) = 5" in shown
    assert "server           recv(4) = 5 octets" in shown


def test_deliveries_have_lines_when_they_are_asked_for(hosts: TwoHosts) -> None:
    arrivals = [line for line in trace_of(hosts).lines(deliveries=True) if "# delivered" in line]
    assert len(arrivals) == len(trace_of(hosts).segments(Fate.DELIVERED))


def test_several_connections_are_told_apart_by_their_ports() -> None:
    hosts = TwoHosts()
    for _ in range(2):
        hosts.client.connect(SERVER)
    shown = [line for line in hosts.lines() if "> server:80  SYN" in line]
    assert len({line.split()[1] for line in shown}) == 2
    states = [line for line in hosts.lines() if "ESTABLISHED" in line and "server:80 " in line]
    assert all("(client:" in line for line in states)


def test_a_capture_of_the_links_holds_every_segment_once_with_comments(hosts: TwoHosts) -> None:
    file = BytesIO()
    trace_of(hosts).write(file)
    file.seek(0)
    records = list(pcapng.read(file))
    sent = list(trace_of(hosts).sent())
    assert [packet.parse(record.data) for record in records] == [entry.segment for entry in sent]
    assert [record.time for record in records] == [entry.time for entry in sent]
    assert {record.interface for record in records} == {"client > server", "server > client"}
    assert [record.comment for record in records].count("lost on the way") == 1


def test_a_capture_at_one_host_shows_what_that_host_saw(hosts: TwoHosts) -> None:
    file = BytesIO()
    trace_of(hosts).write(file, at="server")
    file.seek(0)
    records = list(pcapng.read(file))
    assert {record.interface for record in records} == {"server"}
    assert records[0].time == 10 * MS  # the SYN, when it arrived
    payloads = [packet.parse(record.data).payload for record in records]
    assert payloads.count(b"hello") == 1  # the lost one never came by


def test_tshark_reads_the_capture_and_sees_a_whole_connection(hosts: TwoHosts) -> None:
    file = BytesIO()
    trace_of(hosts).write(file, at="client")
    command = [require_program("tshark"), "-n", "-r", "-", "-o", "tcp.check_checksum:TRUE", "-T", "fields"]
    for name in ("tcp.flags.str", "tcp.checksum.status", "tcp.analysis.retransmission"):
        command += ["-e", name]
    done = subprocess.run(command, input=file.getvalue(), capture_output=True, check=True, timeout=60)
    rows = [line.split("\t") for line in done.stdout.decode().splitlines()]
    assert all(row[1] == "1" for row in rows)
    assert sum(1 for row in rows if len(row) > 2 and row[2]) == 1  # the octets that were lost
