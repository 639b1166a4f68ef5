"""How a script brings the stack under test into a state, and how it sees that it is there.

R is RCV.NXT and S is SND.NXT, as the script counts: from each side's initial sequence number.
"""

from dataclasses import dataclass

CLOSED, LISTEN, SYN_SENT, SYN_RECEIVED = "CLOSED", "LISTEN", "SYN-SENT", "SYN-RECEIVED"
ESTABLISHED, CLOSE_WAIT, LAST_ACK = "ESTABLISHED", "CLOSE-WAIT", "LAST-ACK"
FIN_WAIT_1, FIN_WAIT_2, CLOSING, TIME_WAIT = "FIN-WAIT-1", "FIN-WAIT-2", "CLOSING", "TIME-WAIT"
STATES = (
    *(CLOSED, LISTEN, SYN_SENT, SYN_RECEIVED, ESTABLISHED, CLOSE_WAIT),
    *(FIN_WAIT_1, FIN_WAIT_2, CLOSING, LAST_ACK, TIME_WAIT),
)
# tcpi_state: include/net/tcp_states.h, where the socket is closed (7) while a record waits; sys/netinet/tcp_fsm.h.
NUMBERS = {
    "linux": {
        ESTABLISHED: 1,
        SYN_SENT: 2,
        SYN_RECEIVED: 3,
        FIN_WAIT_1: 4,
        FIN_WAIT_2: 5,
        TIME_WAIT: 7,
        CLOSED: 7,
        CLOSE_WAIT: 8,
        LAST_ACK: 9,
        LISTEN: 10,
        CLOSING: 11,
    },
    "rfc9293": {
        ESTABLISHED: 1,
        SYN_SENT: 2,
        SYN_RECEIVED: 3,
        FIN_WAIT_1: 4,
        FIN_WAIT_2: 5,
        TIME_WAIT: 6,
        CLOSED: 7,
        CLOSE_WAIT: 8,
        LAST_ACK: 9,
        LISTEN: 10,
        CLOSING: 11,
    },
    "freebsd": {
        CLOSED: 0,
        LISTEN: 1,
        SYN_SENT: 2,
        SYN_RECEIVED: 3,
        ESTABLISHED: 4,
        CLOSE_WAIT: 5,
        FIN_WAIT_1: 6,
        CLOSING: 7,
        LAST_ACK: 8,
        FIN_WAIT_2: 9,
        TIME_WAIT: 10,
    },
}

LISTENING = """\
+0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
+0 setsockopt(3, SOL_SOCKET, SO_REUSEADDR, [1], 4) = 0
+0 bind(3, ..., ...) = 0
+0 listen(3, 1) = 0
"""
ASKED = f"""{LISTENING}\
+0 < S 0:0(0) win 32792 <mss 1000>
+0 > S. 0:0(0) ack 1 <...>
"""
ACCEPTED = f"""{ASKED}\
+0 < . 1:1(0) ack 1 win 32792
+0 accept(3, ..., ...) = 4
"""
ASKING = """\
+0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 4
+0 fcntl(4, F_SETFL, O_RDWR|O_NONBLOCK) = 0
+0 connect(4, ..., ...) = -1 EINPROGRESS (Operation now in progress)
+0 > S 0:0(0) <...>
"""
PEER_CLOSES = """\
+0 < F. 1:1(0) ack 1 win 32792
+0 > . 1:1(0) ack 2
"""
WE_CLOSE = """\
+0 shutdown(4, SHUT_WR) = 0
+0 > F. 1:1(0) ack 1
"""


@dataclass(frozen=True, slots=True)
class Situation:
    """A state: the lines that lead there, R and S once there, and whether there is a listener to close afterwards.

    Once the peer's FIN was received, R is 2.
    """

    lines: str
    r: int = 1
    s: int = 1
    listens: bool = True


SITUATIONS = {
    CLOSED: Situation(
        f"{ASKING}+0 < S. 0:0(0) ack 1 win 32792 <mss 1000>\n+0 > . 1:1(0) ack 1\n+0 < R. 1:1(0) ack 1 win 0\n",
        listens=False,
    ),
    LISTEN: Situation(LISTENING, r=0, s=7),
    SYN_SENT: Situation(ASKING, listens=False),
    SYN_RECEIVED: Situation(f"{ASKED}+0 fcntl(3, F_SETFL, O_RDWR|O_NONBLOCK) = 0\n"),
    ESTABLISHED: Situation(ACCEPTED),
    CLOSE_WAIT: Situation(ACCEPTED + PEER_CLOSES, r=2),
    FIN_WAIT_1: Situation(ACCEPTED + WE_CLOSE, s=2),
    FIN_WAIT_2: Situation(f"{ACCEPTED}{WE_CLOSE}+0 < . 1:1(0) ack 2 win 32792\n", s=2),
    CLOSING: Situation(f"{ACCEPTED}{WE_CLOSE}+0 < F. 1:1(0) ack 1 win 32792\n+0 > . 2:2(0) ack 2\n", r=2, s=2),
    LAST_ACK: Situation(f"{ACCEPTED}{PEER_CLOSES}+0 shutdown(4, SHUT_WR) = 0\n+0 > F. 1:1(0) ack 2\n", r=2, s=2),
    TIME_WAIT: Situation(f"{ACCEPTED}{WE_CLOSE}+0 < F. 1:1(0) ack 2 win 32792\n+0 > . 2:2(0) ack 2\n", r=2, s=2),
}
# FreeBSD answers the FIN that leads to CLOSING with its own FIN again, which now acknowledges.
CLOSING_REPEATS_FIN = SITUATIONS[CLOSING].lines.replace("> . 2:2(0) ack 2", "> F. 1:1(0) ack 2")
