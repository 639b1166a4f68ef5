"""What must hold whatever the network does: properties under loss, duplication, reordering and long delays.

TIMEWAIT_EXAMPLES says how many cases each property is tried on.
"""

import os
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st
from hypothesis.errors import NoSuchExample

from exchange import CLIENT, SERVER, Exchange, Program, listen
from timewait.clock import MS, SECOND
from timewait.sim.link import Conditions, Link
from timewait.sim.network import Network, Node
from timewait.tcp import profiles
from timewait.tcp.events import Errno
from timewait.tcp.profile import IsnScheme, Profile, ResetRule, SynRule

EXAMPLES = int(os.environ.get("TIMEWAIT_EXAMPLES", "60"))
HOUR = 3600 * SECOND
thorough = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@st.composite
def hostile(draw: st.DrawFn, lateness: int = 2000 * MS) -> Conditions:
    return Conditions(
        delay=draw(st.integers(0, 200)) * MS,
        loss=draw(st.sampled_from([0.0, 0.05, 0.2, 0.4])),
        duplication=draw(st.sampled_from([0.0, 0.1, 0.5])),
        reordering=draw(st.sampled_from([0.0, 0.2, 0.6])),
        lateness=draw(st.integers(0, lateness // MS)) * MS,
        rate=draw(st.sampled_from([0, 0, 256_000])),
    )


def two_nodes(network: Network, profile: Profile, conditions: Conditions) -> tuple[Node, Node, tuple[Link, Link]]:
    client, server = network.host("client", profile, [CLIENT]), network.host("server", profile, [SERVER])
    return client, server, network.link(client, server, conditions)


def exchange(
    seed: int, conditions: Conditions, profile: Profile, sizes: tuple[int, int], patient: tuple[bool, bool]
) -> Exchange:
    network = Network(seed)
    network.trace = None
    ends = two_nodes(network, profile, conditions)[:2]
    texts = [bytes((at * 7 + salt) & 0xFF for at in range(size)) for size, salt in zip(sizes, (1, 2), strict=True)]
    programs = [Program(node, network, text, how) for node, text, how in zip(ends, texts, patient, strict=True)]
    return Exchange(network, programs[0], programs[1], listen(ends[1]))


NAMES = st.sampled_from(["rfc9293", "linux", "freebsd", "linux-4.0"])
SIZES = st.sampled_from([0, 1, 100, 5_000, 30_000])


@thorough
@given(st.integers(0, 2**32), hostile(), NAMES, st.tuples(SIZES, SIZES))
def test_all_is_read_in_order_once_or_an_error_is_on_record_and_both_ends_close(
    seed: int, conditions: Conditions, name: str, sizes: tuple[int, int]
) -> None:
    """RFC 9293 section 3.4; section 3.3.2: every connection gets back to CLOSED, out of LAST-ACK too."""
    case = exchange(seed, conditions, profiles.get(name), sizes, (True, True))
    assert case.begin() is None
    case.run(24 * HOUR)
    assert case.done(), [conn.state for p in case.programs for conn in p.node.stack.connections.values()]
    client, server = case.programs
    for reader, writer in ((client, server), (server, client)):
        assert writer.data.startswith(bytes(reader.got))
        if reader.ended:
            assert reader.got == writer.data
        else:
            assert reader.error or writer.error or not reader.handle
    assert client.ended or client.error
    for program in case.programs:
        assert not program.node.stack.waits.queues
        assert not program.node.stack.ports.claims.keys() - {80}


@thorough
@given(st.integers(0, 2**32), hostile(), NAMES, st.tuples(SIZES, SIZES), st.tuples(st.booleans(), st.booleans()))
def test_ends_that_close_without_reading_end_too(
    seed: int, conditions: Conditions, name: str, sizes: tuple[int, int], patient: tuple[bool, bool]
) -> None:
    case = exchange(seed, conditions, profiles.get(name).changed(fin_wait_2=60 * SECOND), sizes, patient)
    assert case.begin() is None
    case.run(24 * HOUR)
    assert case.done(), [conn.state for p in case.programs for conn in p.node.stack.connections.values()]
    client, server = case.programs
    assert server.data.startswith(bytes(client.got))
    assert client.data.startswith(bytes(server.got))


# XNU answers every acceptable ACK in TIME-WAIT, as the text of RFC 9293 section 3.10.7.4 has it, fifth.
SILENT = [name for name in profiles.names() if not profiles.get(name).tw_exact_ack_replies]


@thorough
@given(st.integers(0, 2**32), hostile(), st.sampled_from(SILENT), st.data())
def test_two_ends_in_time_wait_never_answer_each_other_for_ever(
    seed: int, conditions: Conditions, name: str, data: st.DataObject
) -> None:
    """After a simultaneous close old segments come back: each draws an answer a few times at most."""
    profile = profiles.get(name)
    network = Network(seed)
    *nodes, (there, back) = two_nodes(network, profile, Conditions(delay=10 * MS))
    client, server = (Program(node, network, b"", True) for node in nodes)
    case = Exchange(network, client, server, listen(nodes[1]))
    assert case.begin() is None
    network.run(SECOND)
    child = nodes[1].stack.accept(case.listener)
    assert not isinstance(child, Errno)
    for node, handle in ((nodes[0], client.handle), (nodes[1], child)):
        network.perform(node, node.stack.close(handle, network.now)[1])
    network.run(100 * MS)
    assert all(len(node.stack.waits) == 1 for node in nodes)
    assert network.trace is not None
    old = list(network.trace.sent())
    there.conditions = back.conditions = conditions
    again = data.draw(st.lists(st.sampled_from(old), max_size=12))
    before = len(old)
    for entry in again:
        network.replay(entry.segment)
        network.run(data.draw(st.integers(0, 3000)) * MS)
    assert network.run_out(2 * HOUR)
    assert len(list(network.trace.sent())) - before <= 8 * len(again)


# -- incarnations --------------------------------------------------------------------------------------------------

MSL = 30 * SECOND


def incarnations(seed: int, lateness: int, profile: Profile, count: int = 4) -> str:
    """Use one four-tuple again as soon as it is given; return what of an old incarnation was read in a new one.

    Each incarnation writes only its own octet.  A segment lives no longer than `lateness` and the delay.
    """
    network = Network(seed)
    network.trace = None
    rough = Conditions(delay=10 * MS, loss=0.1, duplication=0.4, reordering=0.3, lateness=lateness)
    *nodes, _ = two_nodes(network, profile, rough)
    listener = listen(nodes[1])
    for number in range(1, count + 1):
        client, server = (Program(node, network, bytes([number]) * (200 * number)) for node in nodes)
        case = Exchange(network, client, server, listener)
        for _ in range(1000):
            if case.begin() is None:
                break
            network.run(SECOND)
        case.run(2 * HOUR, to_the_end=False)
        for program in (client, server):
            strange = set(program.got) - {number}
            if strange:
                return f"{strange} read in incarnation {number}"
            program.close()
    return ""


def respected(**changed: Any) -> Profile:
    """TIME-WAIT in full: 2 MSL, out of which nothing but time leads; ISNs as bad as can be, no timestamps."""
    values: dict[str, Any] = {
        "time_wait": 2 * MSL,
        "tw_syn": SynRule.NEVER,
        "tw_rst": ResetRule.IGNORE,
        "isn": IsnScheme.CONSTANT,
        "isn_constant": 0xFFFF_FF80,
        "timestamps": False,
    }
    return profiles.get("rfc9293").changed(**values | changed)


@thorough
@given(st.integers(0, 2**32), st.integers(0, MSL - 10 * MS))
def test_time_wait_keeps_old_octets_out_of_a_new_incarnation(seed: int, lateness: int) -> None:
    """RFC 9293 section 3.6.1 (MUST-13): with segments that live no longer than MSL, waiting 2 MSL is enough."""
    assert incarnations(seed, lateness, respected()) == ""


def test_time_wait_cut_short_lets_them_in() -> None:
    """The hazard that the state exists for (RFC 1337, H1): a case is found within a moderate number of tries."""
    cut = respected(time_wait=0)
    try:
        seed = find(
            st.integers(0, 2**32),
            lambda seed: incarnations(seed, 20 * SECOND, cut) != "",
            settings=settings(max_examples=500, deadline=None, phases=[Phase.generate]),  # any will do: none is shrunk
        )
    except NoSuchExample:
        pytest.fail("no old octets were delivered although nothing waited")
    assert "read in incarnation" in incarnations(seed, 20 * SECOND, cut)


@thorough
@given(st.integers(0, 2**32), st.integers(0, MSL - 10 * MS))
def test_linux_reuses_early_and_timestamps_keep_old_octets_out(seed: int, lateness: int) -> None:
    """RFC 7323 section 5 (PAWS) does what the wait would have done, and each new ISN lies beyond the old window."""
    assert incarnations(seed, lateness, profiles.get("linux")) == ""
