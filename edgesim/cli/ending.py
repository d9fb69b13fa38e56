"""End soon after a signal, also within a library that no signal interrupts."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from edgesim.plugins import Ending
from edgesim.storage.rescue import is_signal_taken, save_all
from solvers.core.interrupts import handler_of
from solvers.temporary import remove_held

GRACE_S = 1.0
"""How long Python may take to hear of a signal."""

UNWINDING_S = 10.0
"""How long it may then take to remove what is temporary, and to keep what is done."""

AGAIN_S = 0.01
"""When to try again where nothing can be raised."""

_FAREWELLS: list[Callable[[], str]] = [lambda: "stopped"]


@contextmanager
def ending_on_signals() -> Iterator[None]:
    """Unwind at a signal that ends the process; end without unwinding if that hangs.

    The signals' default action would leave temporary files. A signal that is ignored
    stays so: a command under ``nohup`` goes on when its terminal ends. Python handles
    signals between its own instructions: within a compiled solver there may be none for
    minutes, and a cluster may not answer.

    Raises
    ------
    KeyboardInterrupt
        At SIGINT.
    Ending
        At SIGTERM and SIGHUP, with the exit code that shells expect.
    """
    numbers = [
        getattr(signal, name)
        for name in ("SIGINT", "SIGTERM", "SIGHUP")
        if hasattr(signal, name)
    ]
    heard = threading.Event()

    def end(number: int, frame: FrameType | None) -> None:
        if _is_finalizing(frame):  # Python would drop what is raised there
            main = threading.main_thread().ident
            threading.Timer(AGAIN_S, signal.pthread_kill, [main, number]).start()
            return
        heard.set()
        raise KeyboardInterrupt if number == signal.SIGINT else Ending(128 + number)

    before = {
        number: signal.signal(number, end)
        for number in numbers
        if signal.getsignal(number) != signal.SIG_IGN
    }
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    ended = threading.Event()
    watcher = threading.Thread(
        target=_watch, args=(reader, end, heard, ended), daemon=True
    )
    woken = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        signal.set_wakeup_fd(woken)
        os.close(writer)
        watcher.join()
        os.close(reader)
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def with_farewell(farewell: Callable[[], str]) -> Iterator[None]:
    """Say something else on standard error if the process ends without unwinding.

    Parameters
    ----------
    farewell
        Returns what to say.
    """
    _FAREWELLS.append(farewell)
    try:
        yield
    finally:
        _FAREWELLS.remove(farewell)


def _is_finalizing(frame: FrameType | None) -> bool:
    """Whether a frame is that of a ``__del__``, or was called by one."""
    while frame is not None:
        if frame.f_code.co_name == "__del__":
            return True
        frame = frame.f_back
    return False


def _watch(
    reader: int,
    end: Callable[[int, FrameType | None], None],
    heard: threading.Event,
    ended: threading.Event,
) -> None:
    """Wait for a signal that ends the process, and then for its end."""
    while found := os.read(reader, 1):
        number = found[0]
        if handler_of(number) is not end:
            continue  # ignored, or somebody else's to handle
        if heard.wait(GRACE_S) and ended.wait(UNWINDING_S):
            return
        if not heard.is_set() and is_signal_taken():
            continue
        # Nothing is unwound: not even a cursor that a progress bar has hidden.
        save_all()
        remove_held()
        shown = "\n\x1b[?25h" if sys.stderr.isatty() else ""
        print(f"{shown}{_FAREWELLS[-1]()}", file=sys.stderr, flush=True)
        os._exit(128 + number)
