"""The transition table is total, and what is printed of it says what the engine does."""

from collections import Counter

from timewait.tcp import states
from timewait.tcp.states import Event, Ignored, Impossible, Row, State


def test_every_pair_of_state_and_event_is_listed_once() -> None:
    seen = Counter((entry.state, entry.event) for entry in states.entries())
    assert set(seen) == {(state, event) for state in State for event in Event}
    assert set(seen.values()) == {1}


def test_every_row_names_its_section_and_everything_else_a_reason() -> None:
    for entry in states.entries():
        match entry:
            case Row(section=section):
                assert section
            case Ignored(why=why) | Impossible(why=why):
                assert why


def test_every_state_can_be_reached_and_left() -> None:
    reached = {State.CLOSED}
    while True:
        more = {row.next for row in states.ROWS if row.state in reached} | reached
        if more == reached:
            break
        reached = more
    assert reached == set(State)
    assert {row.state for row in states.ROWS} == set(State)


def test_states_print_as_the_rfc_writes_them() -> None:
    assert [str(state) for state in (State.TIME_WAIT, State.FIN_WAIT_2, State.SYN_RECEIVED)] == [
        "TIME-WAIT",
        "FIN-WAIT-2",
        "SYN-RECEIVED",
    ]


def test_the_table_prints_as_rows_and_as_a_graph() -> None:
    rows = states.table_rows()
    assert len(rows) == len(State) * len(Event)
    assert ("FIN-WAIT-2", "fin", "row", "TIME-WAIT") in [row[:4] for row in rows]
    graph = states.dot()
    assert graph.startswith("digraph")
    assert graph.count("->") == len(states.ROWS)
