"""Claims: the verdict follows from what came of each point; every point asks for something that a scenario observes."""

from dataclasses import replace
from functools import cache

import pytest

from needs import require_namespaces
from timewait.errors import UsageError
from timewait.lab import catalog, claims
from timewait.lab.claim import Claim, Point, Ruling, Verdict, Weight, at_least, at_most, differs, equals, joined, ruling
from timewait.lab.hearing import hear
from timewait.lab.scenario import ENGINE, KERNEL, Observation, Scenario
from timewait.lab.trial import Trial, Trials
from timewait.tcp import profiles
from timewait.tcp.profile import IsnScheme, Profile, SynRule

EVERY = claims.every()
POINTS = [(claim.number, point) for claim in EVERY for point in claim.every_point()]
IN_ENGINE = [
    (number, each) for number, each in POINTS if ENGINE in set(each.worlds) & set(catalog.get(each.scenario).worlds)
]


def point(weight: Weight, only_if: str = "") -> Point:
    return Point(weight, "It is so", "half-close", "the server reads", equals("the end"), only_if)


ESSENTIAL, NOTE = point(Weight.ESSENTIAL), point(Weight.NOTE)
ONE, OTHER = point(Weight.BOUND, "it rains"), point(Weight.BOUND, "it is cold")


# -- the verdict


@pytest.mark.parametrize(
    ("came", "expected"),
    [
        ([(ESSENTIAL, True), (ONE, True)], Ruling(Verdict.HOLDS)),
        ([(ESSENTIAL, True), (NOTE, False)], Ruling(Verdict.HOLDS)),
        ([(ESSENTIAL, True), (ONE, None)], Ruling(Verdict.HOLDS)),
        ([(ESSENTIAL, True), (ONE, False), (OTHER, True)], Ruling(Verdict.ONLY_IF, ("it rains",))),
        ([(ONE, False), (ESSENTIAL, True), (OTHER, False)], Ruling(Verdict.ONLY_IF, ("it rains", "it is cold"))),
        ([(ONE, False), (ESSENTIAL, True), (ONE, False)], Ruling(Verdict.ONLY_IF, ("it rains",))),
        ([(ESSENTIAL, True), (ESSENTIAL, False), (ONE, False)], Ruling(Verdict.NOT)),
        ([(ESSENTIAL, None), (ESSENTIAL, False)], Ruling(Verdict.NOT)),
        ([(ESSENTIAL, None), (ESSENTIAL, True)], Ruling(Verdict.UNDECIDED)),
        ([(ONE, False)], Ruling(Verdict.UNDECIDED)),
        ([], Ruling(Verdict.UNDECIDED)),
    ],
)
def test_the_verdict_follows_from_what_came_of_the_points(
    came: list[tuple[Point, bool | None]], expected: Ruling
) -> None:
    assert ruling(came) == expected


def test_a_claim_with_parts_holds_as_far_as_they_do() -> None:
    holds, only_if, fails = Ruling(Verdict.HOLDS), Ruling(Verdict.ONLY_IF, ("it rains",)), Ruling(Verdict.NOT)
    unknown = Ruling(Verdict.UNDECIDED)
    assert joined([("a", holds), ("b", holds), ("c", unknown)]) == holds
    assert joined([("a", fails), ("b", fails)]) == fails
    assert joined([("a", unknown)]) == unknown
    assert joined([("a", holds), ("b", fails), ("c", only_if)]) == Ruling(Verdict.ONLY_IF, ("it is about a, c",))


def test_what_is_foreseen() -> None:
    assert [each(3) for each in (equals(3), differs(3), at_least(3), at_most(2))] == [True, False, True, False]
    assert differs("ok")("ECONNRESET")
    with pytest.raises(AssertionError):
        at_least(3)("three")


# -- the claims as they are


def test_all_are_there_and_each_has_a_number_of_its_own() -> None:
    numbers = [each.number for claim in EVERY for each in (claim, *claim.parts)]
    assert len(set(numbers)) == len(numbers)
    assert all(part.number.startswith(f"{claim.number}.") and part.about for claim in EVERY for part in claim.parts)
    assert claims.get("15").sentence.startswith("The ISN clock")
    with pytest.raises(UsageError):
        claims.get("99")


