"""A bar on stderr for what takes longer than a second; nothing where stderr is no terminal."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Timer
from typing import Any, Final

_PATIENCE_S: Final = 1.0


@contextmanager
def bar(what: str, total: int) -> Iterator[Callable[[Any], None]]:
    """Show how many of `total` are done; the function is to be called for each."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda _: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    progress = Progress(*columns, console=console, transient=True)
    task = progress.add_task(what, total=total)
    begins = Timer(_PATIENCE_S, progress.start)
    begins.daemon = True
    begins.start()
    try:
        yield lambda _: progress.advance(task)
    finally:
        begins.cancel()
        begins.join()
        progress.stop()
