"""Closed by the client, the second connect fails with "Cannot assign requested address"."""

from timewait.lab.claim import Claim, bound, equals, essential, note

CLAIM = Claim(
    "11",
    'Closed by the client, the second connect fails with "Cannot assign requested address".',
    ("Linux: __inet_check_established(), net/ipv4/inet_hashtables.c; tcp_twsk_unique(), net/ipv4/tcp_ipv4.c",),
    (
        essential(
            "Without timestamps",
            "reconnect",
            "client closes, explicit port, timestamps off",
            equals("EADDRNOTAVAIL"),
        ),
        bound(
            "With timestamps, from a bound port",
            "reconnect",
            "client closes, explicit port, timestamps on",
            equals("EADDRNOTAVAIL"),
            "the connection had no timestamps, or connect() chose the port less than tcp_tw_reuse_delay ago, or the "
            "close is not yet acknowledged",
        ),
        note(
            "With timestamps, where connect() has one port to choose",
            "reconnect",
            "client closes, ephemeral port, timestamps on",
            equals("EADDRNOTAVAIL"),
        ),
        note(
            "With timestamps, 20 ms after a request and its response",
            "reconnect-after-response",
            "20 ms after close(), connect() gives",
            equals("EADDRNOTAVAIL"),
        ),
        note(
            "and 100 ms after it",
            "reconnect-after-response",
            "100 ms after close(), connect() gives",
            equals("ok"),
        ),
        note(
            "Over a connection whose program only ended its sending",
            "what-stands-on-the-tuple",
            "over FIN-WAIT-2, its program still there",
            equals("EADDRNOTAVAIL"),
        ),
    ),
)
