"""Weight and colour for lines that read well without: severities, labels, bars, commands.

Knows how the lines of `doctor` and `explain` look, and nothing of what they say.  Only for terminals: rich costs some
30 ms.
"""

import re
from collections.abc import Iterable
from typing import Final, TextIO

from rich.console import Console
from rich.text import Text

# (what to find, the style of each group); a later rule wins.
# Colours are the terminal's own sixteen, so that its theme decides.
_RULES: Final = tuple(
    (re.compile(pattern), styles)
    for pattern, styles in (
        (r"^  ([a-z]+)  ", ("cyan",)),
        (r"^(CRITICAL)(  +.*)$", ("bold red", "bold")),
        (r"^(WARNING)(  +.*)$", ("bold yellow", "bold")),
        (r"^(NOTE)(  +.*)$", ("bold cyan", "bold")),
        (r"^(OK)(  +.*)$", ("bold green", "bold")),
        (r"^  (confirmed) ", ("bold red",)),
        (r"^  (ruled out) ", ("green",)),
        (r"^  (not decidable) ", ("yellow",)),
        (r"^  (do) +(\d)", ("bold green", "bold")),
        (r"([▁▂▃▄▅▆▇█]+)", ("magenta",)),
        (r"^ +((?:nsenter|ip netns|sysctl|ss|timewait) .*)$", ("bold",)),
        (r"^ +(undo: .*)$", ("dim",)),
    )
)


def painted(line: str) -> Text:
    """Return a line with its styles; its characters stay as they are."""
    text = Text(line)
    for pattern, styles in _RULES:
        if match := pattern.search(line):
            for number, style in enumerate(styles, 1):
                text.stylize(style, *match.span(number))
    return text


def write(lines: Iterable[str], out: TextIO) -> None:
    """Write lines with their styles, none of them broken."""
    console = Console(file=out, force_terminal=True, color_system="standard", highlight=False, no_color=False)
    for line in lines:
        console.print(painted(line), soft_wrap=True)
