"""A progress bar on a terminal, silence in a pipe."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def progress(
    title: str, *, between_steps: bool = False
) -> Iterator[Callable[[int, int], None]]:
    """Show how far long work is, on standard error and only on a terminal.

    Parameters
    ----------
    title
        What is being done.
    between_steps
        Draw only when a step is done, for work that is timed: else a thread draws all
        the time, which takes time from what is measured.

    Yields
    ------
    callable
        To be called with how many steps are done and how many there are.
    """
    if not sys.stderr.isatty():
        yield lambda _done, _total: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(
        *columns,
        console=Console(stderr=True),
        transient=True,
        auto_refresh=not between_steps,
    ) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(
            task, completed=done, total=total, refresh=between_steps
        )
