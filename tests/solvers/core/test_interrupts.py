"""Interrupts wait for compiled loops, and then arrive."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

import numpy as np
import pytest

from solvers import Uplink
from solvers.branch.loops import make
from solvers.core.interrupts import WAITING, deferred, handler_of
from solvers.core.loops import LoopSearch
from solvers.core.plan import Clock
from solvers.core.tables import Tables
from tests.solvers.strategies import seeded_problem


def test_an_interrupt_waits_and_arrives() -> None:
    """Once, after the end of the block; the handler is there again."""
    before = signal.getsignal(signal.SIGINT)
    reached = []

    def run() -> None:
        with deferred():
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.01)
            reached.append(True)

    with pytest.raises(KeyboardInterrupt):
        run()
    assert reached
    assert signal.getsignal(signal.SIGINT) is before


def test_who_handles_a_signal_is_told_while_it_waits() -> None:
    """Else what watches for signals that nobody hears would take it for another's."""
    before = signal.getsignal(signal.SIGINT)
    with deferred():
        with deferred():
            assert handler_of(signal.SIGINT) is before
        assert handler_of(signal.SIGINT) is before
        assert signal.getsignal(signal.SIGINT) is not before
    assert handler_of(signal.SIGINT) is signal.getsignal(signal.SIGINT) is before


def test_what_raises_before_all_handlers_are_there_again_loses_none() -> None:
    """A second interrupt that comes then leaves nothing deaf, and both arrive."""
    heard: list[int] = []

    def hear(number: int, frame: FrameType | None) -> None:
        heard.append(number)
        raise InterruptedError

    before = [signal.signal(number, hear) for number in WAITING]
    restore = signal.signal

    def interrupted(number: int, handler: Any) -> Any:
        found = restore(number, handler)
        if number == signal.SIGINT and handler is hear:
            hear(number, None)
        return found

    def run() -> None:
        with deferred():
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.01)

    try:
        for _ in range(2):
            heard.clear()
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr("solvers.core.interrupts.signal.signal", interrupted)
                with pytest.raises(InterruptedError):
                    run()
            assert heard == [signal.SIGINT, signal.SIGTERM]
            assert handler_of(signal.SIGTERM) is hear
            with pytest.raises(InterruptedError):
                signal.raise_signal(signal.SIGTERM)
    finally:
        for number, handler in zip(WAITING, before, strict=True):
            signal.signal(number, handler)


def test_other_threads_defer_nothing() -> None:
    """Only the main thread may set handlers, and only it is interrupted."""
    found = []

    def run() -> None:
        with deferred():
            found.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert found == [signal.getsignal(signal.SIGINT)]


def test_a_search_in_loops_survives_interrupts_at_any_time() -> None:
    """It ends with KeyboardInterrupt, not with the process."""
    rng = np.random.default_rng(3)
    problem = seeded_problem(
        rng, sharing="crossing", users=12, models=4, deadlines="own"
    )
    search = LoopSearch(Clock(Tables(problem), "dynamic"), seed=0, bound=10**6)
    survives(lambda: search.run((), 3), rng)


@pytest.mark.parametrize("uplink", ["static", "dynamic"])
def test_labels_in_loops_survive_interrupts_at_any_time(uplink: Uplink) -> None:
    """Their arguments are named tuples, too."""
    rng = np.random.default_rng(4)
    problem = seeded_problem(
        rng, sharing="laminar", users=6, models=2, deadlines="common"
    )
    tables = Tables(problem)
    survives(lambda: make(tables, uplink), rng)


def survives(run: Callable[[], object], rng: np.random.Generator) -> None:
    """Interrupt what is run again and again; the first time it may be loaded."""

    def interrupted(delay_s: float) -> None:
        threading.Timer(delay_s, os.kill, (os.getpid(), signal.SIGINT)).start()
        while True:
            run()

    for delay_s in rng.uniform(0.001, 0.01, 60):
        with pytest.raises(KeyboardInterrupt):
            interrupted(float(delay_s))
