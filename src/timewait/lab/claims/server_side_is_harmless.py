"""Server-side TIME-WAIT is harmless."""

from timewait.clock import SECOND
from timewait.lab.claim import Claim, at_most, bound, equals, essential, note

CLAIM = Claim(
    "1",
    "Server-side TIME-WAIT is harmless.",
    (
        "RFC 9293 3.6.1 (MAY-2), RFC 6191 2: a new SYN may end it at once",
        "socket(7), SO_REUSEADDR; Documentation/networking/ip-sysctl.rst, tcp_max_tw_buckets",
    ),
    (
        essential(
            "A client with 64 ports connects 1,000 times, the server closing each: connects that fail",
            "server-closes",
            "connects refused",
            equals(0),
        ),
        essential("In the same run: SYNs that had to be repeated", "server-closes", "SYNs sent again", equals(0)),
        bound(
            "A server that was started without SO_REUSEADDR starts again while its connections wait",
            "reuse-address",
            "old without, new with",
            equals("ok"),
            "the service sets SO_REUSEADDR before it binds, and so did the one before it",
        ),
        bound(
            "However many wait, each close gets its TIME-WAIT: closes without one, 50 closes at a limit of 10",
            "too-many-waits",
            "closes without TIME-WAIT",
            at_most(0),
            "closes a second times 61.5 s stay below tcp_max_tw_buckets",
        ),
        bound(
            "A client without timestamps that was connected for 140 s comes back: its SYN had to be repeated",
            "sequence-clock",
            "the SYN had to be sent again",
            equals(False),
            "clients use timestamps, or their connections are short and slow (claim 15)",
            hold_s="140",
        )._replace(worlds=("engine",)),
        bound(
            "One that sent 50 MB at once and was closed by the server comes back: its SYN had to be repeated",
            "transfer-outruns-clock",
            "the SYN had to be sent again",
            equals(False),
            "clients use timestamps, or their connections are short and slow (claim 15)",
        ),
        bound(
            "A client whose service is gone is told at once (tcp_rfc1337 = 1): after",
            "nobody-listens",
            "after",
            at_most(SECOND),
            "tcp_rfc1337 is 0",
            rfc1337="1",
        ),
        bound(
            "The second client behind a NAT, its clock behind, connects over the first one's pair: SYNs it needs",
            "two-clients-behind-nat",
            "its clock behind: SYNs sent",
            equals(1),
            "no two hosts behind one address have a pair in turn, or a SYN more does no harm",
        ),
        note(
            "What it costs of the kernel's memory, in octets each",
            "size-of-a-record",
            "a wait at a server, whose port is there anyway",
            at_most(320),
        ),
        note(
            "With tcp_rfc1337 = 0 it is told soon, but its SYN is sent again first",
            "nobody-listens",
            "the SYN was sent again",
            equals(True),
        ),
    ),
)
