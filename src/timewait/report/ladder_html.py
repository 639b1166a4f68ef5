"""Sequence diagrams on a page: each with its states to scale below, and a table of all that happened."""

from collections.abc import Iterator
from typing import Final

from timewait.report.conversation import LEFT, RIGHT, Conversation, Picture, Row
from timewait.report.html import Markup, bullets, element, figure, folded, join, paragraphs, table
from timewait.report.ladder_svg import ladder, scale
from timewait.report.telling import alike_text, carried, moment_text, outcome, row_words
from timewait.tcp.states import State
from timewait.trace import Fate

# Diagrams that stand open; and rows of a table, of longer ones the first and the last.
_OPEN: Final = 2
_ROWS: Final = 300


def pictures(picture: Picture, name: str) -> Markup:
    """Return the diagrams of all conversations.  `name`: what no other drawing's name on the page begins with."""
    if not picture.conversations:
        return paragraphs("No segment was sent.")
    shown = []
    for at, conversation in enumerate(picture.conversations):
        drawn = _one(conversation, f"{name}-{at + 1}")
        if len(picture.conversations) == 1:
            shown.append(drawn)
        else:
            error = outcome(conversation)
            mark = element("span", f" ✗ {error}", class_="bad") if error else None
            shown.append(folded(join((conversation.title, mark)), drawn, opened=at < _OPEN))
    more = f"{picture.left_out:,} more conversations, of other shapes, are not drawn." if picture.left_out else None
    return join([*shown, paragraphs(more), _calls(picture)])


def _one(conversation: Conversation, name: str) -> Markup:
    drawn = [figure(ladder(conversation, name), _caption(conversation))]
    if (to_scale := scale(conversation, f"{name}-scale")) is not None:
        drawn.append(figure(to_scale, "The same states to scale."))
    rows = [_row(row, conversation) for row in conversation.rows]
    words = f"All {len(rows):,} rows as a table"
    if len(rows) > _ROWS:
        words = f"{_ROWS:,} of {len(rows):,} rows as a table: the first and the last"
        rows = rows[: _ROWS // 2] + rows[-_ROWS // 2 :]
    heads = ("Time, s", "What happened", "The segment's fields")
    drawn.append(folded(words, table(f"What happened between {conversation.title}", heads, rows), printed=False))
    return join(drawn)


def _row(row: Row, conversation: Conversation) -> tuple[str, str, str]:
    carries = "; ".join(carried(row.arrow)) if row.arrow is not None else ""
    return moment_text(row.time, conversation.zero), row_words(row, conversation), carries


def _caption(conversation: Conversation) -> Markup:
    """Return what the signs of a diagram mean, as far as it has them."""
    words = list(_signs(conversation))
    if alike := alike_text(conversation):
        words.append(f"{alike[0].upper()}{alike[1:]}.")
    return join(element("span", f"{each} ") for each in words)


def _signs(conversation: Conversation) -> Iterator[str]:
    yield "In order, not to scale: gaps in time are marked. Point at a segment, or go there with Tab, for its fields."
    fates = {row.arrow.fate for row in conversation.rows if row.arrow}
    states = {change.state for row in conversation.rows for change in row.states if change}
    if State.TIME_WAIT in states:
        yield "A hatched bar is TIME-WAIT."
    signs = {Fate.LOST: "✕ lost.", Fate.HELD: "‖ held back."}
    yield from (words for fate, words in signs.items() if fate in fates)
    if fates & {Fate.RELEASED, Fate.REPLAYED, Fate.INJECTED}:
        yield "○ put there by the network."
    if any(row.reason is not None for row in conversation.rows):
        yield "A hollow arrowhead was not taken by the stack it came to."
    if any(conversation.spans(side) and not conversation.spans(side)[-1].seen for side in (LEFT, RIGHT)):
        yield "(CLOSED) was due when the trace had ended."


def _calls(picture: Picture) -> Markup | None:
    refused = [call for call in picture.calls if call.result.startswith("E")]
    if not refused:
        return None
    items = [element("code", f"{call.call} = {call.result}") for call in refused[:8]]
    more = f", the first 8 of {len(refused):,}" if len(refused) > 8 else ""
    return join((paragraphs(f"Refused calls that belong to no conversation{more}:"), bullets(items)))
