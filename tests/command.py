"""Runs the ``edgesim`` command inside the test process."""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from unittest import mock

from edgesim.cli import main


@dataclass(frozen=True)
class Finished:
    """What a command left: exit code and both outputs."""

    code: int
    out: str
    err: str


def edgesim(*args: object) -> Finished:
    """Run a command line and catch its exit."""
    words: Sequence[str] = ["edgesim", *map(str, args)]
    out, err = io.StringIO(), io.StringIO()
    code = 0
    with (
        mock.patch.object(sys, "argv", list(words)),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            main()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(bool(end.code))
    return Finished(code, out.getvalue(), err.getvalue())
