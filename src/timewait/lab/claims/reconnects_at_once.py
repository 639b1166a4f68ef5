"""Closed by the server, the same pair reconnects at once, again and again, and the server shows TIME-WAIT."""

from timewait.lab.claim import Claim, bound, equals, essential

CLAIM = Claim(
    "10",
    "Closed by the server, the same pair reconnects at once, again and again, and the server shows TIME-WAIT.",
    ("RFC 9293 3.6.1 (MAY-2); RFC 6191 2",),
    (
        essential(
            "20 connects over one pair with timestamps",
            "reconnect",
            "server closes, explicit port, timestamps on",
            equals("ok"),
            count="20",
        ),
        essential(
            "and without",
            "reconnect",
            "server closes, explicit port, timestamps off",
            equals("ok"),
            count="20",
        ),
        essential("The server's end is in", "nobody-listens", "the server's end is in", equals("TIME-WAIT")),
        bound(
            "After a connection of 140 s without timestamps too: the SYN had to be repeated",
            "sequence-clock",
            "the SYN had to be sent again",
            equals(False),
            "there are timestamps, or each connection is short and slow (claim 15)",
            hold_s="140",
        )._replace(worlds=("engine",)),
        bound(
            "After a fast transfer without timestamps too",
            "transfer-outruns-clock",
            "the SYN had to be sent again",
            equals(False),
            "there are timestamps, or each connection is short and slow (claim 15)",
        ),
        bound(
            "With a full accept queue too: connect() within 200 ms",
            "accept-queue-full",
            "connect() within 200 ms",
            equals("ok"),
            "the listener's accept queue has room",
        ),
    ),
)
