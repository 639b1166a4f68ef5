"""macOS: XNU 7195, bsd/netinet.  Read, not measured."""

from types import MappingProxyType
from typing import Final

from timewait.clock import MS, SECOND
from timewait.tcp.profile import PortSearch, Profile, SynReply, SynRule, Sysctl, derive
from timewait.tcp.profiles.freebsd import PROFILE as FREEBSD

PROFILE: Final[Profile] = derive(
    FREEBSD,
    "macos",
    "macOS",
    {
        "time_wait": (30 * SECOND, "read: twice TCPTV_MSL of 15 s, bsd/netinet/tcp_timer.h"),
        "tw_syn": (SynRule.BEYOND_WINDOW, "read: tcp_input.c, TIME-WAIT: wholly right of the window, above RCV.NXT"),
        "tw_syn_reply": (SynReply.ACK, "recalled, not looked up: tcp_input.c, an unacceptable segment is answered"),
        "tw_exact_ack_replies": (True, "read: tcp_input.c, TCPS_TIME_WAIT: every acceptable ACK, timer and answer"),
        "tw_exact_ack_restarts": (True, "read: tcp_input.c, TCPS_TIME_WAIT"),
        "tw_ack_restarts": (True, "read: tcp_input.c, TCPS_TIME_WAIT"),
        "closing_repeats_fin": (False, "chosen: not observed here"),
        "judge_by_buffer": (False, "chosen: not observed here"),
        "window_rounds_up": (False, "chosen: not observed here"),
        "receive_buffer": (65535, "chosen: not observed here"),
        "receive_buffer_active": (None, "chosen: not observed here"),
        "ephemeral_range": ((49152, 65535), "read: net.inet.ip.portrange.first and last"),
        "port_search": (PortSearch.RANDOM_START, "recalled, not looked up: in_pcbbind(), in_pcb.c"),
        "fin_wait_2": (60 * SECOND, "read: TCPTV_FINWAIT2, bsd/netinet/tcp_timer.h"),
        "rto_initial": (SECOND, "read: TCPTV_RTOBASE, bsd/netinet/tcp_timer.h"),
        "rto_min": (230 * MS, "read: TCPTV_REXMTMIN (1/33 s) plus TCPTV_REXMTSLOP (200 ms), bsd/netinet/tcp_timer.h"),
        "syn_ack_timed": (True, "recalled, not looked up: no syncache; the listener's connection sends the SYN-ACK"),
        "rto_slop": (200 * MS, "read: TCPTV_REXMTSLOP, TCPT_RANGESET(), bsd/netinet/tcp_timer.h"),
        "open_timeout": (75 * SECOND, "read: TCPTV_KEEP_INIT, bsd/netinet/tcp_timer.h"),
        "rto_max": (64 * SECOND, "read: TCPTV_REXMTMAX, bsd/netinet/tcp_timer.h"),
        "keepalive_probes": (8, "read: TCPTV_KEEPCNT, bsd/netinet/tcp_timer.h"),
        "syn_retries": (12, "read: TCP_MAXRXTSHIFT, bsd/netinet/tcp_timer.h"),
        "data_retries": (12, "read: TCP_MAXRXTSHIFT, bsd/netinet/tcp_timer.h"),
        "orphan_retries": (12, "read: TCP_MAXRXTSHIFT, bsd/netinet/tcp_timer.h"),
        "isn_passive": (None, "recalled, not looked up: no syncache; tcp_input.c, TCPS_LISTEN, tcp_new_isn()"),
        "delayed_ack": (100 * MS, "recalled, not found: TCPTV_DELACK is not in bsd/netinet/tcp_timer.h"),
    },
    sysctls=MappingProxyType(
        {
            "net.inet.tcp.msl": Sysctl("time_wait", 15000, unit=2 * MS),
            "net.inet.ip.portrange.first": Sysctl("ephemeral_range", (49152, 65535), low=1, high=65535),
            "net.inet.tcp.sack": Sysctl("sack", 1, high=1, choices={0: False, 1: True}),
        }
    ),
)
