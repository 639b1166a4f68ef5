"""Workloads from configurations that people have already: nginx, HAProxy, Prometheus, k6.

Knows each language as far as it says who connects where; whatever is not used is listed, with its line.  What a
configuration does not say (rates, how long a request takes) is asked for or chosen, and said in the workload's notes.
"""

from collections.abc import Callable
from importlib import import_module
from typing import Final

from timewait.errors import UsageError
from timewait.plan.importers.imported import Asked, Imported

# Name: one line of what is read.
KINDS: Final = {
    "nginx": "upstream, keepalive, proxy_bind, proxy_pass and its kin, in nested blocks",
    "haproxy": "backends and listens: server, source, maxconn, http-reuse",
    "prometheus": "scrape_configs: intervals and static targets (needs PyYAML: pip install 'timewait[import]')",
    "k6": "options, as JSON or as `export const options = {..}` in a script",
}


def known(kind: str) -> None:
    """Raise `UsageError`, naming those there are, unless there is such a kind."""
    if kind not in KINDS:
        raise UsageError(f"{kind!r} cannot be imported", f"one of {', '.join(KINDS)}")


def load(kind: str, text: str, name: str, asked: Asked) -> Imported:
    """Return the workload of a configuration's text.  Raises `UsageError` for one that cannot be read."""
    known(kind)
    read: Callable[[str, str, Asked], Imported] = import_module(f"timewait.plan.importers.{kind}").read
    try:
        return read(text, name, asked)
    except RecursionError:
        raise UsageError(f"{name} is nested too deeply", "no configuration of that kind is") from None
