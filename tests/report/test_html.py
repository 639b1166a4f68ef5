"""Pages: what is text stays text, nothing is fetched, everything has a name, colours can be told apart."""

from html.parser import HTMLParser
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pages import HOSTILE, check
from timewait.report.html import DARK, LIGHT, Section, badge, bullets, element, facts, folded, page, svg, table, text


class Words(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.words: list[str] = []

    def handle_data(self, data: str) -> None:
        self.words.append(data)


@pytest.mark.parametrize("words", HOSTILE)
def test_hostile_text_stays_text_wherever_it_stands(words: str) -> None:
    body = element(
        "div",
        words,
        bullets([words]),
        facts([(words, words)]),
        table(words, [words, words], [[words, words]]),
        folded(words, words),
        badge("good", "+", words),
        svg("d", words, words, element("text", words, x=1, fill=words)),
        title=words,
    )
    others = [Section(words, text(words))] * 3
    check(page(words, [Section(words, body), *others], lead=element("p", words), kicker=words))


@given(st.text())
def test_any_text_comes_back(words: str) -> None:
    reader = Words()
    reader.feed(element("p", words, title=words))
    reader.close()
    shown = "".join(reader.words).replace("\r\n", "\n").replace("\r", "\n")
    printable = "".join(each for each in words if each.isprintable() and each not in "\u200e\u200f\u061c")
    assert all(each in shown for each in printable)
    assert "\x1b" not in shown
    shown.encode()


def test_what_is_ready_is_not_escaped_again() -> None:
    assert text(text("<")) == "&lt;"
    assert element("p", element("b", "&")) == "<p><b>&amp;</b></p>"
    assert element("td", "x", class_="a", aria_hidden="true", open=True, id=None, hidden=False) == (
        '<td class="a" aria-hidden="true" open>x</td>'
    )


def test_sections_of_one_title_have_names_of_their_own() -> None:
    shown = check(page("t", [Section("Same", text("a")), Section("Same", text("b")), Section("?!", text("c"))]))
    assert {"same", "same-2", "part"} <= shown.ids


def luminance(colour: str) -> float:
    """Return relative luminance: WCAG 2.2."""
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("known", [LIGHT, DARK], ids=["light", "dark"])
def test_text_can_be_read_on_every_ground(known: dict[str, str]) -> None:
    """WCAG 2.2, 1.4.3: 4.5 to 1."""
    for ground, ink in product(("paper", "panel"), ("ink", "soft", "accent", "wait", "good", "bad")):
        light, dark = sorted((luminance(known[ground]), luminance(known[ink])), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5, (ground, ink)
