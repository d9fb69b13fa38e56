"""Interrupts that wait until compiled loops return."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

WAITING = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def deferred() -> Iterator[None]:
    """Hand interrupts to their handlers when what is inside has ended.

    A handler that raises while numba converts arguments or results, which runs Python,
    ends the process: numba does not look for errors there.
    """
    came: list[tuple[int, FrameType | None]] = []

    def wait(number: int, frame: FrameType | None) -> None:
        came.append((number, frame))

    handlers = {}
    try:
        if threading.current_thread() is threading.main_thread():
            for number in WAITING:
                handler = signal.getsignal(number)
                if callable(handler):
                    handlers[number] = handler
                    signal.signal(number, wait)
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    for told, frame in came:
        handlers[signal.Signals(told)](told, frame)
