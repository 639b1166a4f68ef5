"""On 127.0.0.1 the kernel must have a special mark for which side a socket is."""

from timewait.lab.claim import Claim, equals, essential, note

CLAIM = Claim(
    "9",
    "On 127.0.0.1 the kernel must have a special mark for which side a socket is.",
    (
        "RFC 9293 3.3.1: a connection is its pair of sockets, and each end has its own",
        "Linux: struct tcp_timewait_sock, include/linux/tcp.h, has no such field; __inet_check_established()",
    ),
    (
        essential(
            "A TIME-WAIT that is a server's does not stand in the way of a connect() from the server's port",
            "no-mark-of-role",
            "connect() from the server's port to the client's",
            equals("ok"),
        ),
        note(
            "The two ends are told apart by their addresses: each is the mirror of the other",
            "no-mark-of-role",
            "each the mirror of the other",
            equals(True),
        ),
        note(
            "A SYN to the very same TIME-WAIT is taken",
            "no-mark-of-role",
            "connect() from the client's port to the server's",
            equals("ok"),
        ),
        note("A socket connected to itself is one socket, on both sides", "self-connect", "sockets", equals(1)),
    ),
)
