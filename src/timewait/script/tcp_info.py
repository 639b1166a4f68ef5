"""struct tcp_info of a socket of the engine, under Linux's names (include/uapi/linux/tcp.h).

Fields that the engine keeps no count of are left out, so that an assertion about one says so.
"""

from collections.abc import Mapping
from typing import Final

from timewait.clock import MS, US, Instant
from timewait.tcp import chronograph
from timewait.tcp.connection import Connection, Recovery
from timewait.tcp.output import sack_blocks
from timewait.tcp.stack import Stack
from timewait.tcp.states import (
    CLOSE_WAIT,
    CLOSED,
    CLOSING,
    ESTABLISHED,
    FIN_WAIT_1,
    FIN_WAIT_2,
    LAST_ACK,
    LISTEN,
    SYN_RECEIVED,
    SYN_SENT,
    TIME_WAIT,
)
from timewait.wire.seq import MASK

# include/net/tcp_states.h; sys/netinet/tcp_fsm.h.
_STATES: Final = {
    "linux": (
        *(ESTABLISHED, SYN_SENT, SYN_RECEIVED, FIN_WAIT_1, FIN_WAIT_2, TIME_WAIT),
        *(CLOSED, CLOSE_WAIT, LAST_ACK, LISTEN, CLOSING),
    ),
    "freebsd": (
        *(CLOSED, LISTEN, SYN_SENT, SYN_RECEIVED, ESTABLISHED, CLOSE_WAIT),
        *(FIN_WAIT_1, CLOSING, LAST_ACK, FIN_WAIT_2, TIME_WAIT),
    ),
}
_FIRST: Final = {"linux": 1, "freebsd": 0}
# enum tcp_ca_state: open, recovery, loss.
_CA_STATES: Final = {Recovery.NONE: 0, Recovery.FAST: 3, Recovery.SACK: 3, Recovery.TIMEOUT: 4}
# TCPI_OPT_TIMESTAMPS, TCPI_OPT_SACK, TCPI_OPT_WSCALE, TCPI_OPT_ECN.
_TIMESTAMPS: Final = 1
_SACK: Final = 2
_WINDOW_SCALE: Final = 4
_ECN: Final = 8


def fields(stack: Stack, system: str, handle: int, now: Instant) -> Mapping[str, int]:
    """Return the fields known of a socket; times in microseconds, windows in octets or segments as Linux has them."""
    state = _FIRST[system] + _STATES[system].index(stack.state(handle))
    owner = stack.handles.get(handle)
    if not isinstance(owner, Connection):
        return {"tcpi_state": state}
    conn = owner
    mss = max(conn.mss, 1)
    unacked = (conn.snd_nxt - conn.snd_una) & MASK
    busy, window, buffer = chronograph.times(conn, now)
    sacked = sum((right - left) & MASK for left, right in conn.sacked)
    return {
        "tcpi_state": state,
        "tcpi_ca_state": _CA_STATES[conn.recovery],
        "tcpi_retransmits": conn.retries,
        "tcpi_backoff": conn.retries,
        "tcpi_probes": conn.probes,
        "tcpi_options": (
            _TIMESTAMPS * conn.ts_ok | _SACK * conn.sack_ok | _WINDOW_SCALE * conn.scale_ok | _ECN * conn.ecn_ok
        ),
        "tcpi_snd_wscale": conn.snd_scale,
        "tcpi_rcv_wscale": conn.rcv_scale,
        "tcpi_rto": conn.rto // US,
        "tcpi_snd_mss": conn.mss,
        "tcpi_advmss": conn.own_mss,
        "tcpi_unacked": -(-unacked // mss),
        "tcpi_sacked": -(-sacked // mss),
        "tcpi_rtt": conn.srtt // US,
        "tcpi_rttvar": conn.rttvar // US,
        "tcpi_snd_cwnd": conn.cwnd // mss if system == "linux" else conn.cwnd,
        "tcpi_snd_ssthresh": conn.ssthresh if conn.ssthresh == 0x7FFF_FFFF else conn.ssthresh // mss,
        "tcpi_snd_wnd": conn.snd_wnd,
        "tcpi_rcv_wnd": conn.rcv_wnd,
        "tcpi_busy_time": busy // US,
        "tcpi_rwnd_limited": window // US,
        "tcpi_sndbuf_limited": buffer // US,
        "tcpi_last_data_recv": (now - max(conn.text_at, conn.opened_at)) // MS,
        "tcpi_notsent_bytes": max(0, len(conn.buffer) - unacked),
        "tcpi_rcv_ooopack": len(sack_blocks(conn)),
    }
