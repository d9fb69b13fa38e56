"""The error that invalid input causes, and the conversion of pydantic's errors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from solvers.errors import EdgesimError

if TYPE_CHECKING:
    from pydantic import ValidationError


@dataclass(frozen=True)
class Parameter:
    """A parameter named in a message; the command line writes its option instead.

    Parameters
    ----------
    name
        Its name in the function or dataclass: ``rate_per_s``.
    value
        Its value, if the message states one: ``device='cpu'``.
    """

    name: str
    value: str | None = None

    def __str__(self) -> str:
        return self.name if self.value is None else f"{self.name}={self.value!r}"


class InputError(EdgesimError):
    """Invalid input: where it is, what is wrong, what was found, what is allowed.

    The command line prints it as one line ``error: WHERE: WHAT`` and exits with 2.

    Parameters
    ----------
    where
        A file, a file and line (``trace.csv:12``), a file and key
        (``tiny.json: users[3].deadline_s``), or a parameter.
    *what
        One sentence: what is wrong, what was found, what is allowed; in pieces if it
        names parameters.
    """

    def __init__(self, where: str | Path | Parameter, *what: str | Parameter) -> None:
        self.where = str(where)
        self.what = " ".join("".join(map(str, what)).split())
        # As given, so that copies can be made: by pickle, and by SimPy as it
        # propagates.
        super().__init__(where, *what)

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"

    def written(self, write: Callable[[Parameter], str]) -> InputError:
        """Return an error of the same type with parameters formatted by ``write``."""
        return type(self)(
            *(
                write(piece) if isinstance(piece, Parameter) else piece
                for piece in self.args
            )
        )


@contextmanager
def in_file(file: str | Path) -> Iterator[None]:
    """Prefix the location in input errors with a file: ``day.toml: online.late``.

    Parameters
    ----------
    file
        The file that was read; the block knows its keys, not its name.
    """
    try:
        yield
    except InputError as error:
        raise type(error)(f"{file}: {error.where}", *error.args[1:]) from error


def key_path(location: Sequence[str | int]) -> str:
    """Format a location as a key path: ``users[3].deadline_s``."""
    path = ""
    for part in location:
        if isinstance(part, int):
            path += f"[{part}]"
        else:
            path += f".{part}" if path else part
    return path


def short(value: object, limit: int = 60) -> str:
    """Format a found value, truncated so that the message stays on one line."""
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"


# File terms in place of pydantic's Python terms.
_PLAIN = {
    "tuple_type": "must be a list",
    "dict_type": "must be a table or object",
    "model_type": "must be a table or object",
    "model_attributes_type": "must be a table or object",
}


def from_validation(file: str | Path, error: ValidationError) -> InputError:
    """Convert pydantic's first error to an :class:`InputError` on one line.

    Parameters
    ----------
    file
        The file that was read.
    error
        The errors that pydantic found; the first is reported.
    """
    first = error.errors(include_url=False)[0]
    place = key_path(first["loc"])
    where = f"{file}: {place}" if place else str(file)
    what = first["msg"].removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        what = "unknown key; remove it or correct its spelling"
    elif first["type"] == "missing":
        what = "required key is missing"
    elif first["type"] == "too_short":
        what = "must not be empty"
    elif first["type"] in _PLAIN:
        what = f"{_PLAIN[first['type']]}, found {short(first['input'])}"
    elif first["type"] != "value_error":
        what = f"{what[0].lower()}{what[1:]}, found {short(first['input'])}"
    return InputError(where, what)
