"""k6: options as JSON, or as the object literal of `export const options` in a script, of which nothing is run."""

import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from timewait.errors import UsageError
from timewait.plan.demand import Arrivals
from timewait.plan.importers.imported import CHOSEN_HOLD, Asked, Imported, Unused, seconds
from timewait.plan.workload import Destination, Flow, Holding, Pool, Source, Workload

_START: Final = re.compile(r"export\s+(?:const|let|var)\s+options\s*=\s*(?=\{)")
_TOKEN: Final = re.compile(
    r"""\s+|//[^\n]*|/\*.*?\*/|(?P<sign>[{}\[\]:,])|(?P<text>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')"""
    r"""|(?P<number>-?\d{1,15}(?:_\d{1,15})*(?:\.\d{1,15})?(?:[eE][+-]?\d{1,2})?)(?!\w)|(?P<word>[A-Za-z_$][\w$]*)""",
    re.DOTALL | re.ASCII,
)
_WORDS: Final = {"true": True, "false": False, "null": None, "undefined": None}
_DEEPEST: Final = 64
_USED: Final = frozenset(("vus", "stages", "scenarios", "noConnectionReuse", "noVUConnectionReuse", "rps"))
_SCENARIO: Final = frozenset(
    ("executor", "rate", "timeUnit", "startRate", "stages", "vus", "startVUs", "maxVUs", "preAllocatedVUs")
)


class _Token(NamedTuple):
    kind: str
    text: str
    line: int


def read(text: str, name: str, asked: Asked) -> Imported:
    """Return the workload of options; see `importers.load`."""
    options = _options(text, name)
    unused = [Unused(0, str(key)[:80]) for key in options if key not in _USED]
    hold = CHOSEN_HOLD if asked.hold is None else asked.hold
    notes = [f"{'chosen: ' if asked.hold is None else ''}a request takes {hold * 1000:g} ms"]
    scenarios = options.get("scenarios")
    if not isinstance(scenarios, dict) or not scenarios:
        scenarios = {"default": {key: options[key] for key in ("vus", "stages") if key in options}}
    reused = not (options.get("noConnectionReuse") or options.get("noVUConnectionReuse"))
    flows = []
    for key, scenario in scenarios.items():
        if not isinstance(scenario, dict):
            raise UsageError(f"{name}: scenario {key[:40]} is no object", "an executor and what it needs")
        unused += [Unused(0, f"{key}: {each}"[:80]) for each in scenario if each not in _SCENARIO]
        rate, users, steady, note = _load(key, scenario, hold, asked.rate, name)
        notes.append(note)
        flows.append(
            Flow(
                source="k6",
                destination="service",
                rate=rate,
                arrivals=Arrivals.CONSTANT if steady else Arrivals.POISSON,
                holds=Holding(mean=hold),
                pool=Pool(size=users) if reused and hold and users else None,
            )
        )
    if not reused:
        notes.append("noConnectionReuse or noVUConnectionReuse: a connection for each iteration, of one request")
    notes.append("chosen: one host, one address and port to connect to; the options do not name it")
    load = Workload(
        title=name,
        notes=tuple(notes),
        sources=(Source(name="k6"),),
        destinations=(Destination(name="service"),),
        flows=tuple(flows),
    )
    return Imported(load, tuple(unused))


def _load(
    key: str, scenario: dict[str, Any], hold: float, asked: float | None, name: str
) -> tuple[float, int, bool, str]:
    """Return (requests a second, virtual users, whether steady, what was chosen) of a scenario."""
    stages = [stage for stage in scenario.get("stages") or () if isinstance(stage, dict)]
    users = _whole(scenario, "maxVUs", "preAllocatedVUs", "vus", "startVUs")
    peak = max((number for stage in stages if (number := _number(stage.get("target"))) is not None), default=0.0)
    if "arrival-rate" in str(scenario.get("executor")):
        unit = seconds(str(scenario.get("timeUnit", "1s")), "s") or 1.0
        rate = max(_number(scenario.get("rate")) or 0.0, _number(scenario.get("startRate")) or 0.0, peak) / unit
        note = f"{key}: an iteration makes one request" + ("; the highest of its stages is planned" if stages else "")
        steady = True
    else:
        users = max(users or 1, round(min(peak, 1e6)))
        rate = asked or (users / hold if hold else 0.0)
        note = f"{key}: {users} virtual users, each asks as soon as it is answered"
        steady = False
    if rate <= 0:
        raise UsageError(f"{name}: scenario {key[:40]} says no rate", "give --rate 500/s, or --hold for virtual users")
    return rate, min(users, 1_000_000), steady, note


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _whole(scenario: dict[str, Any], *names: str) -> int:
    for each in names:
        number = _number(scenario.get(each))
        if number is not None and number >= 1:
            return int(min(number, 1e6))
    return 0


