"""Every finding where its trouble was made for real, and no other beside it; and on hosts recorded before."""

from pathlib import Path

import pytest

from needs import require_namespaces
from timewait.host.findings import examine
from timewait.host.limits import Limits
from timewait.host.meanings import MEANINGS
from timewait.host.snapshot import Snapshot
from timewait.host.snapshot_file import from_text
from timewait.lab.kernel import KernelHost
from troubles import HOSTS, TROUBLES, look


def found(snapshot: Snapshot, limits: Limits) -> set[str]:
    every = examine(snapshot, limits)
    assert all(finding.ruled_out for finding in every if finding.severity), "neighbours ruled out"
    return {f"{finding.id} {finding.severity.name}" for finding in every}


@pytest.mark.parametrize("name", TROUBLES)
def test_a_trouble_made_for_real_is_found_and_nothing_else(name: str, tmp_path: Path) -> None:
    require_namespaces()
    trouble = TROUBLES[name]
    with KernelHost() as host:
        trouble.make(host)
        seen = look(host, tmp_path, trouble)
    assert found(seen, trouble.limits) == set(trouble.due)


@pytest.mark.parametrize("name", TROUBLES)
def test_a_recorded_host_has_the_same_findings(name: str) -> None:
    file = HOSTS / f"{name}.json"
    assert found(from_text(file.read_text(), file.name), TROUBLES[name].limits) == set(TROUBLES[name].due)


def test_every_recorded_host_is_known() -> None:
    assert {file.stem for file in HOSTS.iterdir()} == set(TROUBLES)


def test_every_finding_was_made_for_real_but_what_no_namespace_has() -> None:
    """Of tcp_tw_recycle: a kernel before 4.12, and files of the machine's start."""
    made = {due.split()[0] for trouble in TROUBLES.values() for due in trouble.due}
    assert made == set(MEANINGS) - {"tw-recycle", "tw-recycle-folklore"}
