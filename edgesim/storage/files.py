"""Read files with errors that name the location; write files whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import stat
import tempfile
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, TypeVar

from pydantic import BaseModel, ValidationError

from edgesim.errors import InputError, from_validation, in_file, short, unknown_key
from edgesim.storage.file_kinds import FileKind, other_kind
from solvers.spelling import closest
from solvers.temporary import is_temporary, temporary_file


class WriteError(InputError):
    """A file cannot be written: the disk is full, or the place is no one's to write."""


Checked = TypeVar("Checked", bound=BaseModel)


TEXT: dict[str, Any] = {"encoding": "utf-8", "errors": "backslashreplace"}
"""How text is written: the name of a file need not be UTF-8, and is escaped then.

In JSON that is the escape which reads as the same name again.
"""


MOST_DEPTH = 100
"""How deep tables and lists of TOML may lie inside each other."""

_TOO_DEEP = (
    f"tables and lists must lie at most {MOST_DEPTH} deep inside each other, found more"
)
_TOO_LONG = "whole numbers must be below 2^63, found one of more than 4,300 digits"

# A text that is not closed ends with its line, or the file: there the parser stops.
_QUOTED = (
    r"""(?s:"{3}(?:\\.|.)*?(?:"{3}|\Z)|'{3}.*?(?:'{3}|\Z))"""
    r"""|"(?:\\.|[^"\\\n])*"?|'[^'\n]*'?"""
)
_TEXTS = re.compile(_QUOTED)
_PIECES = re.compile(
    rf"#[^\n]*|(?:{_QUOTED}|[\w-]+)(?:[ \t]*\.[ \t]*(?:{_QUOTED}|[\w-]+))*|[\[\]{{}}]"
)
"""Comments, keys with their parts, texts, and brackets."""


def read_text(path: Path) -> str:
    """Read a UTF-8 text file (a byte-order mark is accepted and dropped).

    Raises
    ------
    InputError
        If there is no such file, it cannot be read, or it is not UTF-8.
    """
    try:
        check_ends(path)
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            path, f"not UTF-8 text: byte {error.start} cannot be read"
        ) from None
    except OSError as error:
        raise InputError(path, _reason(error)) from None


def read_bytes(path: Path) -> bytes:
    """Read a file.

    Raises
    ------
    InputError
        If there is no such file, or it cannot be read.
    """
    try:
        check_ends(path)
        return path.read_bytes()
    except OSError as error:
        raise InputError(path, _reason(error)) from None


def check_ends(path: Path) -> None:
    """Reject a device, as ``/dev/zero``: it may have no end, and fill the memory.

    Raises
    ------
    InputError
        If it is one.
    OSError
        If there is no such file.
    """
    mode = path.stat().st_mode
    if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
        raise InputError(path, "must be a file, found a device")


def _reason(error: OSError) -> str:
    reason = error.strerror or "cannot be used"
    return f"{reason[0].lower()}{reason[1:]}"


