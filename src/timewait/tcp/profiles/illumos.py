"""illumos: usr/src/uts/common/inet/tcp (github.com/illumos/illumos-gate at 0870f17b1158).  Read, not measured.

A SYN in the window of a TIME-WAIT draws a RST that acknowledges it, so whoever sent it is told that the connection was
refused.  As each new connection moves all initial sequence numbers on by 125,000 and the window is 128,000, a client
on the same host's clock that comes back to its four-tuple within some 12 ms is refused, and later is not.
"""

from types import MappingProxyType
from typing import Final

from timewait.clock import MS, SECOND
from timewait.tcp.events import Errno
from timewait.tcp.profile import (
    FinRule,
    IsnScheme,
    IssRule,
    NoListener,
    PortSearch,
    Profile,
    ResetRule,
    StrayRule,
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
        "tw_syn_reply": (
            SynReply.RESET_IN_WINDOW,
            "read: tcp_time_wait_processing(): RST, ACK <seg_ack, seg_seq + 1>, and the wait is kept",
        ),
        "tw_no_listener": (
            NoListener.DELETE,
            "read: tcp_time_wait_processing(): tcp_clean_death(), then ipcl_classify() finds nobody, and done",
        ),
        "tw_paws": (True, "read: tcp_time_wait_processing(): tcp_paws_check() comes first and is answered"),
        "tw_syn_ack_is_syn": (True, "read: tcp_time_wait_processing() looks at TH_SYN alone"),
        "tw_iss": (IssRule.NEW_BUMPED, "read: tcp_time_wait_processing() moves the next ISS past SND.NXT"),
        "tw_returns": (False, "read: tcp_time_wait_processing(): tcp_clean_death() before the SYN is taken"),
        "tw_no_ack": (StrayRule.ACK_OUTSIDE, "read: tcp_time_wait_processing(): TH_ACK_NEEDED asks for no ACK bit"),
        "tw_exact_ack_replies": (False, "read: tcp_time_wait_processing(): no TH_ACK_NEEDED in the window"),
        "tw_stray_ack": (
            StrayRule.ACK_OUTSIDE,
            "read: tcp_time_wait_processing(): TH_ACK_NEEDED outside of the window",
        ),
        "tw_next_text_replies": (False, "read: tcp_time_wait_processing(): no TH_ACK_NEEDED where seg_seq == tcp_rnxt"),
        "tw_fin_restarts": (FinRule.AGAIN, "read: tcp_time_wait_processing(): TH_FIN with seg_len == -1"),
        "fin_wait_2": (60 * SECOND, "read: _fin_wait_2_flush_interval, usr/src/uts/common/inet/tcp/tcp_tunables.c"),
        "connect_error": (Errno.EADDRINUSE, "chosen: TADDRBUSY of tcp_do_connect()"),
        "ephemeral_range": (
            (32768, 65535),
            "read: smallest_anon_port, largest_anon_port, usr/src/uts/common/inet/tcp/tcp_tunables.c",
        ),
        "port_search": (PortSearch.RANDOM_START, "read: tcp_update_next_port(), tcp_bind.c: random_get_pseudo_bytes()"),
        "reset_carries_ack": (True, "chosen: not looked up"),
        "isn": (IsnScheme.KEYED, "read: _strong_iss = 2, tcp_tunables.c: MD5 of the four-tuple, and time"),
        "isn_hz": (244_141, "read: ISS_NSEC_SHT, tcp_impl.h: gethrtime() >> 12, a step in 4096 ns"),
        "isn_step": (125_000, "read: tcp_time_wait_processing() on tcps_iss_incr_extra: ISS_INCR/2 a connection"),
        "receive_buffer": (128_000, "read: TCP_RECV_HIWATER, tcp_impl.h"),
        "window_scale": (1, "chosen: the least that can announce 128,000"),
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
    basis="illumos-gate (github.com/illumos/illumos-gate, tcp_time_wait.c at 0870f17b1158); nothing was run",
    sysctls=MappingProxyType(
        {
            "_time_wait_interval": Sysctl("time_wait", 60000, low=1000, high=600000, unit=MS),
            "_fin_wait_2_flush_interval": Sysctl("fin_wait_2", 60000, low=1000, high=7200000, unit=MS),
            "_anon_port_range": Sysctl("ephemeral_range", (32768, 65535), low=1024, high=65535),
        }
    ),
)
