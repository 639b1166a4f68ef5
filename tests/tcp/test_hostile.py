"""What must hold under any network: delivery in order and once, or an error on record; everything ends."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hostile import Hostile, Transfer
from timewait.clock import MS, SECOND
from timewait.tcp import profiles
from timewait.tcp.connection import Options
from timewait.tcp.states import State
from timewait.wire.segment import ACK, FIN, Segment

LONG = 4000 * SECOND
RELAXED = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))


@given(
    name=st.sampled_from(profiles.names()),
    seed=st.integers(0, 2**32),
    loss=st.sampled_from([0.0, 0.02, 0.1, 0.3]),
    double=st.sampled_from([0.0, 0.1]),
    spread=st.sampled_from([0, 1 * MS, 50 * MS, 2 * SECOND]),
    sizes=st.tuples(st.sampled_from([0, 1, 3000, 60_000]), st.sampled_from([0, 10, 20_000])),
)
@RELAXED
def test_what_one_side_sends_the_other_reads_in_order_once_or_there_is_an_error(
    name: str, seed: int, loss: float, double: float, spread: int, sizes: tuple[int, int]
) -> None:
    net = Hostile(profiles.get(name), seed, loss=loss, double=double, spread=spread)
    # Keep-alive: a peer that gave up without a word would otherwise be waited for in FIN-WAIT-2 for ever.
    transfer = Transfer(net, sizes, Options(keep_alive=True, keep_idle=75 * SECOND))
    transfer.run(LONG)
    failed = any(transfer.errors) or any(net.failures)
    for who in (0, 1):
        sent, got = transfer.data[1 - who], bytes(transfer.read[who])
        assert sent.startswith(got), "what was read is not what was sent"
        assert failed or len(got) == len(sent), (len(got), len(sent))
    for stack in net.stacks:
        assert not stack.connections, [each.state for each in stack.connections.values()]
        assert not len(stack.waits)
        assert not stack.timers or stack.next_deadline() is None


@given(seed=st.integers(0, 2**32), loss=st.sampled_from([0.05, 0.2]))
@RELAXED
def test_no_four_tuple_is_open_and_waiting_at_once(seed: int, loss: float) -> None:
    net = Hostile(profiles.get("linux"), seed, loss=loss, spread=20 * MS)
    transfer = Transfer(net, (500, 500))
    until = net.now + 200 * SECOND
    for _ in range(5000):
        transfer.pump()
        if not net.step(until):
            break
        for stack in net.stacks:
            waiting = {key for key, _ in stack.waits}
            assert not waiting & set(stack.connections)


@pytest.mark.parametrize("name", profiles.names())
def test_two_ends_in_time_wait_never_answer_each_other_for_ever(name: str) -> None:
    """A simultaneous close, and then every kind of stray segment from either end's own address."""
    net = Hostile(profiles.get(name), 1)
    transfer = Transfer(net, (0, 0))
    net.run(20 * MS)
    accepted = net.stacks[1].accept(transfer.listener)
    assert isinstance(accepted, int)
    client = transfer.handles[0]
    assert client is not None
    net.take(0, net.stacks[0].close(client, net.now)[1])
    net.take(1, net.stacks[1].close(accepted, net.now)[1])
    net.run(20 * MS)
    key = next(iter(net.states))[1]
    assert net.states[0, key][-1] is State.TIME_WAIT or net.states[0, key][-1] is State.CLOSED
    before = net.segments
    waits = list(net.stacks[0].waits)
    assert waits
    ((found, wait),) = waits
    for flags in (ACK, ACK | FIN):
        for offset in (-1, 0, 1, 100_000):
            seq = (wait.rcv_nxt + offset) % 2**32
            stray = Segment(found[2], found[3], found[0], found[1], seq, wait.snd_nxt, flags, 1000)
            net.take(0, net.stacks[0].receive(stray, net.now))
            net.run(SECOND)
    assert net.segments - before < 40
