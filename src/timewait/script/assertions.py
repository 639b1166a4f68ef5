"""`%{ assert EXPR[, EXPR] }%`: read and evaluated by a small evaluator of its own.

It knows whole numbers, names, arithmetic, comparisons and boolean logic as Python writes them, and nothing else: no
call, no attribute, no power.  Whatever it computes stays below 2^128 and ends at once.
"""

import itertools
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, TypeAlias

from timewait.script.mistake import near

_DEEPEST = 50  # brackets and unary operators within each other
_LONGEST = 4096  # characters
_LARGEST = 1 << 128
_WIDEST_SHIFT = 64

# Linux: include/uapi/linux/tcp.h (TCPI_OPT_*, TCP_CA_*), include/net/tcp_states.h (TCP_*).
# FreeBSD: netinet/tcp.h (TCPI_OPT_*, the first four alike), netinet/tcp_fsm.h (TCPS_*).
CONSTANTS: Mapping[str, int] = {
    "True": 1,
    "False": 0,
    "TCPI_OPT_TIMESTAMPS": 1,
    "TCPI_OPT_SACK": 2,
    "TCPI_OPT_WSCALE": 4,
    "TCPI_OPT_ECN": 8,
    "TCPI_OPT_ECN_SEEN": 16,
    "TCPI_OPT_SYN_DATA": 32,
    "TCP_ESTABLISHED": 1,
    "TCP_SYN_SENT": 2,
    "TCP_SYN_RECV": 3,
    "TCP_FIN_WAIT1": 4,
    "TCP_FIN_WAIT2": 5,
    "TCP_TIME_WAIT": 6,
    "TCP_CLOSE": 7,
    "TCP_CLOSE_WAIT": 8,
    "TCP_LAST_ACK": 9,
    "TCP_LISTEN": 10,
    "TCP_CLOSING": 11,
    "TCP_CA_Open": 0,
    "TCP_CA_Disorder": 1,
    "TCP_CA_CWR": 2,
    "TCP_CA_Recovery": 3,
    "TCP_CA_Loss": 4,
    "TCPS_CLOSED": 0,
    "TCPS_LISTEN": 1,
    "TCPS_SYN_SENT": 2,
    "TCPS_SYN_RECEIVED": 3,
    "TCPS_ESTABLISHED": 4,
    "TCPS_CLOSE_WAIT": 5,
    "TCPS_FIN_WAIT_1": 6,
    "TCPS_CLOSING": 7,
    "TCPS_LAST_ACK": 8,
    "TCPS_FIN_WAIT_2": 9,
    "TCPS_TIME_WAIT": 10,
    # FreeBSD's packetdrill gives its states these names too: code.c.
    "TCPI_CLOSED": 0,
    "TCPI_LISTEN": 1,
    "TCPI_SYN_SENT": 2,
    "TCPI_SYN_RECEIVED": 3,
    "TCPI_ESTABLISHED": 4,
    "TCPI_CLOSE_WAIT": 5,
    "TCPI_FIN_WAIT_1": 6,
    "TCPI_CLOSING": 7,
    "TCPI_LAST_ACK": 8,
    "TCPI_FIN_WAIT_2": 9,
    "TCPI_TIME_WAIT": 10,
}


class AssertionSyntaxError(Exception):
    """A text that is no assertion: where in it, what is wrong, a way on."""

    def __init__(self, offset: int, problem: str, hint: str = "") -> None:
        super().__init__(problem)
        self.offset = offset
        self.problem = problem
        self.hint = hint


class EvaluationError(Exception):
    """An assertion that has no value: an unknown name, a division by zero, a number beyond bounds."""


Value: TypeAlias = int | float
Names: TypeAlias = Mapping[str, int]
_Node: TypeAlias = Callable[[Names], Value]


class Assertion(NamedTuple):
    """`assert CONDITION, MESSAGE`: both as written, and the condition as a function of the names."""

    text: str
    message: str
    value: _Node


