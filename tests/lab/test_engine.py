"""The engine world keeps the Host contract, and the founding experiment comes out in it as the rules say."""

from dataclasses import replace

import pytest

from timewait.clock import MS, SECOND
from timewait.endpoint import Endpoint
from timewait.errors import UnavailableError
from timewait.lab import steps
from timewait.lab.catalog.reconnect import Binding, Closer, Parameters, PeerClose, expected, run
from timewait.lab.engine import CALL, EngineHost, policy_of, reuse_settings
from timewait.lab.explanation import explain_run
from timewait.lab.host import Host, InterruptedCallError
from timewait.lab.matrix import PAUSE, cells, combinations
from timewait.lab.rules import judge
from timewait.tcp import profiles

SERVER = Endpoint("127.0.0.1", 44400)
CLIENT = Endpoint("127.0.0.1", 44401)
# What 6.18 answered on its own sockets, each cell measured again and again; ::1 the same.  By (closer, pause): for
# each of timestamps, tcp_tw_reuse, binding.
REFUSED = "EADDRNOTAVAIL"


def quiet(step: str, data: object) -> None:
    pass


def linux(seed: int = 0) -> EngineHost:
    return EngineHost.alone("linux", seed)


def measured(asked: Parameters) -> str:
    """The kernel's answer: the server's close never hurts; the client's needs timestamps, and for a port that
    connect() chose also tcp_tw_reuse and a second."""
    if asked.closer is Closer.SERVER:
        return ""
    if not asked.timestamps:
        return REFUSED
    if asked.binding is Binding.EXPLICIT:
        return ""
    return "" if asked.tw_reuse and asked.interval == PAUSE else REFUSED


# -- the founding experiment ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("ipv6", [False, True])
def test_all_36_cells_are_what_the_kernel_was_measured_to_answer(ipv6: bool) -> None:
    found = cells(linux, 44400, ipv6=ipv6)
    assert len(found) == 36
    for cell in found:
        assert cell.decided.error == measured(cell.parameters), cell.parameters


def test_all_36_cells_follow_from_the_rules() -> None:
    for cell in cells(linux, 44400):
        ruled = judge(expected(cell.parameters, cell.record.settings, cell.record.policy))
        assert cell.decided.rule == ruled, cell.parameters
        assert ruled.allows == cell.decided.ok


def test_the_rules_make_of_the_linux_profile_what_they_know_of_linux() -> None:
    from timewait.lab.rules import LINUX

    assert replace(policy_of(profiles.get("linux")), values={}) == LINUX


@pytest.mark.parametrize("profile", ["linux-4.0", "linux-3.10"])
def test_old_kernels_take_a_bound_port_over_at_once_when_there_were_timestamps(profile: str) -> None:
    """tcp_twsk_unique() had the same predicate then: twp NULL asks for ts_recent_stamp only."""
    for timestamps, error in ((True, ""), (False, REFUSED)):
        asked = Parameters(port=44400, closer=Closer.CLIENT, count=2, timestamps=timestamps)
        record = run(EngineHost.alone(profile), asked, quiet)
        assert record.attempts[-1].error == error
    assert profiles.get(profile).sources["reuse_bound"].startswith("read")


def test_old_kernels_count_the_delay_in_whole_seconds_so_that_1_1_s_is_rarely_enough() -> None:
    """get_seconds() - ts_recent_stamp > 1: after 1.1 s so for one phase of the clock in ten, after 2 s always."""
    answers = {}
    for pause in (PAUSE, 2001 * MS):
        asked = Parameters(
            port=44400, closer=Closer.CLIENT, count=2, interval=pause, binding=Binding.EPHEMERAL, tw_reuse=1
        )
        answers[pause] = [run(EngineHost.alone("linux-4.0", seed), asked, quiet).failure is None for seed in range(60)]
    assert 0 < sum(answers[PAUSE]) < 20
    assert all(answers[2001 * MS])


def test_a_stack_that_reuses_nothing_refuses_every_reconnect_of_the_active_closer() -> None:
    """RFC 9293 section 3.10.1: OPEN in TIME-WAIT is an error; section 3.6.1: only a passive open may leave it early."""
    profile = profiles.get("rfc9293")
    found = cells(lambda: EngineHost.alone("rfc9293"), 44400, reuse=reuse_settings(profile))
    assert len(found) == 12
    for cell in found:
        assert cell.decided.ok == (cell.parameters.closer is Closer.SERVER)


