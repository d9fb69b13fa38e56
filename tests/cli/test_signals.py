"""Every command that takes long ends at a signal, and leaves nothing behind.

That the figure command does is in ``tests/experiment/test_killed.py``, that a campaign
does in ``tests/campaign/test_runner.py``.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from solvers.temporary import MARK
from tests.examples import SCENARIO, TRACE
from tests.experiment.background import (
    ENVIRONMENT,
    Background,
    living,
    started,
    wait_for,
)

SOLVERS = """\
import ctypes
import sys
import time

def stuck(problem, uplink, options):
    # Waits in compiled code, for what never comes.
    print("stuck", file=sys.stderr, flush=True)
    system, lock = ctypes.CDLL(None), ctypes.create_string_buffer(256)
    system.pthread_mutex_init(lock, None)
    system.pthread_mutex_lock(lock)
    system.pthread_mutex_lock(lock)

class Slow:
    def __del__(self):
        print("stuck", file=sys.stderr, flush=True)
        for _ in range(5):
            time.sleep(0.1)

def finalized(problem, uplink, options):
    Slow()
    time.sleep(600)

def swallow(problem, uplink, options):
    print("stuck", file=sys.stderr, flush=True)
    while True:
        try:
            time.sleep(0.1)
        except BaseException:
            pass
"""
HOLDING = """\
from pathlib import Path
from edgesim.cli.ending import ending_on_signals
from solvers.temporary import temporary_folder
from stuck_for_test import stuck

with ending_on_signals(), temporary_folder("out", Path()) as folder:
    (folder / "half").write_text("written")
    stuck(None, None, None)
"""
LATER_S = 60.0
"""Where everything does."""

RUN = ("run", "online-campus")
GENERATE = ("trace", "generate", "--rate", 1e4, "--duration-s", 2000, "--slo-s", 1)
CONVERT = ("trace", "convert", "csv", "log.csv", "trace.csv", "--arrival", "t")
MEASURE = (
    *("profile", "measure", "hf:bert,hidden_size=48", "--device", "cpu"),
    *("--batch", "1", "--tiers", "disk", "--seconds", "1000", "--out", "x.json"),
)
COMMANDS: dict[str, tuple[object, ...]] = {
    "run": (*RUN, "--out", "out"),
    "trace generate": (*GENERATE, "--out", "trace.csv"),
    "trace convert": (*CONVERT, "--model", "m", "--slo-s", 1),
    "profile measure": MEASURE,
}
each = pytest.mark.parametrize(
    "words",
    [
        pytest.param(words, marks=[pytest.mark.torch] * ("measure" in name), id=name)
        for name, words in COMMANDS.items()
    ],
)


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a folder with all that the commands read, and one for temporary files."""
    here = tmp_path / "here"
    here.mkdir()
    (here / "small.csv").write_text(TRACE)
    (here / "small.toml").write_text(SCENARIO)
    (here / "stuck_for_test.py").write_text(SOLVERS)
    system = tmp_path / "system"
    system.mkdir()
    monkeypatch.setitem(ENVIRONMENT, "TMPDIR", str(system))
    monkeypatch.setitem(ENVIRONMENT, "PYTHONDONTWRITEBYTECODE", "1")
    return here


def _write_log(place: Path, words: tuple[object, ...]) -> None:
    if "log.csv" in words:
        (place / "log.csv").write_text("t,m\n" + "0.5,a\n0.25,b\n" * 1_000_000)


def _begun(place: Path, process: Background) -> Callable[[], bool]:
    """Tell when a command has something temporary in its folder."""

    def begun() -> bool:
        assert process.poll() is None, process.communicate()
        return any(path.name.startswith(MARK) for path in place.iterdir())

    return begun


def _files(place: Path) -> set[str]:
    system = place.parent / "system"
    found = {path.name for folder in (place, system) for path in folder.iterdir()}
    return {name for name in found if not name.startswith("torchinductor")}


