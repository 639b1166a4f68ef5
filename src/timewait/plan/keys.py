"""`Key`: what may stand in a workload file, as data: how each value is read, written, and described by a schema.

The reader, the writer, the shipped JSON Schema and the reference are all made from the tables in `workload_file`.
"""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from timewait.errors import UsageError
from timewait.plan.demand import parse_duration, parse_rate

_SIZE: Final = re.compile(r"(\d{1,15}(?:\.\d{1,6})?)\s*(B|kB|MB|GB|KiB|MiB|GiB)", re.ASCII)
_SIZES: Final = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
_GROWTH: Final = re.compile(r"([+-]?\d{1,6}(?:\.\d{1,6})?)\s*%\s*/\s*(day|week|month|year)", re.ASCII)
# Parts of a month: a year has twelve.
_MONTHS: Final = {"day": 12 / 365.25, "week": 84 / 365.25, "month": 1.0, "year": 12.0}
_RANGE: Final = re.compile(r"(\d{1,6})(?:-(\d{1,6}))?", re.ASCII)
_MOST_LISTED: Final = 10_000

Schema = dict[str, Any]


class Kind(NamedTuple):
    """A kind of value.  `read` returns it, or raises `UsageError` or `ValueError` with what is wanted in words."""

    read: Callable[[Any], Any]
    write: Callable[[Any], str]
    schema: Schema


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One key of a table of a file.  `field`: of the value that it fills, the key's own name if empty.

    `needed`: it may not be left out; what else is left out has the value's default.
    """

    name: str
    kind: Kind
    meaning: str
    example: str
    field: str = ""
    needed: bool = False

    @property
    def target(self) -> str:
        """The field that it fills."""
        return self.field or self.name


def quoted(text: str) -> str:
    """Return a string as TOML has it; JSON's escapes are among TOML's, but for what neither needs escaped."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("a text in quotes")
    return value


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError("a whole number")
    return value


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("a number")
    return float(value)


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("true or false")
    return value


def _rate(value: Any) -> float:
    if not isinstance(value, str):
        raise ValueError(f'a rate with its unit, in quotes: "{value}/s", "{value}/min" or "{value}/h"')
    return parse_rate(value, bare=False)


def _duration(value: Any) -> float:
    if value == 0 and not isinstance(value, bool):
        return 0.0
    if not isinstance(value, str):
        raise ValueError(f'a duration with its unit, in quotes: "{value}ms", "{value}s" or "{value}min"')
    return parse_duration(value)


def _octets(value: Any) -> int:
    if isinstance(value, str):
        found = _SIZE.fullmatch(value.strip())
        if found:
            return round(float(found[1]) * _SIZES[found[2]])
    elif not isinstance(value, bool) and isinstance(value, int):
        return value
    raise ValueError('a size: 1500, "20 kB" or "4 MiB"')


def _pair(value: Any) -> tuple[int, int]:
    if isinstance(value, str):
        value = [int(part) if part.isdecimal() else part for part in re.split(r"[\s-]+", value.strip())]
    if not isinstance(value, list) or len(value) != 2:
        raise ValueError("two ports, the lower first: [32768, 60999]")
    return _whole(value[0]), _whole(value[1])


def _ports(value: Any) -> tuple[tuple[int, int], ...]:
    if not isinstance(value, list):
        raise ValueError(f'a list of ports and ranges: [{json.dumps(value)}], [443, "8000-8009"]')
    return tuple(_port(each) for each in _few(value))


def _port(value: Any) -> tuple[int, int]:
    if isinstance(value, str) and (found := _RANGE.fullmatch(value.replace(" ", ""))):
        return int(found[1]), int(found[2] or found[1])
    return _whole(value), _whole(value)


def _few(value: list[Any]) -> list[Any]:
    if len(value) > _MOST_LISTED:
        raise ValueError(f"a list of at most {_MOST_LISTED:,}")
    return value


def _texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise ValueError('a list of texts: ["gateway"]')
    return tuple(_text(each) for each in _few(value))


