"""Linux 3.10 with tcp_tw_recycle = 1, the setting that broke clients behind NAT until 4.12 took it out.

Read in the source (net/ipv4/tcp_minisocks.c, net/ipv4/tcp_ipv4.c), not measured.  The switch is on here, for it is what
the profile is for; it was off by default.
"""

from types import MappingProxyType
from typing import Final

from timewait.tcp.profile import Profile, Sysctl, derive
from timewait.tcp.profiles.linux_4_0 import PROFILE as LINUX_4_0

PROFILE: Final[Profile] = derive(
    LINUX_4_0,
    "linux-3.10",
    "Linux 3.10, tcp_tw_recycle on",
    {
        "reuse_bound": (True, "read: tcp_twsk_unique(), net/ipv4/tcp_ipv4.c: tw_ts_recent_stamp && twp == NULL"),
        "tw_recycle": (True, "chosen: tcp_tw_recycle = 1; read: tcp_time_wait(), tcp_v4_conn_request()"),
        "ack_too_old_challenged": (True, "read: tcp_ack(), net/ipv4/tcp_input.c: tcp_send_challenge_ack()"),
        "ack_before_first_too_old": (False, "read: tcp_ack(): SND.UNA less max_window, no bytes_acked"),
        "paws_replay_hz": (1024, "read: tcp_disordered_ack(), net/ipv4/tcp_input.c"),
        "invalid_ack_interval": (0, "read: net/ipv4/tcp_input.c has no tcp_oow_rate_limited(); it is of 4.0"),
        "tw_ack_interval": (0, "read: net/ipv4/tcp_input.c has no tcp_oow_rate_limited(); it is of 4.0"),
    },
    basis="the kernel's tree at 3.10 and, for what is taken over, at 4.0; nothing was run",
    sysctls=MappingProxyType(
        {name: each for name, each in LINUX_4_0.sysctls.items() if name != "net.ipv4.tcp_invalid_ratelimit"}
        | {"net.ipv4.tcp_tw_recycle": Sysctl("tw_recycle", 1, high=1, choices={0: False, 1: True})}
    ),
)
