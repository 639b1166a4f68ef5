"""A profile's values as people read them: durations in seconds, switches as yes or no, ranges with a dash."""

from typing import Any, Final

from timewait.clock import readable

# Fields of `tcp.profile.Profile` whose number is nanoseconds.
DURATIONS: Final = frozenset(
    {
        *("time_wait", "wait_rounding", "tw_rst_paws", "tw_paws_valid", "tw_ack_interval", "fin_wait_2"),
        *("fin_wait_2_small", "linger2_limit", "invalid_ack_interval", "paws_valid", "fast_syn_again"),
        *("rto_initial", "rto_min", "rto_max", "rto_granularity", "user_timeout", "delayed_ack", "rto_slop"),
        *("keepalive_idle", "keepalive_interval", "open_timeout", "reuse_delay"),
    }
)
# Where no number means something else than "no limit".
_NONE: Final = {"window_scale": "off", "fast_syn_again": "off", "receive_buffer_active": "the same"}


def value_text(name: str, value: Any) -> str:
    """Return the value of the field `name` as text."""
    if value is None:
        return _NONE.get(name, "no limit")
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return str(value)
    if isinstance(value, int):
        if name in DURATIONS:
            return readable(value) if value else "0 s"
        return f"{value:,}"
    if isinstance(value, tuple):
        if len(value) == 2 and all(isinstance(each, int) for each in value):
            return f"{value[0]}-{value[1]}"
        if not value:
            return "none"
        return ", ".join("+".join(map(str, each)) if isinstance(each, tuple) else str(each) for each in value)
    return str(value)
