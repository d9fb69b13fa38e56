"""The process that runs a campaign's jobs in sequence.

One process runs many jobs, because importing torch and starting CUDA takes seconds.
Jobs arrive as JSON lines on standard input, ``{"words": […], "log": PATH}``, and are
answered on the pipe whose file descriptor is the only argument,
``{"code": 0, "clean": true}``. The process exits when its standard input ends.
"""

from __future__ import annotations

import contextlib
import faulthandler
import gc
import json
import os
import signal
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Iterator
from queue import SimpleQueue
from typing import Any

GRACE_S = 10.0
"""Time that a job is given to clean up when it is asked to end."""

_busy = threading.Event()


def main() -> None:
    """Serve jobs until standard input ends."""
    answers = int(sys.argv[1])
    os.set_inheritable(answers, False)
    # A job that reads standard input must not consume the following jobs.
    requests = os.dup(0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    jobs: SimpleQueue[str | None] = SimpleQueue()
    threading.Thread(target=_receive, args=(requests, jobs), daemon=True).start()
    while (line := jobs.get()) is not None:
        job = json.loads(line)
        _busy.set()
        code = _run(job["words"], job["log"])
        _busy.clear()
        answer = {"code": code, "clean": _cleaned(failed=code != 0)}
        os.write(answers, f"{json.dumps(answer)}\n".encode())


def _receive(requests: int, jobs: SimpleQueue[str | None]) -> None:
    """Receive jobs; end the process and its current job when the sender is gone."""
    with os.fdopen(requests, encoding="utf-8") as lines:
        for line in lines:
            jobs.put(line)
    jobs.put(None)
    if _busy.is_set():
        os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE_S)
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(128 + signal.SIGTERM)


def _run(words: list[str], log: str) -> int:
    """Run one command as ``edgesim`` does, with all output going to its log."""
    from edgesim.cli import main as edgesim

    _redirect(log)
    with _restored():
        sys.argv = words
        try:
            edgesim()
        except SystemExit as end:
            code = _exit_code(end.code)
        except BaseException:
            traceback.print_exc()
            code = 1
        else:
            code = 0
    _flush()
    return code


def _redirect(log: str) -> None:
    """Redirect standard output and error, including those of C libraries, to a file."""
    _flush()
    file = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.close(file)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()


@contextlib.contextmanager
def _restored() -> Iterator[None]:
    """Restore the process for the next job to the state in which this one found it."""
    argv, path, folder = sys.argv, [*sys.path], os.getcwd()
    environment = dict(os.environ)
    handlers = {
        number: signal.getsignal(number)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGPIPE, signal.SIGALRM)
    }
    try:
        with warnings.catch_warnings():
            yield
    finally:
        sys.argv = argv
        sys.path[:] = path
        os.chdir(folder)
        if os.environ != environment:
            os.environ.clear()
            os.environ.update(environment)
        for number, handler in handlers.items():
            _set_handler(number, handler)


def _set_handler(number: signal.Signals, handler: Any) -> None:
    if handler is not None and signal.getsignal(number) is not handler:
        signal.signal(number, handler)


def _exit_code(code: str | int | None) -> int:
    if code is None or isinstance(code, int):
        return code or 0
    print(code, file=sys.stderr)
    return 1


def _cleaned(*, failed: bool) -> bool:
    """Free what a job left on the device; False if the next job needs a new process.

    That is the case if the device does not respond, or if a job that used it failed: it
    may have left torch in a state in which no later job succeeds.
    """
    gc.collect()
    torch: Any = sys.modules.get("torch")
    try:
        if torch is not None and torch.cuda.is_initialized():  # needs a GPU
            if failed:
                return False
            torch.cuda.empty_cache()
            empty_host_cache = getattr(torch._C, "_host_emptyCache", None)
            if empty_host_cache is not None:
                empty_host_cache()
    except Exception:
        traceback.print_exc()
        _flush()
        return False
    return True


if __name__ == "__main__":
    faulthandler.enable()
    for output in (sys.stdout, sys.stderr):
        output.reconfigure(  # type: ignore[union-attr]
            encoding="utf-8", line_buffering=True
        )
    main()