def _numbers(value: Any) -> tuple[float, ...]:
    if not isinstance(value, list):
        raise ValueError("a list of numbers: [0.4, 1, 1.6, 1]")
    return tuple(_number(each) for each in _few(value))


def _settings(value: Any) -> tuple[tuple[str, str], ...]:
    """Return names and values of sysctls; which there are, the profile knows."""
    if not isinstance(value, dict):
        raise ValueError("a table: { tcp_tw_reuse = 1 }")
    found: list[tuple[str, str]] = []
    for name, each in value.items():
        if isinstance(each, dict):  # net.ipv4.x = 1, written with dots, is a table in a table
            found += [(f"{name}.{rest}", text) for rest, text in _settings(each)]
        elif isinstance(each, bool) or not isinstance(each, int | str):
            raise ValueError(f"a number or a text for {name}")
        else:
            found.append((name, str(each)))
    return tuple(found)


def _share(value: Any) -> float:
    """Return the share in which the client closes first."""
    if value in ("client", "server"):
        return float(value == "client")
    try:
        return _number(value)
    except ValueError:
        raise ValueError('"client", "server", or the client\'s share: 0.3') from None


def growth(value: Any) -> float:
    """Return what a rate grows by in a month, as a share.  Raises `ValueError` with what is wanted."""
    found = _GROWTH.fullmatch(value.strip()) if isinstance(value, str) else None
    if not found:
        raise ValueError('a growth such as "5%/month" or "40%/year"')
    share = float(found[1]) / 100
    if share <= -1:
        raise ValueError("a growth above -100%")
    return round(float((1 + share) ** (1 / _MONTHS[found[2]]) - 1), 12)


def _plain(value: Any) -> str:
    return json.dumps(value)


def _trimmed(value: float) -> str:
    return f"{value:.12g}"


def _list(write: Callable[[Any], str]) -> Callable[[Any], str]:
    return lambda value: "[" + ", ".join(write(each) for each in value) + "]"


def _one_range(value: tuple[int, int]) -> str:
    return str(value[0]) if value[0] == value[1] else f'"{value[0]}-{value[1]}"'


def _closes(value: float) -> str:
    return {0.0: '"server"', 1.0: '"client"'}.get(value, _trimmed(value))


def _table(value: tuple[tuple[str, str], ...]) -> str:
    inner = ", ".join(f"{quoted(name)} = {text if text.isdecimal() else quoted(text)}" for name, text in value)
    return f"{{ {inner} }}" if inner else "{}"


_PORT: Final[Schema] = {"type": "integer", "minimum": 1, "maximum": 65535}
_PATTERN_DURATION: Final = r"^[0-9]+(\.[0-9]+)?\s*(us|ms|s|m|min|h|d)$"

