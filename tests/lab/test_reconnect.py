"""The founding experiment on this machine's kernel: the results against the rules, for the kernel that is running."""

import os
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from needs import require_namespaces
from timewait.clock import MS, SECOND
from timewait.endpoint import Endpoint
from timewait.errors import UnavailableError
from timewait.lab import matrix
from timewait.lab.catalog.reconnect import Attempt, Binding, Closer, Parameters, PeerClose, Record, expected, run
from timewait.lab.explanation import explain_run
from timewait.lab.host import OWN_STACK
from timewait.lab.kernel import KernelHost
from timewait.lab.rules import judge

PORT = 44400


def kernel_version() -> tuple[int, int]:
    found = re.match(r"(\d+)\.(\d+)", os.uname().release)
    assert found
    return int(found[1]), int(found[2])


def silent(step: str, data: dict[str, Any]) -> None:
    return


def on_kernel(**asked: Any) -> Record:
    require_namespaces()
    with KernelHost() as host:
        return run(host, Parameters(**{"port": PORT, "closer": Closer.CLIENT, "count": 2, **asked}), silent)


def reconnect(record: Record) -> Attempt:
    assert len(record.attempts) == 2, record.attempts
    return record.attempts[1]


def cell_by_the_rules(asked: Parameters) -> str | None:
    """What the second connect() gives, from what the kernel's source and the RFCs say; None where a kernel varies.

    Server closes: RFC 9293 3.6.1 (MAY-2), RFC 6191.  Client closes: __inet_check_established in
    net/ipv4/inet_hashtables.c with tcp_twsk_unique in net/ipv4/tcp_ipv4.c.  Until 4.18 tcp_tw_reuse was 0 or 1; until
    6.13 the delay was one to two whole seconds since the last timestamp, instead of tcp_tw_reuse_delay.
    """
    if asked.closer is Closer.SERVER:
        return ""
    if not asked.timestamps:
        return "EADDRNOTAVAIL"
    if asked.binding is Binding.EXPLICIT:
        return ""
    if asked.tw_reuse == 0 or asked.interval == 0:
        return "EADDRNOTAVAIL"
    return "" if kernel_version() >= (6, 14) else None


def test_the_matrix_is_as_the_rules_say_for_this_kernel() -> None:
    require_namespaces()
    if kernel_version() < (4, 19):
        pytest.skip("net.ipv4.tcp_tw_reuse = 2 came with Linux 4.19")
    found = matrix.cells(KernelHost, PORT)
    assert len(found) == 36
    wrong = [
        (cell.parameters, cell.decided.error)
        for cell in found
        if cell_by_the_rules(cell.parameters) not in (None, cell.decided.error)
    ]
    assert wrong == []
    assert {cell.decided.rule.id for cell in found if cell.decided.rule} == {
        "listener-reopens",
        "bound-port-reuses",
        "ephemeral-reuses",
        "no-timestamps",
        "tw-reuse-off",
        "delay-not-over",
    }


def test_ipv6_gives_the_same_matrix() -> None:
    require_namespaces()
    four, six = (matrix.cells(KernelHost, PORT, ipv6=ipv6) for ipv6 in (False, True))
    assert [cell.decided.error for cell in four] == [cell.decided.error for cell in six]


# After 250 ms every FIN has been acknowledged (TCP_DELACK_MAX is 200 ms); at once after a payload none has.
GRID = [
    Parameters(
        port=PORT,
        closer=closer,
        count=2,
        interval=interval * MS,
        binding=binding,
        peer_close=peer_close,
        payload=payload,
        linger0=linger0,
        timestamps=timestamps,
    )
    for closer in Closer
    for binding in Binding
    for timestamps in (True, False)
    for peer_close in PeerClose
    for payload, interval in ((0, 250), (100, 0), (100, 250))
    for linger0 in (False, True)
]


def test_what_the_rules_foretell_is_what_the_kernel_does() -> None:
    """The advice ("change") rests on this: RFC 9293's states and the rules give the result of any combination."""
    require_namespaces()

    def one(asked: Parameters) -> tuple[Parameters, str, str]:
        saw = foretold = ""
        for _ in range(3):  # on a busy machine the 40 ms that a FIN waits for its ACK may pass before the connect
            with KernelHost() as host:
                record = run(host, asked, silent)
            rule = reconnect(record).rule
            assert rule is not None
            saw, foretold = rule.id, judge(expected(asked, record.settings)).id
            if saw == foretold:
                break
        return asked, saw, foretold

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(one, GRID))
    assert [(asked, saw, foretold) for asked, saw, foretold in found if saw != foretold] == []


