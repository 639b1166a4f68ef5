"""grep's patterns against Python's own expressions, where both mean the same, and against time."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from timewait.script.pattern import Pattern, PatternError

ATOM = st.sampled_from(["a", "b", ".", "[ab]", "[^a]", "[0-9]", "^", "$", r"\.", "-"])
EXPRESSION = st.recursive(
    ATOM,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map("".join),
        st.tuples(inner, inner).map(lambda pair: f"({pair[0]}|{pair[1]})"),
        st.tuples(inner, st.sampled_from(["*", "+", "?", "{2}", "{1,3}", "{2,}"])).map(
            lambda two: f"({two[0]}){two[1]}"
        ),
    ),
    max_leaves=8,
)


@given(EXPRESSION, st.text("ab.1-", max_size=12))
def test_extended_expressions_mean_what_they_do_elsewhere(text: str, line: str) -> None:
    assert Pattern(text, extended=True).search(line) == (re.search(text.replace("$", r"\Z"), line) is not None)


@pytest.mark.parametrize(
    ("text", "line", "found"),
    [
        (r"a\(b\|c\)*d", "xacbcdx", True),
        ("a(b)", "a(b)", True),
        ("a+", "aa", False),
        (r"a\+$", "aa", True),
        ("a^b$c", "a^b$c", True),
        (r"^LISTEN *0", "LISTEN   0", True),
        (r"\<cat\>", "a cat sat", True),
        (r"\<cat\>", "concatenate", False),
        ("[[:digit:]]", "x7", True),
        ("[]a]", "]", True),
    ],
)
def test_basic_expressions_have_their_operators_behind_a_backslash(text: str, line: str, found: bool) -> None:
    assert Pattern(text).search(line) is found


def test_words_and_letters_of_either_case() -> None:
    assert Pattern("time_wait", ignore_case=True).search("x TIME_WAIT y")
    assert Pattern("wait", word=True).search("a wait b")
    assert not Pattern("wait", word=True).search("TIME_wait")


def test_what_would_take_others_for_ever_takes_no_time() -> None:
    line = "a" * 2000 + "c"
    assert not Pattern("(a|a)*(a*)*(a+)+b", extended=True).search(line)


@pytest.mark.parametrize(
    "text", ["(", "a)", "(" * 100 + ")" * 100, "a{300}", "((a{200}){200}){200}", "a{3,2}", "[z-a]"]
)
def test_what_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(PatternError):
        Pattern(text, extended=True)
