"""Our own packet scripts: every one on the engine, those of Linux on this machine's kernel too, in IPv4 and IPv6."""

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from needs import require_program, require_tun
from timewait.report.script import lines
from timewait.script.job import Job, run
from timewait.system.pool import Pool
from traces import writing
from traces.not_shown import IDS, NOT_SHOWN

HERE = Path(__file__).parent
STATES = HERE / "states"
ROWS = HERE / "rows"
STACKS = ("rfc9293", "freebsd", "linux")
FAMILIES = [pytest.param({}, id="ipv4"), pytest.param({"IPV6": ""}, id="ipv6")]
SIDE_BY_SIDE = 2 * (os.cpu_count() or 1)


def rows_of(stack: str, *, waits: bool) -> list[Path]:
    """The scripts of behaviours: those of every stack, the stack's own, and what waits for timers."""
    found = [*ROWS.glob("*.pkt"), *(ROWS / stack).glob("*.pkt")]
    return sorted([*found, *(ROWS / "waits").glob("*.pkt")] if waits else found)


def fail_unless_all_pass(jobs: Sequence[Job], width: int) -> None:
    """Run them side by side; show what did not pass as `timewait script` does."""
    assert jobs
    with Pool(run, jobs, width, "ran scripts") as pool:
        wrong = [line for _, result in pool.results() if not result.passed for line in lines(result)]
    if wrong:
        pytest.fail("\n".join(wrong), pytrace=False)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("stack", STACKS)
def test_every_behaviour_and_every_event_in_every_state_on_the_engine(stack: str, family: dict[str, str]) -> None:
    files = [*rows_of(stack, waits=True), *sorted((STATES / stack).rglob("*.pkt"))]
    fail_unless_all_pass([Job(path=str(file), profile=stack, defines=family, strict=True) for file in files], 1)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_behaviour_and_every_event_in_every_state_on_the_kernel(family: dict[str, str]) -> None:
    """Two of them set a sysctl, in their namespace: hence the shell."""
    require_tun()
    require_program("sysctl", "procps")
    files = [*rows_of("linux", waits=False), *sorted((STATES / "linux").rglob("*.pkt"))]
    jobs = [Job(path=str(file), world="kernel", defines=family, strict=True, allow_shell=True) for file in files]
    fail_unless_all_pass(jobs, SIDE_BY_SIDE)


def test_what_waits_for_timers_on_the_kernel() -> None:
    """In real time, a minute and a few seconds, all at once."""
    require_tun()
    jobs = [Job(path=str(file), world="kernel", strict=True) for file in sorted((ROWS / "waits").glob("*.pkt"))]
    fail_unless_all_pass(jobs, len(jobs))


def test_the_scripts_of_the_states_are_as_the_answers_say() -> None:
    """`scripts/traces` writes them anew."""
    made = dict(writing.scripts())
    assert {str(file.relative_to(STATES)) for file in STATES.rglob("*.pkt")} == set(made)
    stale = [name for name, text in made.items() if (STATES / name).read_text() != text]
    assert not stale, f"run scripts/traces: {stale}"


def test_every_behaviour_is_shown_or_listed_with_the_reason() -> None:
    shown = {file.name.split("-")[0] for file in ROWS.rglob("*.pkt")} - {"options"}
    assert shown | set(NOT_SHOWN) == set(IDS)
    assert not shown & set(NOT_SHOWN)


def test_the_guide_s_script_is_the_example() -> None:
    root = HERE.parent.parent
    example = root / "examples/reset-in-time-wait.pkt"
    assert (root / "docs/guide/packet-scripts.md").read_text().split("```text\n")[1].split("```")[
        0
    ] == example.read_text()


def test_a_script_of_a_behaviour_says_which_and_where_it_is_written() -> None:
    for file in ROWS.rglob("*.pkt"):
        first, second, *_ = file.read_text().splitlines()
        assert first.startswith(f"// {file.name.split('-')[0]}: "), file
        assert second.startswith("// "), file
