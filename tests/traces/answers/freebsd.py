"""FreeBSD.  Functions are of sys/netinet: tcp_input.c (tcp_input(), tcp_do_segment()), tcp_syncache.c, tcp_timewait.c.

"Observed" is what FreeBSD was seen to answer, segment by segment, with its switches in both positions.
"""

from dataclasses import replace

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
    MIDDLE,
    NOTHING,
    OPENS,
    OUTSIDE,
    OUTSIDE_LEFT,
    RESETS,
    RIGHT,
    RST,
    RST_ACK,
    STAYS,
    SYN_ACK,
    SYNCHRONISED,
    SYNS,
    WINDOW,
    Answers,
    Rule,
)
from traces.answers.rfc9293 import NO_CONNECTION, OPENING
from traces.situations import (
    CLOSING,
    CLOSING_REPEATS_FIN,
    LAST_ACK,
    LISTEN,
    STATES,
    SYN_RECEIVED,
    TIME_WAIT,
    Situation,
)

LISTENING = (Rule(["SYN-FIN"], [LISTEN], [ANYWHERE], SYN_ACK, OPENS, "tcp_input(): a SYN, drop_synfin being 0"),)
HALF_OPEN = (
    Rule(["RST-ACK"], [SYN_RECEIVED], WINDOW, NOTHING, STAYS, "syncache_chkrst(): such a RST carries no ACK: ignored"),
    Rule(["RST"], [SYN_RECEIVED], [LEFT], NOTHING, GONE, "syncache_chkrst(): at IRS+1"),
    Rule(["RST"], [SYN_RECEIVED], [MIDDLE, RIGHT], ACK, STAYS, "syncache_chkrst(): in the window: challenge ACK"),
    Rule(["RST"], [SYN_RECEIVED], OUTSIDE, NOTHING, STAYS, "syncache_chkrst(): outside the window: ignored"),
    Rule(["SYN", "SYN-FIN"], [SYN_RECEIVED], WINDOW, SYN_ACK, STAYS, "syncache_add(): again, whatever the number"),
    Rule(["SYN-ACK"], [SYN_RECEIVED], WINDOW, RST, GONE, "tcp_input(): both: bogus at a listener; syncache_badack()"),
    Rule(["FIN"], [SYN_RECEIVED], WINDOW, NOTHING, STAYS, "tcp_input(): neither SYN nor ACK at a listener: dropped"),
    Rule(["ACK"], [SYN_RECEIVED], INSIDE, NOTHING, ACKED, "syncache_expand(): from IRS+1 to IRS+WND"),
    Rule(["FIN-ACK"], [SYN_RECEIVED], [LEFT], ACK_OF_FIN, FINISHED, "syncache_expand(), then tcp_do_segment()"),
    Rule(["FIN-ACK"], [SYN_RECEIVED], INSIDE, ACK, ACKED, "syncache_expand(), then tcp_reass(): ACK at once"),
    Rule(EVENTS, [SYN_RECEIVED], OUTSIDE, RST, GONE, "syncache_expand(): failed, the entry freed, dropwithreset"),
)
OPEN = (
    Rule(RESETS, SYNCHRONISED, [LEFT], NOTHING, GONE, "tcp_do_segment(): RST at last_ack_sent"),
    Rule(RESETS, SYNCHRONISED, INSIDE, ACK, STAYS, "tcp_do_segment(): RST in the window: challenge ACK"),
    Rule(RESETS, SYNCHRONISED, OUTSIDE, NOTHING, STAYS, "tcp_do_segment(): RST outside: dropped"),
    Rule(SYNS, SYNCHRONISED, WINDOW, ACK, STAYS, "tcp_do_segment(): challenge ACK for any SYN"),
    # What lies left of the window is trimmed, and its ACK still counts.
    Rule(["ACK", "FIN-ACK"], [LAST_ACK], [OUTSIDE_LEFT], NOTHING, ACKED, "tcp_do_segment(): trimmed; tcp_close()"),
    Rule(
        *(["ACK", "FIN-ACK"], SYNCHRONISED, [OUTSIDE_LEFT], ACK, ACKED),
        "tcp_do_segment(): trimmed with TF_ACKNOW, the ACK is processed; tcp_twstart() answers too",
    ),
    Rule(
        ["FIN"],
        SYNCHRONISED,
        [OUTSIDE_LEFT],
        ACK,
        STAYS,
        "tcp_do_segment(): trimmed; no ACK: dropafterack",
    ),
    Rule(["ACK", "FIN", "FIN-ACK"], SYNCHRONISED, [BEYOND], ACK, STAYS, "tcp_do_segment(): beyond: dropafterack"),
    Rule(["FIN"], SYNCHRONISED, WINDOW, NOTHING, STAYS, "tcp_do_segment(): no ACK: dropped"),
    # tlen counts no FIN, so that without text what begins just past the window is still in it.
    Rule(["ACK"], SYNCHRONISED, WINDOW, NOTHING, ACKED, "tcp_do_segment(): tlen is 0, R+W included"),
    Rule(["FIN-ACK"], BEFORE_FIN, [LEFT], ACK_OF_FIN, FINISHED, "tcp_do_segment(): dodata"),
    Rule(["FIN-ACK"], BEFORE_FIN, WINDOW, ACK, ACKED, "tcp_reass(): TF_ACKNOW; R+W included"),
    Rule(["FIN-ACK"], AFTER_FIN, WINDOW, NOTHING, ACKED, "tcp_do_segment(): TCPS_HAVERCVDFIN: the FIN is ignored"),
)
WAITING = (
    Rule(RESETS, [TIME_WAIT], WINDOW, NOTHING, STAYS, "tcp_twcheck(): RST dropped, RFC 1337; observed"),
    Rule(["SYN", "SYN-FIN"], [TIME_WAIT], ABOVE, SYN_ACK, OPENS, "tcp_twcheck(): a bare SYN above RCV.NXT; observed"),
    Rule(["SYN", "SYN-FIN", "FIN"], [TIME_WAIT], WINDOW, NOTHING, STAYS, "tcp_twcheck(): no ACK: dropped; observed"),
    Rule(["ACK"], [TIME_WAIT], [LEFT], NOTHING, STAYS, "tcp_twcheck(): a duplicate ACK; observed"),
    Rule(EVENTS, [TIME_WAIT], WINDOW, ACK, STAYS, "tcp_twcheck(): everything else with ACK is acknowledged; observed"),
)
RULES = (*NO_CONNECTION, *LISTENING, *OPENING, *HALF_OPEN, *OPEN, *WAITING)

