"""The store of points: what a sweep has computed, kept as each point ends."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Any

from edgesim.errors import InputError
from edgesim.experiment.identity import code_sha256, hash_bytes
from edgesim.storage.files import make_folder

SUFFIX = ".jsonl"


@dataclass(frozen=True)
class Outcome:
    """What was computed of one point.

    Parameters
    ----------
    columns
        Its measures, and what its plan states, by name.
    runtime_s
        Wall-clock time of the solver, or of the simulation online.
    """

    columns: Mapping[str, Any]
    runtime_s: float


class Store:
    """Points on disk, a line each, in files that only grow.

    Every process that computes writes a file of its own, so that several may use one
    folder, also over a network, and files from other machines may be put beside them.
    Each line states the hash of what it holds: one that was cut off when its process
    was killed, or that was changed since, counts as not there. Points of another
    version of the source are left alone, and not read.

    Parameters
    ----------
    folder
        Where the files lie; made when the first point is added.
    fresh
        Whether to ignore the points that are there.

    Attributes
    ----------
    added
        Number of points added by this process.

    Raises
    ------
    InputError
        If the folder cannot be read.
    """

    def __init__(self, folder: Path, *, fresh: bool = False) -> None:
        self.folder = folder
        self._version = code_sha256()[:12]
        self._points: dict[str, Outcome] = {}
        self.added = 0
        self._file: FileIO | None = None
        if not fresh:
            self._read()

    def __contains__(self, key: str) -> bool:
        return key in self._points

    def __len__(self) -> int:
        return len(self._points)

    def get(self, key: str) -> Outcome | None:
        """Return a point by its key, or None."""
        return self._points.get(key)

    def open(self) -> None:
        """Begin the file of this process: what cannot be written is told early.

        Raises
        ------
        InputError
            If it cannot be written.
        """
        make_folder(self.folder)
        name = f"{self._version}-{secrets.token_hex(6)}{SUFFIX}"
        try:
            self._file = FileIO(self.folder / name, "x")
        except OSError as error:
            raise self._unwritable(error) from None

    def add(self, key: str, outcome: Outcome) -> Outcome:
        """Keep a point: once this returns, killing the process does not lose it.

        Returns
        -------
        Outcome
            The point as it will be read back.

        Raises
        ------
        InputError
            If it cannot be written.
        """
        line = _line(key, outcome)
        if self._file is None:
            self.open()
        assert self._file is not None
        # Unbuffered: what a full disk refuses must not be tried again when closing.
        left = line + b"\n"
        try:
            while left:
                left = left[self._file.write(left) :]
        except OSError as error:
            raise self._unwritable(error) from None
        self._take(line)
        self.added += 1
        return self._points[key]

    def close(self) -> None:
        """Close the file of this process, and remove it if nothing is in it."""
        if self._file is None:
            return
        self._file.close()
        if not self.added:
            Path(str(self._file.name)).unlink(missing_ok=True)
        self._file = None

    def _unwritable(self, error: OSError) -> InputError:
        return InputError(
            self.folder, f"points cannot be kept here: {error.strerror or error}"
        )

    def _read(self) -> None:
        try:
            files = sorted(
                filter(Path.is_file, self.folder.glob(f"{self._version}-*{SUFFIX}")),
                key=lambda file: (file.stat().st_mtime_ns, file.name),
            )
            for file in files:
                for line in file.read_bytes().split(b"\n"):
                    self._take(line)
        except OSError as error:
            raise InputError(
                self.folder, f"cannot be read: {error.strerror or error}"
            ) from None

    def _take(self, line: bytes) -> None:
        """Take in a line that is as it was written."""
        try:
            found = json.loads(line)
            outcome = Outcome(dict(found["columns"]), float(found["runtime_s"]))
            key = str(found["key"])
            whole = _line(key, outcome) == line
        except (ValueError, TypeError, KeyError, RecursionError):
            return
        if whole:
            self._points[key] = outcome


def _line(key: str, outcome: Outcome) -> bytes:
    """Write a point on one line, with the hash of what it holds."""
    content = {"key": key, "runtime_s": outcome.runtime_s, "columns": outcome.columns}
    text = json.dumps(content, allow_nan=False)
    return json.dumps(
        {**content, "sha256": hash_bytes(text.encode())}, allow_nan=False
    ).encode()
