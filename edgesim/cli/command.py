"""Translate the library's parameters in messages to options of the running command."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from typer.core import TyperCommand

from edgesim.errors import InputError, Parameter


class Command(TyperCommand):
    """A command that names its options where the library names its parameters."""

    names: ClassVar[Mapping[str, str]] = {}
    """The library's name of a parameter -> the command's, if they differ."""

    def invoke(self, ctx: Any) -> Any:  # typer keeps the class of contexts to itself
        """Run the command; input errors are rewritten in terms of the command line."""
        try:
            return super().invoke(ctx)
        except InputError as error:
            if not any(isinstance(piece, Parameter) for piece in error.args):
                raise
            raise error.written(self.option_of) from error

    def option_of(self, parameter: Parameter) -> str:
        """Format a parameter as it is typed; unchanged if it has no option."""
        name = self.names.get(parameter.name, parameter.name)
        option = f"--{name.replace('_', '-')}"
        for one in self.params:
            if one.param_type_name == "argument" and one.name == name:
                return one.metavar or name.upper()
            if one.name == name and one.secondary_opts and parameter.value == "False":
                return str(one.secondary_opts[0])  # --no-graphs
            if one.name == name or option in one.opts:
                value = "" if parameter.value is None else f" {parameter.value}"
                return f"{one.opts[0]}{value}"
        return str(parameter)


def as_typed(error: InputError, running: object) -> InputError:
    """Rewrite an error that is said, not raised, in terms of the running command."""
    return error.written(running.option_of) if isinstance(running, Command) else error


def command(**names: str) -> type[Command]:
    """Make the class with which to register a command.

    Parameters
    ----------
    **names
        The library's names of parameters, and the names in the command's function, for
        those that differ.
    """
    return type("Command", (Command,), {"names": names})
