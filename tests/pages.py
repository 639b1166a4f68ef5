"""Checks that hold for every page: well-formed, self-contained, named."""

import re
from html.parser import HTMLParser

HOSTILE = [
    "<script>alert(1)</script>",
    '" onmouseover="alert(1)',
    "' autofocus onfocus='alert(1)",
    "</title><img src=x>",
    "</style><link rel=stylesheet href=//x>",
    "]]><!--",
    "&lt;b&gt;",
    "a\x00b\x1b[31mc\x7f\x9b",
    "\u202egpj.exe",
    "\ud800",
    "javascript:alert(1)",
]

VOID = {"br", "col", "hr", "meta"}
# Whatever makes a browser fetch something.
FETCHING = {"src", "srcset", "data", "action", "poster", "background", "ping", "manifest"}
ELEMENTS = {
    *("html", "head", "meta", "title", "style", "body", "header", "main", "footer", "nav", "section", "a", "h1", "h2"),
    *("h3", "p", "ul", "ol", "li", "dl", "div", "dt", "dd", "span", "small", "strong", "em", "code", "kbd", "br"),
    *(
        "table",
        "caption",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "figure",
        "figcaption",
        "details",
        "summary",
        "pre",
        "script",
    ),
    *("svg", "desc", "g", "defs", "marker", "pattern", "path", "line", "rect", "circle", "text", "tspan"),
}


class Shown(HTMLParser):
    """A page as it is read: its ids, its headings, its words."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.referred: list[str] = []
        self.heads: list[str] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in ELEMENTS, tag
        given = dict(attrs)
        assert len(given) == len(attrs), f"an attribute twice: {attrs}"
        for name, value in given.items():
            assert not name.startswith("on"), name
            assert name not in FETCHING, name
            if name == "id":
                assert value, tag
                assert value not in self.ids, f"id {value} twice"
                self.ids.add(value)
            elif name in ("href", "xlink:href"):
                assert (value or "").startswith("#"), value
                self.links.append((value or "")[1:])
            elif name.startswith("aria-") and name.endswith("by"):
                self.referred += (value or "").split()
            elif name in ("fill", "stroke", "marker-end", "style", "clip-path") and "url(" in (value or ""):
                self.referred += re.findall(r"url\(#([^)]*)\)", value or "")
            elif tag == "script":
                raise AssertionError("a script with attributes")
        if tag in VOID:
            return
        if tag == "tr" or tag in ("thead", "tbody"):
            assert "table" in self.open
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, tag

    def handle_data(self, data: str) -> None:
        if "style" in self.open or "script" in self.open:
            return
        self.words.append(data)
        if self.open and self.open[-1] in ("h1", "h2", "h3"):
            self.heads.append(data)


def check(page: str) -> Shown:
    """Assert what holds for every page; return it as read."""
    shown = Shown()
    shown.feed(page)
    shown.close()
    assert not shown.open
    missing = [name for name in shown.links + shown.referred if name not in shown.ids]
    assert not missing, missing
    style = re.search(r"<style>(.*?)</style>", page, re.DOTALL)
    assert style
    assert "url(" not in style[1].replace("url(#", "")
    assert "@import" not in style[1]
    assert page.count("<script") == 1
    assert page.count("<main") == page.count("<h1") == 1
    assert 'lang="en"' in page
    assert 'name="viewport"' in page
    page.encode()
    return shown
