"""Say what is waited for when code of the user's own takes long."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from edgesim.cli.output import say
from edgesim.plugins import is_own

AFTER_S = 10.0
"""How long code of one's own may be at work before it is named."""


class AtWork(Protocol):
    """Takes the solver or policy that is at work, and the repeat."""

    def __call__(self, name: str, repeat: int | None = None) -> None:
        """Start to wait for it, and no longer for the one before."""


@contextmanager
def naming_slow_code(after_s: float | None = None) -> Iterator[AtWork]:
    """Name a solver or policy of the user's own that has been at work for long.

    A line on standard error, once for each call, also in a pipe: whoever writes a
    solver must be able to tell an endless loop in it from a long run of edgesim.

    Parameters
    ----------
    after_s
        After how many seconds; by default :data:`AFTER_S`.

    Yields
    ------
    callable
        To be called with the solver or policy that starts to work, or goes on, and the
        repeat, if there are any.
    """
    wait_s = AFTER_S if after_s is None else after_s
    timer: threading.Timer | None = None

    def at_work(name: str, repeat: int | None = None) -> None:
        nonlocal timer
        stop()
        if is_own(name):
            where = "" if repeat is None else f" (repeat {repeat})"
            text = f"waiting for {name}{where} for {wait_s:g} s; Ctrl-C ends it"
            timer = threading.Timer(wait_s, say, [text], {"err": True})
            timer.daemon = True
            timer.start()

    def stop() -> None:
        if timer is not None:
            timer.cancel()

    try:
        yield at_work
    finally:
        stop()
