"""Code of the user's own on the command line: consent to it, and how its errors end."""

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

# Looked for where errors end, in edgesim.cli.
Traceback = Annotated[
    bool, typer.Option(TRACEBACK, help="Show all of what your own code raises.")
]


def consenting(words: Sequence[str]) -> str:
    """Write the command that was given, with the consent that it lacked."""
    at = words.index("--") if "--" in words else len(words)
    return shlex.join(["edgesim", *words[:at], "--own-code", *words[at:]])


def own_failures(where: str, failed: Mapping[str, Exception]) -> InputError:
    """Make one error of the solvers of the user's own that failed in a run."""
    error = InputError(where, "; ".join(map(str, failed.values())))
    error.__cause__ = next(iter(failed.values()))
    return error


def kept_text(kept: Sequence[str], failed: Mapping[str, Exception]) -> str:
    """Say whose results are there in spite of others' failure."""
    return f"kept {', '.join(kept)}; failed: {', '.join(failed)}"
