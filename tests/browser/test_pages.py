"""Pages in a browser: Debian's chromium, driven by Playwright; nothing is fetched, neither by it nor for it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from needs import require_program
from timewait.lab import catalog
from timewait.lab.trial import Trial, Trials
from timewait.report.html import DARK, LIGHT
from timewait.report.lab_page import lab_page

_ARGUMENTS = [
    *("--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--no-first-run", "--host-resolver-rules=MAP * ~NOTFOUND"),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = require_program("chromium")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=_ARGUMENTS)
        yield started
        started.close()


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    scenario = catalog.get("lost-last-ack")
    results = [
        Trials(traced=True).perform(Trial(scenario, scenario.settings({}), "engine", profile))
        for profile in ("linux", "freebsd")
    ]
    path = tmp_path_factory.mktemp("page") / "page.html"
    path.write_text(lab_page(results, ["timewait", "lab", "run", "lost-last-ack"]), encoding="utf-8")
    return path


@pytest.fixture
def opened(browser: Browser, file: Path) -> Iterator[Any]:
    """Open the page in a window so wide; return it, and all that it asked for and complained of."""
    contexts = []

    def open_(width: int = 1000, **how: Any) -> tuple[Page, list[str]]:
        context = browser.new_context(viewport={"width": width, "height": 900}, **how)
        contexts.append(context)
        context.set_default_timeout(20_000)
        page = context.new_page()
        heard: list[str] = []
        page.on("request", lambda request: heard.append(request.url))
        page.on("console", lambda message: heard.append(message.text))
        page.on("pageerror", lambda error: heard.append(str(error)))
        page.goto(file.as_uri())
        return page, heard

    yield open_
    for context in contexts:
        context.close()


def visible(page: Page) -> list[str]:
    """The boxes of fields that show, as text."""
    shown: list[str] = page.evaluate(
        "[...document.querySelectorAll('.fields')].filter(e => getComputedStyle(e).visibility == 'visible')"
        ".map(e => [...e.querySelectorAll('text')].map(t => t.textContent).join(' '))"
    )
    return shown


def test_it_asks_for_nothing_and_complains_of_nothing(opened: Any, file: Path) -> None:
    _, heard = opened()
    assert heard == [file.as_uri()]


def test_the_keyboard_reaches_every_segment_and_shows_its_fields(opened: Any) -> None:
    page, _ = opened(java_script_enabled=False)
    reached: dict[str, None] = {}  # Tab goes round
    for _ in range(60):
        page.keyboard.press("Tab")
        boxes = visible(page)
        assert len(boxes) <= 1
        reached |= dict.fromkeys(boxes)
    count = page.locator(".seg").count()
    assert len(reached) == count >= 20
    first = next(iter(reached))
    assert first.startswith("SYN")
    for words in ("relative 0", "window", "options: MSS", "sent 0.000020 s", "192.0.2.1:40000"):
        assert words in first
    assert any("lost on the way" in each for each in reached)


def test_the_mouse_shows_them_too_and_escape_puts_them_away(opened: Any) -> None:
    page, _ = opened()
    assert visible(page) == []
    page.locator(".hit").nth(3).hover()
    assert len(visible(page)) == 1
    page.keyboard.press("Escape")
    assert visible(page) == []
    page.locator(".hit").nth(4).hover()
    assert len(visible(page)) == 1


def test_a_box_of_fields_lies_within_the_screen_of_a_phone(opened: Any) -> None:
    page, _ = opened(360)
    for at in range(3):
        page.locator(".seg").nth(at).focus()
        box = page.locator(".seg").nth(at).locator(".fields rect").bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 360
        widest = page.evaluate(
            "Math.max(...[...document.activeElement.querySelectorAll('.fields text')]"
            ".map(t => t.getBoundingClientRect().right))"
        )
        assert widest <= box["x"] + box["width"]


@pytest.mark.parametrize("width", [320, 360, 768, 1400])
def test_the_page_never_scrolls_sideways(opened: Any, width: int) -> None:
    """WCAG 2.2, 1.4.10: 320 pixels."""
    page, _ = opened(width)
    page.evaluate("document.querySelectorAll('details').forEach(e => e.open = true)")
    assert page.evaluate("document.documentElement.scrollWidth") == width
    outside = page.evaluate(
        "[...document.querySelectorAll('.ladder text, .scale text')].filter(e => !e.closest('.fields'))"
        ".map(e => [e.textContent, e.getBoundingClientRect()])"
        ".filter(([, r]) => r.left < 0 || r.right > innerWidth).map(([t]) => t)"
    )
    assert outside == []


def test_dark_and_light_follow_the_reader_and_paper_is_light(opened: Any) -> None:
    def ground(page: Page) -> str:
        red, green, blue = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)")
        return f"#{red:02x}{green:02x}{blue:02x}"

    assert ground(opened(color_scheme="light")[0]) == LIGHT["paper"]
    page, _ = opened(color_scheme="dark")
    assert ground(page) == DARK["paper"]
    page.emulate_media(media="print", color_scheme="dark")
    assert ground(page) == LIGHT["paper"]


def test_on_paper_there_are_no_links_to_click_and_what_is_folded_is_open(opened: Any) -> None:
    page, _ = opened()
    page.emulate_media(media="print")
    assert not page.locator("nav").is_visible()
    assert page.get_by_text("RFC 9293 3.5, figure 12").first.is_visible()
    assert page.pdf()[:5] == b"%PDF-"


def test_a_screen_reader_finds_headings_tables_diagrams_and_what_each_segment_is(opened: Any) -> None:
    page, _ = opened()
    snapshot = page.locator("body").aria_snapshot()
    for line in (
        'heading "What if the last ACK is lost?" [level=1]',
        'heading "What was seen" [level=2]',
        'navigation "On this page"',
        'table "Each observation in each world"',
        'group "Sequence diagram: client 192.0.2.1:40000 and server 192.0.2.2:80"',
        'img "0.000020 s: client sends SYN seq=0; client enters SYN-SENT; server enters SYN-RECEIVED"',
        'img "States to scale: client 192.0.2.1:40000 and server 192.0.2.2:80"',
        'rowheader "the client\'s state"',
    ):
        assert line in snapshot, snapshot


def test_whoever_wants_no_motion_has_none(opened: Any) -> None:
    page, _ = opened(reduced_motion="reduce")
    assert page.evaluate("getComputedStyle(document.documentElement).scrollBehavior") == "auto"
