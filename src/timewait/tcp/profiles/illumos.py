"""illumos and Solaris: usr/src/uts/common/inet/tcp.  Read, not measured."""

from types import MappingProxyType
from typing import Final

from timewait.clock import MS, SECOND
from timewait.tcp.events import Errno
from timewait.tcp.profile import (
    IssRule,
    NoAckRule,
    PortSearch,
    Profile,
    ResetRule,
    SynReply,
    SynRule,
    Sysctl,
    derive,
)
from timewait.tcp.profiles.rfc9293 import PROFILE as RFC9293

PROFILE: Final[Profile] = derive(
    RFC9293,
    "illumos",
    "illumos",
    {
        "time_wait": (
            60 * SECOND,
            "read: _time_wait_interval, 1 s to 10 min, usr/src/uts/common/inet/tcp/tcp_tunables.c",
        ),
        "tw_rst": (
            ResetRule.IN_WINDOW,
            "read: tcp_time_wait_processing(), usr/src/uts/common/inet/tcp/tcp_time_wait.c",
        ),
        "tw_rst_paws": (0, "read: tcp_time_wait_processing(): a RST is exempt from PAWS"),
        "tw_syn": (SynRule.BEYOND_WINDOW, "read: tcp_time_wait_processing(): beyond the window, after PAWS"),
        "tw_syn_reply": (SynReply.RESET_IN_WINDOW, "read: tcp_time_wait_processing(): RST, the wait is kept"),
        "tw_syn_ack_is_syn": (True, "read: tcp_time_wait_processing() looks at TH_SYN alone"),
        "tw_iss": (IssRule.NEW_BUMPED, "read: tcp_time_wait_processing() moves the next ISS past SND.NXT"),
        "tw_returns": (False, "read: tcp_time_wait_processing(): tcp_clean_death() before the SYN is taken"),
        "tw_no_ack": (NoAckRule.ACK_OUTSIDE, "read: tcp_time_wait_processing(): TH_ACK_NEEDED asks for no ACK bit"),
        "tw_fin_restarts": (True, "read: tcp_time_wait_processing()"),
        "fin_wait_2": (60 * SECOND, "read: _fin_wait_2_flush_interval, usr/src/uts/common/inet/tcp/tcp_tunables.c"),
        "connect_error": (Errno.EADDRINUSE, "chosen: TADDRBUSY of tcp_do_connect()"),
        "ephemeral_range": (
            (32768, 65535),
            "read: smallest_anon_port, largest_anon_port, usr/src/uts/common/inet/tcp/tcp_tunables.c",
        ),
        "port_search": (PortSearch.RANDOM_START, "recalled, not looked up: tcp_update_next_port(), tcp_bind.c"),
        "reset_carries_ack": (True, "chosen: not known"),
        "delayed_ack": (100 * MS, "read: _deferred_ack_interval, usr/src/uts/common/inet/tcp/tcp_tunables.c"),
        "rto_initial": (SECOND, "read: _rexmit_interval_initial, usr/src/uts/common/inet/tcp/tcp_tunables.c"),
        "rto_max": (60 * SECOND, "read: _rexmit_interval_max, usr/src/uts/common/inet/tcp/tcp_tunables.c"),
        "initial_cwnd": (4, "read: _slow_start_initial, usr/src/uts/common/inet/tcp/tcp_tunables.c"),
        "rto_min": (400 * MS, "read: _rexmit_interval_min, usr/src/uts/common/inet/tcp/tcp_tunables.c"),
        "user_timeout": (300 * SECOND, "read: _ip_abort_interval, usr/src/uts/common/inet/tcp/tcp_tunables.c"),
        "timestamps_required": (
            True,
            "read: tcp_input_data(), tcp_input.c, dropped silently as RFC 7323 section 3.2 has it",
        ),
    },
    sysctls=MappingProxyType(
        {
            "_time_wait_interval": Sysctl("time_wait", 60000, low=1000, high=600000, unit=MS),
            "_fin_wait_2_flush_interval": Sysctl("fin_wait_2", 60000, low=1000, high=7200000, unit=MS),
            "_anon_port_range": Sysctl("ephemeral_range", (32768, 65535), low=1024, high=65535),
        }
    ),
)
