"""Write docs/commands.md: every command, argument and option of ``edgesim``.

``python docs/site/commands.py`` writes it anew from the command line itself; a test
holds the page equal to what this makes.
"""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from edgesim.cli import app

PAGE = Path(__file__).parents[1] / "commands.md"
HEAD = """\
# Commands

Every command with its arguments and options, as `edgesim COMMAND --help` prints them.
A command ends with code 0 if all went well. If an input is wrong it ends with code 2
and one line on standard error, `error: …`, that says what, where, and what is allowed.

This page is made from the command line itself, by `make docs`.
"""
WORDS: dict[object, str] = {int: "N", float: "NUMBER", str: "TEXT", Path: "PATH"}


def page() -> str:
    """Return the text of the page."""
    program: Any = typer.main.get_command(app)
    sections = [_section(words, one) for words, one in _commands(program, "edgesim")]
    return "\n".join([HEAD, *sections])


def _commands(command: Any, words: str) -> Iterator[tuple[str, Any]]:
    if not hasattr(command, "commands"):
        yield words, command
        return
    for name, each in command.commands.items():
        yield from _commands(each, f"{words} {name}")


def _section(words: str, command: Any) -> str:
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    options = [
        p for p in command.params if p.param_type_name == "option" and not p.hidden
    ]
    names = " ".join(_argument(p) for p in arguments)
    about = [" ".join(part.split()) for part in command.help.split("\n\n")]
    kinds = _kinds(command)
    rows = [(_argument(p), p) for p in arguments if p.help]
    rows += [(_option(p, kinds), p) for p in options if p.name != "help"]
    return "\n".join(
        [
            f"## {words}",
            "",
            f"`{' '.join((words, names)).strip()}{' [OPTIONS]' if options else ''}`",
            *(f"\n{_escaped(part)}" for part in about),
            "",
            "| argument or option | what |",
            "|---|---|",
            *(f"| `{left}` | {_meaning(p)} |" for left, p in rows),
            "",
        ]
    )


def _argument(parameter: Any) -> str:
    name = (parameter.metavar or parameter.name).upper().strip("[].")
    name += "..." if parameter.nargs == -1 else ""
    return name if parameter.required else f"[{name}]"


def _option(parameter: Any, kinds: dict[str, object]) -> str:
    names = ", ".join((*parameter.opts, *parameter.secondary_opts))
    if parameter.is_flag:
        return names
    kind = kinds.get(parameter.name, str)
    return f"{names} {parameter.metavar or WORDS[kind]}"


def _kinds(command: Any) -> dict[str, object]:
    """Return the type of each parameter: X also of ``X | None`` and ``list[X]``."""
    hints = typing.get_type_hints(inspect.unwrap(command.callback))
    kinds: dict[str, object] = {}
    for name, hint in hints.items():
        found = [hint, *typing.get_args(hint)]
        found += [part for one in found for part in typing.get_args(one)]
        kinds[name] = next((kind for kind in WORDS if kind in found), str)
    return kinds


def _meaning(parameter: Any) -> str:
    text = _escaped(parameter.help or "")
    bounds = [
        f"{sign} {value:g}"
        for sign, value in (("≥", parameter.min), ("≤", parameter.max))
        if value is not None
    ]
    default = parameter.default
    if default not in (None, False, (), []) and not callable(default):
        bounds.append(f"default `{getattr(default, 'value', default)}`")
    if parameter.required and parameter.param_type_name == "option":
        bounds.append("needed")
    return f"{text} ({', '.join(bounds)})" if bounds else text


def _escaped(text: str) -> str:
    """Return a text whose options stand as code, and whose signs mean themselves."""
    plain = re.sub(r"([\\*_<>\[\]|`])", r"\\\1", " ".join(text.split()))
    return re.sub(r"(?<![\w-])(--[a-z][\w-]*)", r"`\1`", plain)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
