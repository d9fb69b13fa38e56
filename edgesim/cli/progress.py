"""A progress bar on a terminal, silence in a pipe."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from edgesim.text import plain


@contextmanager
def progress(
    title: str, *, between_steps: bool = False
) -> Iterator[Callable[[int, int], None]]:
    """Show the progress of long work, on standard error and only on a terminal.

    Parameters
    ----------
    title
        Description of the work.
    between_steps
        Draw only after each step, for work that is timed: otherwise a thread draws
        continuously, which disturbs the measurement.

    Yields
    ------
    callable
        To be called with the number of steps done and the total.
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
        TextColumn("{task.description}", markup=False),
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
        task = bar.add_task(plain(title), total=None)
        yield lambda done, total: bar.update(
            task, completed=done, total=total, refresh=between_steps
        )
