"""The kernel's host: an interrupt reaches the call that it is meant for, and no other."""

import pickle
import time

import pytest

from needs import require_namespaces
from timewait.clock import MS, SECOND
from timewait.lab import kernel
from timewait.lab.host import InterruptedCallError
from timewait.lab.kernel import KernelHost


def test_an_interrupt_that_overtakes_its_request_cuts_it_short(monkeypatch: pytest.MonkeyPatch) -> None:
    require_namespaces()
    with KernelHost() as host:

        class Interrupting:
            loads = staticmethod(pickle.loads)

            @staticmethod
            def dumps(request: object) -> bytes:
                host.interrupt()  # after it was looked whether to go on, before the request is sent
                return pickle.dumps(request)

        began = time.monotonic()
        for call in (lambda: host.wait(100 * SECOND), host.counters):
            monkeypatch.setattr(kernel, "pickle", Interrupting)
            with pytest.raises(InterruptedCallError):
                call()
            monkeypatch.undo()
        host.wait(MS)
        assert host.counters()
        assert time.monotonic() - began < 60


def test_one_that_comes_after_its_call_ends_the_next_alone() -> None:
    require_namespaces()
    with KernelHost() as host:
        host.wait(MS)
        host.interrupt()
        with pytest.raises(InterruptedCallError):
            host.wait(100 * SECOND)
        began = host.now()
        host.wait(50 * MS)
        assert host.now() - began >= 50 * MS
