"""What a scenario is: parameters read strictly, observations as near as they say, differences that are known."""

import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from needs import require_namespaces
from timewait.clock import SECOND
from timewait.errors import UnavailableError, UsageError
from timewait.lab import catalog, trial
from timewait.lab.agreement import Agreement
from timewait.lab.scenario import (
    ENGINE,
    KERNEL,
    Known,
    Observation,
    Parameter,
    Scenario,
    Stage,
    Value,
    Within,
    linux,
    observed,
    rfc,
    tagged,
)
from timewait.lab.trial import Result, Trial, Trials

COUNT = Parameter("count", 3, "how often", 1, 20)


def scenario(*seen: Observation, known: tuple[Known, ...] = ()) -> Scenario:
    def run(stage: Stage, settings: Mapping[str, int]) -> list[Observation]:
        return list(seen)

    return Scenario("Is it?", ("a book",), run, ("tag",), (COUNT,), known=known, name="it")


def agreement(one: Value, other: Value, known: tuple[Known, ...] = (), within: Within | None = None) -> Agreement:
    results = []
    for value, circumstances in ((one, {"world": "kernel", "kernel": "Linux 6.11.3-x"}), (other, {})):
        seen = observed("what", value, within=within)
        trial = Trial(scenario(known=known), {}, ENGINE)
        results.append(Result(trial, circumstances, (seen,), None, 0))
    return Agreement(tuple(results))


def test_parameters_are_as_given_or_by_default() -> None:
    assert scenario().settings({}) == {"count": 3}
    assert scenario().settings({"count": "20"}) == {"count": 20}


@pytest.mark.parametrize("text", ["0", "21", "-1", "1.5", "", " 3", "٣", "1e3", "0x3", "9" * 400])
def test_a_parameter_that_is_no_number_in_its_bounds_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="count"):
        scenario().settings({"count": text})


def test_a_parameter_that_the_scenario_does_not_have_is_refused() -> None:
    with pytest.raises(UsageError, match="'counts'"):
        scenario().settings({"counts": "3"})


def test_what_is_foretold_of_a_stack_itself_comes_before_what_is_said_of_all() -> None:
    seen = observed("length", 60, rfc(240, "the RFC"), linux(60, "the kernel"))
    assert seen.as_foretold("linux") is True
    assert seen.as_foretold("freebsd") is False
    assert observed("length", 60, linux(61, "the kernel")).as_foretold("freebsd") is None


def test_a_number_may_be_off_by_as_much_as_it_says_and_no_more() -> None:
    within = Within(1, 3, "it is coarse")
    verdicts = [observed("n", n, rfc(10, "x"), within=within).as_foretold("linux") for n in (8, 9, 10, 13, 14)]
    assert verdicts == [False, True, True, True, False]


def test_two_worlds_agree_within_the_tolerance() -> None:
    within = Within(1, 3, "it is coarse")
    assert agreement(10, 14, within=within).cells[0].agrees
    assert not agreement(10, 15, within=within).cells[0].agrees
    assert not agreement(10, 11).cells[0].agrees
    assert not agreement("ok", "ECONNRESET").explained


def test_every_world_is_held_to_the_first_and_one_that_broke_is_left_out() -> None:
    kernel, other = agreement(1, 1).results
    astray = agreement(2, 2).results[1]
    assert [cell.agrees for cell in Agreement((kernel, other, other)).cells] == [True]
    assert [cell.agrees for cell in Agreement((kernel, other, astray)).cells] == [False]
    broken = Result(other.trial, {}, (), ValueError(), 0)
    agrees = Agreement((kernel, broken, other))
    assert ([cell.agrees for cell in agrees.cells], agrees.explained) == ([True], False)
    assert Agreement((kernel, broken)).cells == []


def test_a_difference_that_is_listed_for_this_kernel_is_explained() -> None:
    assert agreement(1, 2, (Known("what", "old", "source", before=(6, 12)),)).explained
    assert agreement(1, 2, (Known("what", "old", "source", since=(6, 11)),)).explained
    assert not agreement(1, 2, (Known("what", "old", "source", before=(6, 11)),)).explained
    assert not agreement(1, 2, (Known("another", "old", "source"),)).explained


def test_a_scenario_that_breaks_does_not_take_the_others_with_it() -> None:
    def broken(stage: Stage, settings: Mapping[str, int]) -> list[Observation]:
        raise ZeroDivisionError("by chance")

    def impossible(stage: Stage, settings: Mapping[str, int]) -> list[Observation]:
        raise UnavailableError("no such thing here", "try elsewhere")

    fine = scenario(observed("what", 1))
    asked = [fine, fine._replace(run=broken), fine._replace(run=impossible), fine]
    told: list[Result] = []
    results = Trials().perform_all([Trial(each, {"count": 3}, ENGINE) for each in asked], told.append)
    assert [each.trouble for each in results] == ["", "ZeroDivisionError: by chance", "no such thing here", ""]
    assert len(told) == 4


def test_scenarios_are_found_by_tag_and_by_name() -> None:
    every = catalog.every()
    assert {"reuse"} <= {tag for each in tagged(every, "reuse") for tag in each.tags}
    assert tagged(every, "h19") == tagged(every, "H19") != []
    assert tagged(every, None) == every
    with pytest.raises(UsageError, match="'nonsense'"):
        tagged(every, "nonsense")
    with pytest.raises(UsageError) as error:
        catalog.get("half-closed")
    assert "half-close" in error.value.hint
    with pytest.raises(UsageError):
        catalog.get("../reconnect")


def test_ctrl_c_while_trials_are_handed_over_ends_those_that_run(monkeypatch: pytest.MonkeyPatch) -> None:
    require_namespaces()
    waiting = threading.Event()

    def run(stage: Stage, settings: Mapping[str, int]) -> list[Observation]:
        waiting.set()
        stage.host.wait(100 * SECOND)
        return []

    class Interrupted(ThreadPoolExecutor):
        def submit(self, *call: Any, **options: Any) -> Any:
            if waiting.is_set():
                raise KeyboardInterrupt
            job = super().submit(*call, **options)
            assert waiting.wait(60)
            return job

    monkeypatch.setattr(trial, "ThreadPoolExecutor", Interrupted)
    asked = Trial(scenario()._replace(run=run), {}, KERNEL)
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        Trials().perform_all([asked, asked])
    assert time.monotonic() - began < 60
