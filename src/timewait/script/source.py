"""`Source`: the text of a script made ready for the parser: decoded, without comments and without what #ifdef omits.

What is omitted becomes blanks, so that lines and columns stay those of the file.
"""

import difflib
import re
from bisect import bisect_right
from collections.abc import Mapping

from timewait.script.mistake import MistakeError
from timewait.script.syntax import Place

LARGEST = 1 << 20  # octets; the longest script known to the author has 60 kB
_LONGEST_LINE = 1 << 14  # characters

_DIRECTIVES = ("ifdef", "ifndef", "else", "endif")
_PIECES = re.compile(
    r"(?P<comment>//[^\n]*|/\*.*?\*/)"
    r"|(?P<open>/\*)"
    r'|"(?:\\.|[^"\\\n])*"|`(?:\\.|[^`\\])*`|%\{.*?\}%'
    r"|^[ \t]*--define[ \t]*[= \t][ \t]*(?P<name>\w+)(?:=(?P<value>\"[^\"\n]*\"|`[^`]*`|[^\s\"`]+))?"
    r"|^[ \t]*\#(?P<line>[^\n]*)",
    re.DOTALL | re.MULTILINE,
)
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f]")
_VISIBLE = re.compile(r"[^\n]")


class Source:
    """`text`: what the parser reads; `lines`: the script as it was; `defined`: names with their values, maybe empty."""

    def __init__(self, octets: bytes) -> None:
        whole = _decoded(octets)
        self.text = whole
        self.defined: dict[str, str] = {}
        self.lines = tuple(whole.split("\n"))
        self._starts = [0]
        for line in self.lines:
            self._starts.append(self._starts[-1] + len(line) + 1)

    def choose(self, defines: Mapping[str, str]) -> None:
        """Make the text ready: check its characters, blank comments and what the conditions leave out.

        Raises:
            MistakeError: it is no text, or its conditions do not match.
        """
        self.defined = dict(defines)
        self._check_characters(self.text)
        self.text = self._chosen(self.text)

    def place(self, offset: int) -> Place:
        """Return where an offset into the text is."""
        line = min(bisect_right(self._starts, offset), len(self.lines))
        return Place(line, offset - self._starts[line - 1] + 1)

    def offset(self, place: Place) -> int:
        """Return where in the text a place is."""
        return self._starts[place.line - 1] + place.column - 1

    def line(self, place: Place) -> str:
        """Return the line of a place."""
        return self.lines[place.line - 1] if place.line <= len(self.lines) else ""

    def _check_characters(self, whole: str) -> None:
        if found := _CONTROL.search(whole):
            raise MistakeError(
                self.place(found.start()),
                f"octet 0x{ord(found[0]):02x} does not belong in a text",
                "is this a packet script? a binary file is not",
            )
        for number, line in enumerate(self.lines, 1):
            if len(line) > _LONGEST_LINE:
                raise MistakeError(
                    Place(number, _LONGEST_LINE + 1),
                    f"a line of {len(line):,} characters is too long",
                    "break the line",
                )

    def _chosen(self, whole: str) -> str:
        """Return the text with blanks for comments and for what the conditions leave out."""
        parts: list[str] = []
        conditions: list[tuple[Place, bool, bool]] = []  # where, whether this part counts, whether #else was seen
        end = 0
        for piece in _PIECES.finditer(whole):
            counts = all(part for _, part, _ in conditions)
            parts.append(_kept(whole[end : piece.start()], counts))
            end = piece.end()
            if piece["open"] is not None:
                raise MistakeError(
                    self.place(piece.start()), "this comment has no end", "/* .. */, or // up to the line's end"
                )
            if piece["line"] is not None:
                self._directive(piece, conditions)
                counts = False
            elif piece["comment"] is not None:
                counts = False
            elif piece["name"] is not None and counts:
                self.defined[piece["name"]] = piece["value"] or ""
            parts.append(_kept(piece[0], counts))
        if conditions:
            raise MistakeError(conditions[-1][0], "this condition has no #endif", "#ifdef NAME .. #else .. #endif")
        return "".join(parts) + whole[end:]

    def _directive(self, piece: re.Match[str], conditions: list[tuple[Place, bool, bool]]) -> None:
        """Follow `#ifdef NAME` and its like; any other line that starts with # is a comment."""
        words = (piece["line"] or "").split()
        word = words[0] if words and piece["line"][0] not in " \t" else ""
        place = self.place(piece.start("line") - 1)
        if word in ("ifdef", "ifndef"):
            if len(words) < 2:
                raise MistakeError(place, f"#{word} names nothing", "#ifdef NAME, where NAME comes from --define NAME")
            conditions.append((place, (words[1] in self.defined) == (word == "ifdef"), False))
        elif word in ("else", "endif"):
            if not conditions:
                raise MistakeError(place, f"#{word} without #ifdef", "#ifdef NAME .. #else .. #endif")
            start, counts, seen = conditions.pop()
            if word == "else":
                if seen:
                    raise MistakeError(place, "a second #else", "#ifdef NAME .. #else .. #endif")
                conditions.append((start, not counts, True))
        elif word in ("if", "elif") or difflib.get_close_matches(word, _DIRECTIVES, 1, 0.8):
            raise MistakeError(
                place, f"there is no #{word}", "#ifdef, #ifndef, #else, #endif; a comment has a blank after the #"
            )


def _kept(text: str, counts: bool) -> str:
    return text if counts else _VISIBLE.sub(" ", text)


def _decoded(octets: bytes) -> str:
    """Return the text: UTF-8, or Latin-1 where it is none (names of authors in old comments)."""
    try:
        whole = octets.decode("utf-8-sig")
    except UnicodeDecodeError:
        whole = octets.decode("latin-1")
    return whole.replace("\r\n", "\n").replace("\r", "\n")
