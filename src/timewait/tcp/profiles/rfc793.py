"""RFC 793 as it was written in 1981, made to run: no RFC 1122, 5961, 6191 or 7323."""

from types import MappingProxyType
from typing import Final

from timewait.clock import SECOND
from timewait.tcp.profile import (
    IsnScheme,
    IssRule,
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
    "rfc793",
    "RFC 793",
    {
        "time_wait": (240 * SECOND, "read: RFC 793 section 3.3, twice an MSL of 2 minutes"),
        "tw_rst": (ResetRule.IN_WINDOW, "read: RFC 793 section 3.9, SEGMENT ARRIVES, second"),
        "tw_syn": (SynRule.NEVER, "read: RFC 793 section 3.9 knows no reopening; RFC 1122 4.2.2.13 brought it"),
        "tw_syn_reply": (SynReply.RESET_AND_DELETE_IN_WINDOW, "read: RFC 793 section 3.9, SEGMENT ARRIVES, fourth"),
        "tw_syn_ack_is_syn": (True, "read: RFC 793 section 3.9 looks at the SYN bit alone"),
        "tw_iss": (IssRule.NEW, "read: RFC 793 section 3.3"),
        "tw_returns": (False, "read: RFC 793 section 3.9: nothing reopens"),
        "tw_paws": (False, "read: older than RFC 1323"),
        "tw_no_ack": (StrayRule.ACK_OUTSIDE, "read: RFC 793 section 3.9, first, then fifth"),
        "rst": (ResetRule.IN_WINDOW, "read: RFC 793 section 3.9, SEGMENT ARRIVES, second"),
        "syn_resets": (True, "read: RFC 793 section 3.9, SEGMENT ARRIVES, fourth"),
        "ack_too_old_challenged": (False, "read: RFC 793 ignores an old acknowledgment"),
        "timestamps": (False, "read: older than RFC 1323"),
        "ts_scope": (TimestampScope.NONE, "read: older than RFC 1323"),
        "timestamps_required": (False, "read: older than RFC 1323"),
        "sack": (False, "read: older than RFC 2018"),
        "window_scale": (None, "read: older than RFC 1323"),
        "challenge_per_second": (0, "read: older than RFC 5961"),
        "nagle": (False, "read: older than RFC 896"),
        "delayed_ack": (0, "read: older than RFC 1122"),
        "isn": (IsnScheme.CLOCK, "read: RFC 793 section 3.3: a clock alone"),
        "port_search": (PortSearch.SEQUENTIAL, "chosen: older than RFC 6056"),
        "ephemeral_range": ((1024, 5000), "chosen: IPPORT_RESERVED to IPPORT_USERRESERVED of 4.3BSD"),
    },
    basis="the text of RFC 793",
    sysctls=MappingProxyType(
        {
            "rfc.msl": Sysctl("time_wait", 120, low=0, high=86400, unit=2 * SECOND),
            "rfc.ip_local_port_range": Sysctl("ephemeral_range", (1024, 5000), low=1, high=65535),
        }
    ),
)
