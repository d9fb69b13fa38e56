"""The error that invalid input causes, and the conversion of pydantic's errors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args, get_origin

from solvers.errors import EdgesimError
from solvers.spelling import closest

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError
    from pydantic_core import ErrorDetails


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
        # On one line, whatever a name holds; bytes that are no text stay as they are.
        return "".join(
            c if c.isprintable() or "\ud800" <= c <= "\udfff" else repr(c)[1:-1]
            for c in f"{self.where}: {self.what}"
        )

    def written(self, write: Callable[[Parameter], str]) -> InputError:
        """Return an error of the same type with parameters formatted by ``write``."""
        return type(self)(
            *(
                write(piece) if isinstance(piece, Parameter) else piece
                for piece in self.args
            )
        )


class KeptWarning(UserWarning):
    """Something was kept under another name; the command line prints it."""


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
    try:
        text = repr(value)
    except Exception:  # the value may be of the user's code, and fail at this too
        text = f"an unprintable {type(value).__name__}"
    return text if len(text) <= limit else text[: limit - 1] + "…"


# File terms in place of pydantic's Python terms.
_PLAIN = {
    "tuple_type": "must be a list",
    "dict_type": "must be a table or object",
    "model_type": "must be a table or object",
    "model_attributes_type": "must be a table or object",
}


UNKNOWN_KEY = "extra_forbidden"
"""Type of a validation error about an unknown key."""


def from_validation(
    file: str | Path, error: ValidationError, kind: type[BaseModel] | None = None
) -> InputError:
    """Turn pydantic's first finding into an :class:`InputError` on one line.

    Where a required key is missing because it is misspelt, the misspelt one is told.

    Parameters
    ----------
    file
        The file that was read.
    error
        What pydantic found; the first finding is told.
    kind
        What was validated, for suggestions of the keys that it has.
    """
    found = error.errors(include_url=False)
    first = _misspelt(found[0], found) or found[0]
    place = key_path(first["loc"])
    where = f"{file}: {place}" if place else str(file)
    what = first["msg"].removeprefix("Value error, ")
    if first["type"] == UNKNOWN_KEY:
        known = keys_at(kind, first["loc"][:-1])
        what = unknown_key(str(first["loc"][-1]), known)
    elif first["type"] == "missing":
        what = "required key is missing"
    elif first["type"] == "too_short":
        what = "must not be empty"
    elif first["type"] in _PLAIN:
        what = f"{_PLAIN[first['type']]}, found {short(first['input'])}"
    elif first["type"] != "value_error":
        what = _plain_limit(what, first.get("ctx", {}))
        what = f"{what[0].lower()}{what[1:]}, found {short(first['input'])}"
    return InputError(where, what)


def _plain_limit(what: str, limits: Mapping[str, Any]) -> str:
    """Write a tiny limit as a file would: ``1e-12`` for ``0.000000000001``."""
    for limit in limits.values():
        if isinstance(limit, float) and 0 < limit < 1e-4:
            return f"{what[: what.rindex(' ')]} {limit:g}"
    return what


def unknown_key(name: str, known: Sequence[str]) -> str:
    """Say of a key that there is none of that name, and which one may be meant."""
    meant = closest(name, known)
    if meant is None:
        return "unknown key; remove it or correct its spelling"
    return f"unknown key; did you mean {meant!r}?"


def _misspelt(
    first: ErrorDetails, found: Sequence[ErrorDetails]
) -> ErrorDetails | None:
    """Find the unknown key, if there is one, that stands for a missing one."""
    if first["type"] != "missing":
        return None
    *place, name = first["loc"]
    beside = {
        str(one["loc"][-1]): one
        for one in found
        if one["type"] == UNKNOWN_KEY and list(one["loc"][:-1]) == place
    }
    nearest = closest(str(name), beside)
    return None if nearest is None else beside[nearest]


def keys_at(kind: type[BaseModel] | None, location: Sequence[str | int]) -> list[str]:
    """List the keys that a kind of value has at a location within it."""
    places: list[Any] = [kind]
    for part in location:
        places = [inner for one in places for inner in _inside(one, part)]
    return [
        field.alias or name
        for one in places
        for record in _records(one)
        for name, field in record.model_fields.items()
    ]


def _records(annotation: Any) -> Iterator[Any]:
    """Find the records that an annotation leads to: itself, or those of a union."""
    if hasattr(annotation, "model_fields"):
        yield annotation
    elif not _holds_many(annotation):
        for one in get_args(annotation):
            yield from _records(one)


def _holds_many(annotation: Any) -> bool:
    origin = get_origin(annotation)
    return isinstance(origin, type) and issubclass(origin, (list, tuple, Mapping))


def _inside(annotation: Any, part: str | int) -> Iterator[Any]:
    """Find what stands at one part of a location: a field's, or each item's."""
    if _holds_many(annotation):
        yield get_args(annotation)[-1 if isinstance(part, str) else 0]
        return
    for one in get_args(annotation):
        yield from _inside(one, part)
    fields = getattr(annotation, "model_fields", {})
    for name, field in fields.items():
        if (field.alias or name) == part:
            yield field.annotation
