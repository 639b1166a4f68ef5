"""The network under real kernels: links and faults between two of them, lateness told, nothing left behind."""

import contextlib
import io
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from needs import OrdinaryUser, missing, require_namespaces, require_tun
from timewait.clock import MS, SECOND, readable
from timewait.endpoint import Endpoint
from timewait.lab import worlds
from timewait.lab.hand import Hand
from timewait.lab.host import InterruptedCallError
from timewait.lab.kernel import KernelHost
from timewait.lab.live import LiveNetwork
from timewait.lab.scenario import BRIDGE, ENGINE, KERNEL, Scenario, Stage
from timewait.lab.steps import opened_between, settled
from timewait.sim import faults
from timewait.sim.link import PERFECT, Conditions
from timewait.system.tun import TunSetup
from timewait.tcp.events import Entered
from timewait.tcp.states import State
from timewait.trace import Fate, Happened, Moved
from timewait.wire import capture, packet
from timewait.wire.segment import ACK, FIN, RST, SYN

TWO = Scenario("?", (), lambda stage, settings: [], (), hosts=("client", "server"))
ONE = Scenario("?", (), lambda stage, settings: [], (), wires=("wire",))
WORLDS = pytest.mark.parametrize(
    ("world", "engine"), [(ENGINE, ""), (KERNEL, ""), (BRIDGE, "client"), (BRIDGE, "server")]
)


@contextlib.contextmanager
def stage(world: str = KERNEL, engine: str = "", scenario: Scenario = TWO) -> Iterator[Stage]:
    if world != ENGINE:
        require_tun()
    with contextlib.ExitStack() as ends:
        yield worlds.stage(scenario, world, ends, profile="linux", seed=3, engine=engine)