TEXT: Final = Kind(_text, quoted, {"type": "string"})
TEXTS: Final = Kind(_texts, _list(quoted), {"type": "array", "items": {"type": "string"}})
COUNT: Final = Kind(_whole, str, {"type": "integer", "minimum": 1})
COUNT_OR_NONE: Final = Kind(_whole, str, {"type": "integer", "minimum": 0})
NUMBER: Final = Kind(_number, _trimmed, {"type": "number"})
NUMBERS: Final = Kind(_numbers, _list(_trimmed), {"type": "array", "items": {"type": "number", "minimum": 0}})
FLAG: Final = Kind(_flag, _plain, {"type": "boolean"})
RATE: Final = Kind(
    _rate,
    lambda value: f'"{_trimmed(value)}/s"',
    {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?\s*[kM]?\s*/\s*(s|sec|min|m|h|d)$"},
)
DURATION: Final = Kind(
    _duration,
    lambda value: f'"{_trimmed(value)}s"',
    {"anyOf": [{"type": "string", "pattern": _PATTERN_DURATION}, {"const": 0}]},
)
OCTETS: Final = Kind(
    _octets,
    str,
    {
        "anyOf": [
            {"type": "integer", "minimum": 0},
            {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?\s*([kMG]|[KMG]i)?B$"},
        ]
    },
)
RANGE: Final = Kind(
    _pair,
    lambda value: f"[{value[0]}, {value[1]}]",
    {
        "anyOf": [
            {"type": "array", "items": _PORT, "minItems": 2, "maxItems": 2},
            {"type": "string", "pattern": r"^[0-9]+[\s-]+[0-9]+$"},
        ]
    },
)
PORTS: Final = Kind(
    _ports,
    _list(_one_range),
    {
        "type": "array",
        "items": {"anyOf": [_PORT, {"type": "string", "pattern": "^[0-9]+(-[0-9]+)?$"}]},
    },
)
SETTINGS: Final = Kind(_settings, _table, {"type": "object"})
CLOSER: Final = Kind(
    _share, _closes, {"anyOf": [{"enum": ["client", "server"]}, {"type": "number", "minimum": 0, "maximum": 1}]}
)
GROWTH: Final = Kind(
    growth,
    lambda value: f'"{_trimmed(value * 100)}%/month"',
    {"type": "string", "pattern": r"^[+-]?[0-9]+(\.[0-9]+)?\s*%\s*/\s*(day|week|month|year)$"},
)


def choice(words: Sequence[str], make: Callable[[str], Any] = str) -> Kind:
    """Return the kind of value that is one of some words."""

    def read(value: Any) -> Any:
        if value not in words:
            raise ValueError("one of " + ", ".join(f'"{word}"' for word in words))
        return make(value)

    return Kind(read, lambda value: quoted(str(value)), {"enum": list(words)})


def either(kind: Kind, other: Kind, is_first: Callable[[Any], bool], short: Callable[[Any], bool]) -> Kind:
    """Return the kind of value that is read as one of two; `short`: whether a value is written as the first."""

    def read(value: Any) -> Any:
        return (kind if is_first(value) else other).read(value)

    def write(value: Any) -> str:
        return (kind if short(value) else other).write(value)

    return Kind(read, write, {"anyOf": [kind.schema, other.schema]})


def read_table(keys: Sequence[Key], table: Any, where: str, others: Sequence[str] = ()) -> dict[str, Any]:
    """Return the fields that a table of a file fills.  `others`: names that may stand beside the keys.

    Raises `UsageError` for what is none, keys that there are not (with the nearest), keys that are missing, and values
    of another kind, each with the place.
    """
    if not isinstance(table, dict):
        raise UsageError(f"{where}: {_shown(table)} is no table", f"keys: {', '.join(key.name for key in keys)}")
    known = {key.name: key for key in keys}
    found = {}
    for name, value in table.items():
        if name not in known:
            raise UsageError(f"{where}: there is no key {name[:60]!r}", _near(name, [*known, *others]))
        key = known[name]
        try:
            found[key.target] = key.kind.read(value)
        except ValueError as error:
            raise UsageError(f"{where}: {name} = {_shown(value)} is not {error}", f"as in {key.example}") from None
        except UsageError as error:
            raise UsageError(f"{where}: {name}: {error.what}", error.hint) from None
    for key in keys:
        if key.needed and key.name not in table:
            raise UsageError(f"{where}: {key.name} is missing", f"as in {key.example}")
    return found


def write_table(keys: Sequence[Key], value: Any, default: Any) -> list[str]:
    """Return the lines `key = value` for all that is needed or is not the default's."""
    lines = []
    for key in keys:
        own = getattr(value, key.target)
        if own is not None and (key.needed or own != getattr(default, key.target)):
            lines.append(f"{key.name} = {key.kind.write(own)}")
    return lines


def schema_of(keys: Sequence[Key]) -> Schema:
    """Return the JSON Schema of a table."""
    found: Schema = {
        "type": "object",
        "additionalProperties": False,
        "properties": {key.name: {"description": key.meaning, **key.kind.schema} for key in keys},
    }
    needed = [key.name for key in keys if key.needed]
    return found | ({"required": needed} if needed else {})


def _near(name: str, known: Sequence[str]) -> str:
    from difflib import get_close_matches

    near = get_close_matches(name, known, 1, cutoff=0.5)
    return (f"did you mean {near[0]}? " if near else "") + f"keys: {', '.join(known)}"


def _shown(value: Any) -> str:
    text = quoted(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 60 else text[:57] + "..."
