"""Every finding where its trouble was made for real, and no other beside it; and on hosts recorded before."""

from pathlib import Path

import pytest

from needs import require_namespaces
from timewait.host.findings import examine
from timewait.host.snapshot import Snapshot
from timewait.host.snapshot_file import from_text
from timewait.lab.kernel import KernelHost
from troubles import HOSTS, TROUBLES, look


def found(snapshot: Snapshot) -> set[str]:
    return {f"{finding.id} {finding.severity.name}" for finding in examine(snapshot)}


@pytest.mark.parametrize("name", TROUBLES)
def test_a_trouble_made_for_real_is_found_and_nothing_else(name: str, tmp_path: Path) -> None:
    require_namespaces()
    trouble = TROUBLES[name]
    with KernelHost() as host:
        trouble.make(host)
        seen = look(host, tmp_path, trouble)
    assert found(seen) == set(trouble.due)


@pytest.mark.parametrize("name", TROUBLES)
def test_a_recorded_host_has_the_same_findings(name: str) -> None:
    file = HOSTS / f"{name}.json"
    assert found(from_text(file.read_text(), file.name)) == set(TROUBLES[name].due)


def test_every_recorded_host_is_known() -> None:
    assert {file.stem for file in HOSTS.iterdir()} == set(TROUBLES)