@each
def test_a_signal_ends_it(place: Path, words: tuple[object, ...]) -> None:
    """With the usual code; nothing is half-written, and no process is left."""
    _end(place, words, signal.SIGTERM)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_other_signals_end_it(place: Path, number: signal.Signals) -> None:
    """Ctrl-C, and the end of the terminal."""
    _end(place, COMMANDS["run"], number)


def _end(place: Path, words: tuple[object, ...], number: signal.Signals) -> None:
    _write_log(place, words)
    before = _files(place)
    with started(place, *words) as process:
        wait_for(_begun(place, process), LATER_S)
        process.send_signal(number)
        _, err = process.communicate(timeout=LATER_S)
        assert process.returncode == 128 + number, err
        wait_for(lambda: not living(process.pid), LATER_S)
    assert "Traceback" not in err
    kept = {"out.partial"} if "what is done is kept in out.partial" in err else set()
    assert _files(place) == before | kept


@each
def test_what_a_killed_one_leaves_is_removed_by_the_next(
    place: Path, words: tuple[object, ...]
) -> None:
    """By the same command, whatever becomes of that."""
    _write_log(place, words)
    before = _files(place)
    left: set[str] = set()
    while not left:  # it may be killed just between two temporary files
        with started(place, *words) as process:
            wait_for(_begun(place, process), LATER_S)
            process.kill()
            process.wait()
        left = _files(place) - before
    with started(place, *words) as process:
        wait_for(lambda: not left & _files(place), LATER_S)
        process.terminate()
        process.communicate(timeout=LATER_S)
    assert not [name for name in _files(place) if name.startswith(MARK)]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("solver", ["stuck", "swallow"])
def test_a_solver_that_no_signal_interrupts(
    place: Path,
    solver: str,
    number: signal.Signals,
) -> None:
    """The process ends all the same, and keeps the plans that were made before."""
    words = ("run", "small.toml", "--solver", f"dp,stuck_for_test:{solver}")
    before = _files(place)
    with started(place, *words, "--out", "out") as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "stuck\n"
        time.sleep(0.5)  # until it is
        process.send_signal(number)
        _, err = process.communicate(timeout=LATER_S)
    assert process.returncode == 128 + number
    assert "warning: what is done is kept in out.partial: 1 run\n" in err
    assert "out.partial" in _files(place) - before
    plans = {path.name for path in (place / "out.partial" / "plans" / "0").iterdir()}
    assert plans == {"instance.json", "dp.json"}


def test_nothing_is_left_where_nothing_is_unwound(place: Path) -> None:
    """Not even what is temporary."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDING],
        cwd=place,
        env=ENVIRONMENT,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "stuck\n"
        assert any(name.startswith(MARK) for name in _files(place))
        time.sleep(0.5)  # until it is
        process.terminate()
        assert process.stderr.read() == "stopped\n"
    assert process.returncode == 128 + signal.SIGTERM
    assert not any(name.startswith(MARK) for name in _files(place))


def test_a_command_that_is_to_outlive_its_terminal_does(place: Path) -> None:
    """Under ``nohup`` the end of the terminal is no end of the command."""
    with started(place, *COMMANDS["run"], under=("nohup",)) as process:
        wait_for(_begun(place, process), LATER_S)
        process.send_signal(signal.SIGHUP)
        time.sleep(0.5)
        assert process.poll() is None
        process.terminate()
        process.communicate(timeout=LATER_S)
        assert process.returncode == 128 + signal.SIGTERM


def test_a_signal_within_a_finalizer_is_not_lost(place: Path) -> None:
    """Python drops what is raised there, and shows it."""
    words = ("run", "small.toml", "--solver", "stuck_for_test:finalized")
    with started(place, *words, "--out", "out") as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "stuck\n"
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=LATER_S)
    assert process.returncode == 130
    assert err == ""
