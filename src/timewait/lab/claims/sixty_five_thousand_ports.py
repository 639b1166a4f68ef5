"""Only some 65,000 ports exist; scaling out to a farm beats recycling ports faster."""

from timewait.lab.claim import Claim, at_most, bound, differs, equals, essential, note

CLAIM = Claim(
    "18",
    "Only some 65,000 ports exist; scaling out to a farm beats recycling ports faster.",
    (
        "RFC 9293 3.1: ports are 16 bits; 3.4.1: a connection is its pair of sockets",
        "Documentation/networking/ip-sysctl.rst, tcp_tw_reuse, tcp_tw_reuse_delay",
    ),
    (
        essential(
            "Towards one destination a used-up range stays used up: connect()",
            "exhaustion",
            "then connect() gives",
            differs("ok"),
        ),
        bound(
            "So it does towards another port of that destination: connects",
            "more-four-tuples",
            "connects to another port there",
            equals(0),
            "all goes from one address to one address and port: each further one of any brings the ports anew",
        ),
        bound(
            "Recycling gains little: 8 ports, held for 200 ms each, in 2 s (60 s each would give 8)",
            "sustained-rate",
            "connects in 2 s",
            at_most(16),
            "ports cannot be recycled (no timestamps): with tcp_tw_reuse = 1 one host does what 60 would",
        ),
        note(
            "From another address of the client's: connects",
            "more-four-tuples",
            "connects to the first, from another address here",
            equals(8),
        ),
    ),
)
