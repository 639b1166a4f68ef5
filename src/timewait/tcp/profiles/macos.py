"""macOS: XNU, bsd/netinet (github.com/apple-oss-distributions/xnu at 1031c584a5e3).  Read, not measured.

TIME-WAIT is a full connection there, on the common path of tcp_input(): what leaves that path early decides.  A pure
ACK of what is acknowledged already leaves it before the code that would answer and restart, and a FIN sent again is
stripped off first, so nothing at all restarts the wait.
"""

from types import MappingProxyType
from typing import Final

from timewait.clock import MS, SECOND
from timewait.tcp.events import Errno
from timewait.tcp.profile import (
    FinRule,
    HalfOpenRule,
    IsnScheme,
    IssRule,
    NoListener,
    Overflow,
    PortSearch,
    Profile,
    ResetRule,
    StrayRule,
    SynReply,
    SynRule,
    Sysctl,
    derive,
)
from timewait.tcp.profiles.freebsd import PROFILE as FREEBSD

_RTO_MIN = "read: TCPTV_REXMTMIN (1/33 s) plus TCPTV_REXMTSLOP (200 ms), bsd/netinet/tcp_timer.h"

PROFILE: Final[Profile] = derive(
    FREEBSD,
    "macos",
    "macOS",
    {
        "time_wait": (30 * SECOND, "read: twice TCPTV_MSL of 15 s, bsd/netinet/tcp_timer.h"),
        "tw_overflow": (Overflow.REFUSE_NEW, "read: add_to_time_wait_locked(), tcp_timer.c: no limit, nothing evicted"),
        "tw_rst": (
            ResetRule.CHALLENGE,
            "read: tcp_input(), TH_RST: TCPS_TIME_WAIT does nothing; elsewhere rstchallenge",
        ),
        "tw_syn": (
            SynRule.BEYOND_WINDOW,
            "read: tcp_input(), tcp_input.c, todrop >= tlen: SEQ_GT(th_seq, rcv_nxt), past the window; no timestamp",
        ),
        "tw_syn_reply": (
            SynReply.CHALLENGE,
            "read: tcp_input(), tcp_input.c: tcps_synchallenge, in the window or below",
        ),
        "tw_syn_ack_is_syn": (True, "read: tcp_input(), tcp_input.c looks at TH_SYN alone"),
        "tw_no_listener": (NoListener.DELETE_AND_RESET, "read: tcp_input(): goto findpcb after tcp_close()"),
        "tw_iss": (IssRule.NEW, "read: tcp_input(): tcp_new_isn() in TIME-WAIT is RandomULong()"),
        "tw_returns": (False, "read: tcp_input(): tcp_close() before the SYN is taken"),
        "tw_paws": (True, "read: tcp_input(): TSTMP_LT(to_tsval, ts_recent) comes before all but the RST"),
        "tw_no_ack": (StrayRule.ACK_OUTSIDE, "read: tcp_input(): drop, or dropafterack with TF_ACKNOW"),
        "tw_exact_ack_replies": (False, "read: tcp_input(): SEQ_LEQ(th_ack, snd_una) breaks out of ACK processing"),
        "tw_exact_ack_restarts": (
            False,
            "read: tcp_input(): add_to_time_wait() needs an ACK above SND.UNA: none is left",
        ),
        "tw_stray_ack": (
            StrayRule.ACK_OUTSIDE,
            "read: tcp_input(): TF_ACKNOW left of the window, dropafterack right of it",
        ),
        "tw_ack_restarts": (False, "read: tcp_input(): add_to_time_wait() is not reached"),
        "tw_fin_restarts": (FinRule.NEVER, "read: tcp_input(): thflags &= ~TH_FIN for what lies below RCV.NXT"),
        "tw_new_text_ends": (True, "read: tcp_input(): close_it for text left after trimming, SS_CANTRCVMORE"),
        "paws_answers_text_alone": (True, "read: tcp_input(): dropafterack if tlen > 0, else drop"),
        "timestamps_required": (False, "read: tcp_input() has no such check"),
        "abort_ends_wait": (False, "chosen: not looked up"),
        "rst": (ResetRule.EXACT_OR_CHALLENGE, "read: tcp_input(): last_ack_sent == th_seq, else rstchallenge"),
        "rst_error_half_open": (Errno.ECONNREFUSED, "read: tcp_input(), TCPS_SYN_RECEIVED"),
        "half_open": (
            HalfOpenRule.ORDINARY,
            "read: tcp_input(): TCPS_SYN_RECEIVED asks for its ACK, then goes on as others",
        ),
        "syn_ack_again": (True, "chosen: not read to the end in tcp_output.c"),
        "closing_repeats_fin": (
            True,
            "read: tcp_output(), tcp_output.c: snd_nxt-- for a FIN that was sent, tcp_outflags[]",
        ),
        "judge_by_buffer": (True, "read: tcp_input(): rcv_wnd is tcp_sbspace(), at least what was announced"),
        "unread_resets": (True, "read: tcp_disconnect(), bsd/netinet/tcp_usrreq.c: tcp_drop() if sb_cc is not 0"),
        "window_rounds_up": (False, "chosen: not observed here"),
        "receive_buffer": (556_032, "read: tcp_recvspace, tcp_usrreq.c: 1448 * 384"),
        "receive_buffer_active": (None, "read: tcp_recvspace, tcp_usrreq.c, either way"),
        "challenge_per_second": (0, "chosen: tcp_is_ack_ratelimited() counts for each connection, not for the host"),
        "ephemeral_range": (
            (49152, 65535),
            "read: IPPORT_HIFIRSTAUTO and LAST, bsd/netinet/in.h: net.inet.ip.portrange",
        ),
        "port_search": (
            PortSearch.RANDOM_START,
            "read: in_pcbbind(), in_pcb.c: read_frandom() for lastport",
        ),
        "fin_wait_2": (60 * SECOND, "read: TCPTV_FINWAIT2, bsd/netinet/tcp_timer.h"),
        "rto_initial": (SECOND, "read: TCPTV_RTOBASE, bsd/netinet/tcp_timer.h"),
        "rto_min": (230 * MS, _RTO_MIN),
        "syn_ack_timed": (True, "read: tcp_input(), TCPS_LISTEN: a connection of its own, no syncache"),
        "rto_slop": (200 * MS, "read: TCPTV_REXMTSLOP, TCPT_RANGESET(), bsd/netinet/tcp_timer.h"),
        "syn_slop": (False, "read: TCP_ADD_REXMTSLOP(), bsd/netinet/tcp_timer.h: from ESTABLISHED on"),
        "open_timeout": (75 * SECOND, "read: TCPTV_KEEP_INIT, bsd/netinet/tcp_timer.h"),
        "rto_max": (64 * SECOND, "read: TCPTV_REXMTMAX, bsd/netinet/tcp_timer.h"),
        "keepalive_probes": (8, "read: TCPTV_KEEPCNT, bsd/netinet/tcp_timer.h"),
        "syn_linear": (4, "read: tcp_syn_backoff[], tcp_timer.c: 1, 1, 1, 1, 1, 2, 4"),
        "syn_retries": (8, "read: TCP_MAXRXTSHIFT (12), bsd/netinet/tcp_timer.h, less the linear ones"),
        "data_retries": (12, "read: TCP_MAXRXTSHIFT, bsd/netinet/tcp_timer.h"),
        "orphan_retries": (12, "read: TCP_MAXRXTSHIFT, bsd/netinet/tcp_timer.h"),
        "delayed_ack": (100 * MS, "read: tcp_delack, tcp_timer.c: TCP_RETRANSHZ / 10, and up to 200 ms by its timer"),
        "isn": (
            IsnScheme.RANDOM,
            "read: tcp_new_isn(), tcp_subr.c: the secret is a local drawn anew at each call, so no order is left",
        ),
        "isn_passive": (None, "read: tcp_new_isn(): RandomULong() for SYN-ACKs, no less random"),
    },
    basis="XNU's tree (github.com/apple-oss-distributions/xnu at 1031c584a5e3); nothing was run",
    sysctls=MappingProxyType(
        {
            "net.inet.tcp.msl": Sysctl("time_wait", 15000, unit=2 * MS),
            "net.inet.tcp.fin_timeout": Sysctl("fin_wait_2", 60000, unit=MS),
            "net.inet.ip.portrange.first": Sysctl("ephemeral_range", (49152, 65535), low=1, high=65535),
            "net.inet.tcp.sack": Sysctl("sack", 1, high=1, choices={0: False, 1: True}),
        }
    ),
)
