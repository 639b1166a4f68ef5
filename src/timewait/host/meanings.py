"""What each finding means: one paragraph, the RFC sections, the kernel's function and versions."""

from typing import Final, NamedTuple


class Meaning(NamedTuple):
    """A finding explained."""

    text: str
    rfc: str
    kernel: str


_HASH: Final = "net/ipv4/inet_hashtables.c, __inet_hash_connect and __inet_check_established"
_PORTS: Final = (
    "A four-tuple in TIME-WAIT cannot be opened again by this end (an OPEN in TIME-WAIT is an error), so each "
    "connection that this host closes first takes one local port towards that destination out of use for a minute.  "
    "Ports divided by the wait (61.5 s, the mean at HZ=250) is the rate that goes on for ever."
)

MEANINGS: Final[dict[str, Meaning]] = {
    "ports-gone": Meaning(_PORTS + "  connect() fails with EADDRNOTAVAIL.", "RFC 9293 3.6.1 (MUST-13), 3.10.1", _HASH),
    "ports-nearly-gone": Meaning(_PORTS, "RFC 9293 3.6.1 (MUST-13), 3.10.1", _HASH),
    "ports-running-out": Meaning(
        _PORTS + "  At the rate of the last seconds none is left soon.", "RFC 9293 3.6.1 (MUST-13), 3.10.1", _HASH
    ),
    "search-step": Meaning(
        "connect() tries all ports of one parity before the first of the other.  Once one parity is in use, that is at "
        "half the range, each call walks some 14,000 ports: microseconds become milliseconds of CPU, and one thread "
        "slows down instead of failing.",
        "none: an implementation's choice (RFC 6056 leaves it open)",
        f"{_HASH}; parity since 4.2, not for sockets with IP_LOCAL_PORT_RANGE since 6.8",
    ),
    "own-range": Meaning(
        "A program may narrow the range of one socket.  connect() then searches that range alone, and fails when it is "
        "used up towards a destination, while the namespace has ports left.  Nothing but the socket itself tells.",
        "none: the socket interface",
        f"{_HASH}; inet_sk_get_local_port_range; IP_LOCAL_PORT_RANGE since 6.3",
    ),
    "bind-before-connect": Meaning(
        "bind() to port 0 chooses a port before the destination is known, so it must be free for all; one pool serves "
        "all destinations.  IP_BIND_ADDRESS_NO_PORT leaves the choice to connect().",
        "none: the socket interface",
        "net/ipv4/inet_connection_sock.c, inet_csk_get_port; IP_BIND_ADDRESS_NO_PORT since 4.2",
    ),
    "explicit-binds": Meaning(
        "A port that bind() chose belongs to its socket alone, and connect() passes it over whatever the destination, "
        "until its TIME-WAIT is over.  No record says who chose a port; but connect() takes the half of the range that "
        "it tries last only when the other is taken, and bind() to port 0 begins there.",
        "none: the socket interface",
        f"{_HASH}; net/ipv4/inet_connection_sock.c, inet_csk_find_open_port; parity since 4.2",
    ),
    "bucket-overflow": Meaning(
        "Above tcp_max_tw_buckets a connection ends without TIME-WAIT: the newest, not the oldest.  Orphans in "
        "FIN-WAIT-2 count too and then vanish, so that late data of the other end is answered with RST.",
        "RFC 9293 3.6.1 (MUST-13) is not kept; RFC 1337 names the hazards",
        "net/ipv4/inet_timewait_sock.c, inet_twsk_alloc; counter TCPTimeWaitOverflow",
    ),
    "fin-wait-2-full": Meaning(
        "An orphan in FIN-WAIT-2 becomes a small record at once, unless it may wait longer than 60 s; until then it is "
        "a full socket.",
        "RFC 9293 3.10.7.4 sets no limit to FIN-WAIT-2; the time is the kernel's",
        "net/ipv4/tcp.c, __tcp_close; tcp_fin_timeout, TCP_LINGER2",
    ),
    "close-wait-leak": Meaning(
        "CLOSE-WAIT ends when the program calls close(), and by nothing else.", "RFC 9293 3.10.4", "no timer"
    ),
    "conntrack-nearly-full": Meaning(
        "Connection tracking has a TIME-WAIT of its own, 120 s, in a table of its own.",
        "RFC 5382 section 5 (REQ-5): a NAT must not forget a connection that opens or closes within 4 idle minutes",
        "net/netfilter/nf_conntrack_proto_tcp.c",
    ),
    "conntrack-holds-longer": Meaning(
        "Connection tracking has a TIME-WAIT of its own, 120 s, while the sockets' is over after 60 s: half of what "
        "the table holds of closed connections serves nobody.",
        "RFC 5382 section 5 (REQ-5) asks a NAT for 4 minutes; a host that only filters its own traffic is none",
        "net/netfilter/nf_conntrack_proto_tcp.c; nf_conntrack_tcp_timeout_time_wait, of each network namespace",
    ),
    "paws-time-wait": Meaning(
        "A segment whose timestamp is older than the last one seen is refused, and restarts the wait.  Several hosts "
        "behind one address have several clocks.",
        "RFC 7323 5.3 (PAWS), RFC 6191 section 2",
        "net/ipv4/tcp_minisocks.c, tcp_timewait_state_process; counter PAWSTimewait",
    ),
    "slow-connects": Meaning(
        "A SYN that meets a TIME-WAIT must be newer than what that connection saw, by timestamp or sequence number.  "
        "One that is not is answered with an ACK; the client, which expected a SYN-ACK, answers with RST, and that "
        "ends the TIME-WAIT, unless tcp_rfc1337 = 1; its second SYN is let in.",
        "RFC 6191 section 2, RFC 9293 3.10.7.3 (SYN-SENT, first) and 3.10.7.4",
        "net/ipv4/tcp_minisocks.c, tcp_timewait_state_process; net/ipv4/tcp_input.c, tcp_rcv_synsent_state_process "
        "(SYN sent again at once since 5.6, after 1 s before)",
    ),
    "restart-blocked": Meaning(
        "bind() passes over a TIME-WAIT on the same port only if the socket that waits and the new one both had "
        "SO_REUSEADDR, or both SO_REUSEPORT.  Accepted connections have the flags of their listener.  So it takes two "
        "starts until a flag that is set today helps.",
        "none: the socket interface (RFC 9293 3.6.1 is about the pair, not the port)",
        "net/ipv4/inet_connection_sock.c, inet_bind_conflict",
    ),
    "timestamps-off": Meaning(
        "Only timestamps tell old segments from new ones, so without them no TIME-WAIT is taken over, and a server "
        "accepts a returning client by its sequence numbers alone: they look old between 137 and 275 s.",
        "RFC 7323 5, RFC 6191 section 2, RFC 6528",
        "net/ipv4/tcp_ipv4.c, tcp_twsk_unique; net/core/secure_seq.c, seq_scale",
    ),
    "rfc1337-on": Meaning(
        "RST no longer ends TIME-WAIT.  It is also what a client sends when its SYN was answered with an ACK: without "
        "effect, the client waits until TIME-WAIT is over.",
        "RFC 1337 (fix 1); RFC 9293 3.10.7.4 deletes on RST",
        "net/ipv4/tcp_minisocks.c, tcp_timewait_state_process",
    ),
    "listener-in-range": Meaning(
        "A port of the range is free for any client while its service is down.  The client's TIME-WAIT then "
        "blocks bind().",
        "none: the socket interface",
        "net/ipv4/inet_connection_sock.c, inet_bind_conflict; ip_local_reserved_ports",
    ),
    "range-parity": Meaning(
        "The search for a port takes steps of two from a random start and turns round after an even number of ports.  "
        "Of an odd number it leaves one out, another each time: with one of 11 ports free, 13 of 132 connect() calls "
        "failed (measured, Linux 6.18).",
        "none: an implementation's choice (RFC 6056 leaves it open)",
        f"{_HASH} (remaining &= ~1U); the warning: net/ipv4/sysctl_net_ipv4.c, ipv4_local_port_range",
    ),
    "fin-timeout-folklore": Meaning(
        "tcp_fin_timeout is the time of orphans in FIN-WAIT-2.  TIME-WAIT lasts 60 s, fixed when the kernel is built.",
        "RFC 9293 3.6.1: 2 MSL, that is four minutes",
        "TCP_TIMEWAIT_LEN, include/net/tcp.h",
    ),
    "tw-reuse-folklore": Meaning(
        "tcp_tw_reuse lets connect() take over a TIME-WAIT.  Accepting needs no such permission.",
        "RFC 6191 for the accepting side",
        "net/ipv4/tcp_ipv4.c, tcp_twsk_unique; 2 (loopback alone) is the default since 4.19",
    ),
    "small-buckets": Meaning(
        "A low limit does not shorten TIME-WAIT, it leaves it out.", "RFC 1337", "net/ipv4/inet_timewait_sock.c"
    ),
    "tw-recycle": Meaning(
        "One timestamp was remembered for each address, and SYNs with an older one were dropped: all but one host "
        "behind a NAT.",
        "RFC 1323 names the idea, a per-host cache of the last timestamp, as no part of its proposal",
        "removed in 4.12 (4396e46187ca, tcp: remove tcp_tw_recycle)",
    ),
    "tw-recycle-folklore": Meaning(
        "A line left over from old advice: the setting is gone, and sysctl reports an unknown key when the machine "
        "starts.  On a kernel that has it, clients behind NAT are dropped.",
        "RFC 1323 names the idea, a per-host cache of the last timestamp, as no part of its proposal",
        "removed in 4.12 (4396e46187ca, tcp: remove tcp_tw_recycle)",
    ),
    "server-time-wait": Meaning(
        "A server's TIME-WAITs share the listening port; a new SYN over the same pair is let in, by its timestamp or "
        "its sequence number.  They cost 256 bytes each and hinder nobody, but a restart without SO_REUSEADDR.",
        "RFC 9293 3.6.1 (MAY-2), RFC 6191",
        "net/ipv4/tcp_minisocks.c, tcp_timewait_state_process",
    ),
}
