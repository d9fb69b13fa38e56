"""What is still saved when the process must end without unwinding.

That happens after a signal, in code that no signal interrupts: a compiled solver of the
user's, for example. Nothing that waits in ``finally`` runs then.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_TAKEN = threading.Semaphore(0)

_WAITING: list[Callable[[], None]] = []


@contextmanager
def rescued(save: Callable[[], None]) -> Iterator[None]:
    """Have something saved if the process must end within the block, and only then.

    Parameters
    ----------
    save
        Called from another thread while the block stands still. It must not raise.
    """
    _WAITING.append(save)
    try:
        yield
    finally:
        _WAITING.remove(save)


def save_all() -> None:
    """Save what waits for it, the innermost first."""
    for save in tuple(reversed(_WAITING)):
        save()


def take_signal() -> None:
    """Say that a signal is taken care of, and need not end the process."""
    _TAKEN.release()


def is_signal_taken() -> bool:
    """Whether one more signal than was asked for is taken care of."""
    return _TAKEN.acquire(blocking=False)
