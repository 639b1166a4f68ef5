"""`%{ assert .. }%`: what Python makes of such expressions is the oracle; what is no arithmetic is refused."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from timewait.script import assertions
from timewait.script.assertions import AssertionSyntaxError

NAMES = {"tcpi_rtt": 10_000, "tcpi_snd_cwnd": 10, "tcpi_options": 7, "tcpi_zero": 0}


@pytest.mark.parametrize(
    "text",
    [
        "assert tcpi_snd_cwnd == 10",
        "assert 5000 <= tcpi_rtt <= 20000, 'srtt=%d us' % tcpi_rtt",
        "assert tcpi_options == (TCPI_OPT_TIMESTAMPS | TCPI_OPT_SACK | TCPI_OPT_WSCALE)",
        "assert (tcpi_options & TCPI_OPT_ECN) == 0, tcpi_options",
        "assert tcpi_rtt / 1000 == 10; assert tcpi_rtt // 3000 == 3",
        "assert 1 <= tcpi_snd_cwnd;\\\n      assert tcpi_zero == 0, 0;\\\n",
        "assert (tcpi_rtt >\n 5)\nassert True",
        "assert not tcpi_zero and (tcpi_snd_cwnd > 11 or -tcpi_snd_cwnd == ~9)",
        "assert 1 << 4 == 0x10  # a comment",
        'print "\\tcwnd; {}".format(tcpi_snd_cwnd)',
    ],
)
def test_what_holds(text: str) -> None:
    assert assertions.check(text, NAMES) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("assert tcpi_snd_cwnd == 11", "assert tcpi_snd_cwnd == 11 (tcpi_snd_cwnd = 10)"),
        ("assert tcpi_zero, tcpi_rtt", "assert tcpi_zero, tcpi_rtt (tcpi_zero = 0, tcpi_rtt = 10000)"),
        ("assert 1; assert 0", "assert 0"),
        ("assert tcpi_snd_cwn == 1", "tcpi_snd_cwn is not known here; did you mean tcpi_snd_cwnd?"),
        ("assert 1 / tcpi_zero", "division"),
        ("assert 1 << 65", "a shift by 65 is beyond 64"),
        ("assert " + " * ".join(["0xffffffffffffffff"] * 3), "a number beyond 2^128"),
        ("assert 1 / 2 | 1", "| works on whole numbers"),
    ],
)
def test_what_does_not_is_told_with_its_values(text: str, said: str) -> None:
    told = assertions.check(text, NAMES)
    assert told is not None
    assert said in told


@pytest.mark.parametrize(
    ("text", "offset"),
    [
        ("import os", 0),
        ("assert 2 ** 9", 9),
        ("assert open('x')", 7),
        ("assert a.b", 8),
        ("assert [1]", 7),
        ("assert 'x'", 7),
        ("assert (1", 9),
        ("assert 1 if 2 else 3", 9),
        ("assert x := 3", 9),
        ("assert", 6),
        ("assert " + "(" * 60 + "1" + ")" * 60, 58),
        ("assert " + "-" * 60 + "1", 58),
        ("assert " + "not " * 60 + "1", 211),
        ("", 0),
        ("assert 1" + " + 1" * 2000, 0),
    ],
)
def test_anything_else_is_refused(text: str, offset: int) -> None:
    with pytest.raises(AssertionSyntaxError) as caught:
        assertions.read(text)
    assert caught.value.offset == offset


def expressions() -> st.SearchStrategy[str]:
    atoms = st.integers(0, 50).map(str) | st.sampled_from(sorted(NAMES))
    signs = st.sampled_from([*"+-*%|&^", "//", "<", "<=", "==", "!=", "and", "or", ">>"])
    return st.recursive(
        atoms,
        lambda inner: (
            st.tuples(inner, signs, inner).map(lambda parts: f"({' '.join(parts)})")
            | st.tuples(inner, signs, inner, signs, inner).map(" ".join).map("({})".format)
            | st.tuples(st.sampled_from(["-", "~", "not "]), inner).map(lambda parts: f"({''.join(parts)})")
        ),
        max_leaves=12,
    )


@settings(max_examples=300, deadline=None)
@given(expressions())
def test_truth_is_as_python_has_it(text: str) -> None:
    try:
        expected = bool(eval(text, {}, dict(NAMES)))  # the text is made above
    except (ZeroDivisionError, ValueError, OverflowError):
        return
    told = assertions.check(f"assert {text}", NAMES)
    if told is None or "beyond" not in told:
        assert (told is None) == expected


@settings(max_examples=300, deadline=None)
@given(st.text("assert ()+-*/<>=|&~,;\n\\'\"0123456789abcTx_.", max_size=60))
def test_no_text_breaks_it(text: str) -> None:
    offset = 0
    try:
        assertions.check(f"assert {text}", NAMES)
    except AssertionSyntaxError as error:
        offset = error.offset
    assert 0 <= offset <= len(text) + 7
