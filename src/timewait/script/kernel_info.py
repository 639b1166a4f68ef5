"""struct tcp_info as the kernel writes it, under the names of the language."""

from struct import Struct as Layout
from typing import Final

# struct tcp_info, include/uapi/linux/tcp.h: eight octets of which two hold bit fields, then 32-bit numbers.
INFO_SIZE: Final = 256
_INFO_OCTETS: Final = ("state", "ca_state", "retransmits", "probes", "backoff", "options")
_INFO_WORDS: Final = (
    *("rto", "ato", "snd_mss", "rcv_mss", "unacked", "sacked", "lost", "retrans", "fackets"),
    *("last_data_sent", "last_ack_sent", "last_data_recv", "last_ack_recv"),
    *("pmtu", "rcv_ssthresh", "rtt", "rttvar", "snd_ssthresh", "snd_cwnd", "advmss", "reordering"),
    *("rcv_rtt", "rcv_space", "total_retrans"),
)
_INFO_LONGS: Final = ("pacing_rate", "max_pacing_rate", "bytes_acked", "bytes_received")
_INFO_MORE: Final = ("segs_out", "segs_in", "notsent_bytes", "min_rtt", "data_segs_in", "data_segs_out")
_INFO_TIMES: Final = ("delivery_rate", "busy_time", "rwnd_limited", "sndbuf_limited")
_INFO_DELIVERED: Final = ("delivered", "delivered_ce")
_INFO_BYTES: Final = ("bytes_sent", "bytes_retrans")
_INFO_LAST: Final = ("dsack_dups", "reord_seen", "rcv_ooopack", "snd_wnd", "rcv_wnd", "rehash")
_WORD: Final = Layout("I")
_LONG: Final = Layout("Q")
_INFO_LAYOUT: Final = (
    *((_INFO_WORDS, _WORD), (_INFO_LONGS, _LONG), (_INFO_MORE, _WORD), (_INFO_TIMES, _LONG)),
    *((_INFO_DELIVERED, _WORD), (_INFO_BYTES, _LONG), (_INFO_LAST, _WORD)),
)


def fields(data: bytes) -> dict[str, int]:
    """Return what the kernel told; fields that it has not are left out."""
    values = dict(zip(_INFO_OCTETS, data, strict=False))
    values |= {"snd_wscale": data[6] & 15, "rcv_wscale": data[6] >> 4}
    at = 8
    for names, layout in _INFO_LAYOUT:
        for name in names:
            if at + layout.size <= len(data):
                (values[name],) = layout.unpack_from(data, at)
            at += layout.size
    return {f"tcpi_{name}": value for name, value in values.items()}
