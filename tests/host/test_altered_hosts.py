"""Rules about machines that a namespace cannot be, and rules at the edge of theirs: recorded hosts with one change."""

import pytest

from timewait.host.budget import budget
from timewait.host.findings import examine
from timewait.host.limits import Limits
from timewait.host.snapshot import Population, Snapshot
from timewait.host.snapshot_file import from_text
from troubles import HOSTS


def recorded(name: str = "quiet") -> Snapshot:
    file = HOSTS / f"{name}.json"
    return from_text(file.read_text(), file.name)


def found(seen: Snapshot, limits: Limits | None = None) -> list[str]:
    return [f"{finding.id} {finding.severity.name}" for finding in examine(seen, limits)]


def changed(seen: Snapshot, **sysctls: str) -> Snapshot:
    names = {name.replace("__", "."): value for name, value in sysctls.items()}
    return seen._replace(sysctls=seen.sysctls | names)


def test_conntrack_near_full_is_found_and_at_ease_is_not() -> None:
    seen = changed(recorded(), net__netfilter__nf_conntrack_max="1000")
    assert found(changed(seen, net__netfilter__nf_conntrack_count="499")) == []
    assert found(changed(seen, net__netfilter__nf_conntrack_count="799")) == ["conntrack-holds-longer NOTE"]
    shorter = changed(seen, net__netfilter__nf_conntrack_tcp_timeout_time_wait="60")
    assert found(changed(shorter, net__netfilter__nf_conntrack_count="799")) == []
    full = changed(seen, net__netfilter__nf_conntrack_count="800")
    assert found(full) == ["conntrack-nearly-full WARNING"]
    assert "nf_conntrack_tcp_timeout_time_wait=60" in examine(full)[0].advice[1].command


def test_tw_recycle_is_an_alarm_on_kernels_that_have_it() -> None:
    assert found(changed(recorded(), net__ipv4__tcp_tw_recycle="1")) == ["tw-recycle CRITICAL"]
    assert found(changed(recorded(), net__ipv4__tcp_tw_recycle="0")) == []


def test_tw_recycle_in_a_file_is_a_word_on_kernels_without_it() -> None:
    seen = recorded()._replace(recycle_in=("/etc/sysctl.conf",))
    assert found(seen) == ["tw-recycle-folklore NOTE"]
    assert found(changed(seen, net__ipv4__tcp_tw_recycle="0")) == []


def test_tw_reuse_on_a_host_that_only_accepts_does_nothing() -> None:
    seen = changed(recorded(), net__ipv4__tcp_tw_reuse="1")
    assert found(seen._replace(counters={"Tcp.PassiveOpens": 5000, "Tcp.ActiveOpens": 20})) == [
        "tw-reuse-folklore NOTE"
    ]
    assert found(seen._replace(counters={"Tcp.PassiveOpens": 5000, "Tcp.ActiveOpens": 200})) == []


@pytest.mark.parametrize(("grew", "due"), [(0, []), (2, []), (3, ["paws-time-wait WARNING"])])
def test_within_an_interval_only_what_rises_counts(grew: int, due: list[str]) -> None:
    seen = recorded("paws-time-wait")
    assert found(seen._replace(interval_s=10.0, moved={"TcpExt.PAWSTimewait": grew})) == due


def test_an_overflow_of_the_past_is_a_note() -> None:
    assert found(recorded()._replace(counters={"TcpExt.TCPTimeWaitOverflow": 7})) == ["bucket-overflow NOTE"]


def test_ports_of_one_destination_leave_the_next_one_alone() -> None:
    """The budget belongs to local address, remote address and port: other pairs keep theirs."""
    seen = recorded("ports-gone")
    (full,) = seen.populations
    others = (
        full._replace(port=5433, sockets=1, cells=((0, 1),)),
        full._replace(address="127.0.0.2", sockets=1, cells=((0, 1),)),
        full._replace(local="127.0.0.2", sockets=1, cells=((0, 1),)),
    )
    (finding,) = examine(seen._replace(populations=(full, *others)))
    assert finding.subject == "127.0.0.1 -> 127.0.0.1:5432"


