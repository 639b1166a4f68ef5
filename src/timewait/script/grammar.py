"""A packet script's text -> `Script`, by grammar.lark; whatever cannot be read is a `ScriptError` with its place.

Leaves comments and conditions to `source`, checks of names and ranges to `builder`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from lark import Lark, Token
from lark.exceptions import UnexpectedCharacters, UnexpectedInput, UnexpectedToken

from timewait.script import option_lines
from timewait.script.builder import Builder, place
from timewait.script.mistake import MistakeError, ScriptError
from timewait.script.source import LARGEST, Source
from timewait.script.syntax import Event, Place, Script

_DEEPEST = 32  # brackets within each other

# What a terminal is called in a message.
WORDS: Mapping[str, str] = {
    "OPTION": "an option line such as --ip_version=ipv4",
    "COMMAND": "a command in backquotes",
    "CODE": "%{ assert .. }%",
    "NUMBER": "a time in seconds",
    "PLUS": "",  # said by NUMBER
    "_ANYTHING": "...",
    "STAR": "*",
    "TILDE": "~",
    "DIRECTION": "< or >",
    "IPINFO": "[ect0] or the like",
    "FLAGS": "TCP flags such as S. or F.",
    "SEQ": "sequence numbers such as 1:1001(1000)",
    "FIELD": "ack, win or urg",
    "ABSOLUTE": "!",
    "INT": "a number",
    "OCTETS": "",  # said by WORD
    "HEX": "a hexadecimal number",
    "WORD": "a name",
    "NAME": "a name",
    "ERRNO": "an errno such as EINPROGRESS",
    "NOTE": "a note in brackets",
    "STRING": "a text in quotes",
    "ICMP": "icmp",
    "ICMP_FIELD": "mtu or id",
    "QUOTED": "a quotation such as [1:1001(1000)]",
    "UNSUPPORTED": "",
    "LESSTHAN": "<",
    "MORETHAN": ">",
    "COMMA": "a comma",
    "COLON": ":",
    "EQUAL": "=",
    "VBAR": "|",
    "QMARK": "?",
    "LPAR": "(",
    "RPAR": ")",
    "LSQB": "[",
    "RSQB": "]",
    "LBRACE": "{",
    "RBRACE": "}",
    "$END": "the end of the file",
}

_ENDS = {"`": "another `", '"': 'another " in the same line', "%{": "}%"}


def load(path: str, defines: Mapping[str, str] | Iterable[str] = ()) -> Script:
    """Return the script in a file.

    Raises:
        ScriptError: it is no script; the file cannot be read.
    """
    try:
        with Path(path).open("rb") as file:
            octets = file.read(LARGEST + 1)
    except OSError as error:
        raise ScriptError(path, "", MistakeError(Place(1), f"the file cannot be read: {error.strerror}")) from None
    return read(octets, path, defines)


def read(octets: bytes, name: str = "script", defines: Mapping[str, str] | Iterable[str] = ()) -> Script:
    """Return the script that `octets` say.  `defines`: names for #ifdef; a mapping gives them values, too, which take
    their places in the script.

    Raises:
        ScriptError: they are no script.
    """
    values = dict(defines) if isinstance(defines, Mapping) else dict.fromkeys(defines, "")
    if len(octets) > LARGEST:
        most = f"{LARGEST >> 10:,} KiB"
        large = MistakeError(
            Place(1), f"this is more than {most}, too large for a script", f"a script is a text of at most {most}"
        )
        raise ScriptError(name, "", large)
    source = Source(octets)
    try:
        source.choose(values)
        parts = _reader().parse(source.text, source.defined)
        return _script(name, source, parts)
    except UnexpectedInput as error:
        raise ScriptError(name, *_explained(error, source)) from None
    except MistakeError as mistake:
        raise ScriptError(name, source.line(mistake.place), mistake) from None


def _script(name: str, source: Source, parts: list[Any]) -> Script:
    """Put the parts in their places."""
    options: list[Token] = []
    commands: dict[bool, list[tuple[Place, str]]] = {False: [], True: []}
    events: list[Event] = []
    for part in parts:
        if isinstance(part, Event):
            if commands[True]:
                raise MistakeError(
                    commands[True][0][0], "a command between events needs a time", "such as +0 `sysctl ..`"
                )
            events.append(part)
        elif part[0] == "command":
            commands[bool(events)].append((place(part[1]), part[1][1:-1]))
        elif events:
            raise MistakeError(place(part[1]), "an option line after an event", "option lines stand at the top")
        else:
            options.append(part[1])
    if not events:
        raise MistakeError(Place(1), "the script has no events", "such as: 0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3")
    starts = [*(source.offset(event.place) for event in events), len(source.text)]
    if commands[True]:
        starts[-1] = source.offset(commands[True][0][0])
    return Script(
        name=name,
        lines=source.lines,
        options=option_lines.read([(place(token), str(token)) for token in options], source.defined),
        init=tuple(commands[False]),
        events=tuple(
            replace(event, text=source.text[start:end].strip())
            for event, start, end in zip(events, starts, starts[1:], strict=False)
        ),
        cleanup=tuple(commands[True]),
    )


class _Reader:
    """The parser, which is made once a process, with what it keeps while it reads."""

    def __init__(self) -> None:
        self.depth = 0
        self.values: Mapping[str, str] = {}
        brackets = dict.fromkeys(("LSQB", "LBRACE", "LPAR"), self._open) | dict.fromkeys(
            ("RSQB", "RBRACE", "RPAR"), self._close
        )
        self.lark = Lark(
            resources.files("timewait.script").joinpath("grammar.lark").read_text("utf-8"),
            parser="lalr",
            lexer="contextual",
            maybe_placeholders=True,
            transformer=Builder(),
            lexer_callbacks={**brackets, "WORD": self._word, "UNSUPPORTED": _unsupported},
        )

    def parse(self, text: str, values: Mapping[str, str]) -> list[Any]:
        self.depth, self.values = 0, values
        parts: list[Any] = self.lark.parse(text)  # type: ignore[assignment]  # what Builder.start returns
        return parts

    def _open(self, token: Token) -> Token:
        self.depth += 1
        if self.depth > _DEEPEST:
            raise MistakeError(place(token), "brackets are nested too deeply", f"at most {_DEEPEST} levels")
        return token

    def _close(self, token: Token) -> Token:
        self.depth -= 1
        return token

    def _word(self, token: Token) -> Token:
        """Put a defined name's value in its place: a number, a text in quotes or a word."""
        value = self.values.get(token)
        if not value:
            return token
        kind = (
            "STRING"
            if value[0] == '"'
            else "COMMAND"
            if value[0] == "`"
            else "INT"
            if value.lstrip("-").isdigit()
            else "WORD"
        )
        return token.update(type=kind, value=value)