_TOKEN = re.compile(
    r"[ \t]*(?:(?P<number>0[xX][0-9a-fA-F]+|\d+(?:\.\d+)?)|(?P<name>[A-Za-z_]\w*)"
    r"|(?P<sign>==|!=|<=|>=|<<|>>|//|\*\*|[-+*/%<>()|&^~])|(?P<other>.))",
    re.DOTALL,
)
_COMPARE: dict[str, Callable[[Value, Value], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
# From loosest to tightest, as in Python.
_LEVELS: tuple[dict[str, Callable[[int, int], Value]], ...] = (
    {"|": operator.or_},
    {"^": operator.xor},
    {"&": operator.and_},
    {"<<": operator.lshift, ">>": operator.rshift},
    {"+": operator.add, "-": operator.sub},
    {"*": operator.mul, "/": operator.truediv, "//": operator.floordiv, "%": operator.mod},
)
_WHOLE_ONLY = ("|", "^", "&", "<<", ">>")


def read(text: str) -> list[Assertion]:
    """Return the assertions of a block; they are separated by newlines or semicolons.  `print ..` is passed over.

    Raises:
        AssertionSyntaxError: it has something else.
    """
    if len(text) > _LONGEST:
        raise AssertionSyntaxError(0, f"assertions of {len(text):,} characters are too long", f"at most {_LONGEST:,}")
    text = text.removesuffix("\\").replace("\\\n", "  ")  # a line that goes on, the last one nowhere
    found: list[Assertion] = []
    printed = 0
    for start, statement in _statements(text):
        if re.match(r"print\b", statement):
            printed += 1
            continue
        match = re.match(r"assert\b", statement)
        if match is None:
            word = statement.split()[0][:40]
            raise AssertionSyntaxError(start, f"expected assert, found {word!r}", "%{ assert tcpi_snd_cwnd == 10 }%")
        found.append(_Reader(text, start + match.end(), start + len(statement)).assertion())
    if not found and not printed:
        raise AssertionSyntaxError(0, "nothing is asserted", "%{ assert tcpi_snd_cwnd == 10 }%")
    return found


def check(text: str, names: Names) -> str | None:
    """Return what does not hold, or has no value, in words and with the values of the names in it; None if all holds.

    Raises:
        AssertionSyntaxError: `read` would.
    """
    for assertion in read(text):
        said = f"assert {assertion.text}" + (f", {assertion.message}" if assertion.message else "")
        try:
            if assertion.value(names):
                continue
        except (EvaluationError, ZeroDivisionError, OverflowError) as error:
            return f"{said}: {error}"
        used = dict.fromkeys(re.findall(r"[A-Za-z_]\w*", said))
        values = ", ".join(f"{name} = {names[name]}" for name in used if name in names)
        return f"{said} ({values})" if values else said
    return None


def _statements(text: str) -> list[tuple[int, str]]:
    """Return each statement and where it starts; a newline within brackets ends none."""
    found: list[tuple[int, str]] = []
    start = depth = 0
    quote = ""
    for at, letter in enumerate(text + "\n"):
        if quote:
            quote = "" if letter in (quote, "\n") else quote
        elif letter in "'\"":
            quote = letter
        depth += (letter == "(") - (letter == ")")
        if (letter == "\n" and depth <= 0) or (letter == ";" and not quote) or at == len(text):
            piece = text[start:at].split("#")[0] if "'" not in text and '"' not in text else text[start:at]
            if piece.strip():
                found.append((start + len(piece) - len(piece.lstrip()), piece.strip()))
            start, depth, quote = at + 1, 0, ""
    return found


class _Reader:
    """Reads one assertion by descent; each method returns a function of the names."""

    def __init__(self, text: str, start: int, end: int) -> None:
        self.text = text
        self.start = start
        self.end = end
        self.at = start
        self.depth = 0
        self.kind, self.token, self.offset = "", "", start
        self.step()

    def assertion(self) -> Assertion:
        value = self.either()
        text = self.text[self.start : self.offset].strip()
        if self.token == ",":
            return Assertion(_flat(text), _flat(self.text[self.at : self.end]), value)
        if self.token:
            raise self.wrong("an operator, a comma or the end")
        return Assertion(_flat(text), "", value)

    def step(self) -> None:
        """Go to the next token; the empty one is the end."""
        while self.at < self.end and self.text[self.at] in "\n\\":
            self.at += 1
        match = _TOKEN.match(self.text, self.at, self.end)
        if match is None or match.lastgroup is None:
            self.kind, self.token, self.offset, self.at = "", "", self.end, self.end
            return None
        if match["other"] == "\n":
            self.at = match.end()
            return self.step() if self.at < self.end else self._end()
        self.kind, self.token, self.offset, self.at = (
            match.lastgroup,
            match[match.lastgroup],
            match.start(match.lastgroup),
            match.end(),
        )
        return None

    def _end(self) -> None:
        self.kind, self.token, self.offset = "", "", self.end

    def wrong(self, expected: str) -> AssertionSyntaxError:
        found = repr(self.token) if self.token else "the end"
        hint = "numbers, names, + - * / // % << >> & | ^ ~, comparisons, and or not, and brackets"
        return AssertionSyntaxError(self.offset, f"expected {expected}, found {found}", hint)

    def deeper(self, inner: Callable[[], _Node]) -> _Node:
        self.depth += 1
        if self.depth > _DEEPEST:
            raise AssertionSyntaxError(self.offset, "this is nested too deeply", f"at most {_DEEPEST} levels")
        node = inner()
        self.depth -= 1
        return node

    def either(self) -> _Node:
        nodes = [self.both()]
        while self.token == "or":
            self.step()
            nodes.append(self.both())
        return nodes[0] if len(nodes) == 1 else lambda names: _first(nodes, names, True)

    def both(self) -> _Node:
        nodes = [self.negation()]
        while self.token == "and":
            self.step()
            nodes.append(self.negation())
        return nodes[0] if len(nodes) == 1 else lambda names: _first(nodes, names, False)

    def negation(self) -> _Node:
        if self.token != "not":
            return self.comparison()
        self.step()
        node = self.deeper(self.negation)
        return lambda names: not node(names)

    def comparison(self) -> _Node:
        nodes, signs = [self.binary(0)], []
        while self.token in _COMPARE:
            signs.append(_COMPARE[self.token])
            self.step()
            nodes.append(self.binary(0))
        if not signs:
            return nodes[0]

        def compare(names: Names) -> bool:
            values = [node(names) for node in nodes]
            return all(sign(*pair) for sign, pair in zip(signs, itertools.pairwise(values), strict=True))

        return compare

    def binary(self, level: int) -> _Node:
        if level == len(_LEVELS):
            return self.unary()
        first = self.binary(level + 1)
        rest: list[tuple[str, _Node]] = []
        while self.token in _LEVELS[level]:
            sign = self.token
            self.step()
            rest.append((sign, self.binary(level + 1)))
        if not rest:
            return first

        def compute(names: Names) -> Value:
            value = first(names)
            for sign, node in rest:
                value = _computed(sign, _LEVELS[level][sign], value, node(names))
            return value

        return compute

    def unary(self) -> _Node:
        if self.token not in ("-", "+", "~"):
            return self.primary()
        sign = self.token
        self.step()
        node = self.deeper(self.unary)
        if sign == "~":
            return lambda names: ~_whole(node(names), "~")
        return (lambda names: -node(names)) if sign == "-" else node

    def primary(self) -> _Node:
        kind, token, offset = self.kind, self.token, self.offset
        if token == "(":
            self.step()
            node = self.deeper(self.either)
            if self.token != ")":
                raise self.wrong("an operator or )")
            self.step()
            return node
        if kind == "number" and len(token) <= 40:
            self.step()
            value: Value = float(token) if "." in token else int(token, 16) if "x" in token.lower() else int(token)
            return lambda names: value
        if kind == "name" and token not in ("and", "or", "not", "in", "is", "if", "else", "lambda"):
            self.step()
            if self.token == "(":
                raise AssertionSyntaxError(offset, f"{token}(..) would be a call", "only arithmetic and comparisons")
            return lambda names: _named(token, names)
        raise self.wrong("a number, a name or (")


def _first(nodes: Sequence[_Node], names: Names, truth: bool) -> Value:
    """Return the first value with that truth, else the last: what `or` (True) and `and` (False) are in Python."""
    value: Value = 0
    for node in nodes:
        value = node(names)
        if bool(value) is truth:
            break
    return value


def _named(name: str, names: Names) -> int:
    if name in names:
        return names[name]
    if name in CONSTANTS:
        return CONSTANTS[name]
    hint = near(name, names, "known") if names else "no connection has tcp_info"
    raise EvaluationError(f"{name} is not known here; {hint}")


def _computed(sign: str, work: Callable[[int, int], Value], left: Value, right: Value) -> Value:
    if sign in _WHOLE_ONLY:
        left, right = _whole(left, sign), _whole(right, sign)
    if sign in ("<<", ">>") and not 0 <= right <= _WIDEST_SHIFT:
        raise EvaluationError(f"a shift by {right} is beyond {_WIDEST_SHIFT}")
    value = work(left, right)  # type: ignore[arg-type]  # int or float, and bit operators only see int
    if abs(value) >= _LARGEST:
        raise EvaluationError("a number beyond 2^128")
    return value


def _whole(value: Value, sign: str) -> int:
    if isinstance(value, float):
        raise EvaluationError(f"{sign} works on whole numbers, not on {value}")
    return int(value)


def _flat(text: str) -> str:
    return " ".join(text.split())
