"""What is recorded of a kernel: in the order of time, each call with its connection, a wait that begins anew."""

import pytest

from needs import require_namespaces, require_tun
from timewait.clock import SECOND
from timewait.lab import catalog
from timewait.lab.trial import Result, Trial, Trials
from timewait.tcp.events import Entered
from timewait.tcp.states import State
from timewait.trace import Called, Happened, Moved, Trace


def recorded(name: str) -> tuple[Result, Trace]:
    scenario = catalog.get(name)
    result = Trials(traced=True).perform(Trial(scenario, scenario.settings({}), "kernel"))
    assert result.error is None
    assert not result.astray
    assert result.trace is not None
    return result, result.trace


@pytest.mark.parametrize("name", ["half-close", "unread-data", "what-stands-on-the-tuple"])
def test_entries_stand_in_the_order_of_their_times_and_calls_know_their_connection(name: str) -> None:
    require_namespaces()
    _, trace = recorded(name)
    times = [entry.time for entry in trace.entries]
    assert times == sorted(times)
    assert trace.zero <= times[0]
    assert times[-1] - times[0] < 60 * SECOND
    calls = [entry for entry in trace.entries if isinstance(entry, Called)]
    assert all(call.connection is not None for call in calls)
    ends = {(entry.segment[:2], entry.segment[2:4]) for entry in trace.entries if isinstance(entry, Moved)}
    connects = [call for call in calls if call.call.startswith("connect") and call.result.isdigit()]
    assert connects
    assert all(call.connection and (call.connection[:2], call.connection[2:]) in ends for call in connects)


def test_a_wait_that_the_kernel_begins_anew_is_entered_again() -> None:
    """RFC 9293 3.10.7.4, eighth: a FIN again in TIME-WAIT restarts it."""
    require_tun()
    _, trace = recorded("lost-last-ack")
    waits = [
        entry.event
        for entry in trace.entries
        if isinstance(entry, Happened) and isinstance(entry.event, Entered) and entry.event.state is State.TIME_WAIT
    ]
    first, *_, last = waits  # on a busy machine the FIN comes more than twice
    assert first.until is not None
    assert last.until is not None
    assert last.until - first.until > SECOND // 10
