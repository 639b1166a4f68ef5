"""Sequence diagrams as SVG: lifelines with their states, arrows whose fields show on hover and focus.

Across, everything is a share of the width, so that letters stay as large on a phone; down, it is pixels.  States and
times stand in the drawing's padding (`STYLE`), left and right of the lifelines.
"""

import textwrap
from collections.abc import Iterator
from typing import Final

from timewait.clock import Instant, readable
from timewait.report.conversation import (
    LEFT,
    RIGHT,
    Arrow,
    Conversation,
    Fold,
    Gap,
    Item,
    Part,
    Row,
    Span,
)
from timewait.report.html import Attribute, Markup, element, svg
from timewait.report.telling import call_text, fields, gap_text, heard, moment_text, numbers_text, refused
from timewait.tcp.states import State
from timewait.trace import Fate, flag_names

_AT: Final = ("0%", "100%")
# Where segments begin that the network puts there.
_BORN: Final = ("38%", "62%")
# Down: how high rows are, and how far below a row's top its line is.
_ARROW, _CALL, _STATE, _BREAK, _SLOPE = 46, 24, 24, 34, 10
_LINE: Final = 24
_WORDS: Final = 14
# Letters that fit between the lifelines of a phone, and in the box with the fields.
_NARROW: Final = 27
_BOX: Final = 42
_BAR: Final = 9

STYLE: Final = """
.ladder{font-size:11.5px;padding:0 88px;margin:0 auto;max-width:40rem}
.ladder .head{font-weight:600;font-size:13px}
.ladder .soft{fill:var(--soft)}
.ladder .mono{font-family:ui-monospace,"SF Mono","Cascadia Mono",Menlo,"DejaVu Sans Mono",monospace;font-size:10px}
.ladder text{paint-order:stroke;stroke:var(--paper);stroke-width:4px;stroke-linejoin:round}
.ladder .state{font-weight:600;font-size:10.5px}
.ladder .wait{fill:var(--wait)}
.ladder .bad{fill:var(--bad);font-weight:600}
.ladder .end{text-anchor:end}.ladder .mid{text-anchor:middle}
.life{stroke:var(--ink);stroke-width:1.75}
.life.none{stroke:var(--soft);stroke-width:1;stroke-dasharray:2 4}
.bar{fill:url(#waits);stroke:var(--wait);stroke-width:1.25}
.way{stroke:var(--accent);stroke-width:1.75;fill:none}
.way.odd{stroke:var(--bad);stroke-dasharray:6 4}
.tip{fill:var(--accent);stroke:var(--accent);stroke-width:1.5;stroke-linejoin:round}
.tip.hollow{fill:var(--paper)}
.mark{stroke:var(--bad);stroke-width:2.25;fill:none}
.hit{fill:transparent}
.seg{cursor:default;outline:none}
.seg:hover .hit,.seg:focus .hit{fill:var(--accent);fill-opacity:.09}
.seg:focus-visible .hit{stroke:var(--accent);stroke-width:2}
.fields{visibility:hidden;pointer-events:none}
.seg:hover .fields,.seg:focus .fields{visibility:visible}
.quiet .seg .fields{visibility:hidden}
.fields rect{fill:var(--paper);stroke:var(--soft)}
.ladder .fields text{stroke:none}
.scale{font-size:11px;max-width:40rem;margin:0 auto;padding:0 12px}
.scale .soft{fill:var(--soft)}
.scale line{stroke:var(--soft)}
.scale .span{fill:var(--panel);stroke:var(--soft)}
.scale .named{font-weight:600;paint-order:stroke;stroke:var(--paper);stroke-width:6px;stroke-linejoin:round}
@media (min-width:48rem){.ladder{padding:0 108px}.ladder .mono{font-size:11px}}
@media print{.fields{display:none}.ladder,.scale{break-inside:auto}}
@media (forced-colors:active){.life,.way,.mark,.bar{stroke:CanvasText}.tip{fill:CanvasText;stroke:CanvasText}}
"""


def patterns() -> Markup:
    """Return what diagrams of a page share: the hatching of TIME-WAIT.  Once on a page."""
    lines = element("path", d="M-1 7L7 -1M-1 1L1 -1M5 7L7 5", stroke="var(--wait)", stroke_width="1.1")
    ground = element("rect", width=6, height=6, fill="var(--wash)")
    hatch = element("pattern", ground, lines, id="waits", width=6, height=6, patternUnits="userSpaceOnUse")
    return element("svg", element("defs", hatch), width=0, height=0, aria_hidden="true", style="position:absolute")


