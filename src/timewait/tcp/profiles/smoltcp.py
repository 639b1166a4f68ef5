"""smoltcp: src/socket/tcp.rs.  Read, not measured."""

from types import MappingProxyType
from typing import Final

from timewait.clock import MS, SECOND
from timewait.tcp.profile import (
    IsnScheme,
    IssRule,
    Profile,
    ResetRule,
    Reuse,
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
    "smoltcp",
    "smoltcp",
    {
        "time_wait": (10 * SECOND, "read: CLOSE_DELAY, src/socket/tcp.rs"),
        "tw_rst": (ResetRule.IN_WINDOW, "read: process(): a RST in the window closes"),
        "tw_syn": (SynRule.NEVER, "read: process(): a SYN without ACK is dropped"),
        "tw_syn_reply": (SynReply.SILENCE, "read: process()"),
        "tw_syn_ack_is_syn": (
            False,
            "read: process(), src/socket/tcp.rs: a SYN without ACK is dropped as all without ACK",
        ),
        "tw_iss": (IssRule.NEW, "read: connect(), src/socket/tcp.rs: random_seq_no()"),
        "tw_returns": (False, "read: process(): no SYN reopens"),
        "tw_paws": (False, "read: process(), src/socket/tcp.rs: no check of a timestamp"),
        "tw_no_ack": (StrayRule.DROP, "read: process()"),
        "tw_stray_ack": (StrayRule.ACK_OUTSIDE, "read: process(): challenge_ack_reply() outside of the window alone"),
        "tw_ack_restarts": (True, "read: process(): set_for_close() for all that lies outside of the window"),
        "tw_ack_interval": (SECOND, "read: challenge_ack_reply(), once in a second"),
        "rst": (ResetRule.IN_WINDOW, "read: process(), src/socket/tcp.rs: in the window, and any RST closes"),
        "timestamps": (False, "read: tsval_generator is None, Socket::new(), src/socket/tcp.rs"),
        "timestamps_required": (False, "read: process(), src/socket/tcp.rs: no check of a timestamp"),
        "ts_scope": (TimestampScope.NONE, "read: set_tsval_generator(), src/socket/tcp.rs: the caller's"),
        "window_scale": (0, "read: remote_win_shift, Socket::new(), src/socket/tcp.rs: 0 for a buffer of 65535"),
        "rto_initial": (SECOND, "read: RTTE_INITIAL_RTO, src/socket/tcp.rs"),
        "rto_min": (SECOND, "read: RTTE_MIN_RTO, src/socket/tcp.rs"),
        "delayed_ack": (10 * MS, "read: ACK_DELAY_DEFAULT, src/socket/tcp.rs"),
        "user_timeout": (None, "read: timeout is None, Socket::new(), src/socket/tcp.rs"),
        "isn": (IsnScheme.RANDOM, "read: random_seq_no() in process(), src/socket/tcp.rs"),
        "reuse_bound": (True, "read: connect() is legal on a socket in TIME-WAIT"),
        "reuse_ephemeral": (Reuse.ALWAYS, "read: connect(), src/socket/tcp.rs: the caller chooses the port"),
        "reuse_delay": (0, "read: connect(), src/socket/tcp.rs: is_open() is all it asks"),
        "reuse_needs_timestamps": (False, "read: connect(), src/socket/tcp.rs: is_open() is all it asks"),
        "initial_cwnd": (10, "chosen: congestion control is optional"),
        "challenge_per_second": (1, "read: challenge_ack_reply(), src/socket/tcp.rs: once in a second"),
    },
    basis="smoltcp's main branch after 0.12 (github.com/smoltcp-rs/smoltcp); nothing was run",
    sysctls=MappingProxyType({"CLOSE_DELAY": Sysctl("time_wait", 10000, unit=MS)}),
)
