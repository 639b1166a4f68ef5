"""The virtual network: what links do to segments, when, and that a seed tells it all."""

from ipaddress import ip_address
from itertools import pairwise

import pytest

from timewait.clock import MS, SECOND, US
from timewait.endpoint import Endpoint
from timewait.lab.engine import EngineHost
from timewait.sim import faults
from timewait.sim.link import Conditions
from timewait.sim.network import Network, NoProgressError
from timewait.tcp import profiles
from timewait.tcp.events import Dropped, Reason
from timewait.tcp.states import State
from timewait.trace import Fate, Happened, Moved, Trace
from timewait.wire.segment import ACK, FIN, RST
from two_hosts import CLIENT, SERVER, TwoHosts

ROUGH = Conditions(delay=5 * MS, loss=0.1, duplication=0.1, reordering=0.2, lateness=30 * MS, rate=10_000_000)


def trace_of(hosts: TwoHosts) -> Trace:
    assert hosts.network.trace is not None
    return hosts.network.trace


def carry(hosts: TwoHosts, data: bytes) -> bytes:
    """Send `data` over a new connection, close both ends, return what was read."""
    client, server = hosts.connect()
    read = b""
    left = data
    while left or len(read) < len(data):
        if left:
            left = left[hosts.client.send(client, left).value :]
        outcome = hosts.server.receive(server)
        assert outcome.ok, outcome
        read += outcome.value
    hosts.client.close(client)
    hosts.server.close(server)
    hosts.settle(120)
    return read


# -- repeatable ----------------------------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_trace_byte_for_byte() -> None:
    texts = []
    for seed in (7, 7, 8):
        hosts = TwoHosts(seed, ROUGH)
        assert carry(hosts, bytes(range(256)) * 100) == bytes(range(256)) * 100
        texts.append(trace_of(hosts).text())
    assert texts[0] == texts[1]
    assert texts[0] != texts[2]
    assert {fate.name for fate in (Fate.LOST, Fate.LATE, Fate.DUPLICATED)} <= set(texts[0].split())


def test_not_recording_changes_nothing() -> None:
    """The trace watches; it is no part of what happens."""
    ends = []
    for traced in (True, False):
        hosts = TwoHosts(3, ROUGH)
        if not traced:
            hosts.network.trace = None
        carry(hosts, bytes(20_000))
        ends.append((hosts.network.now, dict(hosts.client.counters()), dict(hosts.server.counters())))
    assert ends[0] == ends[1]


# -- what links do -------------------------------------------------------------------------------------------------


def test_a_segment_arrives_after_the_delay() -> None:
    hosts = TwoHosts(conditions=Conditions(delay=25 * MS))
    outcome = hosts.client.connect(SERVER, source=CLIENT)
    assert outcome.took == 50 * MS


def test_a_link_of_limited_rate_sends_one_after_the_other() -> None:
    """1 Mbit/s: an IP packet of 1500 octets takes 12 ms; MSS 1460 less 12 octets of timestamps leaves 1448."""
    hosts = TwoHosts(conditions=Conditions(rate=1_000_000))
    client, _ = hosts.connect()
    hosts.client.send(client, bytes(4 * 1448))
    hosts.settle()
    arrived = [
        entry.time
        for entry in trace_of(hosts).entries
        if isinstance(entry, Moved) and entry.fate is Fate.DELIVERED and entry.segment.payload
    ]
    assert [after - before for before, after in pairwise(arrived)] == [12 * MS] * 3


def test_what_would_wait_too_long_for_a_slow_link_is_lost() -> None:
    hosts = TwoHosts(conditions=Conditions(rate=1_000_000, patience=20 * MS))
    client, _ = hosts.connect()
    hosts.client.send(client, bytes(4 * 1448))
    notes = [entry.note for entry in trace_of(hosts).sent() if entry.fate is Fate.LOST]
    # Two of 12 ms each fill the link for 24 ms; the other two would have to wait longer than 20.
    assert notes == ["the queue is full"] * 2


def test_a_doubled_segment_is_delivered_twice_and_read_once() -> None:
    hosts = TwoHosts()
    hosts.there.faults.append(faults.double(faults.text, by=3 * MS))
    client, server = hosts.connect()
    hosts.client.send(client, b"once")
    assert hosts.server.receive(server).value == b"once"
    hosts.settle()
    assert [s.payload for s in trace_of(hosts).segments(Fate.DELIVERED) if s.payload] == [b"once", b"once"]
    assert hosts.server.receive(server, timeout=SECOND).error == "EAGAIN"


