"""What the commands print: names never command the terminal."""

from __future__ import annotations

import json
from typing import Any

import typer

from edgesim.text import printable


def say(text: object = "", *, err: bool = False) -> None:
    """Print lines, flushed: users follow the output, often through a pipe.

    Names come from files, and may hold what a terminal obeys or what reverses a line:
    it is replaced by blanks.

    Parameters
    ----------
    text
        The text, or what has one.
    err
        Whether it goes to standard error.
    """
    typer.echo(printable(str(text)), err=err)


def say_json(document: Any) -> None:
    """Print JSON, in which what cannot be printed is escaped, so that it reads back."""
    text = json.dumps(document, indent=1, ensure_ascii=False)
    shown = (c if c.isprintable() or c == "\n" else _escaped(c) for c in text)
    typer.echo("".join(shown))


def _escaped(character: str) -> str:
    # DEL is the one that JSON does not escape among all the others.
    return "\\u007f" if character == "\x7f" else json.dumps(character)[1:-1]
