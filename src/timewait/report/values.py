"""Values as people read them: a profile's, durations in seconds, switches as yes or no, ranges with a dash; shares."""

from typing import Any, Final

from timewait.clock import readable

# Fields of `tcp.profile.Profile` whose number is nanoseconds.
DURATIONS: Final = frozenset(
    {
        *("time_wait", "wait_rounding", "tw_rst_paws", "tw_paws_valid", "tw_ack_interval", "fin_wait_2"),
        *("fin_wait_2_small", "linger2_limit", "invalid_ack_interval", "paws_valid", "fast_syn_again"),
        *("rto_initial", "rto_min", "rto_max", "rto_granularity", "user_timeout", "delayed_ack", "rto_slop"),
        *("keepalive_idle", "keepalive_interval", "open_timeout", "reuse_delay", "probe_min"),
    }
)
# Where no number means something else than "no limit".
_NONE: Final = {
    "window_scale": "off",
    "fast_syn_again": "off",
    "receive_buffer_active": "the same",
    "isn_passive": "the same",
    "syn_drops_options": "never",
}


# Shares below this, half of the last digit of a percentage, are shown in millionths.
_RARE: Final = 0.00005


def share_text(value: float) -> str:
    """Return a share in percent, or in parts per million where it is so small that percent would not show it."""
    if not value:
        return "0"
    if abs(value) < _RARE:
        return f"{value * 1e6:.2g} ppm"
    return f"{value:.2%}" if value < 0.1 else f"{value:.1%}"


def share_between(mean: float, half: float) -> str:
    """Return a share and half its interval, both in the same unit: percent, or parts per million."""
    if mean + half < _RARE:
        return f"{mean * 1e6:.2g} ± {half * 1e6:.2g} ppm"
    return f"{mean * 100:.3f} ± {half * 100:.3f} %"


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
        if name == "loss_share":
            return f"{value[0]}/{value[1]}"
        if len(value) == 2 and all(isinstance(each, int) for each in value):
            return f"{value[0]}-{value[1]}"
        if not value:
            return "none"
        return ", ".join("+".join(map(str, each)) if isinstance(each, tuple) else str(each) for each in value)
    return str(value)