@pytest.mark.parametrize("claim", EVERY, ids=[claim.number for claim in EVERY])
def test_a_claim_names_documents_and_something_it_stands_or_falls_with(claim: Claim) -> None:
    assert claim.documents
    assert claim.sentence.endswith(".")
    for each in claim.parts or (claim,):
        assert any(each.weight is Weight.ESSENTIAL for each in each.points), each.number
    for point in claim.every_point():
        assert bool(point.only_if) is (point.weight is Weight.BOUND), point.says


@cache
def observed_by(scenario: str, settings: tuple[tuple[str, str], ...], profile: str) -> tuple[list[str], str]:
    """The names of what the engine observes, and why it could not."""
    found = catalog.get(scenario)
    result = Trials().perform(Trial(found, found.settings(dict(settings)), ENGINE, profile))
    return [each.name for each in result.observations], result.trouble


@pytest.mark.parametrize(("number", "point"), IN_ENGINE, ids=[f"{number} {each.says}" for number, each in IN_ENGINE])
def test_a_point_asks_for_something_that_its_scenario_observes(number: str, point: Point) -> None:
    names, trouble = observed_by(point.scenario, tuple(point.settings.items()), point.profile or "linux")
    assert point.observation in names, trouble


def test_a_scenario_that_breaks_leaves_its_points_open(monkeypatch: pytest.MonkeyPatch) -> None:
    real = catalog.get

    def broken_run(*_: object) -> list[Observation]:
        raise ZeroDivisionError

    def get(name: str) -> Scenario:
        found = real(name)
        return found._replace(run=broken_run) if name == "exhaustion" else found

    monkeypatch.setattr("timewait.lab.hearing.catalog.get", get)
    broken, fine = hear([claims.get("3"), claims.get("4")], [ENGINE], "linux")
    assert broken.ruling.verdict is Verdict.UNDECIDED
    assert fine.ruling.verdict is Verdict.NOT


# -- a verdict that follows from its evidence changes with it


def changed(monkeypatch: pytest.MonkeyPatch, **values: object) -> None:
    """Make the engine's Linux another one."""
    real = profiles.get

    def get(name: str) -> Profile:
        return replace(real(name), **values) if name == "linux" else real(name)  # type: ignore[arg-type]

    monkeypatch.setattr("timewait.lab.engine.profiles.get", get)


def verdict(number: str) -> Ruling:
    return hear([claims.get(number)], [ENGINE], "linux")[0].ruling


def test_another_isn_clock_another_verdict_on_claim_15(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock of Linux, 64 ns; that of RFC 9293 3.4.1, 4 us; one that stands still."""
    fast = verdict("15")
    assert fast.verdict is Verdict.ONLY_IF
    assert any("137 s" in each for each in fast.conditions)
    changed(monkeypatch, isn_hz=250_000)
    slow = verdict("15")
    assert slow.verdict is Verdict.ONLY_IF
    assert not any("137 s" in each for each in slow.conditions)
    assert any("2.4 hours" in each for each in slow.conditions)
    changed(monkeypatch, isn=IsnScheme.CONSTANT)
    assert verdict("15").verdict is Verdict.NOT


def test_a_stack_that_never_takes_a_pair_over_bears_out_claims_7_and_11(monkeypatch: pytest.MonkeyPatch) -> None:
    assert verdict("11").verdict is Verdict.ONLY_IF
    changed(monkeypatch, reuse_bound=False)
    assert verdict("11").verdict is Verdict.HOLDS


def test_a_stack_that_never_reopens_refutes_claim_1(monkeypatch: pytest.MonkeyPatch) -> None:
    changed(monkeypatch, tw_syn=SynRule.NEVER)
    assert verdict("1").verdict is Verdict.NOT


# -- on the running kernel


def test_a_kernel_and_the_engine_as_linux_come_to_the_same_verdict() -> None:
    """Those whose scenarios take no minute."""
    require_namespaces()
    asked = [claims.get(number) for number in ("4", "5", "7", "11")]
    quick = [claim for claim in asked if all(catalog.get(each.scenario).lasts < 10**10 for each in claim.points)]
    on_kernel, on_engine = (hear(quick, worlds, "linux") for worlds in ([KERNEL, ENGINE], [ENGINE]))
    assert quick
    assert [each.ruling for each in on_kernel] == [each.ruling for each in on_engine]
    assert not any(each.divided for hearing in on_kernel for each in hearing.evidence)
