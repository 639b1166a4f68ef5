"""There is no such exception for an active open."""

from timewait.lab.claim import Claim, bound, differs, essential, note

CLAIM = Claim(
    "13",
    "There is no such exception for an active open.",
    (
        "RFC 9293 3.10.1: OPEN in TIME-WAIT: connection already exists; 3.6.1 has MAY-2 for a SYN that comes in",
        "RFC 6191 3 mentions the active side; Linux: tcp_twsk_unique(), net/ipv4/tcp_ipv4.c",
    ),
    (
        essential(
            "The engine as RFC 9293 has it: connect() over TIME-WAIT",
            "what-stands-on-the-tuple",
            "over TIME-WAIT",
            differs("ok"),
        )._replace(profile="rfc9293"),
        bound(
            "This stack too: connect() over TIME-WAIT, with timestamps",
            "what-stands-on-the-tuple",
            "over TIME-WAIT",
            differs("ok"),
            "one asks the RFCs; Linux has one, for connections that had timestamps",
        ),
        note(
            "without timestamps",
            "old-timestamps",
            "old without, new without",
            differs("ok"),
        ),
        note(
            "the engine as FreeBSD",
            "what-stands-on-the-tuple",
            "over TIME-WAIT",
            differs("ok"),
        )._replace(profile="freebsd"),
    ),
)
