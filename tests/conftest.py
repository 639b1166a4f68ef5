"""Hypothesis in CI draws the same examples every time: a landing does not hang on chance.  Elsewhere it explores."""

import os

import pytest
from hypothesis import settings

from once import FOLDER

settings.register_profile("ci", derandomize=True, deadline=None, print_blob=True)
settings.register_profile("here", deadline=None)
settings.load_profile("ci" if os.environ.get("CI") == "true" else "here")


@pytest.fixture(autouse=True, scope="session")
def _one_folder_for_all_processes(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Tell `once` where the processes of one run meet."""
    own = tmp_path_factory.getbasetemp()
    os.environ[FOLDER] = str(own.parent if "PYTEST_XDIST_WORKER" in os.environ else own)
