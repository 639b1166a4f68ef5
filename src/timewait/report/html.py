"""Pages: one self-contained HTML file that asks nothing of a network.  Knows how pages look, not what they say.

Whatever is put into an element is text unless it is `Markup`, which only `element` and its kin make: so no name, banner
or error message can become markup.  Pages read well without colour, without a mouse, on paper, in the dark, at 320 px.
"""

import re
from base64 import b64encode
from collections.abc import Iterable, Sequence
from hashlib import sha256
from html import escape
from importlib.metadata import version
from itertools import chain, count, repeat
from typing import Final, NamedTuple, TypeAlias

# C0 except tab and newline, DEL, C1, and what turns the direction of text around (Unicode 9, UAX #9): made visible.
_UNSEEN: Final = {
    **{code: 0x2400 + code for code in range(0x20) if code not in (9, 10)},
    **dict.fromkeys([*range(127, 160), *range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x200E, 0x200F, 0x061C], 0xFFFD),
    **dict.fromkeys(range(0xD800, 0xE000), 0xFFFD),  # halves of pairs: from file names; no encoding has them
}
# HTML 13.1.2: elements without content or end tag.
_VOID: Final = frozenset({"br", "col", "hr", "meta"})


class Markup(str):
    """HTML that is ready."""

    __slots__ = ()


Content: TypeAlias = "str | Markup | None"
Attribute: TypeAlias = "str | float | bool | None"


def text(words: str) -> Markup:
    """Return words as HTML, control characters made visible."""
    return words if isinstance(words, Markup) else Markup(escape(words.translate(_UNSEEN), quote=True))


def join(parts: Iterable[Content], between: str = "") -> Markup:
    """Return parts one after the other; None is nothing."""
    return Markup(text(between).join(text(part) for part in parts if part is not None))


def element(name: str, /, *content: Content, **attributes: Attribute) -> Markup:
    """Return an element.  Attributes: `_` stands for `-`, one at the end is dropped; None and False: left out."""
    written = "".join(
        f" {key.rstrip('_').replace('_', '-')}" + ("" if value is True else f'="{_value(value)}"')
        for key, value in attributes.items()
        if value is not None and value is not False
    )
    if name in _VOID:
        return Markup(f"<{name}{written}>")
    return Markup(f"<{name}{written}>{join(content)}</{name}>")


def _value(value: str | float) -> Markup:
    """Return an attribute's value; of numbers no more than a hundredth of a pixel."""
    return text(f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value))


class Section(NamedTuple):
    """A part of a page: its heading, and what is under it."""

    title: str
    body: Markup


def page(
    title: str,
    sections: Sequence[Section],
    *,
    lead: Content = None,
    kicker: str = "",
    style: str = "",
    end: Content = None,
    contents: bool = True,
) -> str:
    """Return a whole page.

    `lead`: what the page comes to, at its top; `kicker`: a word above the title; `style`: what its drawings need;
    `end`: drawings that others refer to; `contents`: whether to list the sections, where they are many.
    """
    names = anchors([section.title for section in sections])
    parts = [
        element("section", element("h2", section.title, id=f"{name}-head"), section.body, id=name, **_labelled(name))
        for name, section in zip(names, sections, strict=True)
    ]
    head = join(
        (
            element("meta", charset="utf-8"),
            element("meta", name="viewport", content="width=device-width, initial-scale=1"),
            element("meta", http_equiv="Content-Security-Policy", content=_policy()),
            element("meta", name="color-scheme", content="light dark"),
            element("title", f"{title} - timewait"),
            Markup(f"<style>{_STYLE}{style}</style>"),
        )
    )
    top = element("header", element("p", kicker, class_="kicker") if kicker else None, element("h1", title), lead)
    body = join(
        (
            element("a", "To the content", href="#content", class_="skip"),
            top,
            _contents(names, sections) if contents else None,
            element("main", *parts, id="content"),
            element("footer", element("p", f"Made by timewait {version('timewait')}.")),
            end,
            Markup(f"<script>{_SCRIPT}</script>"),
        )
    )
    return f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body>{body}</body></html>\n'


def _contents(names: Sequence[str], sections: Sequence[Section]) -> Markup | None:
    """Return links to the sections, where there are so many that one might look for them."""
    if len(sections) < 4:
        return None
    links = [
        element("li", element("a", section.title, href=f"#{name}"))
        for name, section in zip(names, sections, strict=True)
    ]
    return element("nav", element("ul", *links), aria_label="On this page")


def _labelled(name: str) -> dict[str, str]:
    return {"aria_labelledby": f"{name}-head"}


def anchors(titles: Iterable[str]) -> list[str]:
    """Return the name that a link to each section has, made of its title's words, no two alike."""
    found = {"content": None}  # `page` has that one itself
    for title in titles:
        words = "-".join(re.findall(r"[a-z0-9]+", title.lower())[:6]) or "part"
        found[next(name for n in count(1) if (name := words if n == 1 else f"{words}-{n}") not in found)] = None
    return list(found)[1:]


