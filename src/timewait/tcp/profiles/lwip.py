"""lwIP 2: src/core/tcp_in.c, tcp.c, include/lwip/opt.h.  Read, not measured."""

from types import MappingProxyType
from typing import Final

from timewait.clock import MS, SECOND
from timewait.tcp.events import Errno
from timewait.tcp.profile import (
    IsnScheme,
    NoAckRule,
    Overflow,
    PortSearch,
    Profile,
    ResetRule,
    SynReply,
    SynRule,
    Sysctl,
    TimestampScope,
    derive,
)
from timewait.tcp.profiles.rfc9293 import PROFILE as RFC9293

PROFILE: Final[Profile] = derive(
    RFC9293,
    "lwip",
    "lwIP",
    {
        "time_wait": (120 * SECOND, "read: twice TCP_MSL of 60 s, include/lwip/priv/tcp_priv.h"),
        "tw_limit": (5, "read: MEMP_NUM_TCP_PCB, include/lwip/opt.h: connections and waits together"),
        "tw_overflow": (Overflow.EVICT_OLDEST, "read: tcp_kill_timewait(), tcp.c"),
        "tw_rst": (ResetRule.IGNORE, "read: tcp_timewait_input(), tcp_in.c, citing RFC 1337"),
        "tw_syn": (SynRule.NEVER, "read: tcp_timewait_input()"),
        "tw_syn_reply": (SynReply.RESET_IN_WINDOW, "read: tcp_timewait_input(): RST in the window, the pcb is kept"),
        "tw_syn_ack_is_syn": (True, "recalled: tcp_timewait_input() looks at the SYN bit"),
        "tw_returns": (False, "recalled: nothing reopens"),
        "tw_paws": (False, "recalled: timestamps are not checked"),
        "tw_no_ack": (NoAckRule.ACK, "read: tcp_timewait_input(): any text is acknowledged"),
        "tw_ack_replies": (False, "read: tcp_timewait_input(): an empty segment draws nothing"),
        "tw_fin_restarts": (True, "read: tcp_timewait_input()"),
        "fin_wait_2": (20 * SECOND, "read: TCP_FIN_WAIT_TIMEOUT, include/lwip/priv/tcp_priv.h"),
        "fin_wait_2_held": (True, "recalled: tcp_slowtmr() asks for the state alone, once receiving is shut"),
        "timestamps": (False, "recalled: LWIP_TCP_TIMESTAMPS 0"),
        "timestamps_required": (False, "recalled: timestamps are not checked"),
        "ts_scope": (TimestampScope.NONE, "recalled: sys_now()"),
        "sack": (False, "recalled: LWIP_TCP_SACK_OUT 0"),
        "window_scale": (None, "recalled: LWIP_WND_SCALE 0"),
        "receive_buffer": (4 * 536, "recalled: TCP_WND, 4 * TCP_MSS"),
        "send_buffer": (2 * 536, "recalled: TCP_SND_BUF, 2 * TCP_MSS"),
        "initial_cwnd": (4, "recalled: LWIP_TCP_CALC_INITIAL_CWND(), RFC 3390"),
        "rto_initial": (3 * SECOND, "recalled: LWIP_TCP_RTO_TIME"),
        "rto_min": (SECOND, "recalled: pcb->rto counts slow timer ticks of 500 ms"),
        "rto_granularity": (500 * MS, "recalled: TCP_SLOW_INTERVAL"),
        "delayed_ack": (250 * MS, "recalled: TCP_FAST_INTERVAL"),
        "syn_retries": (6, "recalled: TCP_SYNMAXRTX"),
        "data_retries": (12, "recalled: TCP_MAXRTX"),
        "orphan_retries": (12, "recalled: TCP_MAXRTX"),
        "user_timeout": (None, "recalled: retries alone decide"),
        "keepalive_probes": (9, "recalled: TCP_KEEPCNT_DEFAULT"),
        "ephemeral_range": ((49152, 65535), "read: TCP_LOCAL_PORT_RANGE_START and _END, tcp.c"),
        "port_search": (PortSearch.SEQUENTIAL, "recalled: tcp_new_port(), tcp.c"),
        "connect_error": (Errno.EADDRINUSE, "read: ERR_USE of tcp_connect(), with SO_REUSE"),
        "connect_exhausted_error": (Errno.ENOBUFS, "recalled: ERR_BUF of tcp_connect()"),
        "bind_exhausted_error": (Errno.ENOBUFS, "recalled: ERR_BUF of tcp_bind()"),
        "reset_carries_ack": (True, "recalled: tcp_rst(), tcp_out.c"),
        "isn": (IsnScheme.CLOCK, "recalled: tcp_next_iss(), tcp.c: a counter and the ticks"),
        "challenge_per_second": (0, "recalled: no limit"),
    },
    sysctls=MappingProxyType(
        {
            "TCP_MSL": Sysctl("time_wait", 60000, unit=2 * MS),
            "MEMP_NUM_TCP_PCB": Sysctl("tw_limit", 5),
        }
    ),
)
