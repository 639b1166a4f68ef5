"""Pages of scenarios: all of it is there, and hostile words stay words."""

from pathlib import Path

import pytest

from pages import HOSTILE, check
from timewait.cli.group import run
from timewait.errors import Exit, UsageError
from timewait.lab import catalog
from timewait.lab.scenario import observed, rfc
from timewait.lab.trial import Result, Trial, Trials
from timewait.report.lab_page import lab_page
from timewait.trace import Called, Entry, Trace


def result(name: str, profile: str = "linux") -> Result:
    scenario = catalog.get(name)
    return Trials(traced=True).perform(Trial(scenario, scenario.settings({}), "engine", profile))


@pytest.mark.parametrize("name", [each.name for each in catalog.every() if "engine" in each.worlds])
def test_every_scenario_has_a_page(name: str) -> None:
    shown = check(lab_page([result(name)], ["timewait", "lab", "run", name]))
    assert catalog.get(name).question in shown.heads
    assert [head for head in shown.heads if head.startswith(("What was", "What went", "Where", "To see"))] == [
        "What was seen",
        "What went back and forth",
        "Where it was seen",
        "To see it again",
    ]
    assert f"timewait lab run {name}" in shown.words


def test_a_page_does_not_grow_with_its_trace() -> None:
    """28,000 entries: what looks the same is drawn once."""
    assert len(lab_page([result("server-closes")], [])) < 300_000


def test_worlds_that_differ_are_marked_in_words_too() -> None:
    linux, other = result("half-close"), result("half-close", "freebsd")
    first = linux.observations[0]
    other = other._replace(observations=(first._replace(value="otherwise"), *other.observations[1:]))
    page = lab_page([linux, other], [])
    shown = check(page)
    assert "The worlds differ" in " ".join(shown.words)
    assert page.count('class="marked"') == 1
    assert " ≠" in shown.words


def test_what_came_otherwise_than_foretold_is_said_first() -> None:
    first = result("half-close")
    wrong = observed("shutdown() of the sending side", "EPIPE", rfc("ok", "RFC 9293 3.6.1"))
    words = " ".join(check(lab_page([first._replace(observations=(wrong, *first.observations[1:]))], [])).words)
    assert "Not as foretold" in words
    assert "engine linux: shutdown() of the sending side." in words


def test_one_that_broke_says_why() -> None:
    broken = result("half-close")._replace(error=RuntimeError("no <such> thing"), observations=(), trace=None)
    words = " ".join(check(lab_page([broken], [])).words)
    assert "Nobody could look" in words
    assert "no <such> thing" in words


def test_hostile_words_stay_words() -> None:
    for words in HOSTILE:
        found = result("half-close")
        trace = Trace()
        trace.entries[:] = [replace_words(entry, words) for entry in (found.trace or trace).entries]
        hostile = found._replace(
            trace=trace,
            observations=(observed(words, words, rfc(words, words)),),
            circumstances={words: words},
            sysctls={words: words},
        )
        check(lab_page([hostile, hostile._replace(error=ValueError(words))], [words]))


def replace_words(entry: Entry, words: str) -> Entry:
    return entry._replace(call=words, result=words, host=words) if isinstance(entry, Called) else entry


def test_several_scenarios_share_a_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "page.html"
    arguments = ["lab", "run", "half-close", "unread-data", "--world", "engine", "--seed", "7", "--html", str(file)]
    assert run(arguments) == Exit.OK
    shown = check(file.read_text(encoding="utf-8"))
    assert {"2 scenarios", "half-close", "unread-data"} <= set(shown.heads)
    assert "timewait lab run half-close unread-data --world engine --seed 7" in shown.words
    assert capsys.readouterr().out.count("engine     profile linux, seed 7") == 2


@pytest.mark.parametrize("path", ["/no/such/folder/page.html", "/proc/page.html"])
def test_a_file_that_cannot_be_written_is_refused_before_anything_runs(path: str) -> None:
    with pytest.raises(UsageError) as error:
        run(["lab", "run", "half-close", "--world", "engine", "--html", path])
    assert path in error.value.what
