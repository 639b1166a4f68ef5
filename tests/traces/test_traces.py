"""Our own packet scripts: every one on the engine, those of Linux on this machine's kernel too, in IPv4 and IPv6."""

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from needs import require_tun
from timewait.report.script import lines
from timewait.script.job import Job, run
from timewait.system.pool import Pool
from traces import writing

HERE = Path(__file__).parent
STATES = HERE / "states"
STACKS = ("rfc9293", "freebsd", "linux")
FAMILIES = [pytest.param({}, id="ipv4"), pytest.param({"IPV6": ""}, id="ipv6")]


def fail_unless_all_pass(jobs: Sequence[Job], width: int) -> None:
    """Run them side by side; show what did not pass as `timewait script` does."""
    assert jobs
    with Pool(run, jobs, width, "ran scripts") as pool:
        wrong = [line for _, result in pool.results() if not result.passed for line in lines(result)]
    if wrong:
        pytest.fail("\n".join(wrong), pytrace=False)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("stack", STACKS)
def test_every_event_in_every_state_on_the_engine(stack: str, family: dict[str, str]) -> None:
    files = sorted((STATES / stack).rglob("*.pkt"))
    fail_unless_all_pass([Job(path=str(file), profile=stack, defines=family, strict=True) for file in files], 1)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_event_in_every_state_on_the_kernel(family: dict[str, str]) -> None:
    require_tun()
    files = sorted((STATES / "linux").rglob("*.pkt"))
    jobs = [Job(path=str(file), world="kernel", defines=family, strict=True) for file in files]
    fail_unless_all_pass(jobs, 2 * (os.cpu_count() or 1))


def test_the_scripts_of_the_states_are_as_the_answers_say() -> None:
    """`scripts/traces` writes them anew."""
    made = dict(writing.scripts())
    assert {str(file.relative_to(STATES)) for file in STATES.rglob("*.pkt")} == set(made)
    stale = [name for name, text in made.items() if (STATES / name).read_text() != text]
    assert not stale, f"run scripts/traces: {stale}"