# What other programs of this language have behind a packet, and this one has not.
_FEATURES = {"/udp(": "segments within UDP", "{": "changes of single fields of a packet"}


@cache
def _reader() -> _Reader:
    return _Reader()


def _unsupported(token: Token) -> Token:
    hint = "packets are TCP segments and ICMP messages; see the reference for what is not supported"
    raise MistakeError(place(token), f"{token} packets are not supported", hint)


def _explained(error: UnexpectedInput, source: Source) -> tuple[str, MistakeError]:
    """Return the line and what was expected in it, in words."""
    if isinstance(error, UnexpectedToken):
        if error.token.type == "LBRACE" and "SEQ" not in error.expected and "COMMAND" in error.expected:
            hint = "see the reference for what is not supported"
            return source.line(place(error.token)), MistakeError(
                place(error.token), f"{_FEATURES['{']} are not supported", hint
            )
        found = f"{str(error.token)[:40]!r}" if error.token.type != "$END" else "the end of the file"
        names, at = set(error.accepts or error.expected), place(error.token)
        if error.token.type == "$END":
            at = source.place(len(source.text.rstrip()))
    else:
        assert isinstance(error, UnexpectedCharacters), error
        at = Place(error.line, error.column)
        rest = source.line(at)[at.column - 1 :]
        if opened := next((mark for mark in _ENDS if rest.startswith(mark)), None):
            return source.line(at), MistakeError(at, f"{opened} has no end", f"it ends with {_ENDS[opened]}")
        if feature := next((mark for mark in _FEATURES if rest.startswith(mark)), None):
            hint = "see the reference for what is not supported"
            return source.line(at), MistakeError(at, f"{_FEATURES[feature]} are not supported", hint)
        found = repr(rest.split()[0][:40]) if rest.split() else "the end of the line"
        names = set(error.allowed or ())
    expected = [word for name, word in WORDS.items() if name in names and word]
    hint = ""
    if "FLAGS" in names:
        hint = "a packet: < S 0:0(0) win 1000 <mss 1460>"
    elif "SEQ" in names:
        hint = "after the flags: first:last(length), such as 0:0(0)"
    elif "NUMBER" in names and len(expected) > 3:
        hint = "an event begins with its time: 0.1, +0.1, +0~+.1 or *"
    return source.line(at), MistakeError(at, f"expected {_listed(expected)}, found {found}", hint)


def _listed(words: list[str]) -> str:
    unique = list(dict.fromkeys(words))
    return unique[0] if len(unique) == 1 else f"{', '.join(unique[:-1])} or {unique[-1]}" if unique else "nothing"
