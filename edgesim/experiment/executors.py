"""Where points are computed: processes on this machine, or a cluster."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from multiprocessing import active_children, get_context, parent_process
from multiprocessing.connection import wait
from typing import Any

from edgesim.errors import InputError, Parameter

_ENDING = {
    getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)
}

_PR_SET_PDEATHSIG = 1  # of Linux's prctl


def cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def processes(jobs: int) -> Iterator[Executor]:
    """Compute in processes of this machine, which end with this one.

    Parameters
    ----------
    jobs
        Their number.

    Raises
    ------
    InputError
        If ``jobs`` is below 1, or one of the processes ends before its work is done.
    """
    if jobs < 1:
        raise InputError(Parameter("jobs"), f"must be 1 or more, found {jobs}")
    others = set(active_children())
    # Spawned rather than forked: the engine of ilp keeps threads.
    pool = _Pool(jobs, mp_context=get_context("spawn"), initializer=_begin_worker)
    try:
        with pool:
            try:
                yield pool
            except BaseException:
                # What runs may be within a library that no signal interrupts, and what
                # only starts would complain of a parent that has closed its pipes.
                for child in set(active_children()) - others:
                    child.kill()
                pool.shutdown(wait=False, cancel_futures=True)
                raise
    except BrokenProcessPool as error:
        raise InputError(
            Parameter("jobs"),
            f"one of the {jobs} processes ended before its work was done: it was "
            f"killed, for want of memory perhaps, or code of your own ended it",
        ) from error


class _Pool(ProcessPoolExecutor):
    """A pool whose processes never hear Ctrl-C, not even while they start."""

    def submit(
        self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any
    ) -> Future[Any]:
        """Submit work, for which a process may be started."""
        with _interrupts_held():
            return super().submit(fn, *args, **kwargs)


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Let signals wait that end this process, or one would be started by half.

    A process that is started meanwhile never gets any interrupt. A signal may reach any
    thread, and is handled in the main one: blocking it there would not be enough.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    caught: list[int] = []
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, *_ENDING)}
    handled = {number: how for number, how in before.items() if callable(how)}
    with _blocked(signal.SIGINT):
        for number in handled:
            signal.signal(number, lambda found, _: caught.append(found))
        try:
            yield
        finally:
            for number, how in handled.items():
                signal.signal(number, how)
    for number in caught:
        signal.raise_signal(number)


@contextmanager
def _blocked(number: signal.Signals) -> Iterator[None]:
    """Block a signal in this thread, and in processes that are started meanwhile."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {number})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin_worker() -> None:
    """Leave interrupts to the parent, and end with it, however it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)
