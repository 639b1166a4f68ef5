"""FreeBSD 11, of 2016 to 2021, for the scripts that were written on it: what the releases since have changed.

Read in its source (sys/netinet), not measured.
"""

from types import MappingProxyType
from typing import Final

from timewait.clock import MS, SECOND
from timewait.tcp.profile import Profile, Sysctl, derive
from timewait.tcp.profiles.freebsd import PROFILE as FREEBSD

PROFILE: Final[Profile] = derive(
    FREEBSD,
    "freebsd-11",
    "FreeBSD 11",
    {
        "rto_initial": (3 * SECOND, "read: TCPTV_RTOBASE, tcp_timer.h: one second since 13"),
        "delayed_ack": (100 * MS, "read: TCPTV_DELACK (hz/10), tcp_timer.h: hz/25 since 14"),
        "window_rounds_up": (False, "read: tcp_output(), tcp_output.c: recwin is shifted as it is"),
        "ecn_cut_told_by_any": (True, "read: tcp_output(), tcp_output.c: TF_ECN_SND_CWR, whatever is sent"),
        "timestamps_required": (
            False,
            "read: tcp_input.c of release 7 has no such check; tolerate_missing_ts is newer",
        ),
    },
    basis="FreeBSD's tree at release 11; what is taken over was looked at as freebsd says; nothing was run",
    sysctls=MappingProxyType(
        {name: each for name, each in FREEBSD.sysctls.items() if name != "net.inet.tcp.nolocaltimewait"}
        | {"net.inet.tcp.delacktime": Sysctl("delayed_ack", 100, unit=MS)}
    ),
)