def ladder(conversation: Conversation, name: str) -> Markup:
    """Return one conversation's diagram.  `name`: no other drawing's on the page."""
    drawing = _Ladder(conversation)
    for item in conversation.items():
        drawing.item(item)
    drawing.ends()
    drawing.lifelines(drawing.y)
    said = f"{conversation.segments():,} segments between {conversation.title}, from top to bottom; a table follows."
    return svg(
        name,
        f"Sequence diagram: {conversation.title}",
        said,
        *drawing.below,
        *drawing.above,
        role="group",
        class_="ladder",
        height=drawing.y + 8,
    )


def _text(x: str, y: float, words: str, kind: str, dx: int = 0) -> Markup:
    return element("text", words, x=x, y=y, dx=dx or None, class_=kind)


def _at(x: str, y: float, *content: Markup) -> Markup:
    """Return a drawing in pixels around a point whose x is a share of the width."""
    return element("svg", *content, x=x, y=y, overflow="visible", width=1, height=1)


class _Ladder:
    """Lays rows out from top to bottom; what is below is painted first."""

    def __init__(self, conversation: Conversation) -> None:
        self.conversation = conversation
        self.zero = conversation.zero
        self.y = 52.0
        self.below: list[Markup] = []
        self.above: list[Markup] = []
        self.states: list[State | None] = [None, None]
        self.since = [44.0, 44.0]
        self.departed: dict[int, float] = {}
        # Where the words in each margin end so far.
        self.margin = [0.0, 0.0]
        for side in (LEFT, RIGHT):
            kind = "head mid"
            self.above.append(_text(_AT[side], 14, conversation.names[side] or conversation.address(side), kind))
            if conversation.names[side]:
                self.above.append(_text(_AT[side], 30, conversation.address(side), "mono soft mid"))

    # -- lifelines -------------------------------------------------------------------------------------------------

    def lifelines(self, upto: float) -> None:
        """Draw both lifelines down to here."""
        for side in (LEFT, RIGHT):
            self._lifeline(side, upto)

    def _lifeline(self, side: int, upto: float) -> None:
        begin, state = self.since[side], self.states[side]
        self.since[side] = upto
        if upto <= begin:
            return
        if state is State.TIME_WAIT:
            self.below.append(
                element(
                    "rect",
                    x=_AT[side],
                    y=begin,
                    width=_BAR,
                    height=upto - begin,
                    transform=f"translate({-_BAR / 2} 0)",
                    class_="bar",
                )
            )
            return
        kind = "life none" if state in (None, State.CLOSED) else "life"
        self.below.append(element("line", x1=_AT[side], x2=_AT[side], y1=begin, y2=upto, class_=kind))

    def _enter(self, side: int, state: State, y: float, words: str = "") -> None:
        """Let a state begin here, and say so in the margin."""
        for each in (LEFT, RIGHT) if self.conversation.itself else (side,):
            self._lifeline(each, y)
            self.states[each] = state
        self._beside(side, y + 4, words or str(state), "state wait" if state is State.TIME_WAIT else "state")

    def _beside(self, side: int, y: float, words: str, kind: str) -> None:
        """Put words into a margin, here or just below what stands there."""
        y = max(y, self.margin[side] + 13)
        self.margin[side] = y
        self.y = max(self.y, y + 4)
        dx, anchor = (-11, "end") if side == LEFT else (11, "")
        self.above.append(_text(_AT[side], y, words, f"{kind} {anchor}".strip(), dx))

    # -- rows ------------------------------------------------------------------------------------------------------

    def item(self, item: Item) -> None:
        """Draw one item below the others."""
        match item:
            case Row(arrow=Arrow() as arrow):
                self._arrow_row(item, arrow)
            case Row():
                self._other_row(item)
            case Gap():
                self._break(gap_text(item))
            case Fold(rows, words):
                self._break(f"{words}: see the table")
                for row in rows:
                    for side, change in enumerate(row.states):
                        if change is not None:
                            self.states[side] = change.state

    def _break(self, words: str) -> None:
        """Draw time, or rows, that are left out: both lifelines are broken."""
        y = self.y + _BREAK / 2
        self.lifelines(y - 5)
        for side in (LEFT, RIGHT):
            slants = element("path", d="M-9 -2L9 -8M-9 8L9 2", class_="way")
            self.above.append(_at(_AT[side], y, slants))
            self.since[side] = y + 5
        self.above.append(_text("50%", y + 4, words, "soft mid"))
        self.y += _BREAK

    def _other_row(self, row: Row) -> None:
        y = self.y + 12
        told = row.called is not None or bool(row.failed)
        if told:
            wrong = refused(row)
            kind, dx = ("", 12) if row.side == LEFT else ("end", -12)
            words = ("✗ " if wrong else "") + call_text(row)
            self.above.append(_text(_AT[row.side], y + 4, words, f"{'bad' if wrong else 'soft'} {kind}", dx))
            dot = element("circle", r=3, cx=0, cy=0, fill="var(--soft)")
            self.above.append(_at(_AT[row.side], y, dot))
        self._time(row.side if told else (LEFT if row.states[LEFT] else RIGHT), y, row.time)
        for side, change in enumerate(row.states):
            if change is not None:
                self._enter(side, change.state, y)
        self.y = max(self.y, y - 12 + (_CALL if told else _STATE))

    def _time(self, side: int, y: float, time: Instant) -> None:
        self._beside(side, y + 4, moment_text(time, self.zero), "mono soft")

    def _arrow_row(self, row: Row, arrow: Arrow) -> None:
        """Draw a segment's way, or the end of it; what it carries shows where it is pointed at."""
        top, y = self.y, self.y + _LINE
        far = y + (_SLOPE if row.arrived not in (None, row.time) else 0)
        sender, receiver = arrow.side, 1 - arrow.side
        ends = far
        before = len(self.above)
        if row.part is Part.ARRIVES:
            self._time(receiver, y, row.time)
        else:
            self._time(sender, y, row.time)
            self.departed[arrow.number] = y
        for side, change in enumerate(row.states):
            if change is not None:
                self._enter(side, change.state, y if side == sender else far)
        margins, self.above = self.above[before:], self.above[:before]
        drawn = list(self._way(row, arrow, y, far))
        says = []
        if arrow.words and row.part is not Part.ARRIVES:
            says.append((sender, arrow.words, "bad"))
        if row.reason is not None:
            says.append((receiver, f"not taken: {row.reason.meaning}", "soft"))
        labelled = row.part is not Part.ARRIVES
        ends += (20 if row.part is Part.WHOLE else 12) if labelled else 4
        for side, words, kind in says:
            for line in textwrap.wrap(words, _NARROW):
                ends += _WORDS - 1
                dx, anchor = (12, "") if side == LEFT else (-12, "end")
                x = _AT[side] if arrow.sent or side != sender else _BORN[side]
                drawn.append(_text(x, ends, line, f"{kind} {anchor}".strip(), dx if x == _AT[side] else 0))
        self.y = max(self.y, ends + 8, top + (_ARROW if labelled else _CALL))
        hit = element("rect", x=0, y=y - 19, width="100%", height=self.y - y + 14, class_="hit")
        box = self._fields(row, arrow, y - 24)
        self.above.append(
            element(
                "g",
                hit,
                *drawn,
                *margins,
                box,
                class_="seg",
                tabindex=0,
                role="img",
                aria_label=heard(row, self.conversation),
            )
        )

    def _way(self, row: Row, arrow: Arrow, y: float, far: float) -> Iterator[Markup]:
        there = arrow.side == LEFT
        tail, head = _AT[arrow.side], _AT[1 - arrow.side]
        begin = y
        short = arrow.fate in (Fate.LOST, Fate.HELD)
        if short:
            head = "72%" if there else "28%"
        if not arrow.sent:
            tail = _BORN[arrow.side]
        if row.part is Part.DEPARTS and not short:
            # The line itself is drawn from where it arrives.
            yield from self._label(arrow, y, "one line")
            return
        if row.part is Part.ARRIVES:
            begin = self.departed.get(arrow.number, y - _SLOPE)
        odd = "way odd" if arrow.fate in (Fate.LOST, Fate.HELD, Fate.REPLAYED, Fate.INJECTED, Fate.ALTERED) else "way"
        line = element("line", x1=tail, x2=head, y1=begin, y2=far, class_=odd)
        if row.part is Part.ARRIVES:
            self.below.append(line)  # under what happened meanwhile
        else:
            yield line
        if row.part is not Part.ARRIVES:
            yield from self._label(arrow, (begin + far) / 2, "two lines" if not short else "one line")
        if not arrow.sent:
            yield _at(tail, begin, element("circle", r=4, cx=0, cy=0, class_="mark"))
        if arrow.fate is Fate.LOST:
            yield _at(head, far, element("path", d="M-6 -6L6 6M-6 6L6 -6", class_="mark"))
        elif arrow.fate is Fate.HELD:
            yield _at(head, far, element("path", d="M-3 -7V7M3 -7V7", class_="mark"))
        else:
            shape = "M0 0L-9 -4.5V4.5Z" if there else "M0 0L9 -4.5V4.5Z"
            shift = _BAR / 2 if self.states[1 - arrow.side] is State.TIME_WAIT else 1
            place = f"translate({-shift if there else shift} 0)"
            kind = "tip" if row.reason is None else "tip hollow"
            yield _at(head, far, element("path", d=shape, class_=kind, transform=place))

    def _label(self, arrow: Arrow, y: float, how: str) -> Iterator[Markup]:
        flags, numbers = flag_names(arrow.segment.flags), numbers_text(arrow)
        if how == "two lines":
            yield _text("50%", y - 7, flags, "mid")
            yield _text("50%", y + 15, numbers, "mono soft mid")
            return
        dx, anchor = (10, "") if arrow.side == LEFT else (-10, "end")
        if not arrow.sent:
            yield _text("50%", y - 7, f"{flags} {numbers}", "mono mid")
        else:
            yield _text(_AT[arrow.side], y - 7, f"{flags} {numbers}", f"mono {anchor}".strip(), dx)

    def _fields(self, row: Row, arrow: Arrow, bottom: float) -> Markup:
        """Return the box with all that a segment carries; it grows upwards, over what is painted before it."""
        lines = [line for words in fields(arrow, row, self.conversation) for line in textwrap.wrap(words, _BOX)]
        height = 15 * len(lines) + 12
        words = [
            element("text", line, x=-142, y=-height + 18 + 15 * at, class_="mono") for at, line in enumerate(lines)
        ]
        box = element("rect", x=-152, y=-height, width=304, height=height, rx=5)
        return element("g", _at("50%", bottom, box, *words), class_="fields", aria_hidden="true")

    def ends(self) -> None:
        """Draw how long states last that the trace did not see the end of."""
        last = max([self.conversation.end, *(row.time for row in self.conversation.rows)])
        for side, until in sorted(self.conversation.due(), key=lambda each: each[1]):
            if until > last:
                self._break(gap_text(Gap(until - last)))
            last = until
            y = self.y + 12
            self._time(side, y, until)
            self._enter(side, State.CLOSED, y, "(CLOSED)")
            self.y = max(self.y, y + 14)