@pytest.mark.parametrize("name", profiles.names())
def test_every_profile_runs_the_whole_matrix_and_its_answers_have_a_rule(name: str) -> None:
    for cell in cells(lambda: EngineHost.alone(name), 44400, reuse=reuse_settings(profiles.get(name))):
        rule = cell.decided.rule
        assert rule is not None
        assert rule.id != "unexplained", (cell.parameters, cell.decided)


def test_a_late_peer_is_reset_and_the_reconnect_takes_some_milliseconds() -> None:
    """Measured on 6.18: 9 to 15 ms.  The old half in CLOSE-WAIT answers the SYN with a challenge ACK (RFC 5961
    section 4), the RST that draws ends it, the SYN is sent again."""
    asked = Parameters(port=44400, closer=Closer.CLIENT, count=2, peer_close=PeerClose.NEVER, interval=100 * MS)
    record = run(linux(), asked, quiet)
    assert record.failure is None
    assert 5 * MS < record.attempts[-1].took < 20 * MS
    assert record.counters["TcpExt.TCPSynRetrans"] == 1


@pytest.mark.parametrize(
    ("pause", "error"),
    [
        (0, REFUSED),
        (20 * MS, REFUSED),
        (60 * MS, ""),
    ],
)
def test_after_a_request_and_its_response_the_fin_of_a_client_is_acknowledged_40_ms_later(
    pause: int, error: str
) -> None:
    """Measured on 6.18: a reconnect meets FIN-WAIT-1 for some 40 ms while the server's program does not close."""
    asked = Parameters(
        port=44400, closer=Closer.CLIENT, count=2, peer_close=PeerClose.NEVER, payload=100, interval=pause
    )
    assert run(linux(), asked, quiet).attempts[-1].error == error


def test_no_way_out_is_named_where_the_rules_did_not_foresee_the_result() -> None:
    """RFC 793 refuses the SYN, but the RST that its answer draws ends the wait (RFC 1337): a matter of one second."""
    record = run(EngineHost.alone("rfc793"), Parameters(port=44400, closer=Closer.SERVER, count=2), quiet)
    explanation = explain_run(record)
    assert explanation.rule is not None
    assert explanation.rule.id == "reset-clears"
    assert explanation.turns == []


def test_counters_have_the_kernels_names() -> None:
    record = run(linux(), Parameters(port=44400, closer=Closer.CLIENT, count=3), quiet)
    assert record.counters["TcpExt.TW"] == 3
    assert record.counters["TcpExt.TWRecycled"] == 2
    assert record.counters["Tcp.ActiveOpens"] == record.counters["Tcp.PassiveOpens"] == 3


def test_the_seed_and_nothing_else_decides_a_run() -> None:
    texts = []
    for seed in (1, 1, 2):
        host = EngineHost.alone("linux", seed, traced=True)
        run(host, Parameters(port=44400, closer=Closer.SERVER, count=5, payload=1000), quiet)
        assert host.network.trace is not None
        texts.append(host.network.trace.text())
    assert texts[0] == texts[1] != texts[2]


# -- the contract --------------------------------------------------------------------------------------------------


@pytest.fixture
def host() -> EngineHost:
    return linux()


def connected(host: EngineHost) -> tuple[int, int, int]:
    listener = host.listen(SERVER).value
    client = host.connect(SERVER, source=CLIENT, reuse_address=True).value
    return listener, client, host.accept(listener).value


def test_an_engine_host_is_a_host(host: EngineHost) -> None:
    contract: Host = host
    assert contract.circumstances() == {"world": "engine", "profile": "linux", "seed": "0"}


def test_nobody_listens(host: EngineHost) -> None:
    outcome = host.connect(SERVER)
    assert (outcome.call, outcome.error) == ("connect", "ECONNREFUSED")
    assert not host.sockets()


def test_data_arrives_and_the_end_of_the_stream_after_it(host: EngineHost) -> None:
    _, client, server = connected(host)
    assert host.send(client, b"question").value == 8
    assert host.receive(server).value == b"question"
    assert host.half_close(client).ok
    assert host.receive(server).value == b""
    assert host.send(server, b"answer").ok
    assert host.receive(client).value == b"answer"
    assert host.info(client).state == "FIN-WAIT-2"


def test_waiting_calls_give_up_after_their_timeout_and_not_before(host: EngineHost) -> None:
    listener, client, _ = connected(host)
    for outcome in (host.accept(listener, timeout=3 * SECOND), host.receive(client, timeout=3 * SECOND)):
        assert outcome.error == "EAGAIN"
        assert outcome.took == 3 * SECOND + CALL


