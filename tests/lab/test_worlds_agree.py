"""The engine with profile linux is held to the running kernel: the founding experiment over a grid of its options."""

from concurrent.futures import ThreadPoolExecutor

from needs import require_namespaces
from timewait.clock import MS
from timewait.lab.catalog.reconnect import Binding, Closer, Parameters, PeerClose, Record, run
from timewait.lab.comparison import spans
from timewait.lab.engine import EngineHost
from timewait.lab.kernel import KernelHost

# Later than any delayed ACK, so that what stands on the four-tuple does not hang on milliseconds.
PAUSE = 100 * MS
GRID = [
    Parameters(
        port=44400,
        closer=closer,
        count=3,
        interval=PAUSE,
        binding=binding,
        peer_close=peer_close,
        payload=payload,
        timestamps=timestamps,
        tw_reuse=1,
        tw_reuse_delay=50,
        linger0=linger0,
    )
    for closer in Closer
    for binding in Binding
    for peer_close in PeerClose
    for payload in (0, 100)
    for timestamps in (True, False)
    for linger0 in (False, True)
]
# Counters that are alike however long a call takes.
COUNTERS = (
    *("TcpExt.TWRecycled", "TcpExt.TCPAbortOnData", "TcpExt.TCPAbortOnClose", "TcpExt.TCPChallengeACK"),
    *("TcpExt.TCPSYNChallenge", "TcpExt.TCPSynRetrans", "Tcp.ActiveOpens", "Tcp.PassiveOpens", "Tcp.OutRsts"),
)


def both(asked: Parameters) -> tuple[Record, Record]:
    with KernelHost() as kernel:
        return run(kernel, asked, lambda *_: None), run(EngineHost.alone("linux"), asked, lambda *_: None)


def test_every_connect_what_is_left_and_what_is_counted_are_the_same_in_both_worlds() -> None:
    require_namespaces()
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(both, GRID))
    assert len(answers) == 96
    for kernel, engine in answers:
        assert all(span.agrees for span in spans(kernel, engine)), kernel.parameters
        left = [[(row.local, row.state, row.mini) for row in record.sockets] for record in (kernel, engine)]
        # The kernel's last FIN may still wait for its delayed acknowledgment when the sockets are listed.
        if ("FIN-WAIT-1", False) not in {row[1:] for row in left[0]}:
            assert left[0] == left[1], kernel.parameters
        for name in COUNTERS:
            assert kernel.counters.get(name, 0) == engine.counters.get(name, 0), (name, kernel.parameters)
