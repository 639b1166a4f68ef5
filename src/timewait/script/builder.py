"""`Builder`: the values of `syntax`, made of what the parser found; checks names and ranges.

One method a rule of grammar.lark, given what the rule's parts became.
"""

import re
from typing import Any

from lark import Token, Transformer

from timewait.clock import SECOND
from timewait.script import assertions, ip_fields
from timewait.script.mistake import MistakeError
from timewait.script.syntax import (
    ANY,
    ANYTHING,
    Apply,
    Array,
    Assertions,
    Between,
    Call,
    Command,
    Event,
    Expression,
    Flags,
    IcmpPacket,
    Match,
    Number,
    Place,
    Struct,
    TcpPacket,
    Text,
    TimeKind,
    When,
    Word,
)
from timewait.script.tcp_options import Edges, Value
from timewait.script.tcp_options import read as read_option

_U16, _U32 = 1 << 16, 1 << 32
_LONGEST_NUMBER = 20  # digits; 2^64 has as many
_FLAGS = "SFRP.UEWCA"
_SEQ = re.compile(r"(?:(\d+)\s*:\s*(\d+)|\.\.\.)\s*\(\s*(\d+)\s*\)\s*(!?)")
_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{1,2}|[0-7]{1,3}|.)", re.DOTALL)
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r", "0": "\0"}


def place(token: Token) -> Place:
    """Return where a token stands."""
    return Place(token.line or 1, token.column or 1)


def number(token: Token, *, below: int | None = None, what: str = "number") -> int:
    """Return the value of an INT; a MistakeError where it is longer than any field, or not within [0, below)."""
    if len(token) > _LONGEST_NUMBER:
        raise MistakeError(place(token), f"a {what} of {len(token)} digits is too large")
    value = int(token)
    if below is not None and not 0 <= value < below:
        raise MistakeError(place(token), f"{what} {value} is out of range", f"from 0 to {below - 1}")
    return value


def _time(token: Token) -> int:
    """Return a time in nanoseconds."""
    whole, _, rest = token.partition(".")
    if len(whole) > 9:
        raise MistakeError(place(token), f"{token} seconds is too long a time", "times are seconds, such as 0.1")
    return int(whole or 0) * SECOND + int((rest + "000000000")[:9])


def _unescaped(text: str) -> str:
    def one(match: re.Match[str]) -> str:
        what = match[1]
        if what[0] == "x" and len(what) > 1:
            return chr(int(what[1:], 16))
        return chr(int(what, 8) & 255) if what.isdigit() else _ESCAPED.get(what, what)

    return _ESCAPE.sub(one, text)


