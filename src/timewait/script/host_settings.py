"""Sysctls of scripts that are no single field of a profile: what sets several, and what needs nothing done.

A value that agrees with what the engine does is accepted, any other is refused: `AGREES` lists those.  Which fields a
plain sysctl changes is the profile's own data (`Profile.sysctls`).
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from timewait.clock import MS
from timewait.tcp.profile import Profile, TimestampScope

# Any value: it changes nothing that can be seen of one connection in exact time.
ANY_VALUE: Final[frozenset[str]] = frozenset()

_LARGEST_WINDOW: Final = 65535
# sys/netinet/tcp_input.c: at a closed port, 1 drops a SYN unanswered, 2 and above whatever comes.
_BLACKHOLE_ALL: Final = 2
_LARGEST_SHIFT: Final = 14


def _rfc1323(profile: Profile, value: int) -> dict[str, Any]:
    """tcp_var.h: 0 neither, 1 both, 2 window scaling alone, 3 timestamps alone."""
    scale = profile.window_scale if profile.window_scale is not None else _shift_for(2 * 1024 * 1024)
    return {"timestamps": value in (1, 3), "window_scale": scale if value in (1, 2) else None}


def _shift_for(largest_buffer: int) -> int:
    """tcp_syncache.c, syncache_add(): the least shift with which the largest buffer can be announced."""
    shift = 0
    while shift < _LARGEST_SHIFT and _LARGEST_WINDOW << shift < largest_buffer:
        shift += 1
    return shift


def _maxsockbuf(profile: Profile, value: int) -> dict[str, Any]:
    return {} if profile.window_scale is None else {"window_scale": _shift_for(value)}


def _recvspace(profile: Profile, value: int) -> dict[str, Any]:
    """What is not scaled is announced as 65535 at most: tcp_syncache.c."""
    return {"receive_buffer": min(value, _LARGEST_WINDOW), "receive_buffer_active": value}


def _tcp_rmem(profile: Profile, value: str) -> dict[str, Any]:
    """tcp_select_initial_window(), net/ipv4/tcp_output.c: the largest buffer decides the scale offered."""
    largest = _three(value)[2]
    if profile.window_scale is None:
        return {}
    return {"window_scale": min(max(largest.bit_length() - 1 - 15, 0), _LARGEST_SHIFT)}


def _tcp_wmem(profile: Profile, value: str) -> dict[str, Any]:
    return {"send_buffer": _three(value)[1]}


def _three(value: str) -> tuple[int, int, int]:
    """Return least, first and largest size of a buffer."""
    least, first, largest = map(int, value.split())
    if not 0 < least <= largest < 1 << 31:
        raise ValueError(value)
    return least, first, largest


# Name -> what its text makes of the profile; ValueError: it cannot have this one.
SPELLED: Final[Mapping[str, Callable[[Profile, str], dict[str, Any]]]] = MappingProxyType(
    {"net.ipv4.tcp_rmem": _tcp_rmem, "net.ipv4.tcp_wmem": _tcp_wmem}
)
# Name -> what its number makes of the profile.
COMPUTED: Final[Mapping[str, Mapping[str, Callable[[Profile, int], dict[str, Any]]]]] = MappingProxyType(
    {
        "freebsd": {
            "net.inet.tcp.rfc1323": _rfc1323,
            "kern.ipc.maxsockbuf": _maxsockbuf,
            "net.inet.tcp.recvspace": _recvspace,
            "net.inet.tcp.sendspace": lambda profile, value: {"send_buffer": value},
            "net.inet.tcp.rfc3042": lambda profile, value: {"limited_transmit": value != 0},
            "net.inet.tcp.sack.enable": lambda profile, value: {"sack": value != 0},
            "net.inet.tcp.rexmit_slop": lambda profile, value: {"rto_slop": value * MS},
            "net.inet.tcp.rexmit_drop_options": lambda profile, value: {"syn_drops_options": 3 if value else None},
            "net.inet.tcp.keepinit": lambda profile, value: {"open_timeout": value * MS},
            "net.inet.tcp.icmp_may_rst": lambda profile, value: {"icmp_ends_opening": value != 0},
            "net.inet.tcp.rexmit_initial": lambda profile, value: {"rto_initial": value * MS},
            "net.inet.tcp.rexmit_min": lambda profile, value: {"rto_min": value * MS},
            "net.inet.tcp.blackhole": lambda profile, value: {
                "stray_syn_answered": value == 0,
                "stray_answered": value < _BLACKHOLE_ALL,
            },
            "net.inet.tcp.abc_l_var": lambda profile, value: {"slow_start_limit": value},
            "net.inet.tcp.initcwnd_segments": lambda profile, value: {"initial_cwnd": value},
            "net.inet.tcp.mssdflt": lambda profile, value: {"sender_default_mss": value},
            "net.inet.tcp.keepidle": lambda profile, value: {"keepalive_idle": value * MS},
            "net.inet.tcp.keepintvl": lambda profile, value: {"keepalive_interval": value * MS},
            "net.inet.tcp.keepcnt": lambda profile, value: {"keepalive_probes": value},
            "net.inet.tcp.tolerate_missing_ts": lambda profile, value: {"timestamps_required": value == 0},
            "net.inet.tcp.ts_offset_per_conn": lambda profile, value: {
                "ts_scope": TimestampScope.FOUR_TUPLE if value else TimestampScope.NONE
            },
        },
        "linux": {
            "net.ipv4.tcp_window_scaling": lambda profile, value: {
                "window_scale": (profile.window_scale or 7) if value else None
            },
            "net.ipv4.tcp_retries1": lambda profile, value: {},
        },
    }
)

AGREES: Final[Mapping[str, Mapping[str, frozenset[str]]]] = MappingProxyType(
    {
        "freebsd": {
            "net.inet.tcp.hostcache.purgenow": ANY_VALUE,
            "net.inet.tcp.hostcache.purge": ANY_VALUE,
            "net.inet.tcp.hostcache.enable": ANY_VALUE,
            "kern.timecounter.alloweddeviation": ANY_VALUE,
            "net.inet.tcp.syncookies": frozenset("01"),
            "net.inet.tcp.syncookies_only": frozenset("0"),
            "net.inet.tcp.path_mtu_discovery": frozenset("1"),
            "net.inet.tcp.delayed_ack": frozenset("1"),
            "net.inet.tcp.always_keepalive": frozenset("01"),
            "net.inet.tcp.functions_default": frozenset({"freebsd"}),
            "net.inet.tcp.cc.algorithm": frozenset({"newreno"}),
            "net.inet.tcp.tso": frozenset("01"),
            "net.inet.tcp.rfc6675_pipe": frozenset("1"),
            "net.inet.tcp.sack.revised": frozenset("1"),
            "net.inet.tcp.log_debug": ANY_VALUE,
            "net.inet.tcp.log_in_vain": ANY_VALUE,
            "net.inet.tcp.fast_finwait2_recycle": frozenset("0"),
            "net.inet.tcp.pmtud_blackhole_detection": frozenset("0"),
            "net.inet.tcp.rfc3390": frozenset("1"),
            "net.inet.tcp.rfc3465": frozenset("01"),
            "net.inet.tcp.sendbuf_auto": ANY_VALUE,
            "net.inet.tcp.recvbuf_auto": ANY_VALUE,
            "net.inet.icmp.icmplim": ANY_VALUE,
            "net.inet.tcp.fastopen.client_enable": frozenset("01"),
            "net.inet.tcp.fastopen.server_enable": frozenset("0"),
            "net.inet.tcp.maxunacktime": frozenset("0"),
            "net.inet.tcp.retries": frozenset({"12"}),
            "net.inet.tcp.persmax": frozenset({"60000"}),
            "net.inet.tcp.udp_tunneling_port": frozenset("0"),
            "net.inet.tcp.functions_inherit_listen_socket_stack": ANY_VALUE,
            "net.inet.tcp.cc.abe": frozenset("0"),
            "net.inet.tcp.do_prr": frozenset("0"),
            "net.inet.tcp.do_lrd": frozenset("0"),
            "net.inet.tcp.fastopen.enabled": frozenset("0"),
            "net.inet.ip.ttl": frozenset({"64"}),
            "net.inet6.ip6.hlim": frozenset({"64"}),
            "net.inet.ip.random_id": ANY_VALUE,
            "net.inet.tcp.v6mssdflt": frozenset({"1220"}),
            "net.inet.tcp.minmss": frozenset({"216"}),
            "net.inet.tcp.nolocaltimewait": ANY_VALUE,
        },
        "linux": {
            "net.ipv4.tcp_syncookies": frozenset("01"),
            "net.ipv4.tcp_window_scaling": frozenset("1"),
            "net.ipv4.tcp_no_metrics_save": ANY_VALUE,
            "net.ipv4.tcp_metrics_save": ANY_VALUE,
            "net.ipv4.tcp_fastopen": ANY_VALUE,
            "net.ipv4.tcp_fastopen_key": ANY_VALUE,
            "net.ipv4.tcp_pacing_ss_ratio": ANY_VALUE,
            "net.ipv4.tcp_pacing_ca_ratio": ANY_VALUE,
            "net.ipv4.tcp_notsent_lowat": ANY_VALUE,
            "net.ipv4.tcp_tso_win_divisor": ANY_VALUE,
            "net.ipv4.tcp_min_tso_segs": ANY_VALUE,
            "net.ipv4.tcp_autocorking": ANY_VALUE,
            "net.ipv4.tcp_moderate_rcvbuf": ANY_VALUE,
            "net.ipv4.tcp_congestion_control": frozenset({"reno", "cubic"}),
            "net.ipv4.tcp_slow_start_after_idle": ANY_VALUE,
            "net.ipv4.tcp_fack": ANY_VALUE,
            "net.ipv4.tcp_frto": ANY_VALUE,
            "net.ipv4.tcp_reordering": frozenset("3"),
            "net.ipv4.tcp_recovery": ANY_VALUE,
            "net.ipv4.tcp_early_retrans": ANY_VALUE,
            "net.ipv4.tcp_challenge_ack_limit": ANY_VALUE,
            "net.ipv4.tcp_abort_on_overflow": frozenset("0"),
            "net.ipv4.tcp_mtu_probing": frozenset("0"),
            "net.ipv4.tcp_stdurg": frozenset("0"),
            "net.ipv4.tcp_shrink_window": frozenset("0"),
            "net.ipv4.ip_forward": ANY_VALUE,
            "net.core.default_qdisc": ANY_VALUE,
            "net.core.wmem_max": ANY_VALUE,
            "net.core.rmem_max": ANY_VALUE,
            "net.core.netdev_max_backlog": ANY_VALUE,
        },
    }
)
