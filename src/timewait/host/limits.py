"""Thresholds and kernel times that the findings lean on, in one place."""

import math
from functools import lru_cache
from typing import Final, NamedTuple

# TCP_TIMEWAIT_LEN, include/net/tcp.h: no sysctl changes it.
LIFE_MS: Final = 60_000
# The kernel's tick where its configuration does not tell: 250 Hz is what most distributions build.
_USUAL_HZ: Final = 250
# What comes on top of the wheel's step, measured on 6.18 with HZ=250 (a step of 2,048 ms) on a busy machine: 40 waits
# lasted 60.26 to 62.56 s, the median 61.55; on a calmer one 60 waits lasted 60.03 to 62.06 s, the median 61.10.
_LATE_MORE_MS: Final = 550
_LATE_MEAN_MS: Final = 476
# The rate "now" is the mean of so many seconds: short enough to see a change, long enough for a mean.
NOW_SECONDS: Final = 5
# Seconds of the past that TIME-WAIT sockets still tell completely.
PAST_SECONDS: Final = 59
# What one port costs connect() while it searches, measured on 6.18: 0.31 ms for a range of 4,096 ports, 3 to 8 ms for
# 28,232; half of the range is searched each time.
_STEP_LEAST_NS: Final = 150
_STEP_MOST_NS: Final = 570


def search_ns(ports: int) -> tuple[int, int]:
    """Return the least and the most CPU time that connect() takes past half of so many ports, in nanoseconds."""
    return ports // 2 * _STEP_LEAST_NS, ports // 2 * _STEP_MOST_NS


def wheel_ms(hz: int) -> int:
    """Return the step in which the kernel's timer wheel keeps a wait of 60 s: it ends at the next step, never before.

    kernel/time/timer.c, calc_index and LVL_START: each level has 64 places, and steps 8 times as long as the one below.
    """
    level = 0
    while LIFE_MS * hz // 1000 >= 63 << 3 * level:
        level += 1
    return round(1000 * (1 << 3 * level) / hz)


class Timing(NamedTuple):
    """How exact a kernel's waits are.  Times left are rounded to `tick_ms`; a wait lasts longer than its 60 s."""

    tick_ms: int
    late_most_ms: int
    life_s: float  # the mean


@lru_cache
def timing(hz: int) -> Timing:
    """Return the timing of a kernel with this HZ; 0 where it does not tell: then the band is that of all.

    Read from the source for any HZ, measured for 250.
    """
    step = wheel_ms(hz or _USUAL_HZ)
    widest = step if hz else max(map(wheel_ms, (100, 250, 300, 1000)))
    life = (LIFE_MS + step / 2 + _LATE_MEAN_MS) / 1000
    return Timing(math.ceil(1000 / (hz or 100)), widest + _LATE_MORE_MS, life)


class Limits(NamedTuple):
    """When a finding is due.  Shares are parts of one."""

    ports_gone: float = 1.0  # of the budget: critical
    ports_nearly_gone: float = 0.9  # of the budget: critical
    ports_step: float = 0.5  # of the budget: warning; where the kernel's search gets slow
    explicit_binds: float = 0.1  # of the ports, chosen by bind() and so taken from every destination: warning
    explicit_now: int = 3  # ports of the last half closed within two seconds, before it is said that bind() chose them
    explicit_first: float = 0.25  # of the budget: with more of the first half in use connect() may have come that far
    full_within_s: float = 60.0  # ports are gone within this time at the present rate: critical beyond the step
    fin_wait_2: int = 50  # full orphans in FIN-WAIT-2: warning
    close_wait: int = 30  # CLOSE-WAIT of one service or destination, and more than its ESTABLISHED: warning
    buckets: float = 0.9  # of tcp_max_tw_buckets: warning
    paws: int = 3  # SYNs or segments refused in TIME-WAIT: note so far, warning within the interval
    slow_connects: int = 3  # SYNs sent again, and refused in TIME-WAIT, within the interval: warning
    restart: int = 2  # TIME-WAIT on the port of a service that could not bind again: warning
    conntrack: float = 0.8  # of nf_conntrack_max: warning
    conntrack_longer: float = 0.5  # of nf_conntrack_max, while it holds TIME-WAIT longer than sockets do: note
    server_time_wait: int = 1000  # server-side TIME-WAIT worth a word: note
    accepts: int = 100  # connections accepted so far, before it is said that tcp_tw_reuse does nothing: note
    opens: float = 0.01  # of those, how many may have been opened from here all the same
    files: float = 0.9  # of a process's descriptors: said beside a finding about ports
    held_otherwise: float = 0.1  # of the ports in use, by CLOSE-WAIT or by full orphans: said beside it too
    bound_shared: float = 5.0  # ports that destinations would share if connect() had chosen, and do not: bind() did
    bound_ports: int = 20  # ports of the last half that bind() chose: fewer are nobody's trouble
    small_buckets: int = 8192  # tcp_max_tw_buckets below this is a remedy that harms: note
