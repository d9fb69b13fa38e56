"""The store of points: what a sweep has computed, kept as each point ends."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from edgesim.errors import InputError
from edgesim.experiment.identity import code_sha256
from edgesim.files import make_folder

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
    folder, also over a network, and files from other machines may be put beside them. A
    line that was cut off when its process was killed counts as not there. Points of
    another version of the source are left alone, and not read.

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
        self._file: IO[str] | None = None
        if not fresh:
            self._read()

    def __contains__(self, key: str) -> bool:
        return key in self._points

    def __len__(self) -> int:
        return len(self._points)

    def get(self, key: str) -> Outcome | None:
        """Return a point by its key, or None."""
        return self._points.get(key)

    def add(self, key: str, outcome: Outcome) -> None:
        """Keep a point: once this returns, killing the process does not lose it.

        Raises
        ------
        InputError
            If it cannot be written.
        """
        line = json.dumps(
            {"key": key, "runtime_s": outcome.runtime_s, "columns": outcome.columns},
            allow_nan=False,
        )
        try:
            if self._file is None:
                self._file = self._begun()
            self._file.write(f"{line}\n")
            self._file.flush()
        except OSError as error:
            raise InputError(
                self.folder, f"a point cannot be kept: {error.strerror or error}"
            ) from None
        self._points[key] = outcome
        self.added += 1

    def close(self) -> None:
        """Close the file that this process writes."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _begun(self) -> IO[str]:
        make_folder(self.folder)
        name = f"{self._version}-{secrets.token_hex(6)}{SUFFIX}"
        return (self.folder / name).open("x", encoding="utf-8", newline="\n")

    def _read(self) -> None:
        try:
            files = sorted(
                self.folder.glob(f"{self._version}-*{SUFFIX}"),
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
        """Take in a line that is whole."""
        try:
            found = json.loads(line)
            outcome = Outcome(dict(found["columns"]), float(found["runtime_s"]))
            self._points[str(found["key"])] = outcome
        except (ValueError, TypeError, KeyError):
            return