def test_ports_outside_the_range_use_no_budget() -> None:
    seen = recorded("ports-gone")
    (full,) = seen.populations
    assert found(seen._replace(populations=(full._replace(in_pool=False),))) == []


def test_running_out_is_critical_beyond_the_step_and_over_when_the_burst_is() -> None:
    seen = recorded("ports-running-out")
    (waits,) = seen.populations
    assert found(seen._replace(populations=(waits._replace(sockets=60, cells=((233, 60),)),))) == [
        "ports-running-out CRITICAL"
    ]
    assert found(seen._replace(populations=(waits._replace(cells=((200, 40),)),))) == []


def test_the_same_holds_for_ipv6() -> None:
    seen = recorded("ports-gone")
    (full,) = seen.populations
    six: Population = full._replace(local="2001:db8::1", address="2001:db8::2")
    (finding,) = examine(seen._replace(populations=(six,)))
    assert (finding.id, finding.subject) == ("ports-gone", "2001:db8::1 -> [2001:db8::2]:5432")


def test_a_reserved_port_and_a_listener_s_port_are_not_in_the_budget() -> None:
    seen = changed(recorded("ports-nearly-gone"), net__ipv4__ip_local_reserved_ports="40000-40004")
    assert found(seen) == ["ports-gone CRITICAL"]


@pytest.mark.parametrize(
    ("counts", "ports", "due"),
    [
        ((80, 4), 80, False),  # connect(): the four share ports of the many
        ((80, 4), 84, False),  # too few to tell: by chance none of four meets another
        ((40, 40), 80, True),  # of forty some sixteen would
        ((40, 40), 79, True),
        ((40, 40), 70, False),
    ],
)
def test_bind_is_held_to_have_chosen_where_connect_would_have_shared(
    counts: tuple[int, ...], ports: int, due: bool
) -> None:
    seen = recorded("bind-before-connect")
    row = next(row for row in seen.populations if row.state == "TIME-WAIT" and row.in_pool)
    rows = [
        row._replace(port=6000 + at, sockets=count, cells=((100, count),), late=False)
        for at, count in enumerate(counts)
    ]
    crowd = seen.crowds[0]._replace(sockets=sum(counts), ports=ports)
    ids = [name.split()[0] for name in found(seen._replace(populations=tuple(rows), crowds=(crowd,)))]
    assert ("bind-before-connect" in ids) == due


def test_a_listener_with_the_flag_or_one_that_may_not_be_asked_is_no_finding() -> None:
    seen = recorded("restart-will-fail")
    (row,) = seen.restarts
    for known in (True, None):
        assert found(seen._replace(restarts=(row._replace(reuse=known),))) == []
    assert found(seen, Limits(restart=6)) == []


@pytest.mark.parametrize(("again", "refused", "due"), [(3, 3, True), (2, 3, False), (3, 2, False), (0, 90, False)])
def test_slow_connects_need_both_syns_sent_again_and_refusals(again: int, refused: int, due: bool) -> None:
    moved = {"TcpExt.TCPSynRetrans": again, "TcpExt.TCPACKSkippedTimeWait": refused}
    seen = recorded()._replace(interval_s=10.0, moved=moved)
    assert found(seen) == (["slow-connects WARNING"] if due else [])
    assert found(seen._replace(interval_s=0.0, counters=moved, moved={})) == []


@pytest.mark.parametrize(
    ("states", "who"),
    [
        (("ESTABLISHED",), ""),
        (("ESTABLISHED", "TIME-WAIT"), "this host"),
        (("FIN-WAIT-2",), "this host"),
        (("ESTABLISHED", "CLOSE-WAIT"), "the other end"),
        (("LAST-ACK", "TIME-WAIT"), "both"),
    ],
)
def test_who_closes_first_shows_in_the_states(states: tuple[str, ...], who: str) -> None:
    """RFC 9293 3.3.2, figure 5."""
    assert budget(("192.0.2.1", "198.51.100.7", 443), 100, dict.fromkeys(states, 3)).closes_first == who
