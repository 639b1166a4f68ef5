"""RFC 1122 lets TIME-WAIT accept a SYN under two conditions."""

from timewait.lab.claim import Claim, at_least, equals, essential, note

CLAIM = Claim(
    "12",
    "RFC 1122 lets TIME-WAIT accept a SYN under two conditions (ISN above the last sequence number; back to TIME-WAIT "
    "if it was an old duplicate).",
    (
        "RFC 1122 4.2.2.13, now RFC 9293 3.6.1 (MAY-2): new ISS above old numbers; TIME-WAIT again after an old SYN",
        "RFC 6191 2, RFC 9293 3.6.1 (SHLD-4): with timestamps, the newer one decides",
    ),
    (
        essential(
            "The engine as RFC 9293 has it: a SYN above the old numbers gets",
            "old-syn-reopens",
            "the SYN gets",
            equals("SYN,ACK"),
        )._replace(profile="rfc9293"),
        essential(
            "and when its sender resets it, as one that never sent it would, there is again",
            "old-syn-reopens",
            "and leaves",
            equals("TIME-WAIT"),
        )._replace(profile="rfc9293"),
        note("This stack: the SYN gets", "old-syn-reopens", "the SYN gets", equals("SYN,ACK")),
        note("and there is again", "old-syn-reopens", "and leaves", equals("TIME-WAIT")),
        note(
            "Its new first number is above its old last one, by",
            "client-returns",
            "no timestamps: the server's number grew by",
            at_least(1),
        ),
        note(
            "A lower number is taken at once where timestamps decide: SYNs sent",
            "client-returns",
            "timestamps, a lower number: SYNs sent",
            equals(1),
        ),
    ),
)