def test_an_abort_is_a_reset_for_the_other_side_and_leaves_nothing(host: EngineHost) -> None:
    """RFC 9293 section 3.10.5; SO_LINGER zero."""
    _, client, server = connected(host)
    host.abort(client)
    assert host.receive(server).error == "ECONNRESET"
    assert [row.state for row in host.sockets()] == ["LISTEN"]
    assert host.counters()["TcpExt.TCPAbortOnData"] == 1


def test_close_with_unread_data_is_a_reset(host: EngineHost) -> None:
    """RFC 9293 section 3.6.1 (SHLD-3), RFC 2525 section 2.17."""
    _, client, server = connected(host)
    host.send(client, b"unread")
    host.close(server)
    assert host.receive(client).error == "ECONNRESET"
    assert host.counters()["TcpExt.TCPAbortOnClose"] == 1


def test_a_bound_port_in_use_is_refused_by_bind(host: EngineHost) -> None:
    connected(host)
    outcome = host.connect(SERVER, source=CLIENT)
    assert (outcome.call, outcome.error) == ("bind", "EADDRINUSE")


def test_time_wait_is_listed_with_its_time_left_and_gone_after_a_minute(host: EngineHost) -> None:
    _, client, server = connected(host)
    host.close(client)
    host.close(server)
    row = host.sockets(local_port=CLIENT.port)[0]
    assert (row.state, row.mini, row.local, row.peer) == ("TIME-WAIT", True, CLIENT, SERVER)
    assert row.time_left is not None
    assert 59 * SECOND < row.time_left <= 60 * SECOND
    assert host.counters()["sockstat.TCP.tw"] == 1
    host.wait(60 * SECOND)
    assert not host.sockets(local_port=CLIENT.port)


def test_settings_are_read_and_written_by_name(host: EngineHost) -> None:
    assert host.sysctl("net.ipv4.tcp_tw_reuse") == "2"
    host.set_sysctl("net.ipv4.ip_local_port_range", "40000 40003")
    assert host.sysctl("net.ipv4.ip_local_port_range") == "40000 40003"
    assert host.sysctl("net.ipv4.no_such_thing") is None
    with pytest.raises(UnavailableError, match="no setting"):
        host.set_sysctl("net.ipv4.no_such_thing", "1")


def test_four_ports_are_four_connections_and_then_none(host: EngineHost) -> None:
    host.set_sysctl("net.ipv4.ip_local_port_range", "40000 40003")
    host.listen(SERVER)
    outcomes = [host.connect(SERVER) for _ in range(5)]
    assert [outcome.error for outcome in outcomes] == ["", "", "", "", REFUSED]


def test_bind_to_port_zero_takes_a_port_for_all_destinations_unless_late(host: EngineHost) -> None:
    """Measured on 6.18: 8 ports, 8 sockets, then EADDRINUSE; with IP_BIND_ADDRESS_NO_PORT 8 a destination."""
    host.set_sysctl("net.ipv4.ip_local_port_range", "40000 40001")
    ends = [Endpoint("127.0.0.1", port) for port in (7001, 7002)]
    for end in ends:
        host.listen(end)
    anywhere = Endpoint("127.0.0.1", 0)
    late = [host.connect(end, source=anywhere, late=True).error for end in ends for _ in range(2)]
    assert late == [""] * 4
    other = linux()
    other.set_sysctl("net.ipv4.ip_local_port_range", "40000 40001")
    for end in ends:
        other.listen(end)
    early = [other.connect(end, source=anywhere) for end in ends for _ in range(2)]
    assert [(each.call, each.error) for each in early] == [("", "")] * 2 + [("bind", "EADDRINUSE")] * 2


def test_an_interruption_ends_the_next_call(host: EngineHost) -> None:
    host.interrupt()
    with pytest.raises(InterruptedCallError):
        host.wait(SECOND)
    assert host.listen(SERVER).ok


def test_an_unknown_option_is_named(host: EngineHost) -> None:
    with pytest.raises(UnavailableError, match="SO_SOMETHING"):
        host.set_option(3, "SO_SOMETHING", 1)


def test_the_matrix_of_a_stack_without_tw_reuse_has_a_line_for_each_other_setting() -> None:
    assert reuse_settings(profiles.get("freebsd")) == (None,)
    assert len(combinations(44400, reuse=(None,))) == 12


def test_a_window_is_taken_to_the_last_octet_announced() -> None:
    """Linux rounds its window up to the scale's unit; the octets of the rounding would have to be sent again else."""
    with EngineHost.alone("linux") as host:
        pair = steps.opened(host, steps.listen(host))
        began, counting = host.now(), steps.Counting(host)
        steps.transferred(host, pair.client, pair.server, 5_000_000)
        assert counting.by("Tcp.RetransSegs") == 0
        assert host.now() - began < SECOND
