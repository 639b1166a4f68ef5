"""A copy of what passes over loopback: each packet once, with its time, and those that were missed counted."""

import time

from needs import require_namespaces
from timewait.clock import SECOND
from timewait.endpoint import Endpoint
from timewait.lab.kernel import KernelHost
from timewait.wire import packet
from timewait.wire.segment import ACK, SYN

AT = Endpoint("127.0.0.1", 44400)


def test_each_segment_is_heard_once_in_order_at_its_time() -> None:
    require_namespaces()
    with KernelHost() as host:
        tap = host.open_tap()
        before = time.time_ns()
        listener = host.listen(AT).value
        host.connect(AT, source=Endpoint("127.0.0.1", 44500))
        host.accept(listener)
        heard = tap.take()
        assert [packet.parse(each.packet, verify=False).flags for each in heard] == [SYN, SYN | ACK, ACK]
        assert before <= heard[0].time <= heard[1].time <= heard[2].time <= time.time_ns()
        assert time.time_ns() - heard[0].time < 60 * SECOND
        assert (tap.take(), tap.missed) == ([], 0)
        tap.close()


def test_what_nobody_took_in_time_is_counted() -> None:
    require_namespaces()
    with KernelHost() as host:
        tap = host.open_tap()
        for _ in range(1500):  # nobody listens: a SYN and a RST each
            host.connect(AT)
        heard = tap.take()
        assert len(heard) + tap.missed == 3000
        tap.close()
