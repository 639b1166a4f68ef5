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
        "time_wait": (
            240 * SECOND,
            "documented: TcpTimedWaitDelay, 0xF0, Windows 2000; 120 s on the page for Server 2003",
        ),
        "tw_rst": (ResetRule.EXACT_OR_CHALLENGE, "chosen: not known, as RFC 9293"),
        "tw_syn": (SynRule.ABOVE, "chosen: as BSD; StrictTimeWaitSeqCheck shows that there is a rule"),
        "tw_syn_reply": (SynReply.ACK, "chosen: not known"),
        "tw_iss": (IssRule.NEW_BUMPED, "chosen: as RFC 9293"),
        "tw_returns": (False, "chosen: no stack was seen to"),
        "fin_wait_2": (
            300 * SECOND,
            "documented: at most 300 s, for users too, knowledge base article 813056 (XP, 2003)",
        ),
        "bind_over_wait": (False, "read: a curl report: bind() succeeds, connect() fails"),
        "connect_error": (Errno.EADDRINUSE, "documented: WSAEADDRINUSE, CAsyncSocket::Connect() and connect()"),
        "connect_exhausted_error": (Errno.ENOBUFS, "documented: WSAENOBUFS (10055), knowledge base article 196271"),
        "bind_exhausted_error": (Errno.ENOBUFS, "recalled, not found: WSAENOBUFS of bind(), as of connect()"),
        "ephemeral_range": ((49152, 65535), "documented: the dynamic port range, since Vista; 1025 to 5000 before"),
        "port_search": (PortSearch.HASHED, "chosen: RFC 6056"),
        "reset_carries_ack": (True, "chosen: not known"),
        "initial_cwnd": (
            10,
            "documented: InitialCongestionWindow, template InternetCustom, Microsoft networking blog, 2018",
        ),
        "rto_min": (
            300 * MS,
            "documented: MinRto, template InternetCustom, Microsoft networking blog, 2018",
        ),
        "syn_retries": (2, "documented: TcpMaxConnectRetransmissions, Windows 2000: the SYN is sent twice again"),
        "data_retries": (5, "documented: TcpMaxDataRetransmissions, knowledge base article Q170359"),
        "delayed_ack": (
            40 * MS,
            "documented: DelayedAckTimeout, template InternetCustom, Microsoft networking blog, 2018",
        ),
        "user_timeout": (None, "documented: TcpMaxDataRetransmissions alone, knowledge base article 170359"),
        "timestamps": (
            False,
            "recalled, not found: off for connections it opens; Tcp1323Opts of Server 2003: on",
        ),
        "window_scale": (8, "recalled, not found: AutoTuningLevelLocal normal"),
        "timestamps_required": (False, "chosen: not known"),
    },
    basis="Microsoft's pages, of several versions; the source is closed; nothing was run",
    sysctls=MappingProxyType(
        {
            "TcpTimedWaitDelay": Sysctl("time_wait", 240, low=30, high=300, unit=SECOND),
            "DynamicPortRange": Sysctl("ephemeral_range", (49152, 65535), low=1025, high=65535),
        }
    ),
)