def test_an_overtaken_segment_is_read_in_order() -> None:
    hosts = TwoHosts()
    hosts.there.faults.append(faults.delay(faults.text, 5 * MS))
    client, server = hosts.connect()
    hosts.client.set_option(client, "TCP_NODELAY", 1)
    for part in (b"first ", b"second"):
        hosts.client.send(client, part)
    hosts.settle(0.1)
    delivered = [s.payload for s in trace_of(hosts).segments(Fate.DELIVERED) if s.payload]
    assert delivered[:2] == [b"second", b"first "]
    assert hosts.server.receive(server).value == b"first second"


def test_a_segment_larger_than_the_mtu_is_lost_and_the_sender_told() -> None:
    """RFC 1191: the sender then sends smaller ones, and the data arrives."""
    hosts = TwoHosts()
    client, server = hosts.connect()
    hosts.there.conditions = Conditions(delay=MS, mtu=1000)
    hosts.client.send(client, bytes(1400))
    hosts.settle(5)
    assert any(entry.note == "larger than the MTU of 1000" for entry in trace_of(hosts).sent())
    assert len(hosts.server.receive(server).value) > 0
    hosts.settle(5)


def test_an_altered_segment_arrives_as_altered() -> None:
    """A middlebox that takes timestamps out of the SYN: neither side uses them (RFC 7323 section 3.2)."""
    hosts = TwoHosts()
    hosts.there.faults.append(
        faults.alter(faults.syn, lambda s: s._replace(options=tuple(o for o in s.options if o.kind != 8)))
    )
    client, server = hosts.connect()
    assert not hosts.client.info(client).timestamps
    assert not hosts.server.info(server).timestamps
    assert len(trace_of(hosts).segments(Fate.ALTERED)) == 1


def test_only_the_chosen_segment_is_hit() -> None:
    hosts = TwoHosts()
    fault = faults.lose(faults.text, skip=1)
    hosts.there.faults.append(fault)
    client, server = hosts.connect()
    hosts.client.set_option(client, "TCP_NODELAY", 1)
    for part in (b"a", b"b", b"c"):
        hosts.client.send(client, part)
    hosts.settle()
    assert [s.payload for s in trace_of(hosts).segments(Fate.LOST)] == [b"b"]
    assert fault.hits == 1
    assert hosts.server.receive(server).value == b"abc"


def test_a_segment_to_nobody_is_lost() -> None:
    hosts = TwoHosts()
    outcome = hosts.client.connect(Endpoint("10.9.9.9", 80), timeout=5 * SECOND)
    assert outcome.error == "ETIMEDOUT"
    assert trace_of(hosts).segments(Fate.LOST)


def test_an_action_happens_at_its_chosen_moment() -> None:
    hosts = TwoHosts()
    heard: list[int] = []
    hosts.network.at(1500 * US, lambda: heard.append(hosts.network.now))
    hosts.settle()
    assert heard == [1500 * US]


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_a_host_reaches_itself_in_no_time_and_in_order(address: str) -> None:
    network = Network(5)
    node = network.host("host", profiles.get("linux"), [ip_address(address).packed], mtu=65535)
    host = EngineHost(network, node, call=0)
    at = Endpoint(address, 8080)
    listener = host.listen(at).value
    client = host.connect(at)
    server = host.accept(listener).value
    assert client.took == 0
    host.send(client.value, bytes(range(200)))
    assert host.receive(server).value == bytes(range(200))
    host.close(client.value)
    host.close(server)
    assert network.now == 0


# -- TIME-WAIT over a network --------------------------------------------------------------------------------------


def test_a_lost_last_ack_is_asked_for_by_the_fin_again_and_the_wait_restarts() -> None:
    """RFC 9293 section 3.10.7.4, eighth; the reason why the active closer waits at all (section 3.6.1)."""
    hosts = TwoHosts(profile="linux")
    client, server = hosts.connect()
    hosts.client.close(client)
    hosts.settle()
    hosts.there.faults.append(faults.lose(faults.pure_ack))
    hosts.server.close(server)
    before = hosts.network.now
    hosts.settle(10)
    shown = [line.split(maxsplit=1)[1] for line in hosts.lines() if float(line.split()[0]) * SECOND >= before]
    fin = "server > client  FIN,ACK seq=1 ack=2"
    assert [line.split(" until")[0] for line in shown] == [
        "server           LAST-ACK",
        fin,
        "client > server  ACK     seq=2 ack=2  # lost on the way",
        "client           TIME-WAIT",
        fin,
        "client > server  ACK     seq=2 ack=2",
        f"client           not taken: FIN,ACK seq=1 ack=2: {Reason.TW_ANSWERED.meaning}",
        "client           TIME-WAIT",
        "server           CLOSED",
    ]
    first, second = (float(line.split(" until ")[1]) for line in shown if "until" in line)
    gap = [
        entry.time for entry in trace_of(hosts).sent() if entry.segment.flags == FIN | ACK and entry.host == "server"
    ]
    assert round((second - first) * SECOND) == gap[1] - gap[0]


