"""TCP options by their names in the language, and what each takes."""

import re
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

from lark import Token

from timewait.script.mistake import MistakeError, near
from timewait.script.syntax import ANY, Match, OptionSpec, Place

_MD5 = 19  # RFC 2385
_ACCECN0, _ACCECN1 = 172, 174  # RFC 9768 section 3.2.3


class Value(NamedTuple):
    """A number, and whether `!` follows it."""

    token: Token
    value: int
    absolute: bool


class Edges(NamedTuple):
    """`left:right`."""

    token: Token
    left: int
    right: int


Part: TypeAlias = Value | Edges | Token | Match


def read(name: Token, parts: list[Part]) -> OptionSpec:
    """Return the option that `name` and what follows it say."""
    maker = _MAKERS.get(name)
    if maker is None:
        raise MistakeError(_place(name), f"unknown option {name}", near(name, _MAKERS, "options"))
    return maker(name, parts)


def _place(token: Token) -> Place:
    return Place(token.line or 1, token.column or 1)


def _nothing(name: Token, parts: list[Part]) -> OptionSpec:
    if parts:
        raise MistakeError(_place(name), f"{name} takes nothing", f"such as <mss 1460,{name}>")
    return OptionSpec(str(name))


def _one(below: int) -> Callable[[Token, list[Part]], OptionSpec]:
    def make(name: Token, parts: list[Part]) -> OptionSpec:
        if len(parts) != 1 or not (parts[0] is ANY or isinstance(parts[0], Value)):
            raise MistakeError(_place(name), f"{name} takes one number", f"such as {name} {min(1460, below // 36)}")
        return OptionSpec(str(name), (_ranged(name, parts[0], below),))

    return make


def _ranged(name: Token, part: Part, below: int) -> int | Match:
    if not isinstance(part, Value):
        return ANY
    if not 0 <= part.value < below:
        raise MistakeError(_place(part.token), f"{name} {part.value} is out of range", f"from 0 to {below - 1}")
    return part.value


def _sack(name: Token, parts: list[Part]) -> OptionSpec:
    if not parts or not all(isinstance(part, Edges) for part in parts):
        raise MistakeError(_place(name), "sack takes blocks left:right", "such as sack 2001:3001 5001:6001")
    return OptionSpec("sack", tuple(edge for part in parts if isinstance(part, Edges) for edge in part[1:]))


def _timestamps(name: Token, parts: list[Part]) -> OptionSpec:
    shape = "TS takes val and ecr", "such as TS val 100 ecr 0; ... or * for either is any value"
    if len(parts) != 4 or (parts[0], parts[2]) != ("val", "ecr"):
        raise MistakeError(_place(name), *shape)
    value, echo = parts[1], parts[3]
    if not all(part is ANY or isinstance(part, Value) for part in (value, echo)):
        raise MistakeError(_place(name), *shape)
    if isinstance(value, Value) and value.absolute:
        raise MistakeError(_place(value.token), "val has no absolute form", "! may follow ecr")
    absolute = isinstance(echo, Value) and echo.absolute
    return OptionSpec("TS", (_ranged(name, value, 1 << 32), _ranged(name, echo, 1 << 32)), absolute)


def _octets(name: Token, parts: list[Part]) -> bytes:
    """Return what hexadecimal digits say; none for nothing."""
    if not parts:
        return b""
    token = parts[0].token if isinstance(parts[0], Value) else parts[0]
    if len(parts) != 1 or not isinstance(token, Token) or not re.fullmatch(r"(?:[0-9a-fA-F]{2})+", token):
        raise MistakeError(
            _place(token if isinstance(token, Token) else name),
            f"{name} takes octets in hexadecimal",
            "such as 0102030405060708; a name can be given a value with --define NAME=VALUE",
        )
    return bytes.fromhex(token)


def _cookie(name: Token, parts: list[Part]) -> OptionSpec:
    cookie = _octets(name, parts)
    if len(cookie) > 16:
        raise MistakeError(
            _place(name), f"a cookie of {len(cookie)} octets is too long", "at most 16: RFC 7413 section 4.1.1"
        )
    return OptionSpec(str(name), (cookie,))


def _md5(name: Token, parts: list[Part]) -> OptionSpec:
    if len(parts) == 1 and parts[0] in ("valid", "invalid"):
        raise MistakeError(
            _place(name), "digests are neither made nor checked", "md5 and 16 octets in hexadecimal are sent as is"
        )
    digest = _octets(name, parts)
    if len(digest) != 16:
        raise MistakeError(_place(name), f"an MD5 digest has 16 octets, not {len(digest)}", "RFC 2385")
    return OptionSpec("kind", (_MD5, digest))


def _counters(number: int | None, exid: bytes = b"") -> Callable[[Token, list[Part]], OptionSpec]:
    """AccECN: counters of 24 bits by name, in the order of option 172 (e0b ceb e1b) or 174 (e1b ceb e0b)."""

    def make(name: Token, parts: list[Part]) -> OptionSpec:
        names = [str(part).lower().removeprefix("e") for part in parts[::2] if isinstance(part, Token)]
        values = [part.value for part in parts[1::2] if isinstance(part, Value)]
        orders = {_ACCECN0: ["0b", "ceb", "1b"], _ACCECN1: ["1b", "ceb", "0b"]}
        kind = number or (_ACCECN0 if names[:1] == ["0b"] else _ACCECN1)
        if len(names) + len(values) != len(parts) or names != orders[kind][: len(names)] or len(values) != len(names):
            raise MistakeError(
                _place(name), f"{name} takes counters in their order", f"such as {name} e1b 1 ceb 0 e0b 1"
            )
        if any(not 0 <= value < 1 << 24 for value in values):
            raise MistakeError(_place(name), "a counter has 24 bits", f"from 0 to {(1 << 24) - 1}")
        octets = b"".join(value.to_bytes(3, "big") for value in values)
        if exid:  # RFC 6994: kind 254, an identifier, the contents
            return OptionSpec("kind", (254, exid + octets))
        return OptionSpec("kind", (kind, octets))

    return make


_MAKERS: dict[str, Callable[[Token, list[Part]], OptionSpec]] = {
    "nop": _nothing,
    "eol": _nothing,
    "mss": _one(1 << 16),
    "wscale": _one(1 << 8),
    "sackOK": _nothing,
    "sack": _sack,
    "TS": _timestamps,
    "FO": _cookie,
    "FOEXP": _cookie,
    "md5": _md5,
    "ECN": _counters(None),
    "AccECN0": _counters(_ACCECN0),
    "AccECN1": _counters(_ACCECN1),
}
NAMES = tuple(_MAKERS)