# -- what pages are made of --------------------------------------------------------------------------------------------


def paragraphs(*words: Content) -> Markup:
    """Return a paragraph for each."""
    return join(element("p", each) for each in words if each is not None)


def bullets(items: Iterable[Content], **attributes: str) -> Markup:
    """Return a list."""
    return element("ul", *(element("li", each) for each in items), **attributes)


def facts(rows: Iterable[tuple[str, Content]]) -> Markup:
    """Return names and what they stand for."""
    pairs = (element("div", element("dt", name), element("dd", value)) for name, value in rows)
    return element("dl", *pairs, class_="facts")


def badge(kind: str, sign: str, words: str) -> Markup:
    """Return a verdict: `kind` is good, bad, warn or plain, `sign` says the same to those who see no colour."""
    return element("span", element("span", sign, aria_hidden="true"), " ", words, class_=f"badge {kind}")


def folded(summary: Content, *content: Content, opened: bool = False, printed: bool = True) -> Markup:
    """Return what is shown on demand, and on paper if it is `printed`."""
    return element("details", element("summary", summary), *content, open=opened, class_=None if printed else "long")


def table(
    caption: Content,
    heads: Sequence[Content],
    rows: Iterable[Sequence[Content]],
    *,
    right: Sequence[int] = (),
    marked: Sequence[bool] = (),
) -> Markup:
    """Return a table whose rows begin with their own heading; the columns in `right` hold numbers.

    `marked`: which rows stand out; why has to be said in them too.  A table too wide for the screen scrolls by itself.
    """

    def cell(at: int, content: Content) -> Markup:
        number = "number" if at in right else None
        if at == 0:
            return element("th", content, scope="row", class_=number)
        return element("td", content, class_=number)

    above = (
        element("th", head, scope="col", class_="number" if at in right else None) for at, head in enumerate(heads)
    )
    body = (
        element("tr", *(cell(at, content) for at, content in enumerate(row)), class_="marked" if out else None)
        for row, out in zip(rows, chain(marked, repeat(False)), strict=False)
    )
    whole = element(
        "table", element("caption", caption), element("thead", element("tr", *above)), element("tbody", *body)
    )
    return element("div", whole, class_="wide", tabindex=0, role="region", aria_label=_words(caption))


def figure(drawing: Markup, caption: Content = None) -> Markup:
    """Return a drawing with its caption."""
    return element("figure", drawing, element("figcaption", caption) if caption else None)


def svg(
    name: str, title: str, description: str, *content: Content, role: str = "img", **attributes: Attribute
) -> Markup:
    """Return a drawing that says what it shows.  `name`: no other of the page's; `role`: group, if parts have a name.

    Its colours are the page's: classes of `_STYLE`, or `var(--ink)` and its kin.
    """
    said = element("title", title, id=f"{name}-title"), element("desc", description, id=f"{name}-desc")
    told = {"aria_labelledby": f"{name}-title", "aria_describedby": f"{name}-desc"}
    return element("svg", *said, *content, id=name, role=role, **told, **attributes)


def _words(content: Content) -> Markup:
    """Return the words of some HTML."""
    return Markup(re.sub(r"<[^>]*>", "", text(content or "")))


# What shows on hover and focus can be put away with Escape (WCAG 2.2, 1.4.13).  All else works without a script.
_SCRIPT: Final = """{const quiet=on=>document.body.classList.toggle("quiet",on);
addEventListener("keydown",e=>e.key=="Escape"&&quiet(true));
for(const moved of["focusin","mouseover"])addEventListener(moved,()=>quiet(false))}"""


def _policy() -> str:
    """Return what a page may do: nothing is fetched and no other script runs.  Content Security Policy level 3."""
    script = b64encode(sha256(_SCRIPT.encode()).digest()).decode()
    own = f"style-src 'unsafe-inline'; script-src 'sha256-{script}'"
    return f"default-src 'none'; {own}; base-uri 'none'; form-action 'none'"


# Contrast of every colour of text against every ground is at least 4.5 (WCAG 2.2, 1.4.3); a test works it out.
LIGHT: Final = {
    "paper": "#fdfdfb",
    "panel": "#f2f4f3",
    "ink": "#1b2228",
    "soft": "#55606a",
    "line": "#cfd6da",
    "accent": "#0a6482",
    "wait": "#97500a",
    "wash": "#f6dcb8",
    "good": "#1f6b38",
    "bad": "#b0241c",
}
DARK: Final = {
    "paper": "#13171a",
    "panel": "#1d2327",
    "ink": "#e8ecee",
    "soft": "#a6b1b9",
    "line": "#3a444b",
    "accent": "#74c7e8",
    "wait": "#f2ab57",
    "wash": "#553a17",
    "good": "#84d397",
    "bad": "#ff958b",
}


def _colours(known: dict[str, str]) -> str:
    return "".join(f"--{name}:{colour};" for name, colour in known.items())


