"""The census against a plain loop over the rows: three ways of counting have to agree."""

import socket
from collections import Counter
from typing import Any, TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from records import Datagrams, Record, done, message, packed
from timewait.endpoint import Endpoint
from timewait.system import census
from timewait.system.census import CELL_MS, LATE, NOT_HELD, OUTSIDE, UNIT_MS, Census
from timewait.system.census_numpy import NumpyCensus
from timewait.system.netlink import DumpState, NetlinkError
from timewait.system.sock_diag import STATES, address_text, runs_of
from timewait.system.socket_table import Listeners, Socket, rows

V4 = ["127.0.0.1", "192.0.2.1", "198.51.100.7"]
V6 = ["::1", "2001:db8::7", "::ffff:192.0.2.1"]
PORTS = [80, 443, 40000, 40001]
LISTENERS = [
    Record(2, 10, 0, "0.0.0.0", 80, "0.0.0.0", 0),
    Record(10, 10, 0, "::", 443, "::", 0, v6_only=False),
    Record(10, 10, 0, "::", 40000, "::", 0, v6_only=True),
    Record(2, 10, 0, "192.0.2.1", 40001, "0.0.0.0", 0),
    Record(10, 10, 0, "2001:db8::7", 80, "::", 0, v6_only=False),
    Record(10, 10, 0, "::ffff:198.51.100.7", 40000, "::", 0, v6_only=False),
]


def record(**fields: Any) -> Record:
    """A record with defaults for the rest; `st.builds` would draw those too."""
    return Record(**fields)


def records(family: int, addresses: list[str]) -> st.SearchStrategy[Record]:
    return st.builds(
        record,
        family=st.just(family),
        state=st.sampled_from([6, 6, 6, 5, 1]),
        timer=st.sampled_from([3, 3, 3, 0]),
        source=st.sampled_from(addresses),
        source_port=st.sampled_from(PORTS),
        destination=st.sampled_from(addresses),
        destination_port=st.sampled_from(PORTS),
        expires_ms=st.integers(0, 60_000) | st.sampled_from([65_535, 65_536, 600_000]),
        with_mark=st.booleans(),
    )


plain = st.builds(
    record,
    source=st.sampled_from(V4),
    source_port=st.sampled_from(PORTS),
    destination=st.sampled_from(V4),
    destination_port=st.sampled_from(PORTS),
    expires_ms=st.integers(0, 60_000),
)
datagrams = st.lists(
    st.lists(records(2, V4) | records(10, V6), max_size=6) | st.lists(plain, min_size=1, max_size=40), max_size=4
)


Counts: TypeAlias = dict[tuple[object, ...], tuple[int, ...]]


def counted(kind: type[Census], listening: list[Record], dump: list[bytes]) -> Counts:
    own = kind([(r.family, packed(r.family, r.source), r.source_port, bool(r.v6_only)) for r in listening])
    for run in runs_of(Datagrams(*dump, done()), DumpState(), 1 << 16):
        own.add(run)
    groups = census.groups(own.finish(), "destination")
    return {
        (group.state, group.role, group.address, group.port): (
            group.count,
            -1 if group.least is None else group.least,
            -1 if group.most is None else group.most,
        )
        for group in groups
    }


def by_rows(listening: list[Record], dump: list[bytes]) -> Counts:
    """Count by making every row, with the listeners judged one by one."""
    heard = Listeners(as_rows([message(record) for record in listening]))
    count: Counter[tuple[object, ...]] = Counter()
    left: dict[tuple[object, ...], list[int]] = {}
    for row in as_rows(dump):
        role = heard.role(row.local)
        at: Endpoint = row.local if role == "server" else row.peer
        key = (row.state, role, at.address, at.port)
        count[key] += 1
        if row.time_left is not None:
            left.setdefault(key, []).append(row.time_left // 1_000_000 // UNIT_MS * UNIT_MS)
    return {key: (count[key], min(left.get(key, [-1])), max(left.get(key, [-1]))) for key in count}


def as_rows(dump: list[bytes]) -> list[Socket]:
    return [row for run in runs_of(Datagrams(*dump, done()), DumpState()) for row in rows(run)]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(LISTENERS), unique=True), datagrams)
