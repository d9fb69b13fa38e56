"""Run a command in a process of its own, and measure it."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

# The system counts the memory of whoever starts a process as that of the process, so a
# small one starts it.
WAITING = """
import os, subprocess, sys
process = subprocess.Popen(
    [sys.executable, "-m", "edgesim", *sys.argv[1:]],
    stdout=subprocess.DEVNULL,
    stderr=subprocess.DEVNULL,
)
_, status, usage = os.wait4(process.pid, 0)
process.returncode = os.waitstatus_to_exitcode(status)
print(process.returncode, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1000)
"""


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
    found = subprocess.run(
        [sys.executable, "-c", WAITING, *map(str, words)],
        capture_output=True,
        text=True,
        cwd=folder,
        check=True,
    )
    status, processor_s, memory_mb = map(float, found.stdout.split())
    assert status == 0, words
    return Taken(time.perf_counter() - started, processor_s, memory_mb)
