"""Packet scripts as tests: pytest --timewait-scripts FOLDER collects each .pkt below it.

pytest loads this at every start, so it imports nothing of this program until there is a script to run.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from timewait.script.job import Result


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("timewait", "packet scripts (timewait)")
    group.addoption(
        "--timewait-scripts", metavar="FOLDER", action="append", default=[], help="collect the .pkt files below FOLDER"
    )
    group.addoption("--timewait-profile", metavar="P", default="linux", help="what the engine is (default: linux)")
    group.addoption(
        "--timewait-world", choices=("engine", "kernel"), default="engine", help="what runs them (default: engine)"
    )
    group.addoption("--timewait-strict", action="store_true", help="a segment that no line expected is a failure")


def pytest_configure(config: pytest.Config) -> None:
    """Have the folders collected besides what was named; alone, if nothing was."""
    folders = config.getoption("--timewait-scripts")
    if not folders:
        return
    for folder in folders:
        if not Path(folder).exists():
            raise pytest.UsageError(f"--timewait-scripts: there is no {folder}")
    if config.args_source is not pytest.Config.ArgsSource.ARGS:
        config.args[:] = []
    config.args += [folder for folder in folders if folder not in config.args]


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Collect a script below one of the folders."""
    if file_path.suffix != ".pkt":
        return None
    start = parent.config.invocation_params.dir
    folders = [(start / folder).resolve() for folder in parent.config.getoption("--timewait-scripts")]
    if not any(file_path.resolve().is_relative_to(folder) for folder in folders):
        return None
    file: ScriptFile = ScriptFile.from_parent(parent, path=file_path)
    return file


class ScriptFile(pytest.File):
    """A .pkt file: one test."""

    def collect(self) -> Iterator[pytest.Item]:
        """Yield the one test."""
        item: ScriptItem = ScriptItem.from_parent(self, name=self.config.getoption("--timewait-profile"))
        yield item


class ScriptFailedError(Exception):
    """A script did not pass."""

    def __init__(self, result: "Result") -> None:
        super().__init__(result.path)
        self.result = result


class ScriptItem(pytest.Item):
    """A script, run in the world that was asked for."""

    def runtest(self) -> None:
        """Run it; raise `ScriptFailedError` if it does not pass."""
        from timewait.script.job import Job, run

        option = self.config.getoption
        world = option("--timewait-world")
        profile = option("--timewait-profile")
        result = run(Job(path=str(self.path), world=world, profile=profile, strict=bool(option("--timewait-strict"))))
        if not result.passed:
            raise ScriptFailedError(result)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: object = None) -> str:
        """Return the failure as `timewait script` prints it."""
        if isinstance(excinfo.value, ScriptFailedError):
            from timewait.report.script import lines

            return "\n".join(lines(excinfo.value.result))
        return str(super().repr_failure(excinfo))

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """Return where the test is, and its name."""
        return self.path, None, f"script: {self.path.name}"
