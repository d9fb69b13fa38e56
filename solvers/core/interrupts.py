"""Interrupts that wait until compiled loops return."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TypeAlias

WAITING = (signal.SIGINT, signal.SIGTERM)

Handler: TypeAlias = Callable[[int, FrameType | None], object]


class _Waits:
    """Takes the place of a handler, and notes what came."""

    def __init__(self, handler: Handler) -> None:
        self.handler = handler
        self.came: list[FrameType | None] = []

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Note a signal."""
        del number
        self.came.append(frame)


def handler_of(number: int) -> object:
    """Return what handles a signal, now or once compiled loops have returned."""
    handler = signal.getsignal(number)
    return handler.handler if isinstance(handler, _Waits) else handler


@contextmanager
def deferred() -> Iterator[None]:
    """Hand interrupts to their handlers when what is inside has ended.

    A handler that raises while numba converts arguments or results, which runs Python,
    ends the process: numba does not look for errors there. So does one that raises
    while llvmlite, compiling or loading, frees something: it frees it twice.
    """
    waits: dict[signal.Signals, _Waits] = {}
    try:
        if threading.current_thread() is threading.main_thread():
            for number in WAITING:
                handler = signal.getsignal(number)
                if callable(handler) and not isinstance(handler, _Waits):
                    waits[number] = _Waits(handler)
                    signal.signal(number, waits[number])
        yield
    finally:
        for number, wait in waits.items():
            signal.signal(number, wait.handler)
    for number, wait in waits.items():
        for frame in wait.came:
            wait.handler(number, frame)
