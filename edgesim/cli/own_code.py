"""User code on the command line: consent to it, and the report of its errors."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Annotated

import typer

from edgesim.errors import InputError

OwnCode = Annotated[
    bool,
    typer.Option(
        "--own-code", help="Run code of your own that the file names, if you trust it."
    ),
]

TRACEBACK = "--traceback"

# Read where errors are reported, in edgesim.cli.
Traceback = Annotated[
    bool, typer.Option(TRACEBACK, help="Show all of what your own code raises.")
]


def consenting(words: Sequence[str]) -> str:
    """Format the given command, with the missing consent added."""
    end = words.index("--") if "--" in words else len(words)
    return shlex.join(["edgesim", *words[:end], "--own-code", *words[end:]])


def own_failures(where: str, failed: Mapping[str, Exception]) -> InputError:
    """Combine the errors of the user's own solvers that failed in a run."""
    error = InputError(where, "; ".join(map(str, failed.values())))
    error.__cause__ = next(iter(failed.values()))
    return error


def kept_text(kept: Sequence[str], failed: Mapping[str, Exception]) -> str:
    """List the solvers whose results were kept, and those that failed."""
    return f"kept {', '.join(kept)}; failed: {', '.join(failed)}"