@pytest.mark.parametrize(
    ("asked", "error", "rule"),
    [
        ({"closer": Closer.SERVER}, "", "listener-reopens"),
        ({"closer": Closer.SERVER, "timestamps": False}, "", "listener-reopens"),
        ({"linger0": True}, "", "nothing-waits"),
        ({}, "", "bound-port-reuses"),
        ({"tw_reuse": 0}, "", "bound-port-reuses"),
        ({"timestamps": False}, "EADDRNOTAVAIL", "no-timestamps"),
        ({"binding": Binding.EPHEMERAL, "tw_reuse": 0}, "EADDRNOTAVAIL", "tw-reuse-off"),
        ({"binding": Binding.EPHEMERAL}, "EADDRNOTAVAIL", "delay-not-over"),
        ({"binding": Binding.EPHEMERAL, "tw_reuse_delay": 100, "interval": 200 * MS}, "", "ephemeral-reuses"),
        ({"peer_close": PeerClose.NEVER, "payload": 1}, "EADDRNOTAVAIL", "full-socket"),
        ({"peer_close": PeerClose.NEVER, "closer": Closer.SERVER}, "EADDRNOTAVAIL", "full-socket"),
        ({"peer_close": PeerClose.NEVER, "interval": 250 * MS}, "", "bound-port-reuses"),
        (
            {"peer_close": PeerClose.NEVER, "interval": 250 * MS, "binding": Binding.EPHEMERAL, "tw_reuse_delay": 1},
            "EADDRNOTAVAIL",
            "fin-wait-2",
        ),
    ],
)
def test_each_cause_is_told_apart(asked: dict[str, Any], error: str, rule: str) -> None:
    if "tw_reuse_delay" in asked and kernel_version() < (6, 14):
        pytest.skip("net.ipv4.tcp_tw_reuse_delay came with Linux 6.14")
    attempt = reconnect(on_kernel(**asked))
    assert (attempt.error, attempt.rule and attempt.rule.id) == (error, rule)


def test_taking_over_its_own_time_wait_counts_as_recycled_and_a_listener_s_does_not() -> None:
    """LINUX_MIB_TIMEWAITRECYCLED is counted in __inet_check_established, the client's side, only."""
    assert on_kernel(count=5).counters.get("TcpExt.TWRecycled") == 4
    assert "TcpExt.TWRecycled" not in on_kernel(count=5, closer=Closer.SERVER).counters


def test_a_peer_that_never_closes_is_cleared_away_and_told_of() -> None:
    """RFC 5961 4: the stale CLOSE-WAIT end answers the SYN with a challenge ACK; the client's RST ends it."""
    record = on_kernel(peer_close=PeerClose.NEVER, interval=250 * MS, count=3)
    assert record.failure is None
    assert record.counters["TcpExt.TCPChallengeACK"] == 2
    assert any("challenge ACK" in sentence for sentence in explain_run(record).sentences)


def test_the_payload_is_carried_both_ways_however_large() -> None:
    record = on_kernel(closer=Closer.SERVER, payload=3_000_000)
    assert record.failure is None
    assert record.connected == 2


def test_options_that_turn_a_result_around_do() -> None:
    """Each advised option, applied alone, gives the other result."""
    turned: dict[str, dict[str, Any]] = {
        "--timestamps on": {"timestamps": True},
        "s instead of c": {"closer": Closer.SERVER},
        "--linger0": {"linger0": True},
    }
    record = on_kernel(timestamps=False)
    assert record.failure is not None
    assert set(explain_run(record).turns) == set(turned)
    for change in turned.values():
        asked: dict[str, Any] = {"timestamps": False} | change
        assert on_kernel(**asked).failure is None


def test_the_first_account_s_result_is_named_where_today_s_differs() -> None:
    explanation = explain_run(on_kernel())
    assert any("EADDRNOTAVAIL" in sentence for sentence in explanation.sentences)
    assert {"--timestamps off", "--bind ephemeral", "--peer-close never"} <= set(explanation.turns)


def test_a_port_in_use_is_one_clear_error() -> None:
    require_namespaces()
    with KernelHost() as host:
        assert host.listen(Endpoint("127.0.0.1", PORT)).ok
        with pytest.raises(UnavailableError, match="EADDRINUSE"):
            run(host, Parameters(port=PORT, closer=Closer.CLIENT), silent)


# -- what has to wait out a real TIME-WAIT: side by side, each in a namespace of its own ------------------------------


def reconnect_after(host: KernelHost, pause: int) -> str:
    """Close from the client, wait, and return the errno of the next explicitly bound connect."""
    asked = Parameters(port=PORT, closer=Closer.CLIENT, count=2, interval=pause, timestamps=False)
    return reconnect(run(host, asked, silent)).error


def length_of_the_wait(host: KernelHost) -> float:
    """Seconds from close() until the TIME-WAIT row is gone."""
    run(host, Parameters(port=PORT, closer=Closer.CLIENT, count=1), silent)
    began = host.now()
    host.wait(59 * SECOND)
    while any(row.state == "TIME-WAIT" for row in host.sockets()) and host.now() - began < 70 * SECOND:
        host.wait(20 * MS)
    return (host.now() - began) / SECOND


def test_a_real_time_wait_refuses_for_60_seconds_and_not_for_64() -> None:
    """TCP_TIMEWAIT_LEN is 60 s; the timer wheel rounds up by 2.05 s at HZ=250 and about 4 s at HZ=1000."""
    require_namespaces()

    def on_a_host(work: Callable[[KernelHost], Any]) -> Any:
        with KernelHost() as host:
            return work(host)

    jobs: list[Callable[[KernelHost], Any]] = [
        lambda host: reconnect_after(host, 30 * SECOND),
        lambda host: reconnect_after(host, 59 * SECOND),
        lambda host: reconnect_after(host, 65 * SECOND),
        length_of_the_wait,
    ]
    with ThreadPoolExecutor(len(jobs)) as pool:
        early, late, over, lasted = pool.map(on_a_host, jobs)
    assert (early, late, over) == ("EADDRNOTAVAIL", "EADDRNOTAVAIL", "")
    assert 60 <= lasted <= 64.5


def test_on_the_machine_s_own_stack_no_sysctl_is_advised() -> None:
    record = on_kernel()
    everything = explain_run(record).turns
    record.circumstances["stack"] = OWN_STACK
    assert set(everything) - set(explain_run(record).turns) == {"--timestamps off", "--bind ephemeral"}
