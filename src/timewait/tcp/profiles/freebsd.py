"""FreeBSD, as observed segment by segment with its three switches, and from its source (sys/netinet/)."""

from types import MappingProxyType
from typing import Final

from timewait.clock import MS, SECOND
from timewait.tcp.events import Errno
from timewait.tcp.profile import (
    Ecn,
    FinRule,
    HalfOpenRule,
    IsnScheme,
    IssRule,
    NoListener,
    Overflow,
    PortSearch,
    Profile,
    ResetRule,
    RightEdge,
    StrayRule,
    SynFinRule,
    SynReply,
    SynRule,
    Sysctl,
    TimestampScope,
    WindowUpdate,
    derive,
)
from timewait.tcp.profiles.rfc9293 import PROFILE as RFC9293

PROFILE: Final[Profile] = derive(
    RFC9293,
    "freebsd",
    "FreeBSD",
    {
        "time_wait": (60 * SECOND, "read: twice TCPTV_MSL of 30 s, sys/netinet/tcp_timer.h"),
        "tw_rst": (ResetRule.IGNORE, "read: tcp_twcheck(), tcp_timewait.c"),
        "tw_syn": (SynRule.ABOVE, "read: tcp_twcheck(): SEQ above RCV.NXT at any distance, timestamps unread"),
        "tw_syn_reply": (SynReply.SILENCE, "read: tcp_twcheck(): neither ACK nor RST is dropped"),
        "tw_syn_ack_is_syn": (False, "read: tcp_twcheck(): a SYN-ACK is a segment with ACK"),
        "tw_no_listener": (
            NoListener.DELETE_AND_RESET,
            "read: tcp_input() looks it up anew after tcp_twclose()",
        ),
        "tw_iss": (IssRule.NEW, "read: syncache_add(), sys/netinet/tcp_syncache.c, knows no old connection"),
        "tw_returns": (False, "read: tcp_twcheck(), tcp_timewait.c: tcp_twclose() before the SYN is taken"),
        "tw_paws": (False, "read: tcp_twcheck() reads no options"),
        "tw_no_ack": (StrayRule.DROP, "read: tcp_twcheck()"),
        "tw_exact_ack_replies": (False, "read: tcp_twcheck(): pure ACK at RCV.NXT and SND.NXT draws nothing"),
        "tw_exact_ack_restarts": (False, "read: tcp_twcheck()"),
        "tw_ack_restarts": (False, "read: tcp_twcheck(): only a FIN restarts"),
        "tw_fin_restarts": (FinRule.AGAIN, "read: tcp_twcheck(): the FIN that ends at RCV.NXT"),
        "paws_answers_text_alone": (True, "read: tcp_do_segment(), tcp_input.c: dropafterack if tlen, else drop"),
        "tw_overflow": (Overflow.EVICT_OLDEST, "read: tcp_tw_2msl_scan(), up to release 13"),
        "tw_skips_local": (False, "read: nolocaltimewait, tcp_timewait.c; 0 up to release 13, 1 from 14 on"),
        "abort_ends_wait": (False, "read: tcp_usr_close(), tcp_usrreq.c: nothing is disconnected in TIME-WAIT"),
        "fin_wait_2": (60 * SECOND, "read: TCPTV_FINWAIT2_TIMEOUT, sys/netinet/tcp_timer.h"),
        "rst_error_in_close_wait": (Errno.ECONNRESET, "read: tcp_drop(), tcp_input.c"),
        "syn_fin": (SynFinRule.AS_SYN, "read: drop_synfin = 0, sys/netinet/tcp_input.c: net.inet.tcp.drop_synfin"),
        "old_acks_count": (True, "read: tcp_do_segment(): trimmed with TF_ACKNOW, and on to the ACK"),
        "right_edge": (RightEdge.WITHOUT_TEXT, "read: tcp_do_segment(): todrop counts neither FIN nor what is empty"),
        "half_open": (
            HalfOpenRule.CACHED,
            "read: tcp_input(), LISTEN; tcp_syncache.c: syncache_add(), _expand(), _chkrst()",
        ),
        "syn_ack_again": (True, "read: syncache_add(), tcp_syncache.c"),
        "judge_by_buffer": (
            True,
            "read: tcp_do_segment(), tcp_input.c: rcv_wnd is sbspace(), at least what was announced",
        ),
        "closing_repeats_fin": (
            True,
            "read: tcp_output(), tcp_output.c: TH_FIN of tcp_outflags[], snd_nxt-- for a FIN that was sent",
        ),
        "unread_resets": (False, "read: tcp_disconnect(), tcp_usrreq.c: sbflush() and tcp_usrclosed()"),
        "reset_carries_ack": (True, "read: tcp_drop() and tcp_outflags[TCPS_CLOSED], tcp_fsm.h: TH_RST|TH_ACK"),
        "syn_layout": ((("mss",), ("wscale",), ("sack", "ts")), "read: tcp_addoptions(), tcp_output.c"),
        "lone_sack_trails": (True, "read: tcp_addoptions() fills the end with end-of-options"),
        "window_update": (WindowUpdate.QUARTER, "read: tcp_output(), tcp_output.c: adv against sb_hiwat"),
        "window_scale": (6, "read: from a receive space of 65536 and sb_max, tcp_syncache.c"),
        "receive_buffer": (65535, "read: syncache_add(), tcp_syncache.c: sc_wnd is at most TCP_MAXWIN"),
        "receive_buffer_rounds": (True, "read: tcp_mss(), tcp_input.c"),
        "receive_buffer_active": (65536, "read: tcp_recvspace; roundup() in tcp_mss(), tcp_input.c, makes it 65700"),
        "initial_cwnd": (10, "read: tcp_initcwnd_segments, sys/netinet/tcp_input.c"),
        "slow_start_limit": (2, "documented: net.inet.tcp.abc_l_var of tcp(4)"),
        "path_mtu_in_syn": (True, "read: tcp_mssopt(), tcp_input.c: tcp_hc_getmtu()"),
        "ecn": (Ecn.ANSWER, "read: tcp_do_ecn = 2, tcp_ecn.c"),
        "ecn_syn_retries": (1, "read: tcp_ecn_maxretries, tcp_ecn.c"),
        "rto_initial": (
            SECOND,
            "read: TCPTV_RTOBASE, sys/netinet/tcp_timer.h",
        ),
        "rto_min": (230 * MS, "read: TCPTV_MIN (hz/33) plus TCPTV_CPU_VAR (hz/5), sys/netinet/tcp_timer.h"),
        "rto_slop": (200 * MS, "read: net.inet.tcp.rexmit_slop, added by TCPT_RANGESET(), tcp_timer.h"),
        "syn_ack_timed": (False, "read: syncache_socket(), tcp_syncache.c, sets no t_rtttime"),
        "open_timeout": (75 * SECOND, "read: net.inet.tcp.keepinit, TCPTV_KEEP_INIT, tcp_timer.h"),
        "window_rounds_up": (True, "read: tcp_output(), tcp_output.c: roundup2(), not to shrink a scaled window"),
        "icmp_patience": (4, "read: tcp_notify(), tcp_subr.c: t_rxtshift > 3"),
        "icmp_refuses": (True, "read: inetctlerrmap[], sys/netinet/ip_input.c; tcp_drop_syn_sent(), tcp_subr.c"),
        "probe_min": (5 * SECOND, "read: TCPTV_PERSMIN, sys/netinet/tcp_timer.h; TCPTV_PERSMAX is 60 s"),
        "segment_option_sends": (True, "read: tcp_default_ctloutput(), tcp_usrreq.c: t_maxseg; tcp_mssopt() asks none"),
        "rto_max": (64 * SECOND, "read: TCPTV_REXMTMAX, sys/netinet/tcp_timer.h"),
        "syn_retries": (12, "read: TCP_MAXRXTSHIFT, sys/netinet/tcp_timer.h"),
        "syn_ack_retries": (3, "read: SYNCACHE_MAXREXMTS, sys/netinet/tcp_syncache.c"),
        "data_retries": (12, "read: TCP_MAXRXTSHIFT, sys/netinet/tcp_timer.h"),
        "orphan_retries": (12, "read: TCP_MAXRXTSHIFT, sys/netinet/tcp_timer.h"),
        "user_timeout": (None, "read: tcp_timer_rexmt(), tcp_timer.c: TCP_MAXRXTSHIFT decides"),
        "delayed_ack": (40 * MS, "read: TCPTV_DELACK (hz/25), sys/netinet/tcp_timer.h"),
        "ts_scope": (TimestampScope.FOUR_TUPLE, "read: tcp_new_ts_offset(), sys/netinet/tcp_subr.c: with the ports"),
        "ephemeral_range": (
            (10000, 65535),
            "read: IPPORT_EPHEMERALFIRST and LAST, sys/netinet/in.h: net.inet.ip.portrange",
        ),
        "port_search": (PortSearch.RANDOM_START, "read: in_pcb_lport_dest(), sys/netinet/in_pcb.c: arc4random()"),
        "connect_error": (Errno.EADDRINUSE, "read: tcp_connect(), tcp_usrreq.c"),
        "connect_exhausted_error": (Errno.EADDRNOTAVAIL, "read: in_pcb_lport_dest(), sys/netinet/in_pcb.c"),
        "bind_exhausted_error": (Errno.EADDRNOTAVAIL, "read: in_pcb_lport(), sys/netinet/in_pcb.c"),
        "challenge_per_second": (0, "chosen: net.inet.icmp.icmplim counts other segments"),
        "isn_passive": (
            IsnScheme.RANDOM,
            "read: syncookie_generate(), sys/netinet/tcp_syncache.c: a keyed hash of the SYN, no clock",
        ),
        "isn_hz": (1_048_576, "read: ISN_BYTES_PER_SECOND, sys/netinet/tcp_subr.c"),
        "keepalive_probes": (8, "read: TCPTV_KEEPCNT, sys/netinet/tcp_timer.h"),
    },
    basis="FreeBSD's tree, TIME-WAIT as up to release 13, and packet scripts that its developers keep "
    "(github.com/freebsd-net/tcp-testsuite); nothing was run",
    sysctls=MappingProxyType(
        {
            "net.inet.tcp.msl": Sysctl("time_wait", 30000, unit=2 * MS),
            "net.inet.tcp.nolocaltimewait": Sysctl("tw_skips_local", 0, high=1, choices={0: False, 1: True}),
            "net.inet.tcp.insecure_rst": Sysctl(
                "rst", 0, high=1, choices={0: ResetRule.EXACT_OR_CHALLENGE, 1: ResetRule.IN_WINDOW}
            ),
            "net.inet.tcp.insecure_syn": Sysctl("syn_resets", 0, high=1, choices={0: False, 1: True}),
            "net.inet.tcp.drop_synfin": Sysctl(
                "syn_fin", 0, high=1, choices={0: SynFinRule.AS_SYN, 1: SynFinRule.DISCARD}
            ),
            "net.inet.tcp.finwait2_timeout": Sysctl("fin_wait_2", 60000, unit=MS),
            "net.inet.tcp.maxtcptw": Sysctl("tw_limit", 0, none_at_zero=True),
            "net.inet.tcp.rfc1323": Sysctl("timestamps", 1, high=1, choices={0: False, 1: True}),
            "net.inet.ip.portrange.first": Sysctl("ephemeral_range", (10000, 65535), low=1, high=65535),
            "net.inet.tcp.ecn.enable": Sysctl("ecn", 2, high=4, choices={0: Ecn.OFF, 1: Ecn.ASK, 2: Ecn.ANSWER}),
            "net.inet.tcp.ecn.maxretries": Sysctl("ecn_syn_retries", 1, high=65535),
            "net.inet.tcp.persmin": Sysctl("probe_min", 5000, unit=MS),
            "net.inet.tcp.delacktime": Sysctl("delayed_ack", 40, unit=MS),
        }
    ),
)
