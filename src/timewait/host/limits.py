"""Thresholds and kernel times that the findings lean on, in one place."""

from typing import Final, NamedTuple

# TCP_TIMEWAIT_LEN, include/net/tcp.h: no sysctl changes it.
LIFE_MS: Final = 60_000
# Times left are rounded to the kernel's tick: 10 ms at HZ=100, the slowest in use.
TICK_MS: Final = 10
# How much longer a TIME-WAIT stays: the timer wheel rounds up (kernel/time/timer.c, calc_index).  Measured on 6.18 with
# HZ=250: 40 waits lasted 60.26 to 62.56 s, the median 61.55.
LATE_LEAST_MS: Final = 250
LATE_MOST_MS: Final = 2_600
LIFE_SECONDS: Final = 61.5
# The rate "now" is the mean of so many seconds: short enough to see a change, long enough for a mean.
NOW_SECONDS: Final = 5
# Seconds of the past that TIME-WAIT sockets still tell completely.
PAST_SECONDS: Final = 59


class Limits(NamedTuple):
    """When a finding is due.  Shares are parts of one."""

    ports_gone: float = 1.0  # of the budget: critical
    ports_nearly_gone: float = 0.9  # of the budget: critical
    ports_step: float = 0.5  # of the budget: warning; where the kernel's search gets slow
    full_within_s: float = 60.0  # ports are gone within this time at the present rate: critical beyond the step
    fin_wait_2: int = 50  # full orphans in FIN-WAIT-2: warning
    close_wait: int = 30  # CLOSE-WAIT of one service or destination, and more than its ESTABLISHED: warning
    buckets: float = 0.9  # of tcp_max_tw_buckets: warning
    paws: int = 3  # SYNs or segments refused in TIME-WAIT: note since boot, warning within the interval
    slow_connects: int = 3  # SYNs sent again, and refused in TIME-WAIT, within the interval: warning
    restart: int = 2  # TIME-WAIT on the port of a service that could not bind again: warning
    conntrack: float = 0.8  # of nf_conntrack_max: warning
    server_time_wait: int = 1000  # server-side TIME-WAIT worth a word: note
    small_buckets: int = 8192  # tcp_max_tw_buckets below this is a remedy that harms: note
