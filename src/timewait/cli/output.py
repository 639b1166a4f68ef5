"""Lines for people on stdout: how wide, and whether in colour."""

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

# C0, DEL and C1 as their pictures or as a replacement character: what a terminal would obey (ECMA-48).
_VISIBLE = {code: 0x2400 + code for code in range(0x20)} | dict.fromkeys(range(127, 160), 65533)
WHEN = ("auto", "always", "never")


def width() -> int:
    """Return the columns to fill: the terminal's, at most 100; 80 where there is none."""
    try:
        columns = os.get_terminal_size(sys.stdout.fileno()).columns
    except (OSError, ValueError):
        columns = 0
    return max(40, min(100, columns or 80))  # a terminal that does not know says 0


def coloured(when: str) -> bool:
    """Return whether to write in colour: with auto on a terminal that can, unless NO_COLOR is set (no-color.org)."""
    if when != "auto":
        return when == "always"
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM", "dumb") != "dumb"


def show_lines(lines: "Iterable[str]", when: str = "auto") -> None:
    """Print lines, coloured where that is wanted.  Control characters, as in a process's name, are made visible."""
    lines = (line.translate(_VISIBLE) for line in lines)
    if coloured(when):
        from timewait.report.paint import write

        write(lines, sys.stdout)
    else:
        print("\n".join(lines))
