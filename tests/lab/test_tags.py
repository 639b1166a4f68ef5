"""The list of behaviours: every tag is a row or a subject of it, and every subject has its scenario."""

from timewait.lab import catalog
from timewait.lab.behaviours import BEHAVIOURS, GROUPS, NOT_SHOWN, SUBJECTS

TAGS = {tag for scenario in catalog.every() for tag in scenario.tags}


def test_a_tag_is_a_row_or_a_subject() -> None:
    assert set(BEHAVIOURS) | set(SUBJECTS) >= TAGS, TAGS - set(BEHAVIOURS) - set(SUBJECTS)


def test_rows_are_grouped_by_their_letter_and_numbered_without_a_gap() -> None:
    for letter in GROUPS:
        numbers = [int(row[1:]) for row in BEHAVIOURS if row[0] == letter]
        assert numbers == list(range(1, len(numbers) + 1)), letter
    assert {row[0] for row in BEHAVIOURS} == set(GROUPS)


def test_a_row_is_shown_by_a_scenario_or_it_is_said_why_not() -> None:
    assert set(BEHAVIOURS) - TAGS == set(NOT_SHOWN)


def test_a_subject_has_a_scenario() -> None:
    assert set(SUBJECTS) <= TAGS, set(SUBJECTS) - TAGS
