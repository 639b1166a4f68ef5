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
        "time_wait": (60 * SECOND, "read: _time_wait_interval, 1 s to 10 min, tcp_tunables.c"),
        "tw_rst": (ResetRule.IN_WINDOW, "read: tcp_time_wait_processing(), tcp_input.c"),
        "tw_rst_paws": (0, "recalled: tcp_time_wait_processing()"),
        "tw_syn": (SynRule.BEYOND_WINDOW, "read: tcp_time_wait_processing(): beyond the window, after PAWS"),
        "tw_syn_reply": (SynReply.RESET_IN_WINDOW, "read: tcp_time_wait_processing(): RST, the wait is kept"),
        "tw_syn_ack_is_syn": (True, "recalled: tcp_time_wait_processing() looks at the SYN bit"),
        "tw_iss": (IssRule.CLOCK_BUMPED, "read: tcp_time_wait_processing() moves the next ISS past SND.NXT"),
        "tw_returns": (False, "recalled: the old connection is gone before the new one begins"),
        "tw_no_ack": (NoAckRule.DROP, "recalled: tcp_time_wait_processing()"),
        "tw_fin_restarts": (True, "read: tcp_time_wait_processing()"),
        "fin_wait_2": (60 * SECOND, "read: _fin_wait_2_flush_interval, tcp_tunables.c"),
        "connect_error": (Errno.EADDRINUSE, "chosen: TADDRBUSY of tcp_do_connect()"),
        "ephemeral_range": ((32768, 65535), "read: _smallest_anon_port and _largest_anon_port"),
        "port_search": (PortSearch.RANDOM_START, "recalled: tcp_update_next_port(), tcp_bind.c"),
        "reset_carries_ack": (True, "chosen: not known"),
        "delayed_ack": (100 * MS, "recalled: _deferred_ack_interval"),
        "rto_min": (400 * MS, "recalled: _rexmit_interval_min"),
        "user_timeout": (480 * SECOND, "recalled: _ip_abort_interval"),
        "timestamps_required": (False, "chosen: not known"),
    },
    sysctls=MappingProxyType(
        {
            "_time_wait_interval": Sysctl("time_wait", 60000, low=1000, high=600000, unit=MS),
            "_fin_wait_2_flush_interval": Sysctl("fin_wait_2", 60000, low=1000, high=7200000, unit=MS),
            "_anon_port_range": Sysctl("ephemeral_range", (32768, 65535), low=1024, high=65535),
        }
    ),
)