class Builder(Transformer[Token, Any]):
    """Makes a list of (place, offset, thing): options are (token), commands str, events `Event`."""

    # --- the whole ---

    def start(self, parts: list[Any]) -> list[Any]:
        return parts

    def option(self, parts: list[Token]) -> tuple[str, Token]:
        return "option", parts[0]

    def command(self, parts: list[Token]) -> tuple[str, Token]:
        return "command", parts[0]

    def event(self, parts: list[Any]) -> Event:
        (token, when), action = parts
        if (when.latest is not None or when.kind is TimeKind.ANY) and getattr(action, "inbound", True):
            said = "a time range" if when.latest is not None else "the time *"
            raise MistakeError(place(token), f"{said} is for packets that the stack sends (>)", "write one time")
        return Event(place=place(token), when=when, action=action)

    def blocking_event(self, parts: list[Any]) -> Event:
        (token, when), plus, until, call = parts
        if when.latest is not None or when.kind is TimeKind.ANY:
            raise MistakeError(place(token), "a call begins at one time", "such as +0...0.2 connect(..)")
        kind = TimeKind.RELATIVE if plus else when.kind
        end = When(kind, _time(until))
        if kind is when.kind and end.time < when.time:
            raise MistakeError(
                place(until), "the call would end before it begins", "+0...0.2: begins now, ends 0.2 s later"
            )
        return Event(place=place(token), when=when, action=call, until=end)

    def when(self, parts: list[Any]) -> tuple[Token, When]:
        plus, at = parts
        return plus or at, When(TimeKind.RELATIVE if plus else TimeKind.ABSOLUTE, _time(at))

    def when_range(self, parts: list[Any]) -> tuple[Token, When]:
        plus, first, plus_too, last = parts
        if (plus is None) != (plus_too is None):
            raise MistakeError(place(plus_too or last), "one end of the range is relative, the other is not", "+.1~+.2")
        earliest, latest = _time(first), _time(last)
        if latest < earliest:
            raise MistakeError(place(last), "the range is backwards", "the earlier time comes first")
        return plus or first, When(TimeKind.RELATIVE if plus else TimeKind.ABSOLUTE, earliest, latest)

    def when_any(self, parts: list[Token]) -> tuple[Token, When]:
        return parts[0], When(TimeKind.ANY)

    def timed_command(self, parts: list[Token]) -> Command:
        return Command(parts[0][1:-1])

    def block(self, parts: list[Token]) -> Assertions:
        token = parts[0]
        text = token[2:-2]
        try:
            assertions.read(text)
        except assertions.AssertionSyntaxError as error:
            raise MistakeError(_inside(token, 2 + error.offset), error.problem, error.hint) from None
        return Assertions(text.strip())

    # --- packets ---

    def tcp(self, parts: list[Any]) -> TcpPacket:
        direction, ip, ports, flags, seq, *fields, options = parts
        inbound = direction == "<"
        first, length, absolute = _sequence(seq)
        said: dict[str, Any] = {}
        for token, value, exact in fields:
            if token in said:
                raise MistakeError(place(token), f"{token} is said twice")
            said[token] = value
            if exact:
                said["absolute_ack"] = True
        if inbound and options is ANY:
            raise MistakeError(
                place(direction), "<...> is for packets that the stack sends (>)", "name the options to send"
            )
        if inbound and first is ANY:
            raise MistakeError(
                place(seq), "...(len) is for packets that the stack sends (>)", "say the sequence number"
            )
        for name in ("win", "ack"):
            if said.get(name) is ANY and inbound:
                raise MistakeError(
                    place(direction), f"{name} ... is for packets that the stack sends (>)", "say the number"
                )
        return TcpPacket(
            inbound=inbound,
            flags=_flags(flags),
            seq=first,
            length=length,
            ack=None if said.get("ack") is ANY else said.get("ack"),
            window=said.get("win", ANY),
            urgent=said.get("urg"),
            options=None if options is ANY else options if options is not None else (),
            ip=ip_fields.read(ip, inbound=inbound),
            absolute_seq=absolute,
            absolute_ack=said.get("absolute_ack", False),
            ports=ports,
        )

    def ports(self, parts: list[Token]) -> tuple[int, int]:
        return number(parts[0], below=_U16, what="port"), number(parts[1], below=_U16, what="port")

    def field(self, parts: list[Any]) -> tuple[Token, int | Match, bool]:
        token, value, *absolute = parts
        exact = absolute == ["!"]
        if value is ANY:
            if token == "urg":
                raise MistakeError(place(token), "urg takes a number")
            return token, ANY, False
        if exact and token != "ack":
            raise MistakeError(place(absolute[0]), f"{token} has no absolute form", "! follows sequence numbers")
        return token, number(value, below=_U32 if token == "ack" else _U16, what=str(token)), exact

    def any(self, parts: list[Token]) -> Match:
        return ANY

    def options_any(self, parts: list[Any]) -> Match:
        return ANY

    def tcp_options(self, parts: list[Any]) -> tuple[Any, ...]:
        return tuple(parts)

    def tcp_option(self, parts: list[Any]) -> Any:
        return read_option(parts[0], parts[1:])

    def value_word(self, parts: list[Token]) -> Token:
        return parts[0]

    def value_number(self, parts: list[Any]) -> Value:
        token, absolute = parts
        return Value(token, number(token), absolute is not None)

    def value_edges(self, parts: list[Token]) -> Edges:
        return Edges(parts[0], *(number(part, below=_U32, what="sequence number") for part in parts))

    def value_any(self, parts: list[Any]) -> Match:
        return ANY

    def icmp(self, parts: list[Any]) -> IcmpPacket:
        direction, ip, before, kind, code, *fields, after = parts
        quoted = before or after
        said = dict(fields)
        first, length = _quotation(quoted) if quoted else (ANY, ANY)
        inbound = direction == "<"
        return IcmpPacket(
            inbound=inbound,
            kind=str(kind),
            code=None if code is None else str(code),
            mtu=said.get("mtu"),
            quoted_seq=first,
            quoted_length=length,
            ip=ip_fields.read(ip, inbound=inbound),
        )

    def icmp_field(self, parts: list[Token]) -> tuple[str, int]:
        return str(parts[0]), number(parts[1], below=_U32 if parts[0] == "mtu" else _U16, what=str(parts[0]))

    # --- calls ---

    def call(self, parts: list[Any]) -> Call:
        name, arguments, result = parts
        value, errno, note = result or (ANYTHING, None, None)
        return Call(
            name=str(name),
            arguments=tuple(arguments or ()),
            result=value,
            errno=None if errno is None else str(errno),
            note=note[1:-1].strip() if note else "",
        )

    def result(self, parts: list[Any]) -> tuple[Any, ...]:
        return tuple(parts)

    def arguments(self, parts: list[Expression]) -> list[Expression]:
        return parts

    def flags(self, parts: list[Expression]) -> Flags:
        return Flags(tuple(parts))

    def number(self, parts: list[Token]) -> Number:
        token = parts[0]
        if len(token) > _LONGEST_NUMBER:
            raise MistakeError(place(token), f"a number of {len(token)} digits is too large")
        return Number(int(token, 16) if token.type == "HEX" else int(token), str(token))

    def between(self, parts: list[Token]) -> Between:
        low, high = number(parts[0]), number(parts[1])
        if high < low:
            raise MistakeError(place(parts[1]), "the range is backwards", "the smaller number comes first")
        return Between(low, high)

    between_result = between

    def word(self, parts: list[Token]) -> Word:
        return Word(str(parts[0]))

    word_result = word

    def anything(self, parts: list[Any]) -> Any:
        return ANYTHING

    any_result = anything

    def text(self, parts: list[Token]) -> Text:
        return Text("".join(_unescaped(part[1:-1]) for part in parts))

    text_result = text

    def array(self, parts: list[Any]) -> Array:
        return Array(tuple(parts[0] or ()))

    array_result = array

    def apply(self, parts: list[Any]) -> Apply:
        return Apply(str(parts[0]), tuple(parts[1] or ()))

    def struct(self, parts: list[Any]) -> Struct:
        fields: dict[str, Expression] = {}
        for token, value in parts[0] or ():
            name = str(len(fields)) if token is None else str(token)
            if name in fields:
                raise MistakeError(place(token), f"the field {name} is given twice")
            fields[name] = value
        return Struct(fields)

    def fields(self, parts: list[Any]) -> list[Any]:
        return parts

    def named(self, parts: list[Any]) -> tuple[Token, Expression]:
        return parts[0], parts[1]

    def counted(self, parts: list[Any]) -> tuple[Token, Expression]:
        name, count, value = parts
        return name, Apply(str(name), (count, value))

    def unnamed(self, parts: list[Any]) -> tuple[None, Expression]:
        return None, parts[0]


