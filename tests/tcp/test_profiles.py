"""Every profile is whole: each value of the right kind, each with its source, each setting one that works."""

import re
import typing
from dataclasses import fields
from enum import Enum

import pytest

from timewait.clock import MS, SECOND
from timewait.errors import UsageError
from timewait.tcp import profiles, settings
from timewait.tcp.profile import Profile
from timewait.tcp.profiles.rfc9293 import PROFILE as RFC9293
from timewait.tcp.stack import Stack

EVERY = pytest.mark.parametrize("name", profiles.names())
HINTS = typing.get_type_hints(Profile)


def fits(value: object, hint: object) -> bool:
    origin = typing.get_origin(hint)
    if origin is tuple:
        args = typing.get_args(hint)
        if not isinstance(value, tuple):
            return False
        if args[-1] is Ellipsis:
            return all(fits(each, args[0]) for each in value)
        return len(value) == len(args) and all(map(fits, value, args))
    if typing.get_args(hint):
        return any(fits(value, each) for each in typing.get_args(hint))
    if hint is int:
        return isinstance(value, int) and not isinstance(value, (bool, Enum))
    return isinstance(value, hint) if isinstance(hint, type) else True


@EVERY
def test_every_value_is_of_the_kind_its_field_says(name: str) -> None:
    profile = profiles.get(name)
    for each in fields(profile):
        if each.name not in ("sources", "sysctls"):
            assert fits(getattr(profile, each.name), HINTS[each.name]), each.name


@EVERY
def test_every_value_that_differs_from_the_rfc_has_its_source(name: str) -> None:
    profile = profiles.get(name)
    assert profile.name == name
    for each in fields(profile):
        if each.name in ("name", "title", "basis", "sources", "sysctls"):
            continue
        if getattr(profile, each.name) != getattr(RFC9293, each.name):
            assert each.name in profile.sources, each.name


KINDS = (
    "read: ",
    "documented: ",
    "measured: ",
    "chosen: ",
    "recalled, not looked up: ",
    "recalled, not found: ",
)


@EVERY
def test_every_source_is_of_a_known_kind_and_names_a_field(name: str) -> None:
    profile = profiles.get(name)
    known = {each.name for each in fields(profile)}
    for field_name, source in profile.sources.items():
        assert field_name in known
        first, _, own = source.partition(": ")
        if first.startswith("as "):
            assert first[3:] in profiles.names()
            source = own
        assert source.startswith(KINDS), (field_name, source)
    assert profile.basis


# A function, an array, a constant, a file or a section.
FINDABLE = re.compile(r"\w+\(|\w\[\]|[A-Z]{2,}_[A-Z_0-9]+|\.(c|h|go|rs)\b|RFC \d+")


@EVERY
def test_every_source_that_was_read_or_measured_names_what_to_look_for(name: str) -> None:
    for field_name, source in profiles.get(name).sources.items():
        if source.startswith(("read", "as ")) and "read: " in source:
            assert FINDABLE.search(source), (field_name, source)
        assert source != "measured", field_name


def test_timer_constants_are_those_of_their_headers() -> None:
    """FreeBSD sys/netinet/tcp_timer.h, XNU bsd/netinet/tcp_timer.h, illumos tcp_tunables.c, Linux tcp_input.c."""
    assert profiles.get("freebsd").rto_max == 64 * SECOND
    assert profiles.get("macos").rto_min == 230 * MS
    illumos = profiles.get("illumos")
    assert (illumos.user_timeout, illumos.initial_cwnd, illumos.rto_max) == (300 * SECOND, 4, 60 * SECOND)
    assert [profiles.get(name).paws_replay_hz for name in ("linux", "linux-4.0", "freebsd")] == [1200, 1024, 0]


@EVERY
def test_every_setting_has_the_default_that_the_profile_has(name: str) -> None:
    profile = profiles.get(name)
    stack = Stack(profile, [])
    for full, sysctl in profile.sysctls.items():
        stack.set_sysctl(full, sysctl.default)
        assert stack.get_sysctl(full) == sysctl.default
    assert stack.profile == profile


def test_an_unknown_profile_names_near_ones() -> None:
    with pytest.raises(UsageError) as caught:
        profiles.get("linus")
    assert "linux" in caught.value.hint


def test_an_unknown_setting_names_near_ones() -> None:
    stack = Stack(profiles.get("linux"), [])
    with pytest.raises(settings.SettingError) as caught:
        stack.set_sysctl("net.ipv4.tcp_tw_reus", 1)
    assert "net.ipv4.tcp_tw_reuse" in caught.value.hint


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("tcp_tw_reuse", 3),
        ("tcp_tw_reuse_delay", 0),
        ("tcp_tw_reuse_delay", 60001),
        ("tcp_fin_timeout", "x"),
        ("ip_local_port_range", "5 4"),
        ("ip_local_reserved_ports", "a-b"),
    ],
)
def test_a_setting_out_of_range_is_refused(name: str, value: object) -> None:
    with pytest.raises(settings.SettingError):
        Stack(profiles.get("linux"), []).set_sysctl(name, value)  # type: ignore[arg-type]


def test_a_setting_is_seen_by_connections_that_exist() -> None:
    stack = Stack(profiles.get("linux"), [])
    stack.set_sysctl("tcp_fin_timeout", 30)
    assert stack.shared.profile.fin_wait_2 == 30 * 10**9
    assert stack.get_sysctl("net.ipv4.tcp_fin_timeout") == 30
    stack.set_sysctl("ip_local_port_range", "40000 40010")
    assert stack.profile.ephemeral_range == (40000, 40010)
