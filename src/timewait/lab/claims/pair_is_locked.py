"""On the client the address pair is locked while TIME-WAIT lasts."""

from timewait.lab.claim import Claim, bound, differs, equals, essential, note

CLAIM = Claim(
    "7",
    "On the client the address pair is locked while TIME-WAIT lasts.",
    (
        "RFC 9293 3.10.1: OPEN in TIME-WAIT: connection already exists",
        "RFC 6191 3; Linux: tcp_twsk_unique(), net/ipv4/tcp_ipv4.c",
    ),
    (
        essential(
            "Without timestamps, connect() over the pair is refused",
            "old-timestamps",
            "old without, new without",
            differs("ok"),
        ),
        bound(
            "With timestamps, from a port that was bound, it is refused too",
            "what-stands-on-the-tuple",
            "over TIME-WAIT",
            differs("ok"),
            "the old connection had no timestamps, or connect() is to choose the port",
        ),
        bound(
            "A port that connect() chooses is refused however long one waits (tcp_tw_reuse = 1)",
            "tw-reuse",
            "tcp_tw_reuse = 1: after the delay",
            differs("ok"),
            "tcp_tw_reuse does not give the port back after tcp_tw_reuse_delay",
        ),
        note(
            "It is the old connection's timestamps that count",
            "old-timestamps",
            "old without, new with",
            differs("ok"),
        ),
        note(
            "Another destination may have the port meanwhile",
            "bound-port-blocks",
            "port chosen by connect(): connect() elsewhere",
            equals("ok"),
        ),
        note(
            "but not where bind() had chosen it",
            "bound-port-blocks",
            "port chosen by bind(): connect() elsewhere",
            differs("ok"),
        ),
    ),
)