INSECURE_RST = (
    Rule(["RST"], [SYN_RECEIVED], INSIDE, NOTHING, GONE, "syncache_chkrst(): insecure_rst"),
    Rule(RESETS, SYNCHRONISED, INSIDE, NOTHING, GONE, "tcp_do_segment(): insecure_rst: anywhere in the window"),
)
INSECURE_SYN = (
    Rule(SYNS, SYNCHRONISED, INSIDE, RST_ACK, GONE, "tcp_do_segment(): insecure_syn: tcp_drop(), as observed"),
)
DROP_SYNFIN = (Rule(["SYN-FIN"], STATES, (ANYWHERE, *WINDOW), NOTHING, STAYS, "tcp_input(): drop_synfin; observed"),)

BASE = Answers(
    "freebsd",
    "FreeBSD",
    RULES,
    window=65535,  # observed, passively opened: SO_RCVBUF reads 65536
    window_after_fin=65535,  # tcp_do_segment(): rcv_wnd from sbspace(), which a FIN leaves alone
    system="freebsd",
    exceptions={CLOSING: Situation(CLOSING_REPEATS_FIN, r=2, s=2)},
    switches=(
        "sysctl net.inet.tcp.insecure_rst=0",
        "sysctl net.inet.tcp.insecure_syn=0",
        "sysctl net.inet.tcp.drop_synfin=0",
    ),
)
_STATES = (SYN_RECEIVED, *SYNCHRONISED, TIME_WAIT)
TABLES = (
    BASE,
    replace(
        BASE,
        name="insecure-rst",
        title="FreeBSD with insecure_rst",
        rules=(*INSECURE_RST, *RULES),
        switches=("sysctl net.inet.tcp.insecure_rst=1", *BASE.switches[1:]),
        only=RESETS,
        states=_STATES,
    ),
    replace(
        BASE,
        name="insecure-syn",
        title="FreeBSD with insecure_syn",
        rules=(*INSECURE_SYN, *RULES),
        switches=(BASE.switches[0], "sysctl net.inet.tcp.insecure_syn=1", BASE.switches[2]),
        only=SYNS,
        states=_STATES,
    ),
    replace(
        BASE,
        name="drop-synfin",
        title="FreeBSD with drop_synfin",
        rules=(*DROP_SYNFIN, *RULES),
        switches=(*BASE.switches[:2], "sysctl net.inet.tcp.drop_synfin=1"),
        only=("SYN-FIN",),
    ),
)
