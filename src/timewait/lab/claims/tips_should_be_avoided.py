"""The experts' tips to reduce TIME-WAIT on Linux should be avoided: each tip by itself."""

from timewait.clock import SECOND
from timewait.lab.claim import Claim, Point, at_least, at_most, bound, differs, equals, essential, note


def _tip(number: int, about: str, *points: Point) -> Claim:
    named = about.startswith(("tcp_", "ip_"))
    subject = about if named else about[0].upper() + about[1:]
    return Claim(f"16.{number}", f"{subject} should be avoided.", (), points, (), about)


# What a tip has against it: that it does nothing, or that it does harm.  Where it does what it is meant to, and no
# scenario shows harm, the claim does not hold for it.
_TIPS = (
    _tip(
        1,
        "tcp_tw_recycle",
        essential(
            "Linux 3.10 with it: the second client behind a NAT, its clock behind, cannot connect within 3 s",
            "recycle-behind-nat",
            "the second client's connect() within 3 s",
            equals("ETIMEDOUT"),
        )._replace(profile="linux-3.10"),
        note(
            "Since Linux 4.12 there is nothing to set",
            "recycle-behind-nat",
            "the server has tcp_tw_recycle",
            equals(False),
        ),
    ),
    _tip(
        2,
        "tcp_tw_reuse = 1",
        essential(
            "It does not give a client its port back after the delay",
            "tw-reuse",
            "tcp_tw_reuse = 1: after the delay",
            equals("EADDRNOTAVAIL"),
        ),
        note(
            "For connections without timestamps it does nothing",
            "tw-reuse",
            "tcp_tw_reuse = 1, no timestamps: after the delay",
            equals("EADDRNOTAVAIL"),
        ),
        note(
            "nor for a service that is to be restarted",
            "tw-reuse-at-the-server",
            "tcp_tw_reuse = 1: restart",
            equals("EADDRINUSE from bind()"),
        ),
    ),
    _tip(
        3,
        "a lower tcp_tw_reuse_delay",
        essential(
            "A delay of 10 ms gives the port back no sooner than one of a second",
            "tw-reuse-delay",
            "tcp_tw_reuse_delay = 10",
            at_least(SECOND),
        ),
        note(
            "It is the T in rate = ports / T: connects in 2 s with 8 ports and 200 ms",
            "sustained-rate",
            "connects in 2 s",
            at_least(40),
        ),
    ),
    _tip(
        4,
        "a lower tcp_fin_timeout",
        essential(
            "Set to 1, a client's ports are still held 4 s later",
            "fin-timeout-frees-no-port",
            "both sides closed: four seconds later",
            equals("EADDRNOTAVAIL"),
        ),
        bound(
            "so they are if the server has not closed",
            "fin-timeout-frees-no-port",
            "the client alone closed: four seconds later",
            equals("EADDRNOTAVAIL"),
            "it is meant against TIME-WAIT: FIN-WAIT-2 that nobody holds does end sooner",
        ),
        note(
            "Late text of a slow peer then meets a reset",
            "late-text",
            "segments with RST in answer",
            equals(1),
        ),
    ),
    _tip(
        5,
        "SO_LINGER with zero",
        essential("Octets that were written are lost", "linger-zero", "octets written are lost", equals(True)),
        essential("and the peer reads", "linger-zero", "the peer's last read", equals("ECONNRESET")),
        note(
            "With no TIME-WAIT in between, a new connection's program may read old text",
            "ghost-bytes",
            "its ACK number fits: the application reads",
            equals("12345GHOST"),
        ),
    ),
    _tip(
        6,
        "a small tcp_max_tw_buckets",
        essential(
            "Beyond the limit, a half-closed connection vanishes: left of it",
            "too-many-waits",
            "a half-closed connection beyond the limit",
            equals("nothing"),
        ),
        essential("and its peer's send() then gives", "too-many-waits", "its peer's next send()", equals("EPIPE")),
    ),
    _tip(
        7,
        "a wider ip_local_port_range",
        essential("Twice the range gives no more connects", "wider-range", "more in one twice as wide", at_most(0)),
        note(
            "A service on a port that now lies within it may not start",
            "wider-range",
            "a service on a port within it",
            equals("EADDRINUSE from bind()"),
        ),
        note(
            "unless the port is reserved: listen() on one",
            "waiting-port-blocks-listen",
            "listen() on it",
            equals("ok"),
        ),
    ),
    _tip(
        8,
        "more addresses or destination ports",
        essential(
            "Another port of the destination gives no more connects",
            "more-four-tuples",
            "connects to another port there",
            at_most(0),
        ),
    ),
    _tip(
        9,
        "IP_BIND_ADDRESS_NO_PORT",
        essential(
            "With it, a second destination has no ports of its own",
            "late-binding",
            "IP_BIND_ADDRESS_NO_PORT: then to the second",
            at_most(0),
        ),
    ),
    _tip(
        10,
        "IP_LOCAL_PORT_RANGE",
        essential(
            "A socket's own range too keeps the ports of one parity for last",
            "step-at-one-half",
            "no parity is kept for last",
            equals(False),
        ),
    ),
    _tip(
        11,
        "SO_REUSEADDR",
        essential(
            "A service that has it cannot be restarted over TIME-WAIT either",
            "reuse-address",
            "old with, new with",
            differs("ok"),
        ),
        note(
            "To a client it gives nothing: connect() from the only port",
            "reuse-address-at-a-client",
            "with it, connect() from the only port",
            equals("EADDRNOTAVAIL"),
        ),
    ),
    _tip(
        12,
        "letting the peer close first",
        essential(
            "A proxy with 8 ports serves no more than 8 requests if its backend closes first",
            "proxy-close-order",
            "the backend closes first: requests served, of 24",
            at_most(8),
        ),
    ),
    _tip(
        13,
        "keeping connections open",
        essential(
            "20 requests over one connection leave no fewer in TIME-WAIT",
            "keep-open",
            "one connection: in TIME-WAIT",
            at_least(20),
        ),
    ),
    _tip(
        14,
        "tcp_rfc1337 = 1",
        essential(
            "A client that a moment ago sent much, without timestamps, waits over a minute to reconnect",
            "transfer-outruns-clock",
            "after",
            at_least(60 * SECOND),
            rfc1337="1",
        )._replace(worlds=("engine",)),
        essential(
            "and one whose service is gone waits over a minute to be told, with timestamps too",
            "nobody-listens",
            "after",
            at_least(60 * SECOND),
            rfc1337="1",
        ),
    ),
    _tip(
        15,
        "tcp_timestamps = 0",
        essential(
            "Without timestamps tcp_tw_reuse gives no port back",
            "tw-reuse",
            "tcp_tw_reuse = 1, no timestamps: after the delay",
            equals("EADDRNOTAVAIL"),
        ),
        essential(
            "nor can a bound one be used again",
            "old-timestamps",
            "old without, new without",
            equals("EADDRNOTAVAIL"),
        ),
    ),
    _tip(
        16,
        "deleting the sockets (ss -K)",
        essential(
            "The pair is open at once, with nothing left to keep old segments out",
            "destroyed-wait",
            "connect() then",
            equals("ok"),
        ),
        essential(
            "so that a new connection's program may read old text",
            "ghost-bytes",
            "its ACK number fits: the application reads",
            equals("12345GHOST"),
        ),
    ),
)

CLAIM = Claim(
    "16",
    "The experts' tips to reduce TIME-WAIT on Linux should be avoided.",
    (
        "Documentation/networking/ip-sysctl.rst; tcp(7), ip(7), socket(7)",
        "RFC 1337; RFC 6191; RFC 9293 3.10.5",
    ),
    parts=_TIPS,
)
