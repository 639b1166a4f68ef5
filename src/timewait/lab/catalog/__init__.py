"""The experiments, one file each: a function over hosts, its parameters, what it records.

A file that is put here is found.  Nothing here mentions a kernel or an engine; what the results of the founding one
mean is said in `lab.explanation`.
"""

from difflib import get_close_matches
from importlib import import_module
from pathlib import Path

from timewait.errors import UsageError
from timewait.lab.scenario import Scenario


def names() -> list[str]:
    """Return the names of all scenarios, in order: their files' with dashes."""
    return sorted(file.stem.replace("_", "-") for file in Path(__file__).parent.glob("[a-z]*.py"))


def get(name: str) -> Scenario:
    """Return a scenario by name; raises `UsageError`, naming near ones, if there is none."""
    known = names()
    asked = name.lower().replace("_", "-")
    if asked not in known:
        near = get_close_matches(asked, known, n=3, cutoff=0.4)
        raise UsageError(f"there is no scenario {name!r}", f"near it: {', '.join(near)}" if near else "see lab list")
    scenario = import_module(f"{__name__}.{asked.replace('-', '_')}").SCENARIO
    assert isinstance(scenario, Scenario), name
    return scenario._replace(name=asked)


def every() -> list[Scenario]:
    """Return all scenarios."""
    return [get(name) for name in names()]
