"""What stands where a file is to be written: only one of the same kind is replaced."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_BEGINNING = 65_536
"""Bytes in which a file's kind shows."""


@dataclass(frozen=True)
class FileKind:
    """A kind of file that a command writes.

    Parameters
    ----------
    name
        What people call one: ``"a trace"``.
    pattern
        Found in the beginning of every such file.
    """

    name: str
    pattern: re.Pattern[bytes]


def _with_schema(name: str, schema: str) -> FileKind:
    stated = rf"""(?m)(?:"schema"\s*:|^schema\s*=)\s*["']edgesim\.{schema}/\d"""
    return FileKind(name, re.compile(stated.encode()))


TRACE = FileKind("a trace", re.compile(rb"\A[^\n]*\barrival_s\b"))
PROFILE = _with_schema("a profile", "profile")
SCHEDULE = _with_schema("a schedule", "schedule")
INSTANCE = _with_schema("an instance", "instance")
SCENARIO = _with_schema("a scenario", "scenario")
FIGURE = _with_schema("a figure", "figure")
FIGURE_TABLE = FileKind(
    "a figure's table",
    re.compile(rb"\A(?:(?:panel|second),)?value,(?:repeat,)?(?:solver|policy),"),
)
LIVE_TABLE = FileKind(
    "a table of live runs", re.compile(rb"\A[\d,]+ cases?, [\d,]+ live runs?, from ")
)
PAGE = FileKind(
    "a page of results",
    re.compile(rb"(?s)\A<!DOCTYPE html>.{0,200}Content-Security-Policy"),
)
PICTURES = {
    "png": FileKind("a PNG picture", re.compile(rb"\A\x89PNG\r\n")),
    "pdf": FileKind("a PDF picture", re.compile(rb"\A%PDF-")),
    "svg": FileKind("an SVG picture", re.compile(rb"(?s)\A(?:<\?xml .*)?<svg\b")),
}
"""Pictures by the suffix of their files."""

_KNOWN = (
    *(PROFILE, SCHEDULE, INSTANCE, SCENARIO, FIGURE, TRACE, FIGURE_TABLE),
    *(LIVE_TABLE, PAGE, *PICTURES.values()),
)


def other_kind(path: Path, kind: FileKind) -> str | None:
    """Say what a file is unless it is of a kind, or empty; None if it is.

    Raises
    ------
    OSError
        If it cannot be read.
    """
    with path.open("rb") as file:
        beginning = file.read(_BEGINNING).removeprefix(b"\xef\xbb\xbf")
    if not beginning or kind.pattern.search(beginning):
        return None
    found = (one.name for one in _KNOWN if one.pattern.search(beginning))
    return next(found, "a file of another kind")
