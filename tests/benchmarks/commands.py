"""Run a command in a process of its own, and measure it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple


class Taken(NamedTuple):
    """What a command took: time by the clock and of processors, and peak memory."""

    wall_s: float
    processor_s: float
    memory_mb: float


def measured(*words: object, folder: Path | None = None) -> Taken:
    """Run ``edgesim`` with some words, in a folder.

    Raises
    ------
    AssertionError
        If it does not end well.
    """
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "edgesim", *map(str, words)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=folder,
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, words
    return Taken(
        time.perf_counter() - started,
        usage.ru_utime + usage.ru_stime,
        usage.ru_maxrss / 1000,
    )