def test_two_ends_in_time_wait_after_a_simultaneous_close_fall_silent() -> None:
    """RFC 9293 section 3.6, case 3; taken literally, section 3.10.7.4 fifth would have each ACK the other's ACK."""
    hosts = TwoHosts()
    client, server = hosts.connect()
    hosts.client.close(client)
    hosts.server.close(server)
    hosts.settle(1)
    assert hosts.client.sockets(peer_port=80)[0].state == hosts.server.sockets(peer_port=40000)[0].state == "TIME-WAIT"
    sent = len(trace_of(hosts).segments())
    hosts.settle(59)
    assert len(trace_of(hosts).segments()) == sent
    hosts.settle(3)
    assert not hosts.client.sockets()
    assert [row.state for row in hosts.server.sockets()] == ["LISTEN"]


def test_taken_literally_two_ends_in_time_wait_answer_each_other_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """RFC 9293 section 3.10.7.4, fifth, has every acceptable ACK answered.  Without a delay, time then stands still."""
    hosts = TwoHosts(conditions=Conditions(), profile="rfc9293", tw_exact_ack_replies=True)
    client, server = hosts.connect()
    hosts.there.faults.append(faults.delay(faults.fin, MS))
    hosts.client.close(client)
    hosts.server.close(server)
    hosts.settle(0.1)
    ack = next(s for s in reversed(trace_of(hosts).segments()) if s.flags == ACK)
    hosts.network.replay(ack)
    monkeypatch.setattr("timewait.sim.network._AT_ONCE", 1000)
    with pytest.raises(NoProgressError, match="for ever"):
        hosts.settle(1)


@pytest.mark.parametrize(("timestamps", "ghost"), [(True, b""), (False, b"old")])
def test_a_held_old_duplicate_is_refused_by_paws_and_taken_without(timestamps: bool, ghost: bytes) -> None:
    """RFC 7323 section 5: why a four-tuple may be reused early only with timestamps.

    The wait is cut short to nothing and both ISNs are constant, so the old octets fit the new window exactly.
    """
    hosts = TwoHosts(time_wait=0, timestamps=timestamps, isn="constant", isn_constant=0xFFFF_FF00)
    client, server = hosts.connect()
    held = faults.hold(faults.text)
    hosts.there.faults.append(held)
    hosts.client.send(client, b"old")
    hosts.settle(0.1)
    assert held.held
    hosts.settle(2)  # it is sent again, and arrives
    assert hosts.server.receive(server).value == b"old"
    hosts.client.close(client)
    hosts.server.close(server)
    hosts.settle()
    _, server = hosts.connect()
    hosts.network.release(held)
    hosts.settle(0.1)
    outcome = hosts.server.receive(server, timeout=0)
    assert (outcome.value or b"") == ghost
    dropped = [
        e.event.reason for e in trace_of(hosts).entries if isinstance(e, Happened) and isinstance(e.event, Dropped)
    ]
    assert (Reason.PAWS in dropped) is timestamps


def test_an_injected_reset_assassinates_time_wait() -> None:
    """RFC 1337: a RST at RCV.NXT ends the wait (RFC 9293 section 3.10.7.4, second), unless the profile ignores it."""
    for profile, state in (("linux", State.CLOSED), ("freebsd", State.TIME_WAIT)):
        hosts = TwoHosts(profile=profile)
        client, server = hosts.connect()
        hosts.client.close(client)
        hosts.settle()
        hosts.server.close(server)
        hosts.settle()
        last = next(s for s in reversed(trace_of(hosts).segments()) if s.flags == FIN | ACK and s.source_port == 80)
        hosts.network.inject(last._replace(seq=last.end, flags=RST, options=()))
        hosts.settle()
        key = (last.destination, last.destination_port, last.source, last.source_port)
        assert hosts.client.stack.state_of(key) is state  # type: ignore[arg-type]
