"""Say what a result replaces."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path


def replaced_text(files: Iterable[Path]) -> str:
    """Say which of some files are there and will be replaced; empty if none is.

    Parameters
    ----------
    files
        What is to be written.
    """
    there = [file for file in files if file.is_file()]
    if not there:
        return ""
    newest_s = max(file.stat().st_mtime for file in there)
    date = datetime.fromtimestamp(newest_s).strftime("%Y-%m-%d %H:%M:%S")
    names = ", ".join(file.name for file in there)
    return f"replaced {names} in {there[0].parent}, of {date}"
