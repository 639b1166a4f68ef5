"""Charts as SVG: a line over two axes with marks, and bars beside each other.  Knows no plan.

Their colours are a page's own (`html.svg`); as a file of its own a chart brings light ones along.
"""

import math
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from timewait.report.html import LIGHT, Markup, element, svg

_WIDTH: Final = 720
_LEFT, _RIGHT, _TOP, _BOTTOM = 76, 16, 16, 46
_ROW: Final = 30
_LABEL: Final = 230
STYLE: Final = """
.chart text{font-size:12px}.chart .soft{fill:var(--soft)}.chart .axis{stroke:var(--line);fill:none}
.chart .curve{stroke:var(--accent);stroke-width:2;fill:none}.chart .mark{stroke:var(--bad);stroke-dasharray:6 4}
.chart .step{stroke:var(--wait);stroke-dasharray:2 4}.chart .bar{fill:var(--accent)}.chart .unsafe{fill:var(--wait)}
.chart .end{text-anchor:end}.chart .middle{text-anchor:middle}
"""


class Mark(NamedTuple):
    """A line across a chart, at a height or (`upright`) at a place."""

    at: float
    words: str
    kind: str = "mark"
    upright: bool = False


class Bar(NamedTuple):
    """`value` None: without end."""

    label: str
    value: float | None
    words: str
    kind: str = "bar"


def ticks(most: float, about: int = 5) -> list[float]:
    """Return round numbers from 0 up to `most`, some five of them."""
    if most <= 0:
        return [0.0]
    size = 10 ** math.floor(math.log10(most / about))
    step = next(each * size for each in (1, 2, 5, 10) if most / (each * size) <= about)
    return [step * number for number in range(int(most / step + 1e-9) + 1)]


def line(
    name: str,
    title: str,
    description: str,
    points: Sequence[tuple[float, float]],
    *,
    across: tuple[str, Callable[[float], str]],
    up: tuple[str, Callable[[float], str]],
    marks: Sequence[Mark] = (),
    height: int = 280,
) -> Markup:
    """Return a curve.  `across`, `up`: what each axis is, and how its numbers are written."""
    wide = max((x for x, _ in points), default=1.0) or 1.0
    high = max([y for _, y in points] + [mark.at for mark in marks if not mark.upright], default=1.0) * 1.08 or 1.0

    def x(value: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * value / wide

    def y(value: float) -> float:
        return height - _BOTTOM - (height - _TOP - _BOTTOM) * value / high

    parts: list[Markup] = []
    for value in ticks(high):
        parts.append(_segment(x(0), y(value), x(wide), y(value), "axis"))
        parts.append(element("text", up[1](value), x=_LEFT - 8, y=y(value) + 4, class_="soft end"))
    for value in ticks(wide):
        parts.append(element("text", across[1](value), x=x(value), y=height - _BOTTOM + 18, class_="soft middle"))
    parts.append(element("text", across[0], x=x(wide), y=height - 6, class_="soft end"))
    parts.append(element("text", up[0], x=4, y=_TOP - 4, class_="soft"))
    for number, mark in enumerate(marks):
        if mark.upright and mark.at > wide:
            continue
        ends = (x(mark.at), y(0), x(mark.at), y(high)) if mark.upright else (x(0), y(mark.at), x(wide), y(mark.at))
        parts.append(_segment(*ends, mark.kind))
        left = mark.upright and x(mark.at) > _WIDTH * 0.6
        at = (x(mark.at) + (-6 if left else 6), _TOP + 12 + 15 * number) if mark.upright else (x(0) + 6, y(mark.at) - 5)
        parts.append(element("text", mark.words, x=at[0], y=at[1], class_="end" if left else None))
    path = " ".join(f"{'L' if at else 'M'}{x(a):.1f},{y(b):.1f}" for at, (a, b) in enumerate(points))
    parts.append(element("path", d=path, class_="curve"))
    return svg(name, title, description, *parts, viewBox=f"0 0 {_WIDTH} {height}", class_="chart")


def bars(name: str, title: str, description: str, rows: Sequence[Bar], *, mark: Mark | None = None) -> Markup:
    """Return bars, long ones by their logarithm: what is ten times as much is one step longer."""
    values = [row.value for row in rows if row.value is not None and row.value > 0]
    values += [mark.at] if mark is not None and mark.at > 0 else []
    low = 10 ** math.floor(math.log10(min(values))) if values else 1.0
    high = 10 ** math.ceil(math.log10(max(values) * 1.001)) if values else 10.0
    height = _TOP + _ROW * len(rows) + 30

    def x(value: float | None) -> float:
        share = 1.0 if value is None else math.log(max(value, low) / low) / math.log(high / low)
        return _LABEL + (_WIDTH - _LABEL - 90) * min(1.0, share)

    parts: list[Markup] = []
    for at, row in enumerate(rows):
        top = _TOP + _ROW * at
        parts.append(element("text", row.label, x=_LABEL - 8, y=top + 16, class_="end"))
        length = max(2.0, x(row.value) - _LABEL)
        parts.append(element("rect", x=_LABEL, y=top + 4, width=length, height=16, class_=row.kind))
        parts.append(element("text", row.words, x=_LABEL + length + 6, y=top + 16, class_="soft"))
    if mark is not None:
        parts.append(_segment(x(mark.at), _TOP, x(mark.at), height - 24, mark.kind))
        parts.append(element("text", mark.words, x=x(mark.at), y=height - 8, class_="middle"))
    return svg(name, title, description, *parts, viewBox=f"0 0 {_WIDTH} {height}", class_="chart")


def _segment(x1: float, y1: float, x2: float, y2: float, kind: str) -> Markup:
    return element("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=kind)


def stacked(title: str, charts: Sequence[Markup]) -> str:
    """Return one SVG file of charts below each other."""
    known = ";".join(f"--{name}:{colour}" for name, colour in LIGHT.items())
    parts, top = [], 40
    for chart in charts:
        size = int(chart.split('viewBox="0 0 ', 1)[1].split('"', 1)[0].split()[1])
        inner = chart.replace("<svg ", f'<svg x="0" y="{top}" width="{_WIDTH}" height="{size}" ', 1)
        parts.append(Markup(inner))
        top += size + 24
    style = Markup(
        f"<style>:root{{{known};font-family:system-ui,sans-serif;background:{LIGHT['paper']}}}"
        f"text{{fill:var(--ink)}}{STYLE}</style>"
    )
    head = element("text", title, x=12, y=24, font_size=16)
    whole = element(
        "svg",
        style,
        head,
        *parts,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {_WIDTH} {top}",
        width=_WIDTH,
        height=top,
    )
    return f"{whole}\n"
