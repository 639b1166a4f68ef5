"""Sysctl-like settings: names under which fields of the profile in force change while a stack runs.

A setting makes a new `Profile`; which names there are is the profile's own data (`Profile.sysctls`).
"""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from timewait.errors import UsageError
from timewait.tcp.profile import Profile, Sysctl


class SettingError(UsageError):
    """There is no setting of this name, or it cannot have this value."""


def find(profile: Profile, name: str) -> tuple[str, Sysctl]:
    """Return the full name and description of a setting; the last part of the name is enough.

    Raises `SettingError`, naming near ones, if the profile has none.
    """
    sysctls = profile.sysctls
    if name in sysctls:
        return name, sysctls[name]
    dotted = name.replace("/", ".")
    for full, sysctl in sysctls.items():
        if full == dotted or full.rsplit(".", 1)[-1] == name:
            return full, sysctl
    short = {full.rsplit(".", 1)[-1]: full for full in sysctls}
    near = get_close_matches(name, [*sysctls, *short], n=3, cutoff=0.4)
    known = ", ".join(dict.fromkeys(short.get(each, each) for each in near)) or ", ".join(sysctls) or "none"
    raise SettingError(f"profile {profile.name} has no setting {name}", f"near it: {known}")


def parse(name: str, sysctl: Sysctl, value: int | str | tuple[int, int]) -> Any:
    """Return the field's value for a setting's, which is a number, a pair, or text as sysctl writes it.

    Raises `SettingError` if it is none of these or out of range.
    """
    if isinstance(sysctl.default, tuple):
        pair = tuple(int(part) for part in value.split()) if isinstance(value, str) else value
        if not isinstance(pair, tuple) or len(pair) != 2 or not sysctl.low <= pair[0] <= pair[1] <= sysctl.high:
            raise SettingError(f"{name} = {value} is no range", f"two numbers, {sysctl.low} to {sysctl.high}, in order")
        return pair
    if isinstance(sysctl.default, str):
        return _port_list(name, str(value))
    try:
        number = int(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise SettingError(f"{name} = {value} is no number", f"from {sysctl.low} to {sysctl.high}") from None
    if not sysctl.low <= number <= sysctl.high:
        raise SettingError(f"{name} = {number} is out of range", f"from {sysctl.low} to {sysctl.high}")
    if sysctl.choices is not None:
        if number not in sysctl.choices:
            raise SettingError(f"{name} = {number} means nothing", f"one of {', '.join(map(str, sysctl.choices))}")
        return sysctl.choices[number]
    if sysctl.none_at_zero and number == 0:
        return None
    return number * sysctl.unit


def _port_list(name: str, text: str) -> tuple[tuple[int, int], ...]:
    found = []
    for part in text.replace(" ", "").split(","):
        if not part:
            continue
        low, _, high = part.partition("-")
        if not low.isdigit() or (high and not high.isdigit()) or int(high or low) > 65535:
            raise SettingError(f"{name} = {text}: ports and ranges of ports are wanted, as in 8080,9000-9010")
        found.append((int(low), int(high or low)))
    return tuple(found)


def defaults(profile: Profile) -> Mapping[str, int | tuple[int, int] | str]:
    """Return what each setting of a profile is before anybody changes it."""
    return {name: sysctl.default for name, sysctl in profile.sysctls.items()}


def change(profile: Profile, name: str, value: int | str | tuple[int, int]) -> Profile:
    """Return the profile with one setting changed.  Raises `SettingError`, naming near names."""
    full, sysctl = find(profile, name)
    return profile.changed(**dict.fromkeys((sysctl.field, *sysctl.also), parse(full, sysctl, value)))


def change_all(profile: Profile, assignments: Iterable[str]) -> Profile:
    """Return the profile with settings changed, each as `NAME=VALUE`.  Raises `SettingError`."""
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        if not equals:
            raise SettingError(f"{assignment!r} sets nothing", "NAME=VALUE is wanted, as in tcp_tw_reuse=1")
        profile = change(profile, name.strip(), value.strip())
    return profile
