"""SO_LINGER zero and the tcp_tw sysctls are not sane ways out."""

from timewait.lab.claim import Claim, bound, equals, essential, note

CLAIM = Claim(
    "5",
    "SO_LINGER zero and the tcp_tw sysctls are not sane ways out.",
    (
        "RFC 9293 3.10.5: ABORT flushes what is queued",
        "RFC 1337 3; RFC 6191 3",
        "Documentation/networking/ip-sysctl.rst, tcp_tw_reuse, tcp_max_tw_buckets",
    ),
    (
        essential("SO_LINGER zero: octets written are lost", "linger-zero", "octets written are lost", equals(True)),
        essential("and the peer is told of a failure", "linger-zero", "the peer's last read", equals("ECONNRESET")),
        essential(
            "A small tcp_max_tw_buckets: a half-closed connection vanishes under its peer",
            "too-many-waits",
            "a half-closed connection beyond the limit",
            equals("nothing"),
        ),
        essential(
            "tcp_tw_recycle, while there was one: the second client behind a NAT could not connect within 3 s",
            "recycle-behind-nat",
            "the second client's connect() within 3 s",
            equals("ETIMEDOUT"),
        )._replace(profile="linux-3.10"),
        bound(
            "tcp_tw_reuse = 1 gives nothing to who has timestamps",
            "tw-reuse",
            "tcp_tw_reuse = 1: after the delay",
            equals("EADDRNOTAVAIL"),
            "tcp_tw_reuse is not meant: with timestamps it gives a client its ports back after a second, and PAWS "
            "keeps old segments out",
        ),
        note(
            "Without timestamps it gives nothing",
            "tw-reuse",
            "tcp_tw_reuse = 1, no timestamps: after the delay",
            equals("EADDRNOTAVAIL"),
        ),
    ),
)
