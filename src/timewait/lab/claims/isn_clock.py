"""The ISN clock makes the new ISN larger than the old connection's last number, so the server always accepts."""

from timewait.lab.claim import Claim, bound, equals, essential

CLAIM = Claim(
    "15",
    "The ISN clock (one step per 4 microseconds) makes the new ISN larger than the old connection's last number, "
    "so the server always accepts.",
    (
        "RFC 9293 3.4.1 (MUST-8): one step in about 4 microseconds, round in 4.55 hours",
        "Linux: seq_scale(), net/core/secure_seq.c: one step in 64 ns, round in 274.9 s",
        "RFC 6191 2: with timestamps the number does not have to be above",
    ),
    (
        essential(
            "After a short connection without timestamps the next SYN has to be repeated",
            "sequence-clock",
            "the SYN had to be sent again",
            equals(False),
            hold_s="0",
        ),
        bound(
            "After one that sent 50 MB at once",
            "transfer-outruns-clock",
            "the SYN had to be sent again",
            equals(False),
            "a connection sends fewer octets than the clock ticks (15.6 MB/s at 64 ns), or has timestamps",
        ),
        bound(
            "After one of 140 s",
            "sequence-clock",
            "the SYN had to be sent again",
            equals(False),
            "connections last less than half a round of the clock (137 s at 64 ns), or have timestamps",
            hold_s="140",
        )._replace(worlds=("engine",)),
        bound(
            "After one of two and a half hours",
            "sequence-clock",
            "the SYN had to be sent again",
            equals(False),
            "connections last less than half a round of the clock (2.4 hours at 4 microseconds), or have timestamps",
            hold_s="9000",
        )._replace(worlds=("engine",)),
    ),
)
