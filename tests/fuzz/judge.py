"""Run a command on damaged files, and judge how it ends."""

from __future__ import annotations

import re
import resource
import shutil
import signal
import tempfile
import time
import traceback
import types
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import typer

from edgesim import cli
from tests.command import Finished, edgesim
from tests.fuzz.formats import Example

LIMIT_S = 60.0
"""How long a case may compute: far above what 20,000 models take, the most drawn."""

LIMIT_BYTES = 400_000_000
"""How much a case may add to the most memory that the process has held."""

_SHOWN = 600
_WARNED = re.compile(r"\w+Warning\b")


class HangError(BaseException):
    """A case takes too long; not an Exception, so that nothing takes it for one."""


@dataclass(frozen=True)
class Verdict:
    """How a case ended.

    Parameters
    ----------
    outcome
        ``success``, ``refused``, or what is wrong.
    detail
        What shows it.
    """

    outcome: str
    detail: str = ""

    @property
    def is_sound(self) -> bool:
        """Whether a user can live with it."""
        return self.outcome in ("success", "refused")


@contextmanager
def quick_command() -> Iterator[None]:
    """Build the command line once, not for each case."""
    built = typer.main.get_command(cli.app)
    with mock.patch.object(cli, "app", built):
        yield


def judge(
    folder: Path, files: Mapping[str, bytes], words: tuple[str, ...], example: Example
) -> Verdict:
    """Write files into an emptied folder, run a command there, and judge its end.

    Parameters
    ----------
    folder
        The folder.
    files
        Contents by name.
    words
        The command line, with ``{}`` for the folder.
    example
        What the files were before one was damaged.
    """
    shutil.rmtree(folder, ignore_errors=True)
    temporary = folder / "tmp"
    temporary.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    before = _listing(folder)
    argv = [word.replace("{}", str(folder)) for word in words]
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started_s = time.monotonic()
    try:
        with _in_time(), mock.patch.object(tempfile, "tempdir", str(temporary)):
            finished = edgesim(*argv)
    except HangError as error:
        return Verdict("hang", f"{time.monotonic() - started_s:.0f} s, in {error}")
    except Exception:
        frames = traceback.format_exc().strip().splitlines()
        return Verdict("traceback", "\n".join(frames[-12:]))
    grown = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - most)
    if grown > LIMIT_BYTES:
        return Verdict("memory", f"{grown / 1e6:.0f} MB more")
    return _verdict(finished, before, _listing(folder), example)


def _listing(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        if path.is_file()
        else b""
        for path in folder.rglob("*")
    }


def _is_shown(character: str) -> bool:
    """Whether a character does no harm: bytes that are no text are escaped later."""
    surrogate = "\ud800" <= character <= "\udfff"
    return character.isprintable() or character == "\n" or surrogate


def _verdict(
    finished: Finished,
    before: Mapping[str, bytes],
    after: Mapping[str, bytes],
    example: Example,
) -> Verdict:
    said = finished.out + finished.err
    if "Traceback" in said or _WARNED.search(said):
        return Verdict("warning", said[-_SHOWN:])
    if not all(_is_shown(c) for c in said):
        return Verdict("control character", repr(said[-_SHOWN:]))
    changed = {name for name in after if after[name] != before.get(name)}
    changed |= before.keys() - after.keys()
    if finished.code == 2:
        if not re.fullmatch(r"error: [^\n]+: [^\n]+\n", finished.err) or finished.out:
            return Verdict("not one line", repr((finished.out, finished.err))[-_SHOWN:])
        if changed:
            return Verdict("file left", f"{sorted(changed)}: {finished.err}")
        return Verdict("refused", finished.err)
    if finished.code not in example.codes:
        return Verdict(f"exit code {finished.code}", said[-_SHOWN:])
    strange = {name for name in changed if name.split("/")[0] not in example.outputs}
    if strange:
        return Verdict("file left", f"{sorted(strange)}")
    return Verdict("success")


@contextmanager
def _in_time() -> Iterator[None]:
    """Interrupt what computes for longer than the limit, or waits far longer."""

    def stop(number: int, frame: types.FrameType | None) -> None:
        del number
        raise HangError("".join(traceback.format_stack(frame, limit=6)))

    timers = (
        (signal.ITIMER_PROF, signal.SIGPROF, LIMIT_S),
        (signal.ITIMER_REAL, signal.SIGALRM, 20 * LIMIT_S),
    )
    before = {number: signal.signal(number, stop) for _, number, _ in timers}
    for timer, _, limit_s in timers:
        signal.setitimer(timer, limit_s)
    try:
        yield
    finally:
        for timer, _, _ in timers:
            signal.setitimer(timer, 0.0)
        for number, handler in before.items():
            signal.signal(number, handler)