_STYLE: Final = (
    f":root{{color-scheme:light dark;{_colours(LIGHT)}}}"
    f"@media screen and (prefers-color-scheme:dark){{:root{{{_colours(DARK)}}}}}"
    """
*{box-sizing:border-box}
html{scroll-behavior:smooth;-webkit-text-size-adjust:100%}
body{margin:0 auto;padding:2.5rem 1.25rem 3rem;max-width:54rem;background:var(--paper);color:var(--ink);
font:1rem/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans","Liberation Sans",sans-serif;
overflow-wrap:break-word}
h1,h2,h3{line-height:1.25;text-wrap:balance;margin:0}
h1{font-size:clamp(1.45rem,1.2rem + 1.4vw,1.95rem);letter-spacing:-.012em;max-width:30em}
h2{font-size:1.25rem;letter-spacing:-.006em;margin:3rem 0 .75rem;padding-top:1rem;border-top:1px solid var(--line)}
h3{font-size:1.02rem;margin:2rem 0 .5rem}
p,ul,ol,dl{margin:.6rem 0;max-width:42rem}
ul,ol{padding-left:1.2rem}
li{margin:.2rem 0}
a{color:var(--accent);text-underline-offset:.15em}
code,kbd,.mono{font-family:ui-monospace,"SF Mono","Cascadia Mono",Menlo,"DejaVu Sans Mono",monospace;font-size:.92em}
.kicker{color:var(--soft);font-size:.85rem;margin:0 0 .35rem}
.lead{font-size:1.1rem;margin:.9rem 0}
.soft,small,figcaption{color:var(--soft)}
small,figcaption,.small{font-size:.875rem}
.skip{position:absolute;left:-99rem}
.skip:focus{left:1rem;top:.5rem;background:var(--paper);padding:.3rem .6rem}
:focus-visible{outline:2px solid var(--accent);outline-offset:2px;border-radius:2px}
nav ul{display:flex;flex-wrap:wrap;gap:.2rem 1.2rem;list-style:none;padding:0;margin:1.4rem 0 0;max-width:none;
font-size:.925rem}
nav li{margin:0}
nav a{display:inline-block;padding:.2rem 0}
.badge{display:inline-block;border:1.5px solid currentColor;border-radius:.35rem;padding:.05rem .5rem;font-weight:600;
font-size:.925rem;white-space:nowrap}
.good{color:var(--good)}.bad{color:var(--bad)}.warn{color:var(--wait)}.plain{color:var(--soft)}
.wide{overflow-x:auto;margin:1rem 0;max-width:100%}
table{border-collapse:collapse;width:100%;font-size:.925rem;font-variant-numeric:tabular-nums;line-height:1.4}
caption{text-align:left;color:var(--soft);font-size:.875rem;padding:0 0 .5rem}
th,td{text-align:left;vertical-align:top;padding:.45rem 1rem .45rem 0;border-bottom:1px solid var(--line);
font-weight:400;min-width:4.5rem}
th:last-child,td:last-child{padding-right:0}
tbody th{position:sticky;left:0;background:var(--paper)}
thead th{font-size:.8rem;color:var(--soft);font-weight:600;border-bottom-color:var(--soft);vertical-align:bottom}
.number{text-align:right}
.word{white-space:nowrap}
tr.marked>*{background:var(--wash)}tr.marked>:first-child{padding-left:.5rem}
.facts div{display:grid;grid-template-columns:minmax(6rem,11rem) 1fr;gap:0 1rem;padding:.3rem 0;
border-bottom:1px solid var(--line)}
.facts dt{color:var(--soft)}
.facts dd{margin:0;overflow-wrap:anywhere}
.facts code{white-space:nowrap}
details{margin:.8rem 0}
pre{overflow-x:auto;background:var(--panel);padding:.7rem .9rem;border-radius:.35rem;margin:.6rem 0}
summary{cursor:pointer;color:var(--accent);width:fit-content;padding:.25rem 0}
figure{margin:1.2rem 0}
figcaption{max-width:42rem;margin-top:.5rem}
svg{display:block;width:100%;overflow:visible;font-family:inherit}
svg text{fill:var(--ink)}
footer{margin-top:3.5rem;border-top:1px solid var(--line);color:var(--soft);font-size:.875rem}
@media (max-width:34rem){body{padding:1.25rem 1rem 2rem}.facts div{grid-template-columns:1fr}
th,td{padding-right:.6rem}.facts code{white-space:normal}}
@media (prefers-reduced-motion:reduce){html{scroll-behavior:auto}*{transition:none!important;animation:none!important}}
@media (forced-colors:active){.badge{border-color:CanvasText}}
@media print{body{max-width:none;padding:0;font-size:10.5pt}nav,.skip{display:none}
h2,h3{break-after:avoid}figure,tr,.badge{break-inside:avoid}.wide,pre{overflow:visible;white-space:pre-wrap}
details::details-content{content-visibility:visible;height:auto}summary{color:var(--soft);list-style:none}
details.long{display:none}
a{color:inherit;text-decoration:none}}
"""
)
