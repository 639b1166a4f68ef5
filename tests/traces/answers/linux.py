"""Linux 6.18.  Functions are of net/ipv4: tcp_input.c, tcp_minisocks.c, tcp_ipv4.c; the running kernel is the judge."""

from traces.answers import (
    ABOVE,
    ACK,
    ACK_OF_FIN,
    ACKED,
    AFTER_FIN,
    ANYWHERE,
    BEFORE_FIN,
    BEYOND,
    EVENTS,
    FINISHED,
    GONE,
    INSIDE,
    LEFT,
    NOTHING,
    OPENS,
    OUTSIDE,
    OUTSIDE_LEFT,
    OUTSIDE_RIGHT,
    RESETS,
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
from traces.answers.rfc9293 import NO_CONNECTION, OPENING
from traces.situations import CLOSING, LAST_ACK, LISTEN, SYN_RECEIVED, TIME_WAIT

# Both edges count: a segment may begin at R+W, and end at R.
WITHIN = (*INSIDE, OUTSIDE_RIGHT)

LISTENING = (Rule(["SYN-FIN"], [LISTEN], [ANYWHERE], NOTHING, STAYS, "tcp_rcv_state_process(): a FIN: discarded"),)
HALF_OPEN = (
    Rule(RESETS, [SYN_RECEIVED], [LEFT], NOTHING, GONE, "tcp_check_req(): embryonic_reset"),
    Rule(RESETS, [SYN_RECEIVED], WITHIN, ACK, STAYS, "tcp_check_req(): in the window: challenge ACK; measured"),
    Rule(RESETS, [SYN_RECEIVED], OUTSIDE, NOTHING, STAYS, "tcp_check_req(): outside the window"),
    Rule(["SYN", "SYN-FIN"], [SYN_RECEIVED], [OUTSIDE_LEFT], SYN_ACK, STAYS, "tcp_check_req(): the SYN again"),
    Rule(["SYN", "SYN-FIN"], [SYN_RECEIVED], INSIDE, RST_ACK_OF_ALL, GONE, "tcp_check_req(): embryonic_reset"),
    Rule(["SYN-ACK"], [SYN_RECEIVED], INSIDE, RST, GONE, "tcp_check_req(): embryonic_reset"),
    Rule(SYNS, [SYN_RECEIVED], WINDOW, ACK, STAYS, "tcp_check_req(): tcp_in_window() fails: send_ack()"),
    Rule(["ACK"], [SYN_RECEIVED], WITHIN, NOTHING, ACKED, "tcp_check_req(), tcp_in_window(): R+W included"),
    Rule(["FIN"], [SYN_RECEIVED], INSIDE, NOTHING, STAYS, "tcp_check_req(): no ACK: dropped"),
    Rule(["FIN-ACK"], [SYN_RECEIVED], [LEFT], ACK_OF_FIN, FINISHED, "tcp_check_req(), tcp_child_process(), tcp_fin()"),
    Rule(["FIN-ACK"], [SYN_RECEIVED], INSIDE, ACK, ACKED, "tcp_check_req(); tcp_data_queue_ofo(): ACK at once"),
    Rule(["ACK", "FIN", "FIN-ACK"], [SYN_RECEIVED], OUTSIDE, ACK, STAYS, "tcp_check_req(): send_ack()"),
)
OPEN = (
    Rule(RESETS, AFTER_FIN, [OUTSIDE_LEFT], NOTHING, GONE, "tcp_reset_check(): RCV.NXT-1 after the peer's FIN"),
    Rule(RESETS, SYNCHRONISED, [LEFT], NOTHING, GONE, "tcp_validate_incoming(): RST at RCV.NXT"),
    Rule(RESETS, SYNCHRONISED, WITHIN, ACK, STAYS, "tcp_validate_incoming(): challenge ACK, R+W included"),
    Rule(RESETS, SYNCHRONISED, OUTSIDE, NOTHING, STAYS, "tcp_validate_incoming(): tcp_sequence() fails"),
    Rule(SYNS, SYNCHRONISED, WINDOW, ACK, STAYS, "tcp_validate_incoming(): challenge ACK"),
    Rule(
        ["FIN"],
        SYNCHRONISED,
        WINDOW,
        NOTHING,
        STAYS,
        "tcp_rcv_state_process(): no ACK: dropped, first of all",
    ),
    Rule(["ACK"], SYNCHRONISED, WITHIN, NOTHING, ACKED, "tcp_sequence(), tcp_ack()"),
    Rule(["ACK"], SYNCHRONISED, WINDOW, ACK, STAYS, "tcp_validate_incoming(): tcp_send_dupack()"),
    Rule(["FIN-ACK"], SYNCHRONISED, [BEYOND], ACK, STAYS, "tcp_validate_incoming(): tcp_send_dupack()"),
    Rule(
        ["FIN-ACK"],
        [CLOSING, LAST_ACK],
        [OUTSIDE_LEFT],
        NOTHING,
        ACKED,
        "tcp_rcv_state_process(): its ACK first",
    ),
    Rule(["FIN-ACK"], SYNCHRONISED, [OUTSIDE_LEFT], ACK, ACKED, "tcp_data_queue(): old: ACK; its ACK counts"),
    Rule(["FIN-ACK"], BEFORE_FIN, [LEFT], ACK_OF_FIN, FINISHED, "tcp_ack(), tcp_fin()"),
    Rule(["FIN-ACK"], BEFORE_FIN, WITHIN, ACK, ACKED, "tcp_data_queue(): out of order, or out of window: ACK"),
    Rule(
        ["FIN-ACK"],
        AFTER_FIN,
        WINDOW,
        NOTHING,
        ACKED,
        "tcp_rcv_state_process(): nothing follows the peer's FIN",
    ),
)
WAITING = (
    Rule(RESETS, [TIME_WAIT], [LEFT], NOTHING, GONE, "tcp_timewait_state_process(): tcp_rfc1337=0"),
    Rule(RESETS, [TIME_WAIT], WINDOW, NOTHING, STAYS, "tcp_timewait_state_process(): no effect elsewhere"),
    Rule(["SYN"], [TIME_WAIT], ABOVE, SYN_ACK, OPENS, "tcp_timewait_state_process(): at any distance"),
    Rule(["SYN-FIN"], [TIME_WAIT], ABOVE, NOTHING, GONE, "tcp_v4_rcv(): the wait goes, then the listener discards it"),
    Rule(["ACK"], [TIME_WAIT], [LEFT], NOTHING, STAYS, "tcp_timewait_state_process(): the peer's last ACK"),
    Rule(EVENTS, [TIME_WAIT], WINDOW, ACK, STAYS, "tcp_timewait_state_process(): TCP_TW_ACK"),
)
TABLES = (
    Answers(
        "linux",
        "Linux 6.18",
        (*NO_CONNECTION, *LISTENING, *OPENING, *HALF_OPEN, *OPEN, *WAITING),
        window=64240,  # tcp_select_initial_window(): 65535 rounded down to 44 segments of 1460
        window_after_fin=64239,  # measured: a FIN takes its place in the window
        again="* > S 0:0(0) <...>",  # tcp_rcv_synsent_state_process(): TCP_TIMEOUT_MIN
        tolerance="500000",
    ),
)
