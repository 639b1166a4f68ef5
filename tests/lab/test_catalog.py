"""Every scenario of the catalogue in both worlds, held to what the documents foretell of it."""

import os
import re
from collections.abc import Callable
from functools import cache
from typing import TypeVar

import pytest

from needs import require_namespaces, require_tun
from once import once
from timewait.clock import SECOND
from timewait.errors import UnavailableError
from timewait.lab import catalog
from timewait.lab.agreement import Agreement
from timewait.lab.scenario import BRIDGE, ENGINE, KERNEL, Scenario
from timewait.lab.trial import Result, Trial, Trials, trials
from timewait.tcp import profiles

# A kernel's minute is a minute: the scenarios that wait for one are run where somebody asks for it.
SLOW = 10 * SECOND
# What these look at, not every user may or every kernel has.
WHERE_ALLOWED = {"size-of-a-record", "conntrack-time-wait"}
Key = TypeVar("Key")
EVERY = catalog.every()
IN_BOTH = [each for each in EVERY if {ENGINE, KERNEL} <= set(each.worlds)]
BRIDGED = [each for each in EVERY if BRIDGE in each.worlds]


def ids(scenario: Scenario) -> str:
    return scenario.name


def engine(scenario: Scenario, profile: str = "linux", seed: int = 0) -> Result:
    return Trials().perform(Trial(scenario, scenario.settings({}), ENGINE, profile, seed))


def name_of(trial: Trial) -> str:
    return trial.scenario.name


def performed(asked: list[Trial], key: Callable[[Trial], Key]) -> dict[Key, Result]:
    """Run trials side by side; what was recorded of them is not kept."""
    return {key(each.trial): each._replace(trace=None) for each in Trials().perform_all(asked)}


@cache
def kernel(slow: bool) -> dict[str, Result]:
    """The kernel's results, all at once and side by side."""
    require_namespaces()
    asked = [each for each in EVERY if KERNEL in each.worlds and (each.lasts >= SLOW) is slow]
    name = "slow-kernel" if slow else "kernel"
    return once(name, lambda: performed([Trial(each, each.settings({}), KERNEL) for each in asked], name_of))


def check(result: Result) -> None:
    assert not result.trouble
    assert not result.astray, [(each.name, each.value, each.foretold) for each in result.astray]


def check_agreement(scenario: Scenario, of_kernel: Result) -> None:
    agreement = Agreement((of_kernel, engine(scenario)))
    differ = [cell for cell in agreement.cells if cell.unexplained]
    assert not differ, [(cell.name, [each and each.value for each in cell.seen]) for cell in differ]


# -- the engine


@pytest.mark.parametrize("scenario", [each for each in EVERY if ENGINE in each.worlds], ids=ids)
def test_the_engine_as_linux_comes_out_as_foretold(scenario: Scenario) -> None:
    check(engine(scenario))


@pytest.mark.parametrize("seed", [1, 7])
def test_whatever_the_seed(seed: int) -> None:
    for scenario in EVERY:
        if ENGINE in scenario.worlds:
            check(engine(scenario, seed=seed))


def test_the_same_seed_gives_the_same_observations() -> None:
    for scenario in IN_BOTH:
        assert engine(scenario, seed=3).observations == engine(scenario, seed=3).observations, scenario.name


def test_rfc_9293_itself_does_what_the_rfcs_foretell() -> None:
    """A scenario may want a setting that only Linux has; what can be run has to come out."""
    ran = 0
    for scenario in IN_BOTH:
        result = engine(scenario, "rfc9293")
        if "has no setting" not in result.trouble:
            check(result)
            ran += 1
    assert ran > len(IN_BOTH) // 2


@pytest.mark.parametrize("profile", profiles.names())
def test_no_profile_breaks_a_scenario(profile: str) -> None:
    for scenario in IN_BOTH:
        trouble = engine(scenario, profile).trouble
        assert not trouble or "has no setting" in trouble or "cannot be" in trouble, (scenario.name, trouble)


