"""RFC 9293, with RFC 5961 and RFC 6191.  Sections are RFC 9293's unless another RFC is named."""

from traces.answers import (
    ABOVE,
    ACK,
    ACK_ABOVE,
    ACK_AT,
    ACK_BELOW,
    ACK_OF_FIN,
    ACKED,
    AFTER_FIN,
    ANYWHERE,
    BEFORE_FIN,
    EVENTS,
    FINISHED,
    GONE,
    INSIDE,
    LEFT,
    MIDDLE,
    NOTHING,
    OPENS,
    OUTSIDE,
    OUTSIDE_LEFT,
    RESETS,
    RIGHT,
    RST,
    RST_ACK_OF_ALL,
    STAYS,
    SYN_ACK,
    SYNCHRONISED,
    SYNS,
    WINDOW,
    Answers,
    Rule,
)
from traces.situations import CLOSED, ESTABLISHED, LISTEN, SYN_RECEIVED, SYN_SENT, TIME_WAIT

NO_CONNECTION = (
    Rule(RESETS, [CLOSED], [ANYWHERE], NOTHING, STAYS, "3.10.7.1: a RST is discarded"),
    Rule(["SYN-ACK", "ACK", "FIN-ACK"], [CLOSED], [ANYWHERE], RST, STAYS, "3.10.7.1: <SEQ=SEG.ACK><CTL=RST>"),
    Rule(["SYN", "SYN-FIN", "FIN"], [CLOSED], [ANYWHERE], RST_ACK_OF_ALL, STAYS, "3.10.7.1: without ACK"),
    Rule(RESETS, [LISTEN], [ANYWHERE], NOTHING, STAYS, "3.10.7.2 first"),
    Rule(["SYN-ACK", "ACK", "FIN-ACK"], [LISTEN], [ANYWHERE], RST, STAYS, "3.10.7.2 second: <SEQ=SEG.ACK><CTL=RST>"),
    Rule(["FIN"], [LISTEN], [ANYWHERE], NOTHING, STAYS, "3.10.7.2 fourth: neither RST, ACK nor SYN: dropped"),
    Rule(["SYN"], [LISTEN], [ANYWHERE], SYN_ACK, OPENS, "3.10.7.2 third"),
)
SYN_FIN_AT_LISTENER = (
    Rule(["SYN-FIN"], [LISTEN], [ANYWHERE], SYN_ACK, OPENS, "3.10.7.2 third: other controls come later, if at all"),
)
OPENING = (
    Rule(RESETS, [SYN_SENT], [ACK_BELOW, ACK_ABOVE], NOTHING, STAYS, "3.10.7.3 first: unacceptable ACK, RST: dropped"),
    Rule(EVENTS, [SYN_SENT], [ACK_BELOW, ACK_ABOVE], RST, STAYS, "3.10.7.3 first: <SEQ=SEG.ACK><CTL=RST>"),
    Rule(["RST-ACK"], [SYN_SENT], [ACK_AT], NOTHING, GONE, "3.10.7.3 second: the user is told of a reset"),
    Rule(["RST"], [SYN_SENT], [ANYWHERE], NOTHING, STAYS, "3.10.7.3 second: no ACK: dropped"),
    Rule(["SYN-ACK"], [SYN_SENT], [ACK_AT], ACK, {SYN_SENT: ESTABLISHED}, "3.10.7.3 fourth"),
    Rule(["SYN", "SYN-FIN"], [SYN_SENT], [ANYWHERE], SYN_ACK, OPENS, "3.10.7.3 fourth: simultaneous open"),
    Rule(["ACK", "FIN", "FIN-ACK"], [SYN_SENT], [ANYWHERE, ACK_AT], NOTHING, STAYS, "3.10.7.3 fifth: no SYN"),
)
HALF_OPEN = (
    Rule(RESETS, [SYN_RECEIVED], [LEFT], NOTHING, GONE, "3.10.7.4 second: back to LISTEN"),
    Rule(RESETS, [SYN_RECEIVED], [MIDDLE, RIGHT], ACK, STAYS, "3.10.7.4 second; RFC 5961 3.2: challenge ACK"),
    Rule(RESETS, [SYN_RECEIVED], OUTSIDE, NOTHING, STAYS, "3.10.7.4 second: outside the window, dropped"),
    Rule(SYNS, [SYN_RECEIVED], INSIDE, NOTHING, GONE, "3.10.7.4 fourth: passively opened: back to LISTEN"),
    Rule(["SYN-FIN"], [SYN_RECEIVED], [OUTSIDE_LEFT], NOTHING, GONE, "3.4 table 6: its FIN is in the window; fourth"),
    Rule(["ACK"], [SYN_RECEIVED], INSIDE, NOTHING, ACKED, "3.10.7.4 fifth"),
    Rule(["FIN"], [SYN_RECEIVED], INSIDE, NOTHING, STAYS, "3.10.7.4 fifth: no ACK: dropped"),
    Rule(["FIN-ACK"], [SYN_RECEIVED], [LEFT], ACK_OF_FIN, FINISHED, "3.10.7.4 fifth, eighth"),
    Rule(["FIN-ACK"], [SYN_RECEIVED], INSIDE, ACK, ACKED, "3.10.7.4 fifth; SHLD-31: kept; RFC 5681 4.2: ACK at once"),
    Rule(EVENTS, [SYN_RECEIVED], OUTSIDE, ACK, STAYS, "3.10.7.4 first: unacceptable"),
)
OPEN = (
    Rule(RESETS, SYNCHRONISED, [LEFT], NOTHING, GONE, "3.10.7.4 second; RFC 5961 3.2"),
    Rule(RESETS, SYNCHRONISED, INSIDE, ACK, STAYS, "3.10.7.4 second; RFC 5961 3.2: challenge ACK"),
    Rule(RESETS, SYNCHRONISED, OUTSIDE, NOTHING, STAYS, "3.10.7.4 second: outside the window, dropped"),
    Rule(
        SYNS,
        SYNCHRONISED,
        WINDOW,
        ACK,
        STAYS,
        "3.10.7.4 first, fourth; RFC 5961 4.2: challenge ACK",
    ),
    Rule(EVENTS, SYNCHRONISED, OUTSIDE, ACK, STAYS, "3.10.7.4 first: unacceptable: ACK and drop"),
    Rule(["FIN"], SYNCHRONISED, INSIDE, NOTHING, STAYS, "3.10.7.4 fifth: no ACK: dropped"),
    Rule(["ACK"], SYNCHRONISED, INSIDE, NOTHING, ACKED, "3.10.7.4 fifth"),
    Rule(["FIN-ACK"], BEFORE_FIN, [LEFT], ACK_OF_FIN, FINISHED, "3.10.7.4 fifth, eighth"),
    Rule(["FIN-ACK"], BEFORE_FIN, INSIDE, ACK, ACKED, "3.10.7.4 fifth; SHLD-31: kept; RFC 5681 4.2: ACK at once"),
    Rule(["FIN-ACK"], AFTER_FIN, INSIDE, NOTHING, ACKED, "3.10.7.4 fifth, eighth: nothing follows the peer's FIN"),
)
WAITING = (
    Rule(RESETS, [TIME_WAIT], [LEFT], NOTHING, GONE, "3.10.7.4 second: assassination"),
    Rule(RESETS, [TIME_WAIT], INSIDE, ACK, STAYS, "3.10.7.4 second; RFC 5961 3.2: challenge ACK"),
    Rule(RESETS, [TIME_WAIT], OUTSIDE, NOTHING, STAYS, "3.10.7.4 second: outside the window, dropped"),
    Rule(["SYN", "SYN-FIN"], [TIME_WAIT], ABOVE, SYN_ACK, OPENS, "3.6.1 MAY-2, SHLD-4; RFC 6191 2"),
    Rule(SYNS, [TIME_WAIT], WINDOW, ACK, STAYS, "3.10.7.4 fourth; RFC 5961 4.2: challenge ACK"),
    Rule(["FIN"], [TIME_WAIT], INSIDE, NOTHING, STAYS, "3.10.7.4 fifth: no ACK: dropped"),
    Rule(["ACK"], [TIME_WAIT], [LEFT], NOTHING, STAYS, "3.10.7.4 fifth read so that two ends in TIME-WAIT fall silent"),
    Rule(["ACK", "FIN", "FIN-ACK"], [TIME_WAIT], WINDOW, ACK, STAYS, "3.10.7.4 first, fifth"),
)

TABLES = (
    Answers(
        "rfc9293",
        "RFC 9293",
        (*NO_CONNECTION, *SYN_FIN_AT_LISTENER, *OPENING, *HALF_OPEN, *OPEN, *WAITING),
        window=65535,
        window_after_fin=65534,  # as the header says: a FIN takes its place in the window
        system="rfc9293",
        gap="+0.2",  # RFC 5961 section 7: 10 challenge ACKs a second
    ),
)