# -- to scale ----------------------------------------------------------------------------------------------------------

_TRACK: Final = 40


def scale(conversation: Conversation, name: str) -> Markup | None:
    """Return how long each end was in each state, to scale; None where no time passed."""
    spans = [conversation.spans(side) for side in (LEFT, RIGHT)]
    every = [span for side in spans for span in side]
    begin = min((span.begin for span in every), default=0)
    total = max((span.end for span in every), default=0) - begin
    if total <= 0 or not any(span.state is State.TIME_WAIT for span in every):
        return None
    drawn: list[Markup] = []
    for side, own in enumerate(spans):
        top = side * _TRACK
        drawn.append(_text("0", top + 11, conversation.label(side), "soft"))
        drawn += [part for span in own for part in _span(span, begin, total, top + 17)]
    floor = 2 * _TRACK + 4
    drawn.append(element("line", x1="0", x2="100%", y1=floor, y2=floor))
    step = _step(total)
    for at in range(0, total + 1, step):
        x = f"{100 * at / total:.3f}%"
        near = "" if at == 0 else "end" if at > total * 0.9 else "mid"
        drawn.append(element("line", x1=x, x2=x, y1=floor, y2=floor + 5))
        drawn.append(element("text", readable(at) if at else "0", x=x, y=floor + 17, class_="soft", **_anchored(near)))
    waits = [
        f"{conversation.label(side)} is in TIME-WAIT for {readable(span.end - span.begin)}"
        for side, own in enumerate(spans)
        for span in own
        if span.state is State.TIME_WAIT
    ]
    said = "; ".join(waits[:6]) + (f"; and {len(waits) - 6} more" if len(waits) > 6 else "")
    title = f"States to scale: {conversation.title}"
    return svg(name, title, f"{said}. In all {readable(total)}.", *drawn, class_="scale", height=floor + 22)


def _anchored(where: str) -> dict[str, str]:
    return {"text_anchor": {"end": "end", "mid": "middle"}[where]} if where else {}


def _span(span: Span, begin: Instant, total: int, top: int) -> Iterator[Markup]:
    left, width = 100 * (span.begin - begin) / total, 100 * (span.end - span.begin) / total
    waits = span.state is State.TIME_WAIT
    place: dict[str, Attribute] = {"x": f"{left:.3f}%", "y": top, "width": f"{max(width, 0.3):.3f}%", "height": 16}
    yield element(
        "rect",
        element("title", f"{span.state} {readable(span.end - span.begin)}"),
        **place,
        class_="bar" if waits else "span",
    )
    if width > 30:
        words = f"{span.state} {readable(span.end - span.begin)}"
        yield element(
            "text",
            words,
            x=f"{left + width / 2:.3f}%",
            y=top + 12,
            text_anchor="middle",
            class_="named",
        )


def _step(total: int) -> int:
    """Return a round step that makes about five of the whole: 1, 2 or 5 times a power of ten."""
    power: int = 10 ** (len(str(total // 5)) - 1)
    return next(step for times in (1, 2, 5, 10) if (step := power * times) * 5 >= total)
