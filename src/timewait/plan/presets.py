"""Workloads that come with the program: files to be printed, edited and planned."""

from difflib import get_close_matches
from importlib import resources
from typing import Final

from timewait.errors import UsageError
from timewait.plan import workload_file
from timewait.plan.workload import Workload

# Name: one line of what it is.
NAMES: Final = {
    "proxy": "a reverse proxy and its application servers, no keep-alive between them",
    "load-generator": "a load generator that opens a connection for each request",
    "monitor": "a monitoring system that probes and scrapes a thousand hosts",
    "nat-gateway": "many hosts behind few addresses, towards one service",
    "farm": "web servers behind balancers, with caches and databases",
}


def text(name: str) -> str:
    """Return a preset's file.  Raises `UsageError`, naming near ones, if there is none."""
    if name not in NAMES:
        near = get_close_matches(name, NAMES, 1, cutoff=0.4)
        hint = f"did you mean {near[0]}? " if near else ""
        raise UsageError(f"there is no preset {name!r}", f"{hint}presets: {', '.join(NAMES)}")
    return resources.files("timewait.plan").joinpath("workloads", f"{name}.toml").read_text()


def get(name: str) -> Workload:
    """Return a preset.  Raises `UsageError`, naming near ones, if there is none."""
    return workload_file.read(text(name), f"preset {name}")
