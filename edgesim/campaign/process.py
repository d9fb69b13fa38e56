"""A campaign's worker from its parent's side: start it, send jobs, stop and end it."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

GRACE_S = 10.0
"""Time that a worker is given to exit before it is killed."""

_LOOK_S = 0.5


@dataclass(frozen=True)
class Answer:
    """How a job ended in the worker.

    Parameters
    ----------
    code
        The exit code: the command's, or 128 and the signal that killed the process.
    clean
        Whether the process can run another job.
    died
        What ended the process, if it ended.
    """

    code: int
    clean: bool
    died: str | None = None


def _environment() -> dict[str, str]:
    """Let the worker import the edgesim that is running here."""
    root = str(Path(__file__).resolve().parents[2])
    paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
    return os.environ | {"PYTHONPATH": os.pathsep.join(paths)}


class Worker:
    """One process that runs jobs until it is closed.

    Parameters
    ----------
    log
        Receives the output of the process before its first job.
    """

    def __init__(self, log: Path) -> None:
        self._answers, theirs = os.pipe()
        self._read = b""
        try:
            with log.open("ab") as file:
                # A process group of its own, so that the parent handles Ctrl-C and can
                # kill whatever a job has started. Safe path, so that a file in the
                # current folder cannot shadow a library.
                self._process = subprocess.Popen(
                    [
                        *(sys.executable, "-P", "-m", "edgesim.campaign.worker"),
                        str(theirs),
                    ],
                    env=_environment(),
                    stdin=subprocess.PIPE,
                    stdout=file,
                    stderr=file,
                    pass_fds=(theirs,),
                    start_new_session=True,
                )
        except BaseException:
            os.close(self._answers)
            raise
        finally:
            os.close(theirs)

    @property
    def alive(self) -> bool:
        """Whether the process is running and can take a job."""
        return self._process.poll() is None

    def close(self) -> None:
        """End the process and everything it has started."""
        try:
            self._hang_up()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(GRACE_S)
        finally:
            self._kill()
            os.close(self._answers)

    def send(self, words: Sequence[str], log: Path) -> None:
        """Send the worker its next job; its answer shows if it could not take it."""
        assert self._process.stdin is not None
        job = {"words": list(words), "log": str(log)}
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(f"{json.dumps(job)}\n".encode())
            self._process.stdin.flush()

    def answer(self, until_s: float) -> Answer | None:
        """Wait for the end of a job.

        Parameters
        ----------
        until_s
            A time of ``time.monotonic``.

        Returns
        -------
        Answer or None
            None if the job has not ended by that time.
        """
        while True:
            line, end, rest = self._read.partition(b"\n")
            if end:
                self._read = rest
                try:
                    return Answer(**json.loads(line))
                except (ValueError, TypeError):
                    # A job wrote to the worker's answer pipe.
                    self._kill()
                    return Answer(1, False, "its process gave no proper answer")
            left_s = until_s - time.monotonic()
            if left_s <= 0:
                return None
            # Polled before the pipe, so that output written before the end is read.
            ended = self._process.poll() is not None
            ready, _, _ = select.select([self._answers], [], [], min(left_s, _LOOK_S))
            part = os.read(self._answers, 65_536) if ready else b""
            self._read += part
            if not part and (ready or ended):
                return self._death()

    def stop(self) -> Answer:
        """End the job: SIGTERM so that it cleans up, then SIGKILL if it does not."""
        answer = None
        try:
            self._process.send_signal(signal.SIGTERM)
            answer = self.answer(time.monotonic() + GRACE_S)
        finally:
            if answer is None:
                self._kill()
        return answer or self._death()

    def _death(self) -> Answer:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(GRACE_S)
        self._kill()
        code = self._process.returncode
        if code >= 0:
            return Answer(code, False, f"its process ended with exit code {code}")
        name = signal.Signals(-code).name
        return Answer(128 - code, False, f"its process was killed by {name}")

    def _hang_up(self) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()

    def _kill(self) -> None:
        """Kill the process, if running, and the rest of its group."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