def _flags(token: Token) -> frozenset[str]:
    if token == "-":
        return frozenset()
    digits = [letter for letter in token if letter.isdigit()]
    for letter in token:
        if letter not in _FLAGS and letter not in "01234567":
            raise MistakeError(
                place(token),
                f"{letter!r} is no TCP flag",
                "S F R P . (ACK) U E (ECE) W (CWR) A (AE), a digit for ACE; - for none",
            )
    if len(digits) > 1 or (digits and set("EWCA") & set(token)) or len(set(token)) < len(token):
        raise MistakeError(
            place(token), f"{token} names a flag twice", "each flag once; ACE as a digit, or as A, W and E"
        )
    return frozenset(token)


def _sequence(token: Token) -> tuple[int | Match, int, bool]:
    match = _SEQ.fullmatch(token)
    assert match is not None, token
    if max(len(part or "") for part in match.groups()) > _LONGEST_NUMBER:
        raise MistakeError(place(token), "a sequence number of so many digits is too large")
    length = int(match[3])
    if length >= _U16:
        raise MistakeError(place(token), f"a segment cannot carry {length} octets", "at most 65535")
    if match[1] is None:
        return ANY, length, False
    first, last = int(match[1]), int(match[2])
    if first >= _U32 or last >= _U32:
        raise MistakeError(place(token), "a sequence number is out of range", f"from 0 to {_U32 - 1}")
    if (last - first) % _U32 != length:
        raise MistakeError(
            place(token),
            f"{first}:{last} is a length of {(last - first) % _U32}, and {length} is written",
            f"{first}:{(first + length) % _U32}({length})",
        )
    return first, length, match[4] == "!"


def _quotation(token: Token) -> tuple[int | Match, int | Match]:
    inner = token[1:-1].strip()
    match = _SEQ.fullmatch(inner)
    if match is None or match[1] is None:
        raise MistakeError(place(token), f"{inner!r} is no quotation of a TCP segment", "such as [1:1001(1000)]")
    first, length, _ = _sequence(token.update(value=inner))
    return first, length


def _inside(token: Token, offset: int) -> Place:
    """Return the place of an offset within a token that may have several lines."""
    before = token[:offset]
    lines = before.count("\n")
    start = place(token)
    return Place(start.line + lines, len(before) - before.rfind("\n") if lines else start.column + offset)
