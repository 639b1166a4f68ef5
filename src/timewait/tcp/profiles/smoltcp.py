"""smoltcp: src/socket/tcp.rs.  Read, not measured."""

from types import MappingProxyType
from typing import Final

from timewait.clock import MS, SECOND
from timewait.tcp.profile import (
    IsnScheme,
    IssRule,
    NoAckRule,
    Profile,
    ResetRule,
    Reuse,
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
        "time_wait": (10 * SECOND, "read: CLOSE_DELAY"),
        "tw_rst": (ResetRule.IN_WINDOW, "read: process(): a RST in the window closes"),
        "tw_syn": (SynRule.NEVER, "read: process(): a SYN without ACK is dropped"),
        "tw_syn_reply": (SynReply.SILENCE, "read: process()"),
        "tw_syn_ack_is_syn": (False, "recalled: process(): only segments with ACK pass"),
        "tw_iss": (IssRule.CLOCK, "recalled: connect() draws a new number"),
        "tw_returns": (False, "recalled: nothing reopens"),
        "tw_paws": (False, "recalled: timestamps are not checked"),
        "tw_no_ack": (NoAckRule.DROP, "read: process()"),
        "tw_ack_restarts": (True, "read: process(): out of the window restarts the timer"),
        "tw_ack_interval": (SECOND, "read: challenge_ack_reply(), once in a second"),
        "rst": (ResetRule.IN_WINDOW, "recalled: process(): a RST in the window closes"),
        "timestamps": (False, "recalled: tsval_generator is None"),
        "timestamps_required": (False, "recalled: timestamps are not checked"),
        "ts_scope": (TimestampScope.NONE, "recalled: the caller's generator"),
        "window_scale": (0, "recalled: from the size of the receive buffer"),
        "rto_initial": (SECOND, "recalled: RTTE_INITIAL_RTO"),
        "rto_min": (SECOND, "recalled: RTTE_MIN_RTO"),
        "delayed_ack": (10 * MS, "recalled: ACK_DELAY_DEFAULT"),
        "user_timeout": (None, "recalled: timeout is None"),
        "isn": (IsnScheme.RANDOM, "recalled: random_seq_no()"),
        "reuse_bound": (True, "read: connect() is legal on a socket in TIME-WAIT"),
        "reuse_ephemeral": (Reuse.ALWAYS, "recalled: the caller chooses the port"),
        "reuse_delay": (0, "recalled: connect() has none"),
        "reuse_needs_timestamps": (False, "recalled: connect() asks for none"),
        "initial_cwnd": (10, "chosen: congestion control is optional"),
        "challenge_per_second": (1, "recalled: challenge_ack_reply(), once in a second"),
    },
    sysctls=MappingProxyType({"CLOSE_DELAY": Sysctl("time_wait", 10000, unit=MS)}),
)
