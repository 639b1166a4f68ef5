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
        "ack_before_first_too_old": (False, "recalled, not looked up: tcp_ack() compares with bytes_acked since 6.7"),
        "tw_recycle": (True, "chosen: tcp_tw_recycle = 1; read: tcp_time_wait(), tcp_v4_conn_request()"),
        "ack_too_old_challenged": (
            False,
            "recalled, not looked up: tcp_ack() discards an old ACK without an answer before 3.12",
        ),
        "invalid_ack_interval": (0, "recalled, not looked up: tcp_invalid_ratelimit is newer, 4.0"),
        "tw_ack_interval": (0, "recalled, not looked up: tcp_invalid_ratelimit is newer, 4.0"),
    },
    sysctls=MappingProxyType(
        {name: each for name, each in LINUX_4_0.sysctls.items() if name != "net.ipv4.tcp_invalid_ratelimit"}
        | {"net.ipv4.tcp_tw_recycle": Sysctl("tw_recycle", 1, high=1, choices={0: False, 1: True})}
    ),
)
