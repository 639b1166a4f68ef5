"""lwIP 2.2: src/core/tcp_in.c (at 264a5a3e9794), tcp.c, include/lwip/opt.h.  Read, not measured."""

from types import MappingProxyType
from typing import Final

from timewait.clock import MS, SECOND
from timewait.tcp.events import Errno
from timewait.tcp.profile import (
    FinRule,
    IsnScheme,
    Overflow,
    PortSearch,
    Profile,
    ResetRule,
    StrayRule,
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
        "time_wait": (120 * SECOND, "read: twice TCP_MSL of 60 s, src/include/lwip/priv/tcp_priv.h"),
        "tw_limit": (5, "read: MEMP_NUM_TCP_PCB, include/lwip/opt.h: connections and waits together"),
        "tw_overflow": (Overflow.EVICT_OLDEST, "read: tcp_kill_timewait(), tcp.c"),
        "tw_rst": (ResetRule.IGNORE, "read: tcp_timewait_input(), tcp_in.c, citing RFC 1337"),
        "tw_syn": (SynRule.NEVER, "read: tcp_timewait_input()"),
        "tw_syn_reply": (SynReply.RESET_IN_WINDOW, "read: tcp_timewait_input(): tcp_rst(ackno, seqno + tcplen)"),
        "tw_syn_ack_is_syn": (True, "read: tcp_timewait_input(), src/core/tcp_in.c: TCP_SYN alone"),
        "tw_returns": (False, "read: tcp_timewait_input(), src/core/tcp_in.c: nothing reopens"),
        "tw_paws": (False, "read: LWIP_TCP_TIMESTAMPS, src/include/lwip/opt.h: not used locally"),
        "tw_no_ack": (StrayRule.ACK, "read: tcp_timewait_input(): any text is acknowledged"),
        "tw_exact_ack_replies": (False, "read: tcp_timewait_input(): an empty segment draws nothing"),
        "tw_ack_restarts": (False, "read: tcp_timewait_input(): TCP_FIN alone sets pcb->tmr"),
        "tw_stray_ack": (StrayRule.DROP, "read: tcp_timewait_input(): an empty segment draws nothing"),
        "tw_fin_restarts": (FinRule.ANY, "read: tcp_timewait_input(): any TCP_FIN sets pcb->tmr"),
        "fin_wait_2": (20 * SECOND, "read: TCP_FIN_WAIT_TIMEOUT, tcp_priv.h; TF_RXCLOSED alone, tcp_slowtmr(), tcp.c"),
        "rst": (ResetRule.EXACT_OR_CHALLENGE, "read: tcp_process(), tcp_in.c: tcp_ack_now() elsewhere in the window"),
        "timestamps": (False, "read: LWIP_TCP_TIMESTAMPS 0, src/include/lwip/opt.h"),
        "syn_ack_again": (True, "read: tcp_process(), SYN_RCVD, src/core/tcp_in.c: tcp_rexmit()"),
        "timestamps_required": (False, "read: LWIP_TCP_TIMESTAMPS, src/include/lwip/opt.h: not used locally"),
        "ts_scope": (TimestampScope.NONE, "read: LWIP_TCP_TIMESTAMPS, src/include/lwip/opt.h: not used locally"),
        "sack": (False, "read: LWIP_TCP_SACK_OUT 0, src/include/lwip/opt.h"),
        "window_scale": (None, "read: LWIP_WND_SCALE 0, src/include/lwip/opt.h"),
        "receive_buffer": (4 * 536, "read: TCP_WND (4 * TCP_MSS) with TCP_MSS 536, src/include/lwip/opt.h"),
        "send_buffer": (2 * 536, "read: TCP_SND_BUF (2 * TCP_MSS), src/include/lwip/opt.h"),
        "initial_cwnd": (4, "read: LWIP_TCP_CALC_INITIAL_CWND(), src/core/tcp_in.c: least of 4 MSS and 4380, MSS 536"),
        "rto_initial": (3 * SECOND, "read: LWIP_TCP_RTO_TIME, src/include/lwip/opt.h"),
        "rto_min": (1500 * MS, "read: tcp_receive(), tcp_in.c: pcb->sv stops falling at three slow ticks of 500 ms"),
        "fast_syn_again": (0, "read: tcp_process(), SYN_SENT, tcp_in.c: tcp_rexmit_rto() at once after the RST"),
        "rto_granularity": (500 * MS, "read: TCP_SLOW_INTERVAL, src/include/lwip/priv/tcp_priv.h"),
        "delayed_ack": (250 * MS, "read: TCP_FAST_INTERVAL, src/include/lwip/priv/tcp_priv.h"),
        "syn_retries": (6, "read: TCP_SYNMAXRTX, src/include/lwip/opt.h"),
        "data_retries": (12, "read: TCP_MAXRTX, src/include/lwip/opt.h"),
        "orphan_retries": (12, "read: TCP_MAXRTX, src/include/lwip/opt.h"),
        "user_timeout": (None, "read: tcp_slowtmr(), src/core/tcp.c: TCP_MAXRTX alone decides"),
        "keepalive_probes": (9, "read: TCP_KEEPCNT_DEFAULT, src/include/lwip/priv/tcp_priv.h"),
        "ephemeral_range": ((49152, 65535), "read: TCP_LOCAL_PORT_RANGE_START and _END, tcp.c"),
        "port_search": (PortSearch.SEQUENTIAL, "read: tcp_new_port(), src/core/tcp.c: the last port plus one"),
        "connect_error": (Errno.EADDRINUSE, "read: ERR_USE of tcp_connect(), with SO_REUSE"),
        "connect_exhausted_error": (
            Errno.ENOBUFS,
            "read: tcp_connect(), tcp.c: ERR_BUF; err_to_errno(), src/api/err.c",
        ),
        "bind_exhausted_error": (Errno.ENOBUFS, "chosen: ERR_BUF of tcp_new_port(), as in tcp_connect(), tcp.c"),
        "reset_carries_ack": (True, "read: tcp_slowtmr(), tcp.c: tcp_rst(snd_nxt, rcv_nxt)"),
        "isn": (IsnScheme.CLOCK, "read: tcp_next_iss(), src/core/tcp.c: tcp_ticks are added each time"),
        "challenge_per_second": (0, "read: tcp_process(), tcp_in.c: tcp_ack_now(), no count"),
    },
    basis="lwIP's tree after 2.1 (github.com/lwip-tcpip/lwip, tcp_in.c at 264a5a3e9794; tcp.c as in esp-lwip), default "
    "options; nothing was run",
    sysctls=MappingProxyType(
        {
            "TCP_MSL": Sysctl("time_wait", 60000, unit=2 * MS),
            "MEMP_NUM_TCP_PCB": Sysctl("tw_limit", 5),
        }
    ),
)
