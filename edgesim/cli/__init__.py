"""The ``edgesim`` command: options in, one call of the library, text out."""

from __future__ import annotations

import io
import os
import re
import sys
import traceback
import warnings
from collections.abc import Sequence
from typing import Annotated, NoReturn, TextIO

import typer

from edgesim.cli.command import command
from edgesim.cli.compile import compile_
from edgesim.cli.ending import ending_on_signals
from edgesim.cli.figure import figure
from edgesim.cli.listing import list_
from edgesim.cli.live import live
from edgesim.cli.live_table import live_table
from edgesim.cli.output import say
from edgesim.cli.own_code import TRACEBACK, consenting
from edgesim.cli.profile import app as profile_app
from edgesim.cli.replay import replay
from edgesim.cli.report import report
from edgesim.cli.run import run
from edgesim.cli.schema import schema
from edgesim.cli.solve import solve
from edgesim.cli.trace import app as trace_app
from edgesim.errors import InputError, KeptWarning
from edgesim.plugins import ConsentError, pass_on_signal, told_where
from edgesim.text import plain

app = typer.Typer(
    help="Simulate and schedule parameter-sharing model inference on one edge GPU.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        say(f"edgesim {version('edgesim')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print it."
        ),
    ] = False,
) -> None:
    del version


app.command("run", cls=command())(run)
app.command("solve", cls=command())(solve)
app.command("figure", cls=command())(figure)
app.command("report", cls=command())(report)
app.command("replay", cls=command(instance_file="instance"))(replay)
app.command("live", cls=command(uses_graphs="graphs"))(live)
app.command("live-table", cls=command(after="before"))(live_table)
app.command("schema", cls=command())(schema)
app.command("list", cls=command())(list_)
app.command("compile", cls=command())(compile_)
app.add_typer(profile_app, name="profile")
app.add_typer(trace_app, name="trace")


def main() -> None:
    """Run the command; invalid input gives one line on standard error, exit code 2."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # the name of a file need not be UTF-8
            stream.reconfigure(errors="backslashreplace")
    with warnings.catch_warnings():
        warnings.simplefilter("always", KeptWarning)
        warnings.showwarning = _show_warning
        try:
            _run()
        except BrokenPipeError:
            _end_unread()


def _end_unread() -> NoReturn:
    """End in silence, with exit code 1: the reader of the output has closed the pipe.

    What is still in a stream goes nowhere, or Python would fail when it flushes.
    """
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BrokenPipeError:
            os.dup2(nowhere, stream.fileno())
    sys.exit(1)


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Say on one line what was kept; show other warnings as Python does."""
    text = warnings.formatwarning(message, category, filename, lineno, line)
    if issubclass(category, KeptWarning):
        text = f"warning: {plain(str(message))}\n"
    print(text, end="", file=file or sys.stderr)


def _run() -> None:
    try:
        with ending_on_signals():
            code = app(prog_name="edgesim", standalone_mode=False)
    except ConsentError as error:
        _fail(f"{error}; if you trust it: {consenting(sys.argv[1:])}")
    except InputError as error:
        if TRACEBACK in sys.argv:
            traceback.print_exc()
        _fail(str(error))
    except BrokenPipeError:
        raise  # an OSError, but none that anyone is left to read of
    except typer.TyperException as error:
        message = error.format_message()
        if not message.startswith("Usage:"):
            _fail(_with_found(message, sys.argv[1:]))
        # A command without arguments: the exception is its help text.
        say(message)
        sys.exit(0)
    except SystemExit as error:
        pass_on_signal(error)
        if isinstance(error.__context__, BrokenPipeError):
            raise error.__context__ from None  # typer makes an exit of it
        # Code of the user's: a network, a factory, or what these import.
        _fail(f"code that was run ended the process: {told_where(error)}")
    except OSError as error:
        _fail(f"{error.filename or 'output'}: {error.strerror or error}")
    except (typer.Abort, KeyboardInterrupt):
        sys.exit(130)
    sys.exit(code if isinstance(code, int) else 0)


def _with_found(message: str, words: Sequence[str]) -> str:
    """Write a limit that an option breaks as all others are, with what was found."""
    told = re.fullmatch(
        r"Invalid value for '(--[a-z-]+)': Input should be (.*)", message
    )
    if told is None:
        return message
    option, allowed = told.groups()
    for word, after in zip(words, [*words[1:], ""], strict=True):
        name, equals, value = word.partition("=")
        if name == option:
            return f"{option}: must be {allowed}, found {value if equals else after}"
    return message


def _fail(message: str) -> None:
    # A file's name may hold what a terminal obeys.
    print(f"error: {plain(message)}", file=sys.stderr)
    sys.exit(2)
