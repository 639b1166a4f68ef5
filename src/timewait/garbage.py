"""How often Python looks for garbage in cycles: a process's own choice, made by the command, never by an import."""

import gc
from typing import Final

# Net allocations before the youngest generation is looked through, and how many such looks before the older ones.
_THRESHOLDS: Final = (100_000, 50, 100)


def collect_rarely() -> None:
    """Have this process look for cycles a hundred times less often.

    The engine and the socket table make none (a test holds that), so each look walks every field of every connection to
    find nothing: with 100,000 connections a third of all the time, measured.
    """
    gc.set_threshold(*_THRESHOLDS)
