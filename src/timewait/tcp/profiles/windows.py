"""Windows, from its documents; its source is closed and they disagree on the length of the wait.  Not measured."""

from types import MappingProxyType
from typing import Final

from timewait.clock import MS, SECOND
from timewait.tcp.events import Errno
from timewait.tcp.profile import IssRule, PortSearch, Profile, ResetRule, SynReply, SynRule, Sysctl, derive
from timewait.tcp.profiles.rfc9293 import PROFILE as RFC9293

PROFILE: Final[Profile] = derive(
    RFC9293,
    "windows",
    "Windows",
    {
        "time_wait": (240 * SECOND, "read: documentation of TcpTimedWaitDelay; newer pages say 120 s or 30 s"),
        "tw_rst": (ResetRule.EXACT_OR_CHALLENGE, "chosen: not known, as RFC 9293"),
        "tw_syn": (SynRule.ABOVE, "chosen: as BSD; StrictTimeWaitSeqCheck shows that there is a rule"),
        "tw_syn_reply": (SynReply.ACK, "chosen: not known"),
        "tw_iss": (IssRule.CLOCK_BUMPED, "chosen: as RFC 9293"),
        "tw_returns": (False, "chosen: no stack was seen to"),
        "fin_wait_2": (240 * SECOND, "recalled: documentation of TcpFinWait2Delay"),
        "bind_over_wait": (False, "read: a curl report: bind() succeeds, connect() fails"),
        "connect_error": (Errno.EADDRINUSE, "recalled: WSAEADDRINUSE, documentation of connect()"),
        "connect_exhausted_error": (Errno.ENOBUFS, "recalled: WSAENOBUFS, documentation of MaxUserPort"),
        "bind_exhausted_error": (Errno.ENOBUFS, "recalled: WSAENOBUFS, documentation of bind()"),
        "ephemeral_range": ((49152, 65535), "read: documentation, since Vista; 1025 to 5000 before"),
        "port_search": (PortSearch.HASHED, "chosen: RFC 6056"),
        "reset_carries_ack": (True, "chosen: not known"),
        "initial_cwnd": (10, "recalled: documentation of InitialCongestionWindow"),
        "rto_min": (300 * MS, "recalled: documentation of MinRto"),
        "syn_retries": (2, "recalled: documentation of MaxSynRetransmissions"),
        "data_retries": (5, "recalled: documentation of TcpMaxDataRetransmissions"),
        "delayed_ack": (40 * MS, "recalled: documentation of DelayedAckTimeout"),
        "user_timeout": (None, "recalled: retries alone decide"),
        "timestamps": (False, "recalled: documentation: off for connections it opens"),
        "window_scale": (8, "recalled: documentation of AutoTuningLevelLocal normal"),
        "timestamps_required": (False, "chosen: not known"),
    },
    sysctls=MappingProxyType(
        {
            "TcpTimedWaitDelay": Sysctl("time_wait", 240, low=30, high=300, unit=SECOND),
            "DynamicPortRange": Sysctl("ephemeral_range", (49152, 65535), low=1025, high=65535),
        }
    ),
)
