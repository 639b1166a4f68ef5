"""RFC 9293 with the RFCs it names: 5961, 6191, 7323, 6298, 5681, 6675, 6528.

Where the text gives a choice or cannot be run as written, the choice made here says so in its source.
"""

from types import MappingProxyType
from typing import Final

from timewait.clock import MS, SECOND
from timewait.tcp.profile import (
    FinRule,
    HalfOpenRule,
    IsnScheme,
    IssRule,
    NoListener,
    Overflow,
    Profile,
    ResetRule,
    StrayRule,
    SynFinRule,
    SynReply,
    SynRule,
    Sysctl,
    derive,
)

PROFILE: Final[Profile] = derive(
    None,
    "rfc9293",
    "RFC 9293",
    {
        "time_wait": (
            240 * SECOND,
            "read: RFC 9293 section 3.6.1 MUST-13, MSL 2 minutes by section 3.4.2",
        ),
        "tw_rst": (ResetRule.EXACT_OR_CHALLENGE, "read: RFC 9293 section 3.10.7.4 second; RFC 5961 section 3"),
        "tw_syn": (SynRule.RFC6191, "read: RFC 9293 section 3.6.1 MAY-2 and SHLD-4; RFC 6191 section 2"),
        "tw_syn_reply": (SynReply.CHALLENGE, "read: RFC 9293 section 3.10.7.4 fourth; RFC 6191 would be silent"),
        "tw_syn_ack_is_syn": (True, "read: RFC 5961 section 4 speaks of the SYN bit alone"),
        "tw_no_listener": (NoListener.KEEP_AND_ACK, "chosen: the text does not say; the wait goes on"),
        "tw_iss": (IssRule.NEW_BUMPED, "read: RFC 9293 section 3.6.1 MAY-2 (1)"),
        "tw_returns": (True, "read: RFC 9293 section 3.6.1 MAY-2 (2)"),
        "tw_no_ack": (StrayRule.ACK_OUTSIDE, "read: RFC 9293 section 3.10.7.4 first, then fifth"),
        "tw_exact_ack_replies": (
            False,
            "chosen: literally, two ends in TIME-WAIT would ACK for ever",
        ),
        "tw_fin_restarts": (
            FinRule.ANY,
            "chosen: literally, a FIN again fails the sequence check first",
        ),
        "tw_overflow": (Overflow.REFUSE_NEW, "chosen: the text knows no limit"),
        "syn_fin": (SynFinRule.AS_SYN, "read: RFC 9293 has no rule for the two together"),
        "half_open": (HalfOpenRule.FORGET, "read: RFC 9293 section 3.10.7.4 fourth"),
        "syn_ack_again": (False, "read: RFC 9293 section 3.10.7.4 first: a SYN again is unacceptable"),
        "reset_carries_ack": (False, "read: RFC 9293 section 3.10.5, <SEQ=SND.NXT><CTL=RST>"),
        "timestamps_required": (True, "read: RFC 7323 section 3.2, SHOULD"),
        "paws_valid": (24 * 86400 * SECOND, "read: RFC 7323 section 5.5"),
        "fin_wait_2": (None, "read: RFC 9293 section 3.6 has no limit"),
        "rto_initial": (SECOND, "read: RFC 6298 (2.1)"),
        "rto_min": (SECOND, "read: RFC 6298 (2.4)"),
        "rto_max": (60 * SECOND, "read: RFC 6298 (2.5), at least 60 s"),
        "user_timeout": (300 * SECOND, "read: RFC 9293 section 3.10.1"),
        "delayed_ack": (200 * MS, "chosen: RFC 9293 section 3.8.6.3 MUST-40 has less than 0.5 s"),
        "initial_cwnd": (3, "read: RFC 5681 section 3.1, for an SMSS between 1095 and 2190"),
        "keepalive_idle": (7200 * SECOND, "read: RFC 9293 section 3.8.4 MUST-28, no less than two hours"),
        "isn": (IsnScheme.KEYED, "read: RFC 9293 section 3.4.1 SHLD-1"),
        "isn_hz": (250_000, "read: RFC 9293 section 3.4.1, about every 4 microseconds"),
        "ephemeral_range": ((49152, 65535), "read: RFC 6335 section 6"),
        "receive_buffer": (65535, "chosen: the largest that needs no scaling"),
        "challenge_per_second": (10, "chosen: RFC 5961 section 7 has a limit, with 10 in 5 s as its example"),
    },
    basis="the text of RFC 9293 and of the RFCs it names",
    sysctls=MappingProxyType(
        {
            "rfc.msl": Sysctl("time_wait", 120, low=0, high=86400, unit=2 * SECOND),
            "rfc.rfc1337": Sysctl("tw_rst", 0, high=1, choices={0: ResetRule.EXACT_OR_CHALLENGE, 1: ResetRule.IGNORE}),
            "rfc.reopen": Sysctl("tw_syn", 1, high=1, choices={0: SynRule.NEVER, 1: SynRule.RFC6191}),
            "rfc.ip_local_port_range": Sysctl("ephemeral_range", (49152, 65535), low=1, high=65535),
            "rfc.timestamps": Sysctl("timestamps", 1, high=1, choices={0: False, 1: True}),
        }
    ),
)
