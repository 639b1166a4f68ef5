"""gVisor's netstack: pkg/tcpip/transport/tcp.  Read, not measured."""

from types import MappingProxyType
from typing import Final

from timewait.clock import MS, SECOND
from timewait.tcp.events import Errno
from timewait.tcp.profile import (
    FinRule,
    IsnScheme,
    IssRule,
    NoListener,
    PortSearch,
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
    "gvisor",
    "gVisor netstack",
    {
        "time_wait": (60 * SECOND, "read: DefaultTCPTimeWaitTimeout, pkg/tcpip/transport/tcp/protocol.go"),
        "tw_rst": (ResetRule.IGNORE, "read: handleTimeWaitSegment(), rcv.go: RFC 1337 F1"),
        "tw_syn": (SynRule.ABOVE, "read: handleTimeWaitSegment()"),
        "tw_syn_reply": (SynReply.SILENCE, "read: handleTimeWaitSegment(): dropped"),
        "tw_syn_ack_is_syn": (
            False,
            "read: handleTimeWaitSegment(): below RCV.NXT a segment with ACK; above it would be a SYN",
        ),
        "tw_no_listener": (NoListener.KEEP_AND_ACK, "read: handleTimeWaitSegment(): only if a listener exists"),
        "tw_iss": (IssRule.NEW, "read: startHandshake(), accept.go: generateSecureISN(), whatever came before"),
        "tw_returns": (
            False,
            "read: handleTimeWaitSegments(), connect.go: the SYN goes to the listener, the old is gone",
        ),
        "tw_paws": (False, "read: handleTimeWaitSegment(), rcv.go: no PAWS, it says"),
        "tw_no_ack": (StrayRule.DROP, "read: handleTimeWaitSegment()"),
        "tw_stray_ack": (StrayRule.ACK, "read: handleTimeWaitSegment(), rcv.go: segSeq != RcvNxt || segLen != 0"),
        "tw_exact_ack_replies": (False, "read: handleTimeWaitSegment(), rcv.go: segSeq == RcvNxt and no text"),
        "tw_ack_restarts": (False, "read: handleTimeWaitSegment(), rcv.go: resetTimeWait for the FIN alone"),
        "tw_fin_restarts": (FinRule.AGAIN, "read: handleTimeWaitSegment(), rcv.go: segSeq + 1 == RcvNxt"),
        "rst": (ResetRule.EXACT_OR_CHALLENGE, "read: handleReset(), connect.go: maybeSendOutOfWindowAck()"),
        "fin_wait_2": (60 * SECOND, "read: DefaultTCPLingerTimeout, pkg/tcpip/transport/tcp/protocol.go"),
        "linger2_limit": (120 * SECOND, "read: MaxTCPLingerTimeout, pkg/tcpip/transport/tcp/protocol.go"),
        "reuse_ephemeral": (Reuse.LOOPBACK, "read: TCPTimeWaitReuseLoopbackOnly, protocol.go: the default"),
        "reuse_delay": (SECOND, "read: registerEndpoint(): a second since the last timestamp"),
        "connect_error": (Errno.EADDRINUSE, "read: connect(), endpoint.go: RegisterTransportEndpoint(), ErrPortInUse"),
        "connect_exhausted_error": (
            Errno.EADDRNOTAVAIL,
            "read: Connect(), pkg/sentry/socket/netstack/netstack.go: for ErrNoPortAvailable of a stream",
        ),
        "ephemeral_range": ((16000, 65535), "read: FirstEphemeral, pkg/tcpip/ports/ports.go"),
        "port_search": (
            PortSearch.HASHED,
            "read: portOffset, a hash of addresses and port, pkg/tcpip/transport/tcp/endpoint.go",
        ),
        "reset_carries_ack": (True, "read: resetConnectionLocked(), pkg/tcpip/transport/tcp/connect.go"),
        "initial_cwnd": (10, "read: InitialCwnd, pkg/tcpip/transport/tcp/snd.go"),
        "delayed_ack": (0, "read: handleSegmentsLocked(), connect.go: an ACK for what was processed, no timer"),
        "syn_ack_timed": (False, "documented: test/packetdrill/netstack/tcp_user_timeout.pkt"),
        "rto_min": (200 * MS, "read: MinRTO, pkg/tcpip/transport/tcp/snd.go"),
        "rto_max": (120 * SECOND, "read: MaxRTO, pkg/tcpip/transport/tcp/snd.go"),
        "syn_retries": (6, "read: DefaultSynRetries, pkg/tcpip/transport/tcp/protocol.go"),
        "keepalive_probes": (9, "read: DefaultKeepaliveCount, pkg/tcpip/transport/tcp/protocol.go"),
        "user_timeout": (None, "read: keepaliveTimerExpired(), connect.go: userTimeout != 0 is asked"),
        "window_scale": (5, "read: timeStampEnabledAccept(), tcp_timestamp_test.go: 1 MB >> 5; FindWndScale()"),
        "timestamps_required": (
            False,
            "read: TestSegmentNotDroppedWhenTimestampMissing, test/e2e/tcp_timestamp_test.go",
        ),
        "ts_scope": (TimestampScope.HOST_PAIR, "read: tsOffset(src, dst), protocol.go"),
        "isn": (IsnScheme.KEYED, "read: generateSecureISN(), connect.go: SHA-256 of the four-tuple, and time"),
        "isn_hz": (15_625_000, "read: generateSecureISN(), connect.go: Nanoseconds() >> 6"),
    },
    basis="gVisor's tree (github.com/google/gvisor, pkg/tcpip/transport/tcp); nothing was run",
    sysctls=MappingProxyType(
        {
            "net.ipv4.tcp_tw_reuse": Sysctl(
                "reuse_ephemeral", 2, high=2, choices={0: Reuse.NEVER, 1: Reuse.ALWAYS, 2: Reuse.LOOPBACK}
            ),
            "net.ipv4.ip_local_port_range": Sysctl("ephemeral_range", (16000, 65535), low=1, high=65535),
            "tcp_time_wait_timeout": Sysctl("time_wait", 60, unit=SECOND),
            "tcp_fin_timeout": Sysctl("fin_wait_2", 60, unit=SECOND),
        }
    ),
)
