"""TIME-WAIT exists to keep stale segments out of streams they do not belong to."""

from timewait.lab.claim import Claim, bound, equals, essential, note

CLAIM = Claim(
    "6",
    "TIME-WAIT exists to keep stale segments out of streams they do not belong to.",
    (
        "RFC 9293 3.6.1; RFC 1337 2, hazard H1: old text accepted by a new connection",
        "RFC 9293 3.10.7.4, TIME-WAIT: a FIN that comes again is acknowledged; RFC 7323 5: PAWS",
    ),
    (
        essential(
            "With no TIME-WAIT in between, a new connection's program reads old text whose numbers fit",
            "ghost-bytes",
            "its ACK number fits: the application reads",
            equals("12345GHOST"),
        ),
        essential(
            "Text that comes while a pair waits is answered, and nobody reads it: ACKs it draws",
            "assassination",
            "tcp_rfc1337 = 1: ACKs it draws",
            equals(1),
        ),
        essential(
            "and the wait goes on: left at the server",
            "assassination",
            "tcp_rfc1337 = 1: left at the server",
            equals("TIME-WAIT"),
        ),
        bound(
            "Connections with timestamps need it as much: their program reads",
            "ghost-bytes",
            "it fits, but for its timestamp: the application reads",
            equals("12345GHOST"),
            "connections have no timestamps: with them PAWS keeps old text out, too",
        ),
        bound(
            "It has no other work: when the last ACK is lost and the FIN comes again, the wait begins anew",
            "lost-last-ack",
            "the wait began anew",
            equals(False),
            "one adds its other work: to answer a FIN that comes again, so that the peer's close ends well",
        ),
        note(
            "What a FIN that comes after TIME-WAIT gets",
            "after-time-wait",
            "the FIN again gets",
            equals("RST"),
        ),
        note(
            "Old text with an old ACK number, which Linux checks: its program reads",
            "ghost-bytes",
            "its ACK number old: the application reads",
            equals("12345abcde"),
        ),
    ),
)