@pytest.mark.parametrize("name", ["nobody-listens", "sequence-clock"])
def test_with_rfc1337_a_reconnect_takes_over_a_minute(name: str) -> None:
    """Measured on 6.18: 66.8 to 68.6 s; the ninth and the tenth SYN are 35 and 67 s after the first."""
    scenario = catalog.get(name)
    check(Trials().perform(Trial(scenario, scenario.settings({"rfc1337": "1"}), ENGINE)))


@pytest.mark.parametrize("hold", [5, 60, 120, 134, 140, 170, 200, 260, 272, 280])
def test_the_sequence_clock_traps_connections_of_half_a_round_to_a_round(hold: int) -> None:
    """Measured on 6.18 with each of these: trapped from 140 to 272 s."""
    scenario = catalog.get("sequence-clock")
    result = Trials().perform(Trial(scenario, scenario.settings({"hold_s": str(hold)}), ENGINE))
    check(result)
    again = next(each.value for each in result.observations if each.name == "the SYN had to be sent again")
    assert again is (140 <= hold <= 272)


# -- the kernel


@pytest.mark.parametrize("scenario", [each for each in EVERY if KERNEL in each.worlds and each.lasts < SLOW], ids=ids)
def test_this_kernel_comes_out_as_foretold(scenario: Scenario) -> None:
    result = kernel(slow=False)[scenario.name]
    if scenario.name in WHERE_ALLOWED and isinstance(result.error, UnavailableError):
        pytest.skip(result.trouble)
    check(result)


@pytest.mark.parametrize("scenario", [each for each in IN_BOTH if each.lasts < SLOW], ids=ids)
def test_this_kernel_and_the_engine_agree(scenario: Scenario) -> None:
    check_agreement(scenario, kernel(slow=False)[scenario.name])


@cache
def bridged() -> dict[tuple[str, str], Result]:
    """The bridge's results, each host the engine once, all side by side."""
    require_tun()
    asked = [trial for each in BRIDGED if each.lasts < SLOW for trial in trials(each, BRIDGE, each.settings({}))]
    return once("bridge", lambda: performed(asked, lambda trial: (trial.scenario.name, trial.engine)))


@pytest.mark.parametrize("scenario", [each for each in BRIDGED if each.lasts < SLOW], ids=ids)
def test_across_the_bridge_it_comes_out_the_same_whichever_end_is_ours(scenario: Scenario) -> None:
    for host in scenario.hosts:
        result = bridged()[scenario.name, host]
        check(result)
        check_agreement(scenario, result)


@pytest.mark.timeout(400)
def test_the_slow_ones_too() -> None:
    if os.environ.get("TIMEWAIT_SLOW") != "1":
        pytest.skip("two and a half minutes of a kernel's waiting: TIMEWAIT_SLOW=1")
    results = kernel(slow=True)
    for scenario in IN_BOTH:
        if scenario.lasts >= SLOW:
            check(results[scenario.name])
            check_agreement(scenario, results[scenario.name])


# -- what a scenario has to have


@pytest.mark.parametrize("scenario", EVERY, ids=ids)
def test_a_scenario_says_what_it_asks_and_on_whose_word(scenario: Scenario) -> None:
    assert scenario.question.endswith("?")
    assert scenario.sources
    assert all(re.fullmatch(r"[a-z0-9-]+|[A-I]\d+", tag) for tag in scenario.tags), scenario.tags
    assert any(tag.islower() for tag in scenario.tags)
    assert catalog.get(scenario.name.replace("-", "_")) == scenario


@pytest.mark.parametrize("scenario", [each for each in EVERY if ENGINE in each.worlds], ids=ids)
def test_most_of_what_it_observes_is_foretold_and_no_name_comes_twice(scenario: Scenario) -> None:
    found = engine(scenario).observations
    assert len({each.name for each in found}) == len(found)
    assert 2 * sum(bool(each.foretold) for each in found) > len(found)
    assert all(each.source for seen in found for each in seen.foretold)
    assert all(seen.within is None or seen.within.why for seen in found)
