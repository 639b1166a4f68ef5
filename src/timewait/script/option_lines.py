"""Option lines: `--tolerance_usecs=75000` and its like, which stand before the first event."""

import ipaddress
from collections.abc import Callable, Iterable
from typing import Any

from timewait.clock import US
from timewait.script.mistake import MistakeError, near
from timewait.script.syntax import Options, Place

_IP_VERSIONS = ("ipv4", "ipv6", "ipv4-mapped-ipv6")


class _BadError(Exception):
    """A value that cannot be meant: what it should have been."""


def _whole(low: int, high: int, unit: int = 1) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not text.isascii() or not text.isdigit() or len(text) > 12 or not low <= int(text) <= high:
            raise _BadError(f"a number from {low} to {high}")
        return int(text) * unit

    return read


def _percent(text: str) -> float:
    try:
        value = float(text[:20])
    except ValueError:
        value = -1.0
    if not 0 <= value <= 100:
        raise _BadError("a number from 0 to 100")
    return value


def _version(text: str) -> str:
    if text not in _IP_VERSIONS:
        raise _BadError(" or ".join(_IP_VERSIONS))
    return text


def _address(text: str) -> str:
    try:
        ipaddress.ip_interface(text[:80])
    except ValueError:
        raise _BadError("an address, such as 192.0.2.1 or 2001:db8::1") from None
    return text


def _scripts(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _non_fatal(text: str) -> frozenset[str]:
    kinds = frozenset(part for part in text.replace(",", " ").split() if part)
    if not kinds <= {"packet", "syscall"}:
        raise _BadError("packet, syscall or both, with a comma")
    return kinds


def _anything(text: str) -> str:
    return text


# name: (field of Options, how its value is read); no field: known, and without effect here.
OPTIONS: dict[str, tuple[str | None, Callable[[str], Any]]] = {
    "ip_version": ("ip_version", _version),
    "tolerance_usecs": ("tolerance", _whole(1, 1_000_000_000, US)),
    "tolerance_percent": ("tolerance_percent", _percent),
    "mtu": ("mtu", _whole(68, 65535)),
    "speed": ("speed", _whole(0, 1_000_000, 1_000_000)),
    "local_ip": ("local_ip", _address),
    "remote_ip": ("remote_ip", _address),
    "gateway_ip": ("gateway_ip", _address),
    "netmask_ip": ("netmask_ip", _address),
    "bind_port": ("bind_port", _whole(1, 65535)),
    "connect_port": ("connect_port", _whole(1, 65535)),
    "init_scripts": ("init_scripts", _scripts),
    "non_fatal": ("non_fatal", _non_fatal),
    "tcp_ts_tick_usecs": ("tcp_ts_tick", _whole(0, 1_000_000, US)),
    "mss": ("mss", _whole(1, 65535)),
    "verbose": (None, _anything),
    "strict_segments": (None, _anything),
    "send_omit_free": (None, _anything),
    "code_command": (None, _anything),
    "code_format": (None, _anything),
    "code_sockopt": (None, _anything),
}
# Options of other programs of this language.
_NOT_SUPPORTED = {
    "udp_encapsulation": "segments within UDP",
    "tcp_md5_secret": "signatures of TCP-MD5",
}
_BARE = ("verbose", "strict_segments", "send_omit_free")


def read(lines: Iterable[tuple[Place, str]], defined: Iterable[str]) -> Options:
    """Return what the lines say; a later one replaces an earlier."""
    said: dict[str, Any] = {"defines": frozenset(defined)}
    for place, text in lines:
        name, equals, value = (part.strip() for part in text[2:].partition("="))
        if name.split()[:1] == ["define"]:  # `source` has seen to it, for conditions come before all else
            continue
        if name in _NOT_SUPPORTED:
            hint = "see the reference for what is not supported"
            raise MistakeError(place, f"--{name}: {_NOT_SUPPORTED[name]} are not supported", hint)
        if name not in OPTIONS:
            known = [f"--{option}" for option in (*OPTIONS, "define")]
            raise MistakeError(place, f"unknown option --{name}", near(f"--{name}", known, "options"))
        field, reader = OPTIONS[name]
        if not equals and name not in _BARE:
            raise MistakeError(place, f"--{name} lacks its value", f"--{name}=VALUE")
        if len(value) > 1 and value[0] == value[-1] == '"':
            value = value[1:-1]
        try:
            meant = reader(value)
        except _BadError as error:
            at = Place(place.line, place.column + text.find("=") + 1)
            raise MistakeError(at, f"--{name} cannot be {value[:40]!r}", f"it takes {error}") from None
        if field is not None:
            said[field] = meant
    return Options(**said)
