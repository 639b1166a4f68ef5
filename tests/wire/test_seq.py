"""Sequence numbers.  RFC 9293 section 3.4: a cycle of 2^32, compared modulo 2^32."""

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from timewait.wire import seq
from wire_values import seqs

near = st.integers(-(2**31) + 1, 2**31 - 1)
often = settings(deadline=None, max_examples=200)


def test_the_number_after_the_last_is_zero() -> None:
    assert seq.add(0xFFFF_FFFF, 1) == 0
    assert seq.add(0, -1) == 0xFFFF_FFFF


def test_a_number_past_the_wrap_is_later_than_one_before_it() -> None:
    assert seq.lt(0xFFFF_FFF0, 0x10)
    assert seq.gt(0x10, 0xFFFF_FFF0)
    assert seq.diff(0x10, 0xFFFF_FFF0) == 0x20
    assert seq.later(0xFFFF_FFF0, 0x10) == 0x10


def test_two_numbers_half_the_cycle_apart_each_come_before_the_other() -> None:
    assert seq.lt(0, 0x8000_0000)
    assert seq.lt(0x8000_0000, 0)
    assert seq.diff(0, 0x8000_0000) == seq.diff(0x8000_0000, 0) == -(2**31)


@often
@given(seqs, near)
def test_a_number_lies_as_far_after_another_as_was_added(a: int, n: int) -> None:
    assert seq.diff(seq.add(a, n), a) == n
    assert seq.add(seq.add(a, n), -n) == a


@often
@given(seqs, near)
def test_order_is_the_order_of_whole_numbers_within_half_the_cycle(a: int, n: int) -> None:
    b = seq.add(a, n)
    assert seq.lt(a, b) == (n > 0)
    assert seq.le(a, b) == (n >= 0)
    assert seq.gt(a, b) == (n < 0)
    assert seq.ge(a, b) == (n <= 0)


@often
@given(seqs, near, near)
def test_order_does_not_depend_on_where_in_the_cycle_one_stands(a: int, n: int, shift: int) -> None:
    b = seq.add(a, n)
    assert seq.lt(a, b) == seq.lt(seq.add(a, shift), seq.add(b, shift))
    assert seq.diff(a, b) == seq.diff(seq.add(a, shift), seq.add(b, shift))


@often
@given(seqs, seqs)
def test_one_of_two_is_later_and_which_comes_first_in_the_call_does_not_matter(a: int, b: int) -> None:
    assume(seq.diff(a, b) != -(2**31))
    assert seq.later(a, b) == seq.later(b, a)
    assert seq.later(a, b) in (a, b)
    assert seq.ge(seq.later(a, b), a)
    assert seq.ge(seq.later(a, b), b)


@often
@given(seqs, st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
def test_a_number_is_within_a_window_if_counting_from_its_edge_finds_it(low: int, size: int, n: int) -> None:
    assert seq.within(seq.add(low, n), low, size) == (n < size)


def test_nothing_is_within_a_window_of_zero() -> None:
    assert not seq.within(5, 5, 0)


def test_the_last_number_of_a_window_across_the_wrap_is_within_it_and_the_next_is_not() -> None:
    assert seq.within(4, 0xFFFF_FFFB, 10)
    assert not seq.within(5, 0xFFFF_FFFB, 10)
    assert not seq.within(0xFFFF_FFFA, 0xFFFF_FFFB, 10)
