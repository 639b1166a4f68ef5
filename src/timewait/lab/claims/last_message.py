"""You can never be sure that the last message arrived, so it is dangerous to assume the peer is gone."""

from timewait.lab.claim import Claim, differs, equals, essential, note

CLAIM = Claim(
    "17",
    "You can never be sure that the last message arrived, so it is dangerous to assume the peer is gone.",
    (
        "RFC 9293 3.6: the last ACK is not acknowledged; 3.10.7.4, TIME-WAIT: a FIN that comes again is answered",
        "RFC 9293 3.8.1; RFC 1122 4.2.2.13",
    ),
    (
        essential(
            "The last ACK is lost; the server, still in LAST-ACK, sends its FIN again",
            "lost-last-ack",
            "FINs for each ACK lost, and one",
            equals(True),
        ),
        essential(
            "A client that comes back meets the old connection still: its SYN gets",
            "half-dead-peer",
            "it is answered first with",
            equals("ACK"),
        ),
        essential(
            "A send() to a peer whose program has gone succeeds all the same",
            "late-text",
            "the peer's send()",
            equals("ok"),
        ),
        essential("and what was sent is lost: the next one", "late-text", "its next send()", differs("ok")),
        essential(
            "A client that closes and comes back meets a server still in the old connection",
            "peer-never-closes",
            "the server is in",
            equals("CLOSE-WAIT"),
        ),
        note(
            "The server's program hears of it as an end, like any other",
            "peer-never-closes",
            "the old connection reads",
            equals("the end"),
        ),
    ),
)
