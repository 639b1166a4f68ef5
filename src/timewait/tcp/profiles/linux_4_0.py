"""Linux 4.0, of the spring of 2015: what differs from 6.18 in closing and reuse.  Read in the source, not measured."""

from types import MappingProxyType
from typing import Final

from timewait.clock import SECOND
from timewait.tcp.profile import PortSearch, Profile, Reuse, Sysctl, TimestampScope, derive
from timewait.tcp.profiles.linux import PROFILE as LINUX

_DROPPED = (
    "net.ipv4.tcp_tw_reuse",
    "net.ipv4.tcp_tw_reuse_delay",
    "net.ipv4.ip_autobind_reuse",
    "net.ipv4.tcp_syn_linear_timeouts",
)

PROFILE: Final[Profile] = derive(
    LINUX,
    "linux-4.0",
    "Linux 4.0",
    {
        "reuse_bound": (True, "read: tcp_twsk_unique(), net/ipv4/tcp_ipv4.c: tw_ts_recent_stamp && twp == NULL"),
        "ack_before_first_too_old": (
            False,
            "read: tcp_ack(), net/ipv4/tcp_input.c: SND.UNA less max_window, no bytes_acked",
        ),
        "wait_rounding": (int(7.5 * SECOND), "read: one wheel of 8 slots of 7.5 s, net/ipv4/inet_timewait_sock.c"),
        "reuse_ephemeral": (Reuse.NEVER, "read: tcp_tw_reuse = 0 until 4.19, net/ipv4/tcp_ipv4.c"),
        "reuse_delay": (SECOND, "read: tcp_twsk_unique(): more than one second since the last timestamp; no sysctl"),
        "reuse_delay_whole_seconds": (True, "read: tcp_twsk_unique(): get_seconds() less the stamp above 1"),
        "reuse_fin_wait_2": (True, "read: tcp_twsk_unique() does not look at the sub-state before 6.12"),
        "fast_syn_again": (None, "read: the SYN waits for its timer until 5.6, net/ipv4/tcp_input.c"),
        "port_search": (PortSearch.HASHED, "read: __inet_hash_connect() has no parity before 4.2"),
        "ephemeral_range": ((32768, 61000), "read: sysctl_local_ports, net/ipv4/inet_connection_sock.c, as in 3.10"),
        "whole_text_if_none_waits": (True, "read: tcp_sequence(), net/ipv4/tcp_input.c: whole, and whatever waits"),
        "ts_scope": (
            TimestampScope.NONE,
            "read: tcp_parse_aligned_timestamp(): only tsoffset, which repair alone sets",
        ),
        "tw_paws_valid": (24 * 86400 * SECOND, "read: TCP_PAWS_24DAYS, include/net/tcp.h, until 6.7"),
        "paws_valid": (24 * 86400 * SECOND, "read: TCP_PAWS_24DAYS, include/net/tcp.h, until 6.7"),
        "challenge_per_second": (100, "read: sysctl_tcp_challenge_ack_limit = 100, net/ipv4/tcp_input.c"),
        "syn_linear": (
            0,
            "read: tcp_retransmit_timer(), net/ipv4/tcp_timer.c: always doubles; tcp_syn_linear_timeouts is of 6.5",
        ),
        "syn_retries": (6, "read: TCP_SYN_RETRIES, include/net/tcp.h"),
        "somaxconn": (128, "read: SOMAXCONN, include/linux/socket.h"),
        "rst_before_fin": (False, "read: tcp_validate_incoming(), net/ipv4/tcp_input.c: seq == rcv_nxt alone"),
        "paws_replay_hz": (1024, "read: tcp_disordered_ack(), net/ipv4/tcp_input.c"),
        "tw_rst_restarts": (True, "read: tcp_timewait_state_process(), until 4.19, with tcp_rfc1337 = 1"),
    },
    basis="the kernel's tree at 4.0; what is taken over from linux was looked at on 6.18; nothing was run",
    sysctls=MappingProxyType(
        {name: each for name, each in LINUX.sysctls.items() if name not in _DROPPED}
        | {
            "net.ipv4.tcp_tw_reuse": Sysctl("reuse_ephemeral", 0, high=1, choices={0: Reuse.NEVER, 1: Reuse.ALWAYS}),
            "net.ipv4.tcp_tw_recycle": Sysctl("tw_recycle", 0, high=1, choices={0: False, 1: True}),
            "net.ipv4.tcp_challenge_ack_limit": Sysctl("challenge_per_second", 100),
            "net.ipv4.ip_local_port_range": Sysctl("ephemeral_range", (32768, 61000), low=1, high=65535),
            "net.core.somaxconn": Sysctl("somaxconn", 128),
        }
    ),
)
