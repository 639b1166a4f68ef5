"""Client-side TIME-WAIT can use up the ports."""

from timewait.lab.claim import Claim, equals, essential, note

CLAIM = Claim(
    "3",
    "Client-side TIME-WAIT can use up the ports.",
    ("Linux: __inet_hash_connect(), net/ipv4/inet_hashtables.c", "connect(2): EADDRNOTAVAIL"),
    (
        essential(
            "8 ports, the client closes each connection: connects before the first that fails",
            "exhaustion",
            "connects",
            equals(8),
        ),
        essential(
            "The next connect fails for want of a port", "exhaustion", "then connect() gives", equals("EADDRNOTAVAIL")
        ),
        essential(
            "The ports come back when TIME-WAIT has passed: connects then",
            "exhaustion",
            "connects thereafter",
            equals(8),
        ),
        note(
            "Another destination has the whole range anew: connects to another port there",
            "more-four-tuples",
            "connects to another port there",
            equals(8),
        ),
        note(
            "With tcp_tw_reuse = 1 and timestamps a port comes back after the delay",
            "tw-reuse",
            "tcp_tw_reuse = 1: after the delay",
            equals("ok"),
        ),
        note(
            "Long before, at one half of the range, connect() has to search",
            "cost-of-connect",
            "twice as slow at least",
            equals(True),
        ),
    ),
)
