"""Applications should have the client close first."""

from timewait.lab.claim import Claim, bound, equals, essential, note

CLAIM = Claim(
    "2",
    "Applications should have the client close first.",
    (
        "RFC 9293 3.6: who sends the first FIN waits",
        "RFC 9293 3.10.1: OPEN on a connection that waits is an error; 3.6.1 (MAY-2): a SYN may end the wait",
    ),
    (
        essential(
            "A client that closes first finds a port for as long as its range of 8 has one: connects",
            "exhaustion",
            "connects",
            equals(8),
        ),
        bound(
            "Then it still can connect to that destination",
            "exhaustion",
            "then connect() gives",
            equals("ok"),
            "each client stays below its ports / 61.5 s connects a second to one destination (28,232 ports: 459/s)",
        ),
        bound(
            "Its waiting port is free for a service to listen on",
            "waiting-port-blocks-listen",
            "over TIME-WAIT: listen()",
            equals("ok"),
            "no service of the client's host listens within its ip_local_port_range",
        ),
        bound(
            "It can use the same port again, without timestamps too",
            "reconnect",
            "client closes, explicit port, timestamps off",
            equals("ok"),
            "the client does not depend on one port of its own",
        ),
        note(
            "Where the server closes first instead, a client of 64 ports connects 1,000 times: connects that fail",
            "server-closes",
            "connects refused",
            equals(0),
        ),
        note(
            "and what the server keeps of them: records in TIME-WAIT",
            "server-closes",
            "in TIME-WAIT at the server's",
            equals(32),
        ),
    ),
)
