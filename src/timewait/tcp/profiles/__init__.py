"""How real stacks differ, as data: one file of values a stack, each value with its source.

Knows which profiles there are.  Leaves what a value means to `tcp.profile` and what it does to the engine.  A source
begins with its kind: "read" (which name in which file), "documented" (by the maker), "measured" (on what), "chosen", or
"recalled, not looked up" and "recalled, not found": from memory.  "as NAME:" before it: taken over from that profile.
"""

from difflib import get_close_matches
from importlib import import_module
from typing import Final

from timewait.errors import UsageError
from timewait.tcp.profile import Profile

# Name -> module and what it holds, so that one profile costs one import.
_PROFILES: Final = {
    "rfc793": "rfc793",
    "rfc9293": "rfc9293",
    "linux": "linux",
    "linux-4.0": "linux_4_0",
    "linux-3.10": "linux_3_10",
    "freebsd": "freebsd",
    "freebsd-11": "freebsd_11",
    "macos": "macos",
    "windows": "windows",
    "illumos": "illumos",
    "lwip": "lwip",
    "smoltcp": "smoltcp",
    "gvisor": "gvisor",
}


def names() -> tuple[str, ...]:
    """Return the names of all profiles, the standards first."""
    return tuple(_PROFILES)


def get(name: str) -> Profile:
    """Return a profile by name; raises `UsageError`, naming near ones, if there is none."""
    module = _PROFILES.get(name.lower().replace("_", "-"))
    if module is None:
        near = ", ".join(get_close_matches(name, _PROFILES, n=3, cutoff=0.4)) or ", ".join(_PROFILES)
        raise UsageError(f"there is no profile {name}", f"near it: {near}")
    profile = import_module(f"timewait.tcp.profiles.{module}").PROFILE
    assert isinstance(profile, Profile)
    return profile
