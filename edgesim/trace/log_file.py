"""The files of a request log, row by row: CSV or JSON lines, packed by gzip or not."""

from __future__ import annotations

import csv
import gzip
import json
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any

from edgesim.errors import InputError, Parameter, short
from edgesim.trace.rows import number_lines, open_bytes

FORMS = ("csv", "jsonl")
"""A table with a header, or a JSON object a line."""

_GZIP = b"\x1f\x8b"
_OTHER_PACKERS = {
    b"PK\x03\x04": "zip",
    b"BZh": "bzip2",
    b"\xfd7zXZ": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"PAR1": "parquet",
}
_SHOWN = 200  # characters of a header that a message shows
_MISSING = object()


class UnusableError(Exception):
    """A row cannot be used.

    Parameters
    ----------
    reason
        What is wrong, the same text for all rows of which it is true.
    found
        What the row has instead.
    """

    def __init__(self, reason: str, found: str = "") -> None:
        super().__init__(reason)
        self.found = found


@dataclass(frozen=True)
class Form:
    """How the rows of a log are written.

    Parameters
    ----------
    name
        One of ``FORMS``.
    delimiter
        Between the fields of CSV: one character.
    header
        Names of the columns of CSV without a header; none if each file has one.
    """

    name: str = "csv"
    delimiter: str = ","
    header: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.name not in FORMS:
            raise InputError(
                "form",
                f"must be one of {', '.join(FORMS)}, found {self.name!r}",
            )
        if len(self.delimiter) != 1 or self.delimiter in '"\r\n\0':
            raise InputError(
                Parameter("delimiter"),
                f"must be one character, no quote or line end, "
                f"found {short(self.delimiter)}",
            )


CSV = Form()
"""A table with a header and commas."""


def files_of(source: Path | Sequence[Path]) -> tuple[Path, ...]:
    """List the files of a log, in order.

    Raises
    ------
    InputError
        If a file is named twice.
    """
    files = (source,) if isinstance(source, Path) else tuple(source)
    for at, file in enumerate(files):
        if file in files[:at]:
            raise InputError(file, "must be given once, found twice")
    return files


def iter_log_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the lines of a text file, numbered from 1, unpacked if it is gzip.

    Raises
    ------
    InputError
        If the file cannot be read or unpacked, or at the line that is not UTF-8 or
        holds a NUL.
    """
    with open_bytes(path) as file, _unpacked(path, file) as content:
        yield from number_lines(path, content)


@contextmanager
def _unpacked(path: Path, file: BufferedReader) -> Iterator[Iterable[bytes]]:
    start = file.peek(8)
    for magic, packer in _OTHER_PACKERS.items():
        if start.startswith(magic):
            raise InputError(path, f"must be text or gzip, found {packer}")
    if not start.startswith(_GZIP):
        yield file
        return
    try:
        with gzip.open(file) as content:
            yield content
    except (EOFError, gzip.BadGzipFile, zlib.error):
        raise InputError(
            path, "must be a whole gzip file, found a damaged or cut one"
        ) from None


def read_table(
    source: Path, form: Form = CSV
) -> tuple[list[str], Iterator[tuple[int, list[str]]]]:
    """Split CSV into its header and its rows, each with its first line number."""
    rows = _csv_rows(source, form.delimiter)
    if form.header:
        return list(form.header), rows
    _, header = next(rows, (1, []))
    if not header:
        raise InputError(f"{source}:1", "must have a header, found none")
    return [name.strip() for name in header], rows


def _csv_rows(source: Path, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    lines = (f"{text}\n" for _, text in iter_log_lines(source))
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    line = 1
    try:
        for fields in reader:
            if fields:  # blank lines are not rows
                yield line, fields
            line = reader.line_num + 1
    except csv.Error as error:
        raise InputError(f"{source}:{line}", f"must be CSV: {error}") from None


def positions_of(
    source: Path, header: list[str], columns: Sequence[str | None]
) -> list[int | None]:
    """Find columns by name; a column that is None has no position."""
    if header[0].startswith(("{", "[")):
        raise InputError(
            f"{source}:1",
            f"must be a header of CSV, found JSON, {short(header[0])}; "
            f"the format jsonl reads JSON lines",
        )
    for column in columns:
        if column is not None and header.count(column) != 1:
            found = "twice" if column in header else f"only {_clipped(header)}"
            raise InputError(
                f"{source}:1",
                f"must have the column {column!r} once, found {found}",
            )
    return [None if column is None else header.index(column) for column in columns]


def _clipped(header: list[str]) -> str:
    """Join names for a message, without what a terminal would not print."""
    text = "".join(c if c.isprintable() else "?" for c in ", ".join(header))
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


def fields_of(
    source: Path, columns: Sequence[str | None], form: Form
) -> Iterator[tuple[int, list[str] | UnusableError]]:
    """Yield the line of each row, and its texts of some columns or why it has none.

    Blanks around a text are dropped; the text of a column that is None is empty.

    Raises
    ------
    InputError
        If the file is not of this form, or has not each column once.
    """
    if form.name == "jsonl":
        return _json_fields(source, columns)
    return _csv_fields(source, columns, form)


def _csv_fields(
    source: Path, columns: Sequence[str | None], form: Form
) -> Iterator[tuple[int, list[str] | UnusableError]]:
    header, body = read_table(source, form)
    positions = positions_of(source, header, columns)
    width = len(header)
    for line, fields in body:
        if len(fields) == width:
            yield (
                line,
                ["" if at is None else fields[at].strip() for at in positions],
            )
        else:
            row = form.delimiter.join(fields)
            yield line, UnusableError("wrong number of fields", row)


def _json_fields(
    source: Path, columns: Sequence[str | None]
) -> Iterator[tuple[int, list[str] | UnusableError]]:
    # Numbers stay text, so that a 19-digit epoch keeps every digit.
    decode = json.JSONDecoder(parse_float=str, parse_int=str).decode
    is_first = True
    for line, text in iter_log_lines(source):
        text = text.strip()
        if not text:
            continue
        if is_first and text.startswith("["):
            raise InputError(
                f"{source}:{line}",
                "must be a JSON object a line, found a JSON array; write each item on "
                "a line of its own (jq -c '.[]')",
            )
        is_first = False
        try:
            row = decode(text)
        except (ValueError, RecursionError):
            yield line, UnusableError("not JSON", text)
            continue
        if not isinstance(row, dict):
            yield line, UnusableError("not a JSON object", text)
            continue
        try:
            yield line, [_text_of(row, column) for column in columns]
        except UnusableError as error:
            yield line, error


def _text_of(row: dict[str, Any], column: str | None) -> str:
    if column is None:
        return ""
    value = row.get(column, _MISSING)
    if value is _MISSING:
        value = _inner(row, column)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise UnusableError(f"{column} is neither text nor a number", str(value))
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:  # half of a pair: no file could hold it
            raise UnusableError(f"{column} is not text", value) from None
    return value.strip()


def _inner(row: dict[str, Any], column: str) -> Any:
    """Follow a dotted name into objects: ``request.model``."""
    value: Any = row
    for part in column.split("."):
        if not isinstance(value, dict) or part not in value:
            raise UnusableError(f"{column} is missing", ", ".join(row))
        value = value[part]
    return value
