"""End soon after a signal, also within a library that no signal interrupts."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

GRACE_S = 1.0
"""How long Python may take to handle a signal, and to unwind."""

_ENDING = {
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP")
    if hasattr(signal, name)
}


@contextmanager
def ending_soon(farewell: Callable[[], str]) -> Iterator[None]:
    """End the process if a signal that ends it does not within ``GRACE_S``.

    Python handles signals between its own instructions: within the engine of ``ilp``
    there are none for minutes, and a cluster may not answer.

    Parameters
    ----------
    farewell
        Returns what to say on standard error then.
    """
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    ended = threading.Event()
    watcher = threading.Thread(
        target=_watch, args=(reader, ended, farewell), daemon=True
    )
    before = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        signal.set_wakeup_fd(before)
        os.close(writer)
        watcher.join()
        os.close(reader)


def _watch(reader: int, ended: threading.Event, farewell: Callable[[], str]) -> None:
    """Wait for a signal that ends the process, and then for its end."""
    while found := os.read(reader, 1):
        number = found[0]
        if number not in _ENDING or signal.getsignal(number) == signal.SIG_IGN:
            continue
        if ended.wait(GRACE_S):
            return
        # Nothing is unwound: not even a cursor that a progress bar has hidden.
        shown = "\n\x1b[?25h" if sys.stderr.isatty() else ""
        print(f"{shown}{farewell()}", file=sys.stderr, flush=True)
        os._exit(128 + number)