def test_counting_by_keys_by_numpy_and_by_rows_agree(listening: list[Record], table: list[list[Record]]) -> None:
    dump = [b"".join(map(message, part)) for part in table if part]
    expected = by_rows(listening, dump)
    assert counted(Census, listening, dump) == expected
    assert counted(NumpyCensus, listening, dump) == expected


POOL, TRIED_LAST = range(40000, 40002), range(40001, 40002)
Details: TypeAlias = dict[tuple[object, ...], dict[int, int]]


def in_detail(kind: type[Census], listening: list[Record], dump: list[bytes]) -> Details:
    own = kind(
        [(r.family, packed(r.family, r.source), r.source_port, bool(r.v6_only)) for r in listening], POOL, TRIED_LAST
    )
    for run in runs_of(Datagrams(*dump, done()), DumpState(), 1 << 16):
        own.add(run)
    found: Details = {}
    for (state, family, address, port, role, local, outside), lefts in own.in_detail().items():
        at = (address_text(family, address), port)
        found[STATES[state], role, local and address_text(socket.AF_INET6, local), outside, *at] = lefts
    return found


def in_detail_by_rows(listening: list[Record], dump: list[bytes]) -> Details:
    heard = Listeners(as_rows([message(record) for record in listening]))
    found: Details = {}
    for row in as_rows(dump):
        role = heard.role(row.local)
        at, own, outside = row.peer, row.local.address or b"", 0 if row.local.port in POOL else OUTSIDE
        if row.local.port in TRIED_LAST:
            outside = LATE
        if role == "server":
            at, own, outside = row.local, b"", 0
        left = NOT_HELD if row.time_left is None else row.time_left // 1_000_000 // CELL_MS
        lefts = found.setdefault((row.state, role, own, outside, at.address, at.port), {})
        lefts[left] = lefts.get(left, 0) + 1
    return found


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(LISTENERS), unique=True), datagrams)
def test_counting_in_detail_agrees_too(listening: list[Record], table: list[list[Record]]) -> None:
    dump = [b"".join(map(message, part)) for part in table if part]
    expected = in_detail_by_rows(listening, dump)
    assert in_detail(Census, listening, dump) == expected
    assert in_detail(NumpyCensus, listening, dump) == expected


@pytest.mark.parametrize("kind", [Census, NumpyCensus])
def test_more_local_addresses_than_a_key_can_number_are_counted_all_the_same(kind: type[Census]) -> None:
    dump = [b"".join(message(Record(source=f"192.0.2.{at % 200}")) for at in range(320))]
    found = in_detail(kind, [], dump)
    assert found == in_detail_by_rows([], dump)
    assert len(found) == 200


def test_a_server_counts_under_its_own_address_and_a_client_under_its_peer() -> None:
    served = Record(source="192.0.2.1", source_port=80, destination="198.51.100.7", destination_port=50000)
    used = Record(source="192.0.2.1", source_port=50000, destination="198.51.100.7", destination_port=443)
    found = counted(Census, LISTENERS[:1], [message(served) * 2 + message(used)])
    assert {key[1:]: value[0] for key, value in found.items()} == {
        ("server", "192.0.2.1", 80): 2,
        ("client", "198.51.100.7", 443): 1,
    }


@pytest.mark.parametrize("kind", [Census, NumpyCensus])
@pytest.mark.parametrize(
    ("record", "words"),
    [(Record(state=99), "state 99"), (Record(family=10, source="::", destination="::"), "family 77")],
)
def test_a_record_that_cannot_be_is_one_clear_error(kind: type[Census], record: Record, words: str) -> None:
    datagram = bytearray(message(record))
    if record.family == 10:
        datagram[16] = 77
    with pytest.raises(NetlinkError, match=words):
        counted(kind, [], [bytes(datagram)])


def test_groups_merge_roles_and_states() -> None:
    dump = [message(Record(state=6)) + message(Record(state=5)) + message(Record(state=6, destination_port=80))]
    own = Census([])
    for run in runs_of(Datagrams(*dump, done()), DumpState()):
        own.add(run)
    assert [(group.state, group.count) for group in census.groups(own.finish(), "state")] == [
        ("TIME-WAIT", 2),
        ("FIN-WAIT-2", 1),
    ]
    assert census.groups(own.finish(), "role", role="server") == []