def carried(both: Stage, octets: int) -> bytes:
    """Send so many octets from client to server; return what was read."""
    client, server = opened_between(both, "client", "server", 80, 40000)
    data = bytes(range(256)) * (octets // 256)
    sent, got = 0, b""
    while len(got) < len(data):
        if sent < len(data):
            sent += both["client"].send(client, data[sent : sent + 20_000]).value or 0
        got += both["server"].receive(server, timeout=5 * SECOND).value or b""
    assert got == data
    return got


@WORLDS
def test_a_link_that_loses_doubles_and_reorders_still_carries_everything(world: str, engine: str) -> None:
    rough = Conditions(delay=MS, loss=0.03, duplication=0.03, reordering=0.05, lateness=2 * MS)
    with stage(world, engine) as both:
        both.conditions("client", "server", rough)
        carried(both, 256 * 400)
        fates = {each.fate for each in both.trace.entries if isinstance(each, Moved)}
        assert fates >= {Fate.LOST, Fate.DUPLICATED, Fate.LATE, Fate.DELIVERED}


@WORLDS
def test_single_segments_are_lost_held_altered_and_replayed(world: str, engine: str) -> None:
    with stage(world, engine) as both:
        pair = opened_between(both, "client", "server", 80, 40000)
        client, server = both["client"], both["server"]
        held = both.fault("client", "server", faults.hold(faults.text, times=None))
        client.send(pair.client, b"held")
        assert server.receive(pair.server, timeout=20 * MS).error == "EAGAIN"
        both.mend("client", "server")
        both.release(held)
        assert server.receive(pair.server).value == b"held"
        altered = faults.alter(faults.text, lambda segment: segment._replace(payload=segment.payload.upper()))
        both.fault("client", "server", altered)
        client.send(pair.client, b"quiet")
        assert server.receive(pair.server).value == b"QUIET"
        acks = len(both.sent("server", faults.pure_ack))
        both.replay(both.sent("client", faults.text)[0])
        assert both.until(lambda: len(both.sent("server", faults.pure_ack)) > acks)


@WORLDS
def test_the_trace_has_both_ends_states_and_writes_a_capture(world: str, engine: str) -> None:
    with stage(world, engine) as both:
        pair = opened_between(both, "client", "server", 80, 40000)
        both["client"].close(pair.client)
        settled(both["server"], 80, 40000, ["CLOSE-WAIT"])
        both["server"].close(pair.server)
        settled(both["client"], 40000, 80, ["TIME-WAIT"])
        entered = {
            (each.host, each.event.state)
            for each in both.trace.entries
            if isinstance(each, Happened) and isinstance(each.event, Entered)
        }
        assert ("client", State.TIME_WAIT) in entered
        assert ("server", State.CLOSE_WAIT) in entered
        file = io.BytesIO()
        both.trace.write(file)
    file.seek(0)
    segments = [packet.parse(record.data) for record in capture.read(file)]
    assert [each.flags & (SYN | ACK) for each in segments[:3]] == [SYN, SYN | ACK, ACK]
    assert sum(bool(each.flags & FIN) for each in segments) == 2


@pytest.mark.parametrize("world", [ENGINE, KERNEL])
def test_nobody_answers_at_a_wire_but_who_writes_there(world: str) -> None:
    with stage(world, scenario=ONE) as alone:
        nobody = alone.host.connect(alone.at("wire", 80), timeout=50 * MS)
        assert nobody.error == "ETIMEDOUT"
        listener = alone.host.listen(alone.at("host", 80)).value
        hand = Hand(alone, 80, 5000)
        connection = hand.open(listener)
        hand.send(ACK, payload=b"by hand")
        assert alone.host.receive(connection).value == b"by hand"
        listening = Hand(alone, 40001, 8080)
        listening.listen()
        assert alone.host.connect(alone.at("wire", 8080), source=alone.at("host", 40001)).ok


def test_what_comes_late_is_told_with_by_how_much() -> None:
    with stage(scenario=ONE) as alone:
        live = alone.network
        assert isinstance(live, LiveNetwork)
        assert live.behind == ""
        hand = Hand(alone, 80, 5000)
        live.at(live.now, lambda: time.sleep(0.02))  # somebody else has the processor
        alone.conditions("wire", "host", Conditions(delay=5 * MS))
        hand.put(hand.segment(RST))
        alone.wait(30 * MS)
        (arrived,) = (each for each in alone.trace.entries if isinstance(each, Moved) and each.fate is Fate.DELIVERED)
        assert arrived.note == f"late by {readable(live.lateness.worst)}"
        assert live.lateness.deliveries == 1
        assert live.lateness.worst > 10 * MS
        assert live.behind == f"not kept: 1 deliveries late, by up to {readable(live.lateness.worst)}"


def test_without_a_trace_packets_are_passed_on_unread(monkeypatch: pytest.MonkeyPatch) -> None:
    with stage() as both:
        both.network.trace = None
        for conditions in (PERFECT, Conditions(delay=MS)):
            both.conditions("client", "server", conditions)
            for port in both.network.ends.values():
                monkeypatch.setattr(port, "parse", None)
            both["server"].listen(both.at("server", 80))
            assert both["client"].connect(both.at("server", 80)).ok


@pytest.mark.parametrize("conditions", [PERFECT, Conditions(delay=MS)])
def test_with_a_trace_packets_are_read_when_somebody_looks(
    monkeypatch: pytest.MonkeyPatch, conditions: Conditions
) -> None:
    with stage() as both:
        both.conditions("client", "server", conditions)
        with monkeypatch.context() as unreadable:
            unreadable.setattr(packet, "parse", None)
            both["server"].listen(both.at("server", 80))
            assert both["client"].connect(both.at("server", 80)).ok
        assert both.until(lambda: len(both.trace.segments(Fate.DELIVERED)) == 3)
        moved = [each for each in both.trace.entries if isinstance(each, Moved)]
        sent, arrived = ([each for each in moved if each.fate is fate] for fate in (Fate.SENT, Fate.DELIVERED))
        assert [each.segment.flags for each in sent] == [SYN, SYN | ACK, ACK]
        assert [each.host for each in arrived] == ["server", "client", "server"]
        for leaves, comes in zip(sent, arrived, strict=True):
            assert leaves.segment is comes.segment
            assert conditions.delay <= comes.time - leaves.time < SECOND


def test_what_is_larger_than_the_link_takes_is_lost_and_recorded() -> None:
    with stage() as both:
        both.conditions("client", "server", Conditions(mtu=100))
        both["server"].listen(both.at("server", 80))
        pair = both["client"].connect(both.at("server", 80)).value
        both["client"].send(pair, bytes(200))
        assert both.until(lambda: bool(both.trace.segments(Fate.LOST)))
        lost = next(each for each in both.trace.sent() if each.fate is Fate.LOST)
        assert lost.note == "larger than the MTU of 100"
        assert len(lost.segment.payload) == 200


def test_a_waiting_call_of_an_engine_on_a_live_network_can_be_interrupted() -> None:
    with stage(BRIDGE, "client") as both:
        threading.Timer(0.1, both["client"].interrupt).start()  # type: ignore[attr-defined]
        began = time.monotonic()
        with pytest.raises(InterruptedCallError):
            both["client"].connect(Endpoint("192.0.2.77", 80), timeout=10 * SECOND)
        assert time.monotonic() - began < 5


def test_a_pair_of_ethernet_devices_does_where_tun_does_not() -> None:
    require_namespaces()
    live = LiveNetwork()
    with contextlib.closing(live), contextlib.ExitStack() as ends:
        hosts = []
        for number, name in enumerate(("one", "other"), 1):
            host = ends.enter_context(KernelHost())
            setup = TunSetup([(f"192.0.2.{number}", 24), (f"2001:db8::{number}", 64)])
            live.attach(name, host.open_veth(setup), worlds.packed(setup.addresses))
            host.idle = live.wait_for
            hosts.append(host)
        live.link(live.ends["one"], live.ends["other"])
        for address in ("192.0.2.2", "2001:db8::2"):
            listener = hosts[1].listen(Endpoint(address, 80)).value
            client = hosts[0].connect(Endpoint(address, 80)).value
            server = hosts[1].accept(listener).value
            hosts[0].send(client, b"over Ethernet" * 1000)
            assert hosts[1].receive(server).value.startswith(b"over Ethernet")


def test_an_ordinary_user_has_the_network_too(somebody: OrdinaryUser) -> None:
    require_namespaces()
    done = somebody.run(["lab", "run", "simultaneous-close", "--world", "kernel"])
    if "may not make a network namespace" in done.stderr:
        missing(done.stderr)
    assert done.returncode == 0, done.stdout + done.stderr


PROGRAM = """
import sys
from contextlib import ExitStack
from timewait.lab import catalog, worlds
with ExitStack() as ends:
    stage = worlds.stage(catalog.get("lost-last-ack"), "kernel", ends, profile="linux", seed=0)
    print(*(host.pid for host in stage.hosts), flush=True)
    stage.wait(60_000_000_000)
"""


def test_killed_at_any_moment_it_leaves_no_process_behind() -> None:
    require_tun()
    with subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        agents = [int(word) for word in process.stdout.readline().split()]
        assert len(agents) == 2
        process.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 5
    while any(Path(f"/proc/{pid}").exists() for pid in agents):
        assert time.monotonic() < deadline, "an agent lives on"
        os.sched_yield()
