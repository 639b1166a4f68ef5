"""Hypothesis in CI draws the same examples every time: a landing does not hang on chance.  Elsewhere it explores."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from needs import OrdinaryUser, ordinary_user
from once import FOLDER

settings.register_profile("ci", derandomize=True, deadline=None, print_blob=True)
settings.register_profile("here", deadline=None)
settings.load_profile("ci" if os.environ.get("CI") == "true" else "here")


@pytest.fixture(autouse=True, scope="session")
def _one_folder_for_all_processes(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Tell `once` where the processes of one run meet."""
    own = tmp_path_factory.getbasetemp()
    os.environ[FOLDER] = str(own.parent if "PYTEST_XDIST_WORKER" in os.environ else own)


@pytest.fixture(scope="session")
def somebody() -> Iterator[OrdinaryUser]:
    """An ordinary user; his folder is not pytest's own, which is closed to all but one."""
    with tempfile.TemporaryDirectory(prefix="timewait-") as folder:
        yield ordinary_user(Path(folder))
