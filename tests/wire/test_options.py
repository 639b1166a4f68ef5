"""The option block.  RFC 9293 section 3.2, RFC 7323 sections 2.2 and 3.2, RFC 2018 sections 2 and 3."""

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from timewait.wire.errors import WireError
from timewait.wire.options import canonical, decode, encode
from timewait.wire.segment import (
    EndOfOptions,
    MaximumSegmentSize,
    NoOperation,
    Option,
    Sack,
    SackPermitted,
    Timestamps,
    UnknownOption,
    WindowScale,
)
from wire_values import options, size

NOP = NoOperation()
END = EndOfOptions()
often = settings(deadline=None, max_examples=200)

# Written out from the formats in the RFCs.
LAYOUTS: list[tuple[tuple[Option, ...], str]] = [
    ((), ""),
    ((MaximumSegmentSize(1460),), "020405b4"),
    ((NOP, WindowScale(7)), "01 030307"),
    ((SackPermitted(), NOP, NOP), "0402 01 01"),
    ((NOP, NOP, Timestamps(0x01020304, 0xA0B0C0D0)), "01 01 080a 01020304 a0b0c0d0"),
    ((NOP, NOP, Sack(((1, 2), (0xFFFF_FFFF, 5)))), "01 01 0512 00000001 00000002 ffffffff 00000005"),
    # What Linux sends with SYN.
    (
        (MaximumSegmentSize(1460), SackPermitted(), Timestamps(1, 0), NOP, WindowScale(7)),
        "020405b4 0402 080a 00000001 00000000 01 030307",
    ),
    # Fast Open's cookie, RFC 7413 section 4.1.1, is not known here.
    ((UnknownOption(34, b"\x01\x02\x03\x04\x05\x06"),), "2208 010203040506"),
]


@pytest.mark.parametrize(("value", "wire"), LAYOUTS)
def test_options_stand_on_the_wire_as_the_rfcs_draw_them(value: tuple[Option, ...], wire: str) -> None:
    assert encode(value) == bytes.fromhex(wire)
    assert decode(bytes.fromhex(wire)) == value


@often
@given(options)
def test_options_come_back_as_they_were_sent(value: tuple[Option, ...]) -> None:
    assert decode(encode(value)) == value


@often
@given(options)
def test_the_block_fills_whole_words_with_zeros_and_no_more_than_needed(value: tuple[Option, ...]) -> None:
    block = encode(value)
    plain = sum(map(size, value))
    assert len(block) == (plain + 3) // 4 * 4
    assert block[plain:] == bytes(len(block) - plain)


@often
@given(st.binary(max_size=40))
def test_whatever_was_read_is_in_canonical_form(block: bytes) -> None:
    with contextlib.suppress(WireError):
        assert canonical(decode(block)) == decode(block)


@often
@given(st.binary(max_size=40))
def test_no_block_of_bytes_raises_anything_but_a_wire_error(block: bytes) -> None:
    with contextlib.suppress(WireError):
        decode(block)


def test_padding_is_no_option() -> None:
    assert decode(bytes.fromhex("020405b4 0402 0000")) == (MaximumSegmentSize(1460), SackPermitted())


def test_an_end_of_options_before_the_padding_is_the_padding() -> None:
    spelled = (MaximumSegmentSize(1460), SackPermitted(), END)
    assert encode(spelled) == encode(spelled[:2])
    assert canonical(spelled) == spelled[:2]


def test_an_end_of_options_that_opens_a_word_is_kept_for_the_length_depends_on_it() -> None:
    value = (MaximumSegmentSize(1460), END)
    assert encode(value) == bytes.fromhex("020405b4 00000000")
    assert decode(encode(value)) == value


def test_nothing_after_the_end_of_options_is_read() -> None:
    assert decode(bytes.fromhex("01 01 01 00 02ff0000")) == (NOP, NOP, NOP)
    assert decode(bytes.fromhex("00 020405b4 000000")) == (END,)


@pytest.mark.parametrize("shift", range(12))
def test_timestamps_are_read_wherever_they_stand(shift: int) -> None:
    value: tuple[Option, ...] = (*[NOP] * shift, Timestamps(7, 9))
    assert decode(encode(value)) == value


@pytest.mark.rfc("MUST-7")
@pytest.mark.parametrize(
    ("block", "value"),
    [
        ("0203 05 00", UnknownOption(2, b"\x05")),
        ("0306 00000000 0000", UnknownOption(3, bytes(4))),
        ("0403 09 00", UnknownOption(4, b"\x09")),
        ("0504 0001", UnknownOption(5, b"\x00\x01")),
        ("0809 00000001 000000 000000", UnknownOption(8, b"\x00\x00\x00\x01\x00\x00\x00")),
    ],
)
def test_a_known_kind_with_another_length_is_kept_as_unknown(block: str, value: UnknownOption) -> None:
    assert decode(bytes.fromhex(block)) == (value,)


@pytest.mark.rfc("MUST-7")
@pytest.mark.parametrize(
    ("block", "words"),
    [
        ("01010102", "no room for its length"),
        ("02000000", "claims a length of 0"),
        ("fd010000", "claims a length of 1"),
        ("02050101", "runs past the header"),
        ("0101 080a 00000001 0000", "runs past the header"),
        ("0101080b 00000001 00000002", "runs past the header"),
    ],
)
def test_an_impossible_length_is_refused(block: str, words: str) -> None:
    with pytest.raises(WireError, match=words):
        decode(bytes.fromhex(block))


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ((Timestamps(1, 2),) * 5, "room for 40"),
        ((UnknownOption(30, bytes(39)),), "room for 38"),
        ((Sack(((1, 2),) * 5),), "room for 4"),
        ((MaximumSegmentSize(0x1_0000),), "out of range"),
        ((WindowScale(256),), "out of range"),
        ((NOP, NOP, Timestamps(-1, 0)), "out of range"),
        ((NOP, NOP, Timestamps(0, 2**32)), "out of range"),
        ((UnknownOption(1, b""),), "kind 1 cannot"),
        ((UnknownOption(256, b""),), "kind 256 cannot"),
    ],
)
def test_what_no_header_can_carry_is_the_callers_mistake(value: tuple[Option, ...], words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        encode(value)
    assert not isinstance(caught.value, WireError)


def test_forty_bytes_fit() -> None:
    value: tuple[Option, ...] = (NOP, NOP, *[Timestamps(n, n) for n in range(3)], *[NOP] * 8)
    assert len(encode(value)) == 40
    assert decode(encode(value)) == value