def _options(text: str, name: str) -> dict[str, Any]:
    begin = 0
    if not text.lstrip().startswith("{"):
        found = _START.search(text)
        if not found:
            raise UsageError(
                f"{name} has no `export const options = {{`",
                "k6 options as JSON, or a script with the object written out",
            )
        begin = found.end()
    tokens = _tokens(text, begin, name)
    value = _value(next(tokens, None), tokens, name, 0)
    if not isinstance(value, dict):
        raise UsageError(f"{name} is no object", "k6 options are an object")
    return value


def _tokens(text: str, at: int, name: str) -> Iterator[_Token]:
    line = text.count("\n", 0, at) + 1
    while at < len(text):
        found = _TOKEN.match(text, at)
        if not found:
            raise UsageError(
                f"{name}:{line}: {text[at : at + 20]!r} is more than a value written out",
                "numbers, texts, true, false, objects and arrays are read; nothing is run",
            )
        if found.lastgroup is not None:
            yield _Token(found.lastgroup, found[0], line)
        line += found[0].count("\n")
        at = found.end()


def _value(token: _Token | None, tokens: Iterator[_Token], name: str, depth: int) -> Any:
    if token is None:
        raise UsageError(f"{name}: the options end too early", "a brace is missing")
    if depth > _DEEPEST:
        raise UsageError(f"{name}:{token.line}: nested deeper than {_DEEPEST}", "options are not")
    if token.kind == "text":
        return re.sub(r"\\(.)", r"\1", token.text[1:-1], flags=re.DOTALL)
    if token.kind == "number":
        plain = token.text.replace("_", "")
        return int(plain) if plain.lstrip("-").isdecimal() else float(plain)
    if token.kind == "word" and token.text in _WORDS:
        return _WORDS[token.text]
    if token.text == "{":
        return _object(tokens, name, depth)
    if token.text == "[":
        return _array(tokens, name, depth)
    raise UsageError(
        f"{name}:{token.line}: {token.text[:40]!r} is no value written out",
        "numbers, texts, true, false, objects and arrays are read; nothing is run",
    )


def _object(tokens: Iterator[_Token], name: str, depth: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for token in tokens:
        if token.text == "}" and token.kind == "sign":
            return found
        if token.kind == "sign":
            raise UsageError(f"{name}:{token.line}: {token.text!r} where a name was expected", "name: value")
        key = token.text[1:-1] if token.kind == "text" else token.text
        colon = next(tokens, None)
        if colon is None or colon.text != ":":
            raise UsageError(f"{name}:{token.line}: {key[:40]} without a colon", "name: value")
        found[key] = _value(next(tokens, None), tokens, name, depth + 1)
        after = next(tokens, None)
        if after is None or after.text == "}":
            break
        if after.text != ",":
            raise UsageError(f"{name}:{after.line}: {after.text[:40]!r} after the value of {key[:40]}", "a comma")
    return found


def _array(tokens: Iterator[_Token], name: str, depth: int) -> list[Any]:
    found: list[Any] = []
    for token in tokens:
        if token.text == "]" and token.kind == "sign":
            return found
        found.append(_value(token, tokens, name, depth + 1))
        after = next(tokens, None)
        if after is None or after.text == "]":
            break
        if after.text != ",":
            raise UsageError(f"{name}:{after.line}: {after.text[:40]!r} in an array", "a comma")
    return found
