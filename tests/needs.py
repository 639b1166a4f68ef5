"""What a test needs from the machine: skipped where it is missing, failed in CI, which has to have it."""

import contextlib
import functools
import os
import shutil
import site
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

import pytest

import timewait

NOBODY = 65534


def missing(words: str) -> NoReturn:
    """Skip with the words that say what to install or allow; in CI nothing may be missing."""
    if os.environ.get("CI") == "true":
        pytest.fail(words)
    pytest.skip(words)


def require_program(name: str, package: str | None = None) -> str:
    """Return the path of a program."""
    path = shutil.which(name)
    if path is None:
        missing(f"install {name}: apt-get install {package or name}")
    return path


@functools.cache
def _private_namespace_trouble() -> str:
    from timewait.errors import UnavailableError
    from timewait.lab.kernel import KernelHost

    try:
        with KernelHost():
            return ""
    except UnavailableError as error:
        return f"{error.what}; {error.hint}"


def require_namespaces() -> None:
    """Go on only where this user may make a network namespace."""
    if trouble := _private_namespace_trouble():
        missing(trouble)


@functools.cache
def _tun_trouble() -> str:
    from timewait.errors import UnavailableError
    from timewait.lab.kernel import KernelHost
    from timewait.system.tun import TunSetup

    try:
        with KernelHost() as host:
            host.open_tun(TunSetup([("192.0.2.1", 24)])).close()
            return ""
    except UnavailableError as error:
        return f"{error.what}; {error.hint}"


def require_tun() -> None:
    """Go on only where this user may make a TUN device in a namespace."""
    if trouble := _tun_trouble():
        missing(trouble)


@functools.cache
def _tracing_trouble() -> str:
    from timewait.errors import UnavailableError
    from timewait.system.closes import Watch

    try:
        Watch().close()
        return ""
    except UnavailableError as error:
        return f"{error.what}; {error.hint}"


def require_tracing() -> None:
    """Go on only where this user may trace the kernel: as root."""
    if trouble := _tracing_trouble():
        pytest.skip(trouble)  # in CI too, which need not be root


class OrdinaryUser:
    """Runs the command as a user without privileges: nobody when the tests run as root, else whoever runs them."""

    def __init__(self, interpreter: str, path: Path) -> None:
        self.interpreter = interpreter
        self.path = path

    def run(self, arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
        """Run `timewait ARGUMENTS` and return what it printed."""
        return _as_ordinary_user([self.interpreter, "-m", "timewait", *arguments], self.path)


def _as_ordinary_user(command: Sequence[str], path: Path) -> subprocess.CompletedProcess[str]:
    user = NOBODY if os.geteuid() == 0 else None
    return subprocess.run(
        command,
        env=ordinary_environment(path),
        capture_output=True,
        text=True,
        timeout=60,
        cwd="/",
        user=user,
        group=user,
        extra_groups=None if user is None else [],
    )


def ordinary_environment(path: Path) -> Mapping[str, str]:
    """Return an environment with nothing of ours but the modules."""
    return {"PYTHONPATH": str(path), "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"}


def ordinary_user(folder: Path) -> OrdinaryUser:
    """Return an ordinary user who can read the package: a copy of it in `folder`, and an interpreter open to all."""
    folder.chmod(0o755)
    for module in ("click", "rich", "pygments", "markdown_it", "mdurl"):
        source = next(Path(place) / module for place in site.getsitepackages() if (Path(place) / module).is_dir())
        shutil.copytree(source, folder / module)
    shutil.copytree(Path(timewait.__file__).parent, folder / "timewait")
    others = (shutil.which(f"python3.{minor}", path="/usr/bin") for minor in range(11, 16))
    for interpreter in (sys.executable, *others):
        with contextlib.suppress(OSError):
            if interpreter and _as_ordinary_user([interpreter, "-c", "import timewait"], folder).returncode == 0:
                return OrdinaryUser(interpreter, folder)
    missing("no Python 3.11 that every user may run: apt-get install python3")
