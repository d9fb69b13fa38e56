"""The command in a process group of its own, and figures long enough to be ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import solvers

ROOT = Path(solvers.__file__).parents[1]
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT)}

OWN = """\
import time

import solvers


def solve(problem, uplink, options):
    time.sleep(SLEEP_S)
    schedule = solvers.solve(problem, "greedy", uplink=uplink).schedule
    return [(r.model, list(r.users)) for r in schedule.rounds]
"""

FIGURE = """\
schema = "edgesim.figure/1"
title = "Long enough to be ended"
scenario = "campus"

[sweep]
parameter = "cell.bandwidth_hz"
values = [5e6, 10e6, 20e6, 40e6]

[set]
"run.solvers" = ["greedy", "mine:solve"]
"run.repeats" = 5
"""


def write_figure(folder: Path, *, sleep_s: float = 0.1, repeats: int = 5) -> Path:
    """Write a figure of 8 points a repeat, half of them with a solver that sleeps."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "mine.py").write_text(OWN.replace("SLEEP_S", str(sleep_s)))
    file = folder / "figure.toml"
    file.write_text(FIGURE.replace('repeats" = 5', f'repeats" = {repeats}'))
    return file


class Background(subprocess.Popen[str]):
    """A process that a test which fails does not wait for."""

    def __exit__(self, kind: Any, value: Any, traceback: Any) -> None:
        """End what is left of its group if the block failed; wait for it."""
        if kind is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
        super().__exit__(kind, value, traceback)


def hear_signals() -> None:
    """Undo what a shell or ``nohup`` does to what it runs in the background."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def started(folder: Path, *words: object, under: Sequence[str] = ()) -> Background:
    """Start ``edgesim`` in a folder, in a session of its own, under another command."""
    return Background(
        [*under, sys.executable, "-m", "edgesim", *map(str, words)],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
        start_new_session=True,
        preexec_fn=hear_signals,
    )


def finished(folder: Path, *words: object) -> tuple[int, str, str]:
    """Run ``edgesim`` to its end; return exit code, output and standard error."""
    with started(folder, *words) as process:
        out, err = process.communicate(timeout=120)
    return process.returncode, out, err


def written(folder: Path) -> dict[str, bytes]:
    """Return what is the same in every run of a figure."""
    names = ("figure.csv", "figure.shown.csv", "figure.png")
    return {name: (folder / name).read_bytes() for name in names}


def points_in(store: Path) -> int:
    """Count the lines of a store."""
    return sum(file.read_bytes().count(b"\n") for file in store.glob("*.jsonl"))


def wait_for(what: Callable[[], object], within_s: float = 60.0) -> float:
    """Wait until something is so; return how long that took, in seconds."""
    begun = time.monotonic()
    while not what():
        assert time.monotonic() - begun < within_s, "it never came"
        time.sleep(0.01)
    return time.monotonic() - begun


def living(session: int) -> list[int]:
    """List the processes of a session: also those that lost their parent."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = stat.read_text()
        except OSError:  # it has ended
            continue
        state, _parent, _group, of = text.rpartition(")")[2].split()[:4]
        if int(of) == session and state not in "ZX":
            found.append(int(stat.parent.name))
    return found
