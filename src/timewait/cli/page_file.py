"""The file that `--html` names: refused before anything runs if it cannot be written, and written at the end."""

import os
from pathlib import Path
from typing import Any

import click

from timewait.errors import UsageError


def _checked(context: click.Context, option: click.Parameter, path: str | None) -> str | None:
    if path is None or context.resilient_parsing:
        return path
    folder = Path(path).absolute().parent
    if not folder.is_dir():
        raise UsageError(f"{path} cannot be written: there is no folder {folder}", "name another file")
    if not os.access(path if Path(path).exists() else folder, os.W_OK):
        raise UsageError(f"{path} cannot be written: permission denied", "name another file")
    return path


def html_option(command: Any) -> Any:
    """Give a command the option --html, whose value is a path that can be written, or None."""
    file = click.Path(dir_okay=False)
    text = "Write it as a page: one file that asks nothing of a network."
    return click.option("--html", metavar="FILE", type=file, callback=_checked, help=text)(command)


def write_page(path: str, page: str) -> None:
    """Write a page.  Raises `UsageError` where that fails after all."""
    try:
        Path(path).write_text(page, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}", "name another file") from None
