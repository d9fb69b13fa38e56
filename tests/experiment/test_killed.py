"""A figure that is stopped, however, loses nothing and leaves no process."""

from __future__ import annotations

import os
import random
import re
import signal
import sys
import time
from pathlib import Path

import pytest

from tests.experiment.background import (
    finished,
    living,
    points_in,
    started,
    wait_for,
    write_figure,
    written,
)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

SOON_S = 2.0
"""How soon it ends where nothing else wants the processor."""

LATER_S = 30.0
"""Where everything does; it computes for longer than that."""

IN_ENGINE = (
    *("--set", 'run.solvers=["greedy","ilp"]', "--set", "run.uplink=static"),
    *("--set", "run.time_limit_s=60", "--set", "workload.window_s=2"),
)
"""``ilp`` is within HiGHS for a minute."""


SIGNALS = pytest.mark.parametrize(
    ("number", "jobs"), [(signal.SIGINT, 1), (signal.SIGTERM, 1), (signal.SIGINT, 2)]
)


@SIGNALS
def test_a_signal_ends_it_within_the_engine(
    tmp_path: Path, number: signal.Signals, jobs: int
) -> None:
    """With what is kept on one line, the usual code, and no process."""
    _end_within_the_engine(tmp_path, number, jobs)


@pytest.mark.long
@SIGNALS
def test_a_signal_ends_it_soon(
    tmp_path: Path, number: signal.Signals, jobs: int
) -> None:
    """Within 2 s; other work on the machine makes it longer."""
    assert _end_within_the_engine(tmp_path, number, jobs) < SOON_S


def _end_within_the_engine(tmp_path: Path, number: signal.Signals, jobs: int) -> float:
    """Check how a signal ends a figure whose solver is within HiGHS; return the time.

    In seconds, from the signal until no process of it is left.
    """
    file = write_figure(tmp_path)
    words = ("figure", file, *IN_ENGINE, "--jobs", jobs, "--out", "out")
    with started(tmp_path, *words) as process:
        store = tmp_path / "out" / ".points"
        wait_for(lambda: points_in(store))
        time.sleep(1.5)  # until ilp has made its program
        process.send_signal(number)
        begun = time.monotonic()
        code = process.wait(LATER_S)
        wait_for(lambda: not living(process.pid), LATER_S)
        took_s = time.monotonic() - begun
        assert process.stderr is not None
        err = process.stderr.read()
    assert code == 128 + number
    found = re.fullmatch(
        r"stopped: (\d+) of 40 points kept in out/\.points; "
        r"the same command goes on from there\n",
        err,
    )
    assert found is not None, err
    assert int(found[1]) == points_in(store) > 0
    return took_s


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_the_group_is_told_once(
    tmp_path: Path, number: signal.Signals
) -> None:
    """A terminal interrupts all processes, also those that are just starting."""
    file = write_figure(tmp_path)
    words = ("figure", file, "--own-code", "--jobs", 2)
    for pause_s in (0.0, 1.0):
        with started(tmp_path, *words) as process:
            wait_for(lambda: len(living(process.pid)) > 2)
            time.sleep(pause_s)
            os.killpg(process.pid, number)
            _, err = process.communicate(timeout=LATER_S)
            wait_for(lambda: not living(process.pid), LATER_S)
        assert process.returncode == 128 + number, err
        assert re.fullmatch(r"stopped: \d+ of 40 points kept in [^\n]*\n", err), err


def test_a_fresh_run_that_is_stopped_says_how_to_go_on(tmp_path: Path) -> None:
    """The same command would begin again."""
    file = write_figure(tmp_path)
    with started(tmp_path, "figure", file, "--own-code", "--fresh") as process:
        wait_for(lambda: points_in(tmp_path / ".points"))
        process.terminate()
        _, err = process.communicate(timeout=LATER_S)
    assert "; the same command without --fresh goes on from there\n" in err


@pytest.mark.parametrize("pause_s", [0.0, 2.5])
def test_no_process_outlives_its_parent(tmp_path: Path, pause_s: float) -> None:
    """Killed, the command cannot end its processes: they end themselves."""
    file = write_figure(tmp_path)
    words = ("figure", file, *IN_ENGINE, "--jobs", 2, "--out", "out")
    with started(tmp_path, *words) as process:
        wait_for(lambda: len(living(process.pid)) > 2)
        time.sleep(pause_s)
        process.kill()
        process.wait()
        wait_for(lambda: not living(process.pid), LATER_S)


def _kill_and_go_on(folder: Path, seed: int, kills: int, longest_s: float) -> None:
    """Kill a figure at random times, from its start each, and compare with a whole."""
    draw = random.Random(seed)
    for count in range(kills):
        place = folder / f"{count}"
        words = ("figure", folder / "figure.toml", "--own-code", "--out", place)
        pause_s = draw.uniform(0.5, longest_s)
        jobs = draw.choice((1, 2))
        with started(folder, *words, "--jobs", jobs) as process:
            time.sleep(pause_s)
            process.kill()
        kept = points_in(place / ".points")
        code, _, err = finished(folder, *words, "--jobs", 2)
        assert (code, err.count("error")) == (0, 0), err
        assert written(place) == written(folder), (seed, count, pause_s)
        total = points_in(folder / ".points")
        assert points_in(place / ".points") == total, (kept, total)


def test_killed_anywhere_it_goes_on_to_the_same_bytes(tmp_path: Path) -> None:
    """Killed while it starts, computes and writes; no point is computed twice."""
    file = write_figure(tmp_path, sleep_s=0.05, repeats=3)
    begun = time.monotonic()
    code, _, err = finished(tmp_path, "figure", file, "--own-code", "--fresh")
    assert code == 0, err
    _kill_and_go_on(tmp_path, 1, kills=2, longest_s=time.monotonic() - begun)


@pytest.mark.long
def test_fifty_kills_change_no_byte(tmp_path: Path) -> None:
    """As above, 50 times, with a figure that takes about ten seconds."""
    file = write_figure(tmp_path, sleep_s=0.25, repeats=10)
    begun = time.monotonic()
    code, _, err = finished(tmp_path, "figure", file, "--own-code", "--fresh")
    assert code == 0, err
    took_s = time.monotonic() - begun
    print(f"\nthe figure takes {took_s:.1f} s")
    _kill_and_go_on(tmp_path, 2, kills=50, longest_s=took_s)
