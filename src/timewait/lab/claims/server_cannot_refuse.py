"""A server cannot refuse a SYN for a pair it has in TIME-WAIT."""

from timewait.lab.claim import Claim, equals, essential, note

CLAIM = Claim(
    "8",
    "A server cannot refuse a SYN for a pair it has in TIME-WAIT, so there TIME-WAIT does nothing but sit there "
    "because the RFC asks.",
    (
        "RFC 6191 2: which SYN may end TIME-WAIT, and which may not",
        "RFC 9293 3.10.7.4, TIME-WAIT: a FIN that is repeated is acknowledged",
        "Linux: tcp_timewait_state_process(), net/ipv4/tcp_minisocks.c",
    ),
    (
        essential(
            "The SYN that follows a fast transfer without timestamps is taken at once: it had to be repeated",
            "transfer-outruns-clock",
            "the SYN had to be sent again",
            equals(False),
        ),
        essential(
            "and one that follows a connection of 140 s",
            "sequence-clock",
            "the SYN had to be sent again",
            equals(False),
            hold_s="140",
        )._replace(worlds=("engine",)),
        essential(
            "A SYN that finds nobody listening does not meet TIME-WAIT: it was sent again",
            "nobody-listens",
            "the SYN was sent again",
            equals(False),
        ),
        essential(
            "It is not there for old segments either: ACKs that old text draws",
            "assassination",
            "tcp_rfc1337 = 0: ACKs it draws",
            equals(0),
        ),
        essential(
            "and a FIN that comes again does not begin the wait anew",
            "lost-last-ack",
            "the wait began anew",
            equals(False),
        ),
        note(
            "The common case: 1,000 connects over 64 ports, refused",
            "server-closes",
            "connects refused",
            equals(0),
        ),
    ),
)
