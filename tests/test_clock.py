from timewait.clock import MS, SECOND, readable, seconds


def test_a_duration_is_written_in_the_largest_unit_that_fits() -> None:
    assert [readable(n) for n in (0, 999, 1_500, 12 * MS, 1100 * MS, 61 * SECOND)] == [
        "0 ns",
        "999 ns",
        "1.5 us",
        "12 ms",
        "1.1 s",
        "61 s",
    ]


def test_seconds_become_whole_nanoseconds() -> None:
    assert seconds(0.1) == 100 * MS
