"""What a test needs from the machine: skipped where it is missing, failed in CI, which has to have it."""

import os
import shutil

import pytest


def require_program(name: str, package: str | None = None) -> str:
    """Return the path of a program; where it is missing, skip with the words that say what to install."""
    path = shutil.which(name)
    if path is None:
        words = f"install {name}: apt-get install {package or name}"
        if os.environ.get("CI") == "true":
            pytest.fail(words)
        pytest.skip(words)
    return path
