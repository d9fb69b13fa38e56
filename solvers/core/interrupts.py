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


class _Waiting:
    """Signals that came while compiled loops ran, in order."""

    def __init__(self) -> None:
        self.ended = False
        self.came: list[tuple[Handler, int, FrameType | None]] = []

    def deliver(self) -> None:
        """Hand them on, all of them, though a handler may raise."""
        while self.came:
            handler, number, frame = self.came.pop(0)
            try:
                handler(number, frame)
            finally:
                self.deliver()


class _Waits:
    """Takes the place of a handler, and lets signals wait until loops have ended.

    From then on it hands them on. So nothing is lost where a handler that is there
    again raises before the other one is.
    """

    def __init__(self, handler: Handler, waiting: _Waiting) -> None:
        self.handler = handler
        self.waiting = waiting

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Take a signal."""
        if self.waiting.ended:
            self.handler(number, frame)
        else:
            self.waiting.came.append((self.handler, number, frame))


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
    waiting = _Waiting()
    waits: dict[signal.Signals, _Waits] = {}
    try:
        if threading.current_thread() is threading.main_thread():
            for number in WAITING:
                there = signal.getsignal(number)
                if isinstance(there, _Waits) and not there.waiting.ended:
                    continue  # it waits for what is around this
                handler = handler_of(number)
                if callable(handler):
                    waits[number] = _Waits(handler, waiting)
                    signal.signal(number, waits[number])
        yield
    finally:
        waiting.ended = True
        try:
            for number, wait in waits.items():
                signal.signal(number, wait.handler)
        finally:
            waiting.deliver()