def read_json(path: Path) -> Any:
    """Read strict JSON: no NaN or Infinity, no key twice in one object.

    Raises
    ------
    InputError
        Naming the line where the text stops being JSON, or the offending key.
    """

    def no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        content = dict(pairs)
        if len(content) < len(pairs):
            seen: set[str] = set()
            duplicate = next(k for k, _ in pairs if k in seen or seen.add(k))  # type: ignore[func-returns-value]
            raise InputError(path, f"key {duplicate!r} stands twice in one object")
        return content

    def no_constant(name: str) -> float:
        raise InputError(path, f"numbers must be finite, found {name}")

    try:
        return json.loads(
            read_text(path), object_pairs_hook=no_duplicates, parse_constant=no_constant
        )
    except json.JSONDecodeError as error:
        raise InputError(
            f"{path}:{error.lineno}", f"not JSON: {error.msg} (column {error.colno})"
        ) from None
    except RecursionError:
        raise InputError(path, _TOO_DEEP) from None
    except ValueError:  # the limit of Python's integers
        raise InputError(path, _TOO_LONG) from None


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises
    ------
    InputError
        With the parser's message on the line where the text stops being TOML.
    """
    text = read_text(path)
    _check_depth(path, text)
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(path, f"not TOML: {error}") from None
    except RecursionError:
        raise InputError(path, _TOO_DEEP) from None
    except ValueError:  # the limit of Python's integers
        raise InputError(path, _TOO_LONG) from None


def _check_depth(path: Path, text: str) -> None:
    """Refuse keys of very many parts and brackets inside each other.

    The parser takes the square of a key's parts in time, and a call for each bracket.

    Raises
    ------
    InputError
        At the line.
    """
    depth = 0
    for found in _PIECES.finditer(text):
        piece = found[0]
        parts = 0
        if piece in "[{":
            depth += 1
        elif piece in "]}":
            depth = max(0, depth - 1)
        elif piece[0] != "#" and piece.count(".") > MOST_DEPTH:
            parts = _TEXTS.sub("", piece).count(".")
        if depth > MOST_DEPTH or parts > MOST_DEPTH:
            line = text.count("\n", 0, found.start()) + 1
            raise InputError(f"{path}:{line}", _TOO_DEEP)


def check_file(
    path: str | Path, content: Any, kind: type[Checked], schema: str
) -> Checked:
    """Convert a file's content to a value, after checking the schema's name.

    Parameters
    ----------
    path
        The file, for messages.
    content
        What the parser returned.
    kind
        The value's class; a validator that knows the offending key raises an
        :class:`InputError` that names it.
    schema
        The only accepted schema name.

    Raises
    ------
    InputError
        Naming the file, the key, what was found and what is allowed.
    """
    keys = without_schema(path, content, schema)
    try:
        with in_file(path):
            return kind.model_validate(keys)
    except ValidationError as error:
        raise from_validation(path, error, kind) from None


def without_schema(path: str | Path, content: Any, schema: str) -> dict[str, Any]:
    """Check the schema's name in a file's content, and return the rest.

    Raises
    ------
    InputError
        If there is none, or another.
    """
    if not isinstance(content, dict):
        raise InputError(path, f"must hold one object, found {short(content)}")
    if "schema" not in content:
        meant = closest("schema", content)
        where = "schema" if meant is None else meant
        what = f"required key is missing ({schema!r})"
        if meant is not None:
            what = unknown_key(meant, ["schema"])
        raise InputError(f"{path}: {where}", what)
    if content["schema"] != schema:
        raise InputError(
            f"{path}: schema", f"must be {schema!r}, found {short(content['schema'])}"
        )
    return {key: value for key, value in content.items() if key != "schema"}


@contextmanager
def write_whole(
    path: Path, mode: str = "w", replaces: FileKind | None = None
) -> Iterator[IO[Any]]:
    """Open a file that appears under its name only when it is complete.

    Parameters
    ----------
    path
        The final name; an existing file is replaced at the end, not before. A link is
        followed; a device or pipe is written to as it is.
    mode
        ``"w"`` for UTF-8 text with plain line feeds, ``"wb"`` for bytes.
    replaces
        The kind of file that it may replace; any, if not given.

    Raises
    ------
    WriteError
        If the folder does not exist or cannot be written to.
    InputError
        If the name is a folder's, no name, or that of another kind of file.
    """
    text = {} if "b" in mode else {**TEXT, "newline": "\n"}
    with writing(path):
        final = resolved(path)
        if path.is_dir():
            raise InputError(path, "is a folder; a file name is needed")
        # Checked on the path as given: the target of /dev/stdout may have no name.
        if path.exists() and not path.is_file():
            with path.open(mode, **text) as file:
                yield file
            return
        if replaces is not None:
            check_replaceable(path, replaces)
        with temporary_file(final.name, final.parent) as temporary:
            with temporary.open(mode, **text) as file:
                yield file
            temporary.chmod(0o666 & ~permissions())
            # What is in a temporary folder is written out with all that is in it.
            if not is_temporary(final):
                write_out(temporary)
            temporary.replace(final)
            if not is_temporary(final):
                write_out(final.parent)


def write_out(path: Path) -> None:
    """Have the system write a file, or a folder's names, to the disk now.

    Without it, a file may be empty after a power failure although it had its name long
    before.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:  # a folder of Windows, or one that may not be read
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EROFS, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Convert errors of the file system to input errors that name the path."""
    try:
        yield
    except OSError as error:
        raise WriteError(path, f"cannot be written: {_reason(error)}") from None


def resolved(path: Path) -> Path:
    """Follow links to the file itself."""
    try:
        followed = path.resolve()
    except RuntimeError:  # raised by pathlib before 3.13 for a loop of links
        raise InputError(path, "is a loop of links") from None
    except ValueError:
        raise InputError(short(str(path)), "is not a file name") from None
    if followed.is_symlink():  # what pathlib returns for one since 3.13
        raise InputError(path, "is a loop of links")
    return followed


def keep_inputs(out: Path, *inputs: Path) -> None:
    """Refuse to overwrite an input, or a folder that holds one.

    Raises
    ------
    InputError
        Naming the input.
    """
    with writing(out):
        place = resolved(out)
        for file in inputs:
            input_path = resolved(file)
            if place == input_path or (place.is_dir() and place in input_path.parents):
                raise InputError(out, f"would replace the input {file}")


def check_replaceable(path: Path, kind: FileKind) -> None:
    """Check that what stands at a path, if anything does, is of a kind of file.

    Raises
    ------
    WriteError
        If it cannot be read.
    InputError
        If it is of another kind, and not empty.
    """
    if not path.is_file():
        return
    with writing(path):
        found = other_kind(path, kind)
    if found is not None:
        raise InputError(
            path, f"must be a new file or {kind.name}, which is replaced, found {found}"
        )


def check_writable(path: Path, replaces: FileKind) -> None:
    """Check that a file can be written, before anything is computed for it.

    Parameters
    ----------
    path
        The file.
    replaces
        The kind of file that it may replace.

    Raises
    ------
    WriteError
        If its folder does not exist or cannot be written to.
    InputError
        If the name is a folder's, no name, or that of another kind of file.
    """
    with writing(path):
        final = resolved(path)
        if path.is_dir():
            raise InputError(path, "is a folder; a file name is needed")
        if path.exists() and not path.is_file():
            return  # a device or a pipe
        check_replaceable(path, replaces)
        with temporary_file(final.name, final.parent):
            pass


def write_or_save(path: Path, write: Callable[[Path], None]) -> None:
    """Write a result; where that fails, in the system's folder for temporary files.

    Parameters
    ----------
    path
        The file.
    write
        Writes the result to a path.

    Raises
    ------
    WriteError
        If it cannot be written, saying where it is kept instead.
    """
    try:
        write(path)
    except WriteError as error:
        try:
            place = Path(tempfile.mkdtemp(prefix="edgesim-")) / path.name
            write(place)
        except (WriteError, OSError):  # the same disk, perhaps
            raise error from None
        raise WriteError(
            error.where, f"{error.what}; the result is kept in {place}"
        ) from error


def make_folder(path: Path) -> None:
    """Create a folder and its parents, unless it exists.

    Raises
    ------
    InputError
        If the name is taken by a file, or the folder cannot be created.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(path, f"cannot be made: {_reason(error)}") from None


def permissions() -> int:
    """Return the permissions that new files do not get: the process's umask."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def dump_json(value: Any, file: IO[str]) -> None:
    """Write JSON in edgesim's format: indented, finite, ending in a newline."""
    json.dump(value, file, indent=1, ensure_ascii=False, allow_nan=False)
    file.write("\n")


def write_json(path: Path, value: Any) -> None:
    """Write one JSON file, whole or not at all."""
    with write_whole(path) as file:
        dump_json(value, file)


def sha256(path: Path) -> str:
    """Hash a file's content, so that a result can name its exact inputs."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_file(path: Path) -> bool:
    """Whether a path leads to a file, or to a pipe that can be read like one."""
    try:
        return path.exists() and not path.is_dir()
    except (OSError, ValueError):  # name too long, no access, or a NUL
        return False
